"""Handing instances to people: a line for their key, a sheet each, and what takes both back."""

__all__: list[str] = []
