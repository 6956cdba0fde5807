"""What the tests of the twin share stands in `tests.twin_process`, for all who need one."""

from __future__ import annotations

from tests.twin_process import TwinProcess

__all__ = ["TwinProcess"]
