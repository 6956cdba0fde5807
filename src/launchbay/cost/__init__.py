"""What a workload costs in a month, and the cheapest way to run it. Pure."""

__all__: list[str] = []
