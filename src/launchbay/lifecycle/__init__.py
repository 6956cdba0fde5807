"""Applies plans. The one layer that composes providers, transport and store."""

__all__: list[str] = []
