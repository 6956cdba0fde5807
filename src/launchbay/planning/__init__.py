"""Wish and what is observed make a plan. Pure: no clock, no disk, no randomness."""

__all__: list[str] = []
