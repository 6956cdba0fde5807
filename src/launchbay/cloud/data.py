"""Data for a fleet: sent once to the store, in pieces named by what they are, and fetched by each instance from there.

A tree is one row of bytes, its files one after the other by name, cut into pieces of one size. So a piece is always the same
bytes for the same tree: what is there is not sent again, however often this is killed, and a file of any size is many pieces.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from launchbay.afar.machine import FarMachine
from launchbay.afar.sending import Sent, Tree
from launchbay.cloud.store import Store
from launchbay.errors import UserError
from launchbay.files import locked
from launchbay.home import Home
from launchbay.planning.store import DATA
from launchbay.ports import Event, Reporter, SilentReporter
from launchbay.providers.ec2.bucket import list_kept, pass_seconds, presign_get, remove_kept, write_kept

__all__ = ["STORE_FROM_BYTES", "Published", "is_for_store", "publish_tree", "questions", "send_tree_by_store"]

STORE_FROM_BYTES = 8 << 20
"""From how many bytes on a tree goes by the store. Below, it is on every instance of a fleet by SSH before a bucket is set up."""

_PIECE = 32 << 20
_AT_ONCE = 4
_MACHINES_AT_ONCE = 8
_ATTEMPTS = 3
_QUESTION_BYTES = 1 << 30
"""How much one question to an instance has it fetch: between two of them is said how far it is."""

_PASS_S = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A tree in the store: how many pieces it has, and how many bytes had to go there now."""

    pieces: int
    sent_bytes: int


def is_for_store(tree: Tree) -> bool:
    """Say whether a tree goes to a fleet on EC2 by the store."""
    return sum(size for size, _, _ in tree.files.values()) >= STORE_FROM_BYTES


class _Row:
    """The files of a tree as one row of bytes."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.names = sorted(tree.files)
        self.ends = dict(zip(self.names, accumulate(tree.files[name][0] for name in self.names), strict=True))
        self.total = max(self.ends.values(), default=0)
        self._starts = [self.ends[name] - tree.files[name][0] for name in self.names]

    def pieces(self) -> Iterator[tuple[str, int, int]]:
        """Yield the key of each piece, where in the row it begins, and its bytes."""
        for number, start in enumerate(range(0, self.total, _PIECE)):
            yield f"{DATA}{self.tree.name}/{number:08d}", start, min(_PIECE, self.total - start)

    def read(self, start: int, count: int) -> bytes:
        """Read a part of the row. A file that has become shorter is filled up: its hash will say so."""
        parts = []
        for name in self.names[bisect_right(self._starts, start) - 1 if self._starts else 0 :]:
            begin, end = self.ends[name] - self.tree.files[name][0], self.ends[name]
            if begin >= start + count:
                break
            first, last = max(begin, start), min(end, start + count)
            if first < last:
                with (self.tree.folder / name).open("rb") as file:
                    file.seek(first - begin)
                    parts.append(file.read(last - first).ljust(last - first, b"\0"))
        return b"".join(parts)


def publish_tree(store: Store, tree: Tree, *, home: Home, reporter: Reporter | None = None) -> Published:
    """Make sure that a tree is in the store, whole. Killed and called again, it sends the pieces that are missing. Blocks.

    Two commands that want the same tree there wait for each other, and it goes there once.
    """
    reporter = reporter or SilentReporter()
    row, task = _Row(tree), "send data to the store"
    with locked(home.lock(f"store-{tree.name[:32]}")):
        there = {kept.key: kept.bytes for kept in list_kept(store.client, store.name, f"{DATA}{tree.name}/")}
        missing = [(key, start, count) for key, start, count in row.pieces() if there.get(key) != count]
        done = row.total - sum(count for _, _, count in missing)

        def send(piece: tuple[str, int, int]) -> int:
            key, start, count = piece
            write_kept(store.client, store.name, key, row.read(start, count))
            return count

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                for count in pool.map(send, missing):
                    done += count
                    reporter.event(Event(task=task, done=done, total=row.total, unit="bytes"))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        index = f"{DATA}{tree.name}/tree.json"
        if index not in there:  # for people who look into the bucket: what counts are the pieces
            value = {"version": 1, "folder": tree.folder.name, "files": len(tree.files), "bytes": row.total}
            write_kept(store.client, store.name, index, json.dumps(value).encode())
    reporter.event(Event(task=task, done=row.total, total=row.total, unit="bytes", finished=True))
    return Published(pieces=len([*row.pieces()]), sent_bytes=sum(count for _, _, count in missing))


def send_tree_by_store(
    machines: Sequence[FarMachine],
    tree: Tree,
    store: Store,
    *,
    home: Home,
    reporter: Reporter | None = None,
    task: str = "fetch data",
) -> Sequence[Sent]:
    """Make sure that a folder is on each machine, whole; return where, in their order. It goes from here once, if at all.

    The same as `send_tree` to each: the folders are named alike, hashed there before they get their names, and what is there
    is not fetched again. Raises UserError where they do not arrive as they are.
    """
    fetching = _Fetching(tree, store, reporter or SilentReporter(), task, len(machines))
    sent: dict[int, Sent] = {}
    for _ in range(_ATTEMPTS):
        left = [index for index in range(len(machines)) if index not in sent]
        with ThreadPoolExecutor(_MACHINES_AT_ONCE) as pool:
            answers = dict(zip(left, pool.map(lambda index: fetching.have(machines[index]), left), strict=True))
        for index in [index for index in left if answers[index]["whole"]]:
            sent[index] = Sent(folder=answers[index]["folder"], bytes=fetching.came.get(index, 0))
        left = [index for index in left if index not in sent]
        if not left:
            fetching.tell(finished=True)
            return [sent[index] for index in range(len(machines))]
        publish_tree(store, tree, home=home, reporter=reporter)
        with ThreadPoolExecutor(_MACHINES_AT_ONCE) as pool:
            missing = [answers[index]["missing"] for index in left]
            wrong = pool.map(fetching.fetch, left, [machines[index] for index in left], missing)
            suspects = {path for paths in wrong for path in paths}
        fetching.forget(suspects)
    raise UserError("files were changed while they were sent, or do not arrive as they are", where=str(tree.folder))


class _Fetching:
    """One tree on its way from the store to several machines."""

    def __init__(self, tree: Tree, store: Store, reporter: Reporter, task: str, count: int) -> None:
        self._row = _Row(tree)
        self._tree = tree
        self._store = store
        self._reporter = reporter
        self._task = task
        self._total = self._row.total * count
        self.came: dict[int, int] = {}

    @property
    def _what(self) -> dict[str, Any]:
        return {"tree": self._tree.name, "files": self._tree.files, "links": self._tree.links}

    def have(self, machine: FarMachine) -> Mapping[str, Any]:
        """Ask what of the tree is there."""
        answer: Mapping[str, Any] = json.loads(machine.there({"do": "have", **self._what}))
        return answer

    def fetch(self, index: int, machine: FarMachine, missing: Mapping[str, int]) -> Sequence[str]:
        """Let a machine fetch what it lacks and name the folder; return which files did not arrive as they are."""
        for question in questions(self._gets(missing), _QUESTION_BYTES):
            asked = {"do": "fetch", "tree": self._tree.name, "groups": question}
            came = json.loads(machine.there(asked))["bytes"]
            self.came[index] = self.came.get(index, 0) + int(came)
            self.tell()
        wrong: Sequence[str] = json.loads(machine.there({"do": "finish", **self._what}))["wrong"]
        return wrong

    def _gets(self, missing: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """Yield what is to be read of which piece, and where it goes, in the order of the row."""
        seconds = pass_seconds(self._store.client, _PASS_S)
        names = [name for name in self._row.names if name in missing]
        empty = [name for name in names if not self._tree.files[name][0]]
        if empty:
            yield {"url": "", "from": 0, "spans": [[name, 0, 0] for name in empty]}
        left = [(name, *self._part(name, missing[name])) for name in names if name not in set(empty)]
        for key, start, count in self._row.pieces():
            spans: list[list[Any]] = []
            at = start
            url = ""
            while left and left[0][1] < start + count:
                name, first, end = left[0]
                begin = self._row.ends[name] - self._tree.files[name][0]
                if spans and first != at:  # a hole, of what is there already: another question to the same piece
                    yield {"url": url, "from": at - _length(spans) - start, "spans": spans}
                    spans = []
                last = min(end, start + count)
                url = url or presign_get(self._store.client, self._store.name, key, seconds=seconds)
                spans.append([name, first - begin, last - first])
                at = last
                if last == end:
                    left.pop(0)
                else:
                    left[0] = (name, last, end)
            if spans:
                yield {"url": url, "from": at - _length(spans) - start, "spans": spans}

    def _part(self, name: str, here: int) -> tuple[int, int]:
        """Return where in the row what is missing of a file begins and ends."""
        size = self._tree.files[name][0]
        return self._row.ends[name] - size + (here if here <= size else 0), self._row.ends[name]

    def forget(self, suspects: set[str]) -> None:
        """Remove the pieces that hold files which were wrong: they are sent anew."""
        places = [(self._row.ends[name] - self._tree.files[name][0], self._row.ends[name]) for name in suspects]
        for key, start, count in self._row.pieces():
            if any(begin < start + count and end > start for begin, end in places):
                remove_kept(self._store.client, self._store.name, key)

    def tell(self, *, finished: bool = False) -> None:
        """Say how much has come to all machines together."""
        done = self._total if finished else min(sum(self.came.values()), self._total)
        self._reporter.event(Event(task=self._task, done=done, total=self._total, unit="bytes", finished=finished))


def _length(spans: Sequence[Sequence[Any]]) -> int:
    return sum(int(count) for _, _, count in spans)


def questions(gets: Iterator[dict[str, Any]], most: int) -> Iterator[list[list[dict[str, Any]]]]:
    """Yield groups of gets, as many at a time as one question asks for. Gets that write to one file are of one group."""
    groups: list[list[dict[str, Any]]] = []
    weight = 0
    for get in gets:
        follows = groups and groups[-1][-1]["spans"][-1][0] == get["spans"][0][0]
        if weight >= most:
            yield groups
            groups, weight, follows = [], 0, False
        if follows:
            groups[-1].append(get)
        else:
            groups.append([get])
        weight += _length(get["spans"])
    if groups:
        yield groups
