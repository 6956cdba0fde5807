"""Run, put and get on an instance, wherever it is."""

__all__: list[str] = []
