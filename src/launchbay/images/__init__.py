"""Recipes, locks, digests, and building an image from them."""

__all__: list[str] = []
