"""API values as text for people, a module for each group of verbs."""

__all__: list[str] = []
