"""Runs of a person's script: their scalars, learning curves and what the curves say."""

__all__: list[str] = []
