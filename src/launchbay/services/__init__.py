"""Boards and notebooks: what a browser is pointed at, behind a token and on this machine's loopback alone."""

__all__: list[str] = []
