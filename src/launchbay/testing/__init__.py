"""Public fakes and fault injection, for our tests and for those of programs that use Launchbay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launchbay.testing.clock import VirtualClock
from launchbay.testing.provider import FakeProvider
from launchbay.testing.reporter import RecordingReporter
from launchbay.testing.transport import RecordingTransport

if TYPE_CHECKING:
    from launchbay.testing.crash import crash_points

__all__ = ["FakeProvider", "RecordingReporter", "RecordingTransport", "VirtualClock", "crash_points"]


def __getattr__(name: str) -> Any:
    """Load `crash_points` when it is asked for: `python -m launchbay.testing.crash` must find its module unloaded."""
    if name != "crash_points":
        raise AttributeError(f"module 'launchbay.testing' has no attribute {name!r}")
    from launchbay.testing.crash import crash_points

    return crash_points
