"""Saved models: what they are, how good they are, what they predict."""

__all__: list[str] = []
