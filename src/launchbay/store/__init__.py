"""What we keep: the journal, the records of runs, and data fetched with a checksum."""

__all__: list[str] = []
