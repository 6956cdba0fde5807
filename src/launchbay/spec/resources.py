"""What each instance of a fleet may use of the machine: processors, memory, GPUs."""

from __future__ import annotations

from dataclasses import dataclass, field

from launchbay.errors import UsageError
from launchbay.spec.document import Document
from launchbay.units import parse_bytes

__all__ = ["RESOURCE_FIELDS", "Resources", "read_resources"]

RESOURCE_FIELDS: dict[str, str] = {
    "cpus": "how many processors each instance gets",
    "memory": "how much memory each instance may hold, such as 4GB",
    "gpus": "how many GPUs each instance sees; 0 hides all of them",
}
"""Every field of `resources`, with its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """A share of the machine, the same for each instance; None where nothing was said."""

    cpus: int | None = None
    memory: int | None = None
    gpus: int | None = None
    where: str = field(default="resources", compare=False)  # file and line, for who finds that it is too much


def read_resources(entries: tuple[Document, ...]) -> Resources | None:
    """Read `resources`; None when it is not there. Raises UsageError naming file and line."""
    if not entries:
        return None
    entry = entries[0]
    if len(entries) > 1:
        raise UsageError("resources must be one mapping: it is for each instance alike", where=entry.source)
    cpus, gpus = _count(entry, "cpus", least=1), _count(entry, "gpus", least=0)
    memory = None
    if text := entry.text("memory"):
        try:
            memory = parse_bytes(text)
        except UsageError as error:
            raise UsageError(error.what, where=entry.where("memory"), hint="memory: 4GB") from None
    entry.finish()
    return Resources(cpus=cpus, memory=memory, gpus=gpus, where=entry.where("gpus" if cpus is None else "cpus"))


def _count(entry: Document, name: str, *, least: int) -> int | None:
    if not entry.has(name):
        return None
    value = entry.integer(name, least)
    if not least <= value <= _MOST:
        raise UsageError(f"{name} must be {least} to {_MOST}, got {value}", where=entry.where(name))
    return value


_MOST = 1024
