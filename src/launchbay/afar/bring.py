"""Bring a run home from another machine: piece by piece, its result last, so that it is whole when it says that it is over.

Nothing that the other machine says is believed where it could do harm: names that lead out of the run's folder, files
where a run of ours has none, links that lead anywhere else, and files that are not what they were said to be.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.afar.listing import File, Listing, is_content, is_record, is_result, list_run, read_files, read_record
from launchbay.afar.machine import FarMachine
from launchbay.afar.names import is_inside, link_inside
from launchbay.afar.origin import Origin, read_origin, rewrite, write_origin
from launchbay.errors import Conflict, LaunchbayError, UserError
from launchbay.files import explain_os_error, locked, remove_tree, sha256_file, write_json
from launchbay.lifecycle.bay import Bay
from launchbay.ports import Event
from launchbay.store.records import Run, read_run, write_run
from launchbay.units import count_of, format_bytes

__all__ = ["begin_run", "sync_run"]

_ROUNDS = 3
_PARTS = ".bringing"
_DATA = "work/data"


def begin_run(bay: Bay, machine: FarMachine, identity: str, origin: Origin) -> Run:
    """Write down here that a run of ours goes on over there; return it. One that is known already stays as it is.

    From then on `bay runs` lists it. Raises LaunchbayError where the machine says something that cannot be.
    """
    if not is_inside(identity) or "/" in identity:
        raise LaunchbayError(f"{machine.called} named a run {identity!r}")
    bringing = _Bringing(bay, machine, origin, bay.home.runs / identity)
    with locked(bay.home.lock(f"afar-{identity}")):
        if not (bringing.folder / "record.json").exists():
            bringing.begin()
    return read_run(bringing.folder)


def sync_run(bay: Bay, machine: FarMachine, identity: str) -> Run:
    """Bring what is new of a run: while it goes on its log and event files, once it is over everything. Blocks.

    Killed and called again, it goes on where it was; a run that is here whole is only asked for its list. Raises Conflict
    for a run that is not of that machine, UserError where the disk is too small, LaunchbayError where the machine sends
    something else than it said.
    """
    folder = bay.home.runs / identity
    try:
        origin = read_origin(folder)
    except FileNotFoundError:
        raise Conflict(f"{identity} is no run of another machine", hint="bay runs") from None
    if origin.home != machine.home:
        raise Conflict(f"{identity} is a run of {origin.machine}, whose home is {origin.home}")
    try:
        with locked(bay.home.lock(f"afar-{identity}")):
            _Bringing(bay, machine, origin, folder).sync()
    except OSError as error:
        raise explain_os_error(error, f"bringing {identity}") from error
    return read_run(folder)


@dataclass(frozen=True, slots=True)
class _Bringing:
    """One run that is brought, from its machine into its folder here."""

    bay: Bay
    machine: FarMachine
    origin: Origin
    folder: Path

    @property
    def identity(self) -> str:
        return self.folder.name

    def begin(self) -> None:
        """Make the run's folder, with its record and the note that it is elsewhere, in one step."""
        listing = list_run(self.machine, self.identity, hashed=False)
        record = self._record("record.json", listing)
        draft = self.bay.home.tmp / f"new-{self.identity}-{os.getpid()}"
        with locked(self.bay.home.lock("create"), shared=True):  # no sweep takes the draft for one that was left
            remove_tree(draft)
            (draft / "work").mkdir(parents=True)
            (draft / "checkpoints").mkdir()
            # one that is over already is only so here once it was brought
            state = "running" if listing.is_over and listing.state != "lost" else listing.state
            write_origin(draft, self.origin, state=state, seen_at=self.bay.clock.now())
            write_run(draft, record)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            draft.rename(self.folder)

    def sync(self) -> None:
        """Bring what is new; when the run is over, all of it."""
        listing = list_run(self.machine, self.identity, hashed=False)
        self._fetch(listing.growing, appended=True)
        self._bring_records(listing)
        if listing.is_over:
            self._bring_all()
        write_origin(self.folder, self.origin, state=listing.state, seen_at=self.bay.clock.now())

    def _bring_all(self) -> None:
        """Bring everything that is not here as it is there, then links, and last how each attempt ended."""
        for _ in range(_ROUNDS):
            listing = list_run(self.machine, self.identity, hashed=True)
            wanted = {name: file for name, file in listing.content.items() if not _is_here(self.folder / name, file)}
            if not wanted:
                break
            self._check_room(sum(file.size for file in wanted.values()))
            self._fetch(wanted, appended=False)
        else:
            what = f"{next(iter(wanted))} of {self.identity} does not arrive as it is"
            raise UserError(what, where=self.machine.called, hint="the same command again")
        left = [*listing.left, *self._make_links(listing.links)]
        if left:
            many = count_of(len(left), "name")
            self.bay.reporter.note(f"{self.identity}: {many} stayed on {self.machine.called}, first {left[0]!r}")
        remove_tree(self.folder / _PARTS)
        for name in sorted(filter(is_result, listing.files), key=lambda name: (len(name), name)):
            write_json(self.folder / name, self._record(name, listing), durable=True)

    def _record(self, name: str, listing: Listing) -> dict[str, Any]:
        """Return a record or result as it stands here: with our names and paths."""
        found = read_record(self.machine, self.identity, name, listing)
        value: dict[str, Any] = rewrite(found, self.origin.places(self.identity, self.folder))
        if is_record(name):
            value.pop("client", None)  # a process of that machine: here the number is somebody else's
            value |= {"instance": self.origin.instance, "fleet": self.origin.fleet}
            if "script" in value:
                value |= {"script": self.origin.script, "data": self.origin.data}
        return value

    def _bring_records(self, listing: Listing) -> None:
        """Bring the records of further attempts; an attempt has its folder once its record is in it."""
        for name in filter(is_record, listing.files):
            if "/" in name and not (self.folder / name).exists():
                record = self._record(name, listing)
                _make_parents(self.folder, name)
                write_run((self.folder / name).parent, record)

    def _fetch(self, files: Mapping[str, File], *, appended: bool) -> None:
        """Bring files, each from where what is here of it ends. Those that are `appended` to are read meanwhile, in place.

        Any other is put together beside its place, under its hash, and gets its name when that is what it has.
        """
        places = {name: self.folder / (name if appended else _part(name, file)) for name, file in files.items()}
        starts = {name: self._start(place, files[name].size) for name, place in places.items()}
        total, done = sum(file.size for file in files.values()), sum(starts.values())
        for name, offset, data in read_files(self.machine, self.identity, starts, files):
            with open(os.open(places[name], os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b") as target:
                target.truncate(offset)
                target.seek(offset)
                target.write(data)
            done += len(data)
            if not appended:
                moving = Event(task=f"bring {self.identity}", done=done, total=total, unit="bytes")
                self.bay.reporter.event(moving)
        for name, place in places.items() if not appended else ():
            self._name(place, name, files[name])
        if not appended:
            ended = Event(task=f"bring {self.identity}", done=total, total=total, unit="bytes", finished=True)
            self.bay.reporter.event(ended)

    def _start(self, place: Path, size: int) -> int:
        """Make the folders above a file that is brought; return how much of it is here."""
        _make_parents(self.folder, place.relative_to(self.folder).as_posix())
        here = place.stat().st_size if place.is_file() and not place.is_symlink() else 0
        return here if here <= size else 0

    def _name(self, place: Path, name: str, file: File) -> None:
        """Give a file that was put together its name, if it is what it was said to be; else it begins anew."""
        if not _is_here(place, file):
            return place.unlink(missing_ok=True)
        _make_parents(self.folder, name)
        if (self.folder / name).is_dir():
            raise LaunchbayError(f"{name} is a file on {self.machine.called} and a folder here", where=str(self.folder))
        os.utime(place, ns=(file.changed_ns, file.changed_ns))
        place.replace(self.folder / name)
        return None

    def _make_links(self, links: Mapping[str, str]) -> Sequence[str]:
        """Make the links that stay in the run, and the one to its data; return those that were left out.

        Last of all: nothing is written any more that one of them could lead elsewhere.
        """
        there = f"{self.origin.home}/runs/{self.identity}/"
        left = []
        for name, target in links.items():
            above = os.path.dirname(name)
            meant = os.path.relpath(target.removeprefix(there), above) if target.startswith(there) else target
            if name == _DATA and self.origin.data:
                meant = self.origin.data
                if "://" in meant:  # it lies on S3: a link would lead nowhere
                    self.bay.reporter.note(f"{self.identity} has its data from {meant}: work/data is left out here")
                    continue
            elif not (is_inside(name) and is_content(name) and link_inside(name, meant)):
                left.append(name)
                continue
            _make_parents(self.folder, name)
            if not os.path.lexists(self.folder / name):
                (self.folder / name).symlink_to(meant)
        return left

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if size > free:
            what = f"{self.identity} needs {format_bytes(size)}, and {format_bytes(free)} are free"
            raise UserError(what, where=str(self.bay.home.root), hint="free some space, then the same command again")


def _is_here(path: Path, file: File) -> bool:
    try:
        return not path.is_symlink() and path.stat().st_size == file.size and sha256_file(path) == file.sha256
    except OSError:
        return False


def _part(name: str, file: File) -> str:
    mark = f"{name}\0{file.sha256}".encode("utf-8", "surrogateescape")
    return f"{_PARTS}/{hashlib.sha256(mark).hexdigest()}"


def _make_parents(folder: Path, name: str) -> None:
    """Make the folders above a name. Raises LaunchbayError where one of them is a link or a file: it may lead anywhere."""
    place = folder
    for part in name.split("/")[:-1]:
        place /= part
        with contextlib.suppress(FileExistsError):
            place.mkdir()
        if place.is_symlink() or not place.is_dir():
            raise LaunchbayError(f"{place.relative_to(folder)} is no folder of the run", where=str(folder))
