"""What another machine says of a run: its files, its bytes. Only what could be a run of ours is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launchbay.afar.machine import FarMachine
from launchbay.afar.names import is_inside
from launchbay.errors import LaunchbayError, StateError

__all__ = ["File", "Listing", "is_content", "is_record", "is_result", "list_run", "read_files", "read_record"]

_PIECE_BYTES = 8 << 20
_PACK_BYTES = 32 << 20
_MOST_FILES = 1_000_000
_STATES = ("starting", "running", "done", "failed", "stopped", "lost")
_RECORD = re.compile(r"(attempts/\d{1,6}/)?record\.json\Z")
_RESULT = re.compile(r"(attempts/\d{1,6}/)?result\.json\Z")
_CONTENT = re.compile(
    r"(output\.log|supervisor\.log|attempts/\d{1,6}/supervisor\.log|(work|checkpoints)/.+)\Z", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class File:
    """A file over there: its bytes, when it was changed (ns since 1970), and its hash where that was asked for."""

    size: int
    changed_ns: int
    is_events: bool
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is of a run over there, less what no run of ours has; `left` are names that lead out of its folder."""

    state: str
    is_over: bool
    files: Mapping[str, File]
    links: Mapping[str, str]
    left: Sequence[str]

    @property
    def content(self) -> Mapping[str, File]:
        """What is taken over as it is: all but the records, of which only the words are."""
        return {name: file for name, file in self.files.items() if is_content(name)}

    @property
    def growing(self) -> Mapping[str, File]:
        """What is only ever added to while the run goes on: its log, and the event files of its curves."""
        return {name: file for name, file in self.content.items() if name == "output.log" or file.is_events}


def is_content(name: str) -> bool:
    """Say whether a name is of what a run holds and we do not read: its work, its checkpoints, its logs."""
    return bool(_CONTENT.match(name))


def is_record(name: str) -> bool:
    """Say whether a name is a record's, of a run or of a further attempt."""
    return bool(_RECORD.match(name))


def is_result(name: str) -> bool:
    """Say whether a name is a result's, of a run or of a further attempt."""
    return bool(_RESULT.match(name))


def list_run(machine: FarMachine, identity: str, *, hashed: bool) -> Listing:
    """Ask what there is of a run. Raises LaunchbayError for an answer that cannot be."""
    try:
        answer = json.loads(machine.there({"do": "list", "run": identity, "hashed": hashed}))
        files = {str(name): File(*_checked(file)) for name, file in answer["files"].items()}
        links = {str(name): str(target) for name, target in answer["links"].items()}
        state, is_over = str(answer["state"]), bool(answer["over"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(machine, identity) from error
    if state not in _STATES or len(files) > _MOST_FILES:
        raise _refused(machine, identity)
    taken = {
        name: file
        for name, file in files.items()
        if is_inside(name) and (is_content(name) or is_record(name) or is_result(name))
    }
    return Listing(state, is_over, taken, links, [name for name in files if not is_inside(name)])


def _checked(file: Any) -> tuple[int, int, bool, str | None]:
    size, changed_ns, is_events, sha256 = file
    if type(size) is not int or type(changed_ns) is not int or size < 0 or not isinstance(sha256, str | None):
        raise ValueError(file)
    return size, max(0, min(changed_ns, 1 << 62)), bool(is_events), sha256


def _refused(machine: FarMachine, identity: str) -> LaunchbayError:
    return LaunchbayError(f"{machine.called} describes {identity} in a way that cannot be")


def read_record(machine: FarMachine, identity: str, name: str, listing: Listing) -> dict[str, Any]:
    """Read a record or result over there. Raises LaunchbayError when it is not there or names what is not in the run."""
    if name not in listing.files or listing.files[name].size > _PACK_BYTES:
        raise LaunchbayError(f"{machine.called} has no {name} of {identity}")
    data = b"".join(data for _, _, data in read_files(machine, identity, {name: 0}, listing.files))
    try:
        value: dict[str, Any] = dict(json.loads(data))
        paths = [*(item["path"] for item in value.get("artifacts") or ()), *(value.get("logdirs") or ())]
    except (ValueError, TypeError, KeyError) as error:
        raise StateError(f"{name} of {identity} is damaged", where=machine.called) from error
    for path in paths:
        if path != "." and not is_inside(path):
            raise LaunchbayError(f"{name} of {identity} names {path!r}, which is not in the run", where=machine.called)
    return value


def read_files(
    machine: FarMachine, identity: str, starts: Mapping[str, int], files: Mapping[str, File]
) -> Iterator[tuple[str, int, bytes]]:
    """Yield (name, offset, bytes) from each start to where each file was said to end, in as few answers as are sensible.

    Raises LaunchbayError for an answer that holds other pieces than were asked for.
    """
    for pack in _packs(starts, files):
        head, _, data = machine.there({"do": "read", "run": identity, "pieces": pack}).partition(b"\n")
        try:
            sizes = [int(size) for size in json.loads(head)["sizes"]]
        except (ValueError, KeyError, TypeError) as error:
            raise LaunchbayError(f"{machine.called} sent no files of {identity}") from error
        fitting = len(sizes) == len(pack) and all(
            0 <= size <= piece[2] for size, piece in zip(sizes, pack, strict=True)
        )
        if not fitting or sum(sizes) != len(data):
            raise LaunchbayError(f"{machine.called} sent other pieces of {identity} than were asked for")
        at = 0
        for (name, offset, _count), size in zip(pack, sizes, strict=True):
            yield name, offset, data[at : at + size]
            at += size


def _packs(starts: Mapping[str, int], files: Mapping[str, File]) -> Iterator[list[tuple[str, int, int]]]:
    pack: list[tuple[str, int, int]] = []
    weight = 0
    for name, start in starts.items():
        offset, size = start, files[name].size
        while offset < size or (size == 0 and (name, 0, 0) not in pack[-1:]):
            count = min(size - offset, _PIECE_BYTES)
            pack.append((name, offset, count))
            offset, weight = offset + count, weight + count + 1024  # a name has its weight too
            if weight >= _PACK_BYTES:
                yield pack
                pack, weight = [], 0
            if size == 0:
                break
    if pack:
        yield pack
