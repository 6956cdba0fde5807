"""A reporter that remembers."""

from __future__ import annotations

from dataclasses import dataclass, field

from launchbay.ports import Event

__all__ = ["RecordingReporter"]


@dataclass(slots=True)
class RecordingReporter:
    """Keeps every event and note."""

    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def event(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)
