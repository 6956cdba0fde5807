"""What AWS was last asked, region by region, in one sqlite file. It can be removed at any time: the packaged snapshot is left.

A refresh is one transaction. Killed at any instant, it leaves what was there before it or all that it brought. Each kind
of fact in each region carries a sum over its rows, so that a price is what was written or is not used at all.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from launchbay.catalog.live import Live
from launchbay.catalog.stored import KINDS, Kind, Origin, Row, kinds_of
from launchbay.database import PATIENCE_S, is_damage, set_aside
from launchbay.errors import StateError
from launchbay.files import locked, make_folder

__all__ = ["SCHEMA_VERSION", "read_cache", "write_cache"]

SCHEMA_VERSION = 1

_ANSWERS = "region TEXT, kind TEXT, as_of TEXT, source TEXT, sum INTEGER, seal INTEGER"
"""`sum` is over the rows of that kind and region, `seal` over what stands here: a name that changed hides its rows."""

_SCHEMA = [
    f"CREATE TABLE answers ({_ANSWERS}, PRIMARY KEY (region, kind))",
    *(f"CREATE TABLE {kind.name} (region TEXT NOT NULL, {kind.columns})" for kind in KINDS.values()),
    *(f"CREATE INDEX {kind.name}_region ON {kind.name} (region)" for kind in KINDS.values()),
]

Note = Callable[[str], None]


def write_cache(path: Path, live: Live, note: Note) -> None:
    """Store what AWS answered about a region, in place of what it answered before; all of it or nothing.

    What AWS would not say this time stays as it was. A damaged cache is kept under another name, and `note` is told.
    Raises StateError when it cannot be written, or was made by a newer version.
    """
    make_folder(path.parent)
    with _explained(path, "written"):
        _check(path, note)
        with _open(path, note) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            for name, facts in kinds_of(live).items():
                _replace(connection, KINDS[name], live, facts)


def _check(path: Path, note: Note) -> None:
    """Look through the whole file before something is written into it: sqlite meets damage only where it comes by."""
    opened = _identity(path)
    with _open(path, note) as connection:
        try:
            found: str = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            list(_read(connection, None, KINDS))
        except (sqlite3.DatabaseError, ValueError) as error:
            if not is_damage(error):
                raise
            found = str(error)
    if found != "ok":
        _put_away(path, opened, found, note)


def _replace(connection: sqlite3.Connection, kind: Kind, live: Live, facts: Sequence[Any]) -> None:
    rows = [kind.write(fact) for fact in facts]
    answer = (live.region, kind.name, live.as_of.isoformat(), _source(facts[0]) if facts else "", _sum(rows))
    connection.execute(f"DELETE FROM {kind.name} WHERE region = ?", (live.region,))  # noqa: S608 - our own words
    marks = ", ".join("?" * (kind.names.count(",") + 2))
    connection.executemany(
        f"INSERT INTO {kind.name} (region, {kind.names}) VALUES ({marks})",  # noqa: S608
        [(live.region, *row) for row in rows],
    )
    connection.execute(
        "INSERT OR REPLACE INTO answers (region, kind, as_of, source, sum, seal) VALUES (?, ?, ?, ?, ?, ?)",
        (*answer, _sum(answer)),
    )


def _source(fact: Any) -> str:
    source: str = getattr(fact, "source", "")  # which zones offer a type is said nowhere with a source
    return source


def read_cache(
    path: Path, note: Note, *, regions: Collection[str] | None = None, kinds: Collection[str] = tuple(KINDS)
) -> Sequence[Live]:
    """Return what is stored of these regions (default: all), by region; nothing where there is no cache.

    Only the `kinds` asked for are read. A damaged cache is kept under another name, `note` is told, and nothing is
    returned. Raises StateError when it cannot be read, or was made by a newer version.
    """
    if not path.exists():
        return []
    with _explained(path, "read"):
        opened = _identity(path)
        with _open(path, note) as connection:
            try:
                return list(_read(connection, regions, kinds))
            except (sqlite3.DatabaseError, ValueError) as error:
                if not is_damage(error):
                    raise
                damage = str(error)
        _put_away(path, opened, damage, note)
        return []


def _read(connection: sqlite3.Connection, regions: Collection[str] | None, kinds: Collection[str]) -> Iterator[Live]:
    connection.execute("BEGIN")  # one state for all tables, whoever writes meanwhile
    if connection.execute("PRAGMA integrity_check('answers')").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("its list of answers failed its check")  # one row less, and a kind seems unknown
    answers: dict[str, dict[str, tuple[Origin, int]]] = {}
    for *row, seal in connection.execute("SELECT * FROM answers ORDER BY region, kind"):
        if _sum(tuple(row)) != seal:
            raise sqlite3.DatabaseError("an answer is not what was written")
        region, kind, as_of, source, total = row
        if (regions is None or region in regions) and kind in kinds:
            origin = Origin(region=region, as_of=date.fromisoformat(as_of), source=source, regions=frozenset({region}))
            answers.setdefault(region, {})[kind] = (origin, total)
    for region, by_kind in answers.items():
        facts = {name: _facts(connection, KINDS[name], origin, total) for name, (origin, total) in by_kind.items()}
        yield _live(region, {name: origin for name, (origin, _) in by_kind.items()}, facts)


def _facts(connection: sqlite3.Connection, kind: Kind, origin: Origin, total: int) -> list[Any]:
    query = f"SELECT {kind.names} FROM {kind.name} WHERE region = ? ORDER BY rowid"  # noqa: S608
    rows = connection.execute(query, (origin.region,)).fetchall()
    if _sum(rows) != total:
        raise sqlite3.DatabaseError(f"the {kind.name} of {origin.region} are not what was written")
    return [kind.read(row, origin) for row in rows]


def _live(region: str, origins: Mapping[str, Origin], facts: Mapping[str, list[Any]]) -> Live:
    oldest = min(origin.as_of for origin in origins.values())
    return Live(
        region=region,
        as_of=origins["prices"].as_of if "prices" in origins else oldest,
        types=tuple(facts.get("types", ())),
        zones=dict(facts.get("offers", ())),
        prices=tuple(facts.get("prices", ())),
        side=tuple(facts.get("side", ())),
        spot=tuple(facts["spot"]) if "spot" in facts else None,
        savings=tuple(facts["savings"]) if "savings" in facts else None,
        unknown={},
        left_out=(),
    )


@contextlib.contextmanager
def _open(path: Path, note: Note) -> Iterator[sqlite3.Connection]:
    opened = _identity(path)
    try:
        connection = _connect(path)
    except (sqlite3.DatabaseError, ValueError) as error:
        if not is_damage(error):
            raise
        _put_away(path, opened, str(error), note)
        connection = _connect(path)
    try:
        yield connection
    finally:
        connection.close()


def _identity(path: Path) -> int | None:
    """Return which file has the name just now."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _put_away(path: Path, opened: int | None, damage: str, note: Note) -> None:
    with locked(path.parent / "locks" / "catalog.lock"):
        if opened is not None and _identity(path) == opened:  # else another command was faster, and this is its new one
            kept = set_aside(path)
            note(
                f"The cache of prices was damaged ({damage}); it is kept as {kept.name}, and what Launchbay came with is"
                " used. `bay types refresh` asks AWS again."
            )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StateError(  # noqa: TRY301
                f"the cache of prices was made by a newer Launchbay (schema {version}, this one knows {SCHEMA_VERSION})",
                where=str(path),
                hint="upgrade launchbay, or move the file away; nothing was changed",
            )
        connection.execute("PRAGMA synchronous = FULL")
        if version == 0:
            _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:  # else somebody was faster
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


@contextlib.contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        hint = "free some space if the disk is full; look whose the file is; or move it away and ask AWS again"
        raise StateError(
            f"the cache of prices cannot be {what}: {error}; nothing was changed", where=str(path), hint=hint
        ) from error


def _sum(written: Row | Sequence[Row]) -> int:
    return zlib.crc32(repr(written).encode())
