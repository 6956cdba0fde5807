"""Public fakes and fault injection, for our tests and for those of programs that use Launchbay."""

from launchbay.testing.clock import VirtualClock
from launchbay.testing.crash import crash_points
from launchbay.testing.provider import FakeProvider
from launchbay.testing.reporter import RecordingReporter
from launchbay.testing.transport import RecordingTransport

__all__ = ["FakeProvider", "RecordingReporter", "RecordingTransport", "VirtualClock", "crash_points"]
