"""Programs that run inside a host's box, under the system's Python from 3.9 on, with the standard library only.

`agent` serves the twin; the others stand in for programs that would reach for the machine below, and say so where they
only pretend.
"""

from __future__ import annotations

__all__: list[str] = []
