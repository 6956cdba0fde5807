"""A machine elsewhere that has a home of its own: Launchbay is put there, and every verb is the same verb, run there."""

__all__: list[str] = []
