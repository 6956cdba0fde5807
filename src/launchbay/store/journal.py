"""The journal: every intent before it is acted on, every result after; append-only, durable, in sqlite.

An operation begins, writes intents and results of its steps, and ends. One that never ended was killed: whoever is
asked for the same thing next finds it here and carries on with the same ids. The records in the folders are the truth
about what exists; the journal only adds what was *meant*. So a lost or damaged journal is begun anew and costs
nothing but history, while one written by a newer version is refused, because we could not read what was meant.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.database import PATIENCE_S, is_damage, is_full, primary_code, set_aside
from launchbay.errors import LaunchbayError, StateError
from launchbay.files import locked
from launchbay.home import new_id
from launchbay.ports import Clock

__all__ = ["SCHEMA_VERSION", "Journal", "Operation", "open_journal"]

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, operation TEXT NOT NULL, verb TEXT NOT NULL, subject TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('begin', 'intent', 'result', 'failed', 'end')),
    step TEXT NOT NULL, detail TEXT NOT NULL, sum INTEGER NOT NULL
);
CREATE INDEX journal_subject ON journal (subject, operation);
CREATE TRIGGER journal_keeps BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_holds BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing somebody asked for: `wish` is what was meant, as written before the first step."""

    id: str
    verb: str
    subject: str
    wish: Mapping[str, Any]


@dataclass(slots=True)
class Journal:
    """An open journal. Every write is durable when the call returns.

    `frees` says that what it is opened for gives room back: where the disk is full it then goes on without writing, and
    says so.
    """

    path: Path
    clock: Clock
    connection: sqlite3.Connection
    note: Callable[[str], None]
    frees: bool = False
    is_writable: bool = True

    def begin(self, verb: str, subject: str, wish: Mapping[str, Any]) -> Operation:
        """Write down what is meant, before anything is done about it."""
        operation = Operation(id=new_id("op", self.clock.now()), verb=verb, subject=subject, wish=dict(wish))
        self.write(operation, "begin", "", wish)
        return operation

    def write(self, operation: Operation, kind: str, step: str, detail: Mapping[str, Any]) -> None:
        """Append one entry. Raises StateError when it cannot be written: after an intent nothing may be acted on."""
        row = (operation.id, operation.verb, operation.subject, kind, step, json.dumps(dict(detail)))
        if not self.is_writable:
            return
        try:
            with self.connection:
                self.connection.execute(
                    "INSERT INTO journal (at, operation, verb, subject, kind, step, detail, sum)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (self.clock.now(), *row, _sum(row)),
                )
        except sqlite3.OperationalError as error:
            if self.frees and is_full(error):
                self.note(_WITHOUT.format(error))
                self.is_writable = False
                return
            is_ahead = kind in ("begin", "intent")
            outcome = "nothing was begun" if is_ahead else "the step itself was done"
            raise StateError(
                f"the journal cannot be written: {error}; {outcome}",
                where=str(self.path),
                hint="free some space if the disk is full, then the same command again",
            ) from error

    def attempt(self, operation: Operation, kind: str, step: str, detail: Mapping[str, Any]) -> None:
        """Append an entry if that is possible: cleaning up after a failure must not fail for a full disk."""
        with contextlib.suppress(StateError):
            self.write(operation, kind, step, detail)

    @contextlib.contextmanager
    def step(self, operation: Operation, step: str, **intent: Any) -> Iterator[dict[str, Any]]:
        """Write the intent, let the body act, write the result (what the body put into the yielded dict).

        A body that raises leaves a ``failed`` entry; a killed one leaves the intent alone.
        """
        self.write(operation, "intent", step, intent)
        result: dict[str, Any] = {}
        try:
            yield result
        except (LaunchbayError, OSError) as error:
            self.attempt(operation, "failed", step, {"error": str(error)})
            raise
        self.write(operation, "result", step, result)

    def end(self, operation: Operation, outcome: str) -> None:
        """Close an operation; it will not be continued. One that failed is closed if the disk lets us."""
        write = self.attempt if outcome == "failed" else self.write
        write(operation, "end", "", {"outcome": outcome})

    def unfinished(self, verb: str, subject: str | None = None) -> Sequence[Operation]:
        """Return the operations of a verb that never ended, oldest first."""
        rows = self.connection.execute(
            "SELECT operation, verb, subject, detail FROM journal AS begun WHERE kind = 'begin' AND verb = ?"
            " AND (? IS NULL OR subject = ?) AND NOT EXISTS"
            " (SELECT 1 FROM journal AS ended WHERE ended.subject = begun.subject"
            " AND ended.operation = begun.operation AND ended.kind = 'end') ORDER BY seq",
            (verb, subject, subject),
        )
        return [Operation(id=row[0], verb=row[1], subject=row[2], wish=json.loads(row[3])) for row in rows]

    def steps(self, operation: Operation) -> Sequence[tuple[float, str, str, Mapping[str, Any]]]:
        """Return (time, kind, step, detail) of every entry of an operation, oldest first."""
        rows = self.connection.execute(
            "SELECT at, kind, step, detail FROM journal WHERE subject = ? AND operation = ? ORDER BY seq",
            (operation.subject, operation.id),
        )
        return [(at, kind, step, json.loads(detail)) for at, kind, step, detail in rows]

    def last(self, verb: str, subject: str) -> Operation | None:
        """Return what was asked for last of a verb and a subject, however it ended; None where that never was."""
        row = self.connection.execute(
            "SELECT operation, verb, subject, detail FROM journal"
            " WHERE kind = 'begin' AND verb = ? AND subject = ? ORDER BY seq DESC LIMIT 1",
            (verb, subject),
        ).fetchone()
        return None if row is None else Operation(id=row[0], verb=row[1], subject=row[2], wish=json.loads(row[3]))

    def knows(self, verb: str, subject: str) -> bool:
        """Say whether that was ever asked for."""
        row = self.connection.execute(
            "SELECT 1 FROM journal WHERE subject = ? AND verb = ? LIMIT 1", (subject, verb)
        ).fetchone()
        return row is not None

    def entries(self, subject: str | None = None) -> Sequence[tuple[str, str, str, str, str]]:
        """Return (operation, verb, subject, kind, step) of every entry, oldest first."""
        return self.connection.execute(
            "SELECT operation, verb, subject, kind, step FROM journal WHERE ? IS NULL OR subject = ? ORDER BY seq",
            (subject, subject),
        ).fetchall()


@contextlib.contextmanager
def open_journal(path: Path, clock: Clock, note: Callable[[str], None], *, frees: bool = False) -> Iterator[Journal]:
    """Open the journal, beginning a new one when it is lost or damaged: the damaged file is kept, and `note` is told.

    With `frees` a full disk is no reason to stop: who cannot terminate for lack of room never gets any. Raises
    StateError when it was written by a newer version of Launchbay.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_writable = True
    try:
        connection = _connect_or_mend(path, note)
    except sqlite3.DatabaseError as error:
        if not (frees and is_full(error)):
            hint = "free some space if the disk is full; `bay doctor` says what else there is"
            raise StateError(f"the journal cannot be opened: {error}", where=str(path), hint=hint) from error
        note(_WITHOUT.format(error))
        connection, is_writable = _connect_to_read(path), False
    journal = Journal(path=path, clock=clock, connection=connection, note=note, frees=frees, is_writable=is_writable)
    try:
        yield journal
    finally:
        connection.close()


def _connect_or_mend(path: Path, note: Callable[[str], None]) -> sqlite3.Connection:
    connection, error = _try_to_connect(path)
    if connection is None:
        with locked(path.parent / "locks" / "journal.lock"):  # another command may be mending it right now
            connection, error = _try_to_connect(path)
            if connection is None:
                kept = set_aside(path)
                note(
                    f"The journal was damaged ({error}); it is kept as {kept.name},"
                    " and a new one was begun from the records."
                )
                connection = _connect(path)
    return connection


_WITHOUT = "The journal cannot be written ({}); going on without it, because this gives room back."


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """Return what can be read without any room to write: the journal as it was last closed, or an empty one."""
    with contextlib.suppress(sqlite3.DatabaseError):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
        try:
            connection.execute("SELECT 1 FROM journal LIMIT 1").fetchone()
        except sqlite3.DatabaseError:
            connection.close()
        else:
            return connection
    return _connect(Path(":memory:"))


def _try_to_connect(path: Path) -> tuple[sqlite3.Connection | None, str]:
    """Return a connection, or None and what is wrong with a damaged file. Raises what is not the file's own fault."""
    try:
        return _connect(path), ""
    except (sqlite3.DatabaseError, ValueError) as error:  # text that is not UTF-8 any more is a ValueError
        if not is_damage(error):
            raise
        return None, str(error)


def _keep_to_owner(path: Path) -> None:
    """Let nobody else read the journal: what was asked of a cloud stands in it. sqlite's files beside it follow its mode."""
    with contextlib.suppress(OSError):  # what cannot be opened at all is for sqlite to say
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with contextlib.suppress(OSError):
            if name.stat().st_mode & 0o077:
                name.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    if str(path) != ":memory:":
        _keep_to_owner(path)
    connection = sqlite3.connect(path, timeout=PATIENCE_S)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StateError(  # noqa: TRY301
                f"the journal was written by a newer Launchbay (schema {version}, this one knows {SCHEMA_VERSION})",
                where=str(path),
                hint="upgrade launchbay; nothing was changed",
            )
        _log_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
        if version == 0:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in _SCHEMA.split(";\n"):
                        if statement.strip():
                            connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        else:
            _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


_CHECKED = 2000
"""Entries read again at each opening, the newest: those that a command could still act on, at a few milliseconds."""


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. Everywhere else sqlite waits for other processes; here it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def _check(connection: sqlite3.Connection) -> None:
    """Read the newest entries. sqlite checks its own structure, but nothing of what was written into it."""
    if connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("failed its check")
    columns = "seq, at, operation, verb, subject, kind, step, detail, sum"
    for _, _, *row, written in connection.execute(f"SELECT {columns} FROM journal ORDER BY seq DESC LIMIT {_CHECKED}"):  # noqa: S608 - our own words
        if _sum(row) != written:
            raise sqlite3.DatabaseError("an entry is not what was written")


def _sum(row: Sequence[str]) -> int:
    return zlib.crc32(repr(tuple(row)).encode())
