"""The command line: parse, one API call, render."""

__all__: list[str] = []
