"""Where instances come from."""

__all__: list[str] = []
