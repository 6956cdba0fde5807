"""The one error that onboard code raises on purpose."""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):
    """Bad input: what is wrong, where it is, what to do next. Reaches the person as one message."""

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
