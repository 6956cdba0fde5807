"""What a workload would cost elsewhere: from its file and the catalogue to the optimiser, and back to a workload. Pure."""

__all__: list[str] = []
