"""A person's script, read and never run: what it imports and calls, and which of that is certain to happen."""

__all__: list[str] = []
