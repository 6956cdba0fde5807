"""The code that runs on an instance: standard library only, Python 3.9 and newer, nothing of launchbay's."""

__all__: list = []  # type: ignore[type-arg]
