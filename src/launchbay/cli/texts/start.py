"""What `bay doctor` found, as text for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launchbay.api.project import Check

__all__ = ["checks_text"]


def checks_text(checks: Sequence[Check]) -> str:
    """Say what works here and what does not."""
    mark = {"ok": "ok", "warning": "warn", "broken": "BROKEN"}
    lines = [
        f"{mark[check.state]:7} {check.name:12} {check.found}" + (f"\n{'':20} -> {check.mend}" if check.mend else "")
        for check in checks
    ]
    return "\n".join(lines)
