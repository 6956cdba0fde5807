"""One function per verb: an API call, and what of it is shown. No decisions are made here."""

__all__: list[str] = []
