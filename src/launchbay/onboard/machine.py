"""What a script runs on, in the words of the machine itself; whatever it does not say is None."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["describe_machine"]

_VENDOR, _PRODUCT = "/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name"
"""An instance of EC2 says its vendor and type there (on Nitro, which all current types are)."""


def describe_machine() -> dict[str, Any]:
    """Return the processors that may be used, what they are, and the instance type where this is one of EC2."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    is_ec2 = _first_line(_VENDOR) == "Amazon EC2"
    return {"processors": usable, "processor": _processor(), "type": _first_line(_PRODUCT) if is_ec2 else None}


def _processor() -> str | None:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
            if not line.strip():
                break  # the others are like the first
    return None


def _first_line(path: str) -> str | None:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().strip() or None
    return None
