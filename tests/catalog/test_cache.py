from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.catalog import cache
from launchbay.catalog.cache import SCHEMA_VERSION, read_cache, write_cache
from launchbay.catalog.described import read_type
from launchbay.catalog.live import Live
from launchbay.catalog.price import Price, SidePrice
from launchbay.catalog.savingsrate import read_savings_rates
from launchbay.catalog.spothistory import read_spot_history
from launchbay.catalog.stored import KINDS
from launchbay.errors import StateError
from tests.catalog.world import DESCRIBED, NOW, REGION, make_world

DAY = NOW.date()
world = make_world()


def silent(_: str) -> None:
    """Take a note nobody should need."""
    raise AssertionError(_)


def price(name: str, usd: str, region: str, day: date) -> Price:
    return Price(
        type=name,
        region=region,
        market="on-demand",
        usd_per_hour=Decimal(usd),
        as_of=day,
        source="AWS Price List",
        method="live",
    )


def facts(usd: str = "1.006", *, region: str = REGION, day: date = DAY) -> Live:
    """Return a region with something of every kind; `usd` is what a g5.xlarge costs."""
    types = [
        read_type(row, regions={region}, is_retired=False, source="AWS DescribeInstanceTypes") for row in DESCRIBED
    ]
    spot, _ = read_spot_history(world.spot, region, days=7, now=NOW)
    savings, _ = read_savings_rates(world.savings, REGION, day)
    return Live(
        region=region,
        as_of=day,
        types=tuple(types),
        zones={item.name: ("usw2-az1", "usw2-az3") if item.gpus else () for item in types},
        prices=(price("g5.xlarge", usd, region, day), price("m6i.large", "0.096", region, day)),
        side=(
            SidePrice(
                item="gp3",
                region=region,
                usd=Decimal("0.08"),
                unit="GiB-month",
                as_of=day,
                source="AWS Price List",
                method="live",
            ),
        ),
        spot=tuple(replace(item, as_of=day) for item in spot),
        savings=tuple(replace(item, region=region) for item in savings),
        unknown={},
        left_out=(),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


def test_what_is_read_is_what_was_written(path: Path) -> None:
    live = facts()
    write_cache(path, live, silent)
    assert read_cache(path, silent) == [live]


def test_without_a_cache_nothing_is_known_and_none_is_made(path: Path) -> None:
    assert read_cache(path, silent) == []
    assert not path.exists()


def test_a_region_is_replaced_whole_and_another_stays(path: Path) -> None:
    other = facts("2.00", region="eu-west-1")
    for live in (facts(), other):
        write_cache(path, live, silent)
    later = replace(
        facts("0.90", day=DAY + timedelta(days=3)), prices=facts("0.90", day=DAY + timedelta(days=3)).prices[:1]
    )
    write_cache(path, later, silent)
    assert read_cache(path, silent) == [other, later]
    assert read_cache(path, silent, regions=[REGION]) == [later]
    assert read_cache(path, silent, regions=["us-east-1"]) == []


def test_what_aws_would_not_say_stays_as_it_was_with_its_own_date(path: Path) -> None:
    old, new = facts(), facts(day=DAY + timedelta(days=3))
    write_cache(path, old, silent)
    write_cache(path, replace(new, spot=None, savings=None), silent)
    (kept,) = read_cache(path, silent)
    assert (kept.spot, kept.savings, kept.as_of) == (old.spot, old.savings, new.as_of)
    assert {item.as_of for item in kept.spot or ()} == {DAY}


def test_what_was_never_said_is_unknown_and_not_empty(path: Path) -> None:
    write_cache(path, replace(facts(), spot=None, savings=None), silent)
    (kept,) = read_cache(path, silent)
    assert (kept.spot, kept.savings) == (None, None)


def test_only_the_kinds_asked_for_are_read(path: Path) -> None:
    write_cache(path, facts(), silent)
    (kept,) = read_cache(path, silent, kinds=["prices"])
    assert (len(kept.prices), kept.types, kept.spot, kept.as_of) == (2, (), None, DAY)


def test_amounts_stand_as_aws_wrote_them(path: Path) -> None:
    write_cache(path, facts("0.00000000012345678901"), silent)
    (kept,) = read_cache(path, silent)
    assert kept.prices[0].usd_per_hour == Decimal("0.00000000012345678901")


def test_a_region_of_800_types_is_read_in_milliseconds(path: Path) -> None:
    """Nine on the machine it was written on; the bound is wide because others use this one."""
    live = facts()
    many = [replace(live.types[number % len(live.types)], name=f"m{number}.large") for number in range(800)]
    prices = [price(item.name, "0.096", REGION, DAY) for item in many]
    write_cache(path, replace(live, types=tuple(many), zones={}, prices=tuple(prices)), silent)
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        read_cache(path, silent, regions=[REGION], kinds=("types", "prices", "side"))
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.1


# --- damage ---


def flip(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def overwrite(path: Path) -> None:
    path.write_bytes(b"prices of yesterday\n" * 900)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def forget_a_price(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM prices WHERE type = 'm6i.large'")


def lose_an_answer(path: Path) -> None:
    """Let the page that lists the answers hold one less than it does, as a single flipped bit can."""
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'answers'").fetchone()[0]
    place = (page - 1) * 4096 + 4
    assert data[place] == len(KINDS)
    data[place] -= 1
    path.write_bytes(data)


def lose_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE prices")


def change(table: str, column: str, value: object, *, where: str = "TRUE") -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))

    return damage


DAMAGE: dict[str, Callable[[Path], None]] = {
    "no database": overwrite,
    "cut off": cut_off,
    "another amount": lambda path: flip(path, b"1.006", b"9.006"),
    "a row less": forget_a_price,
    "a table less": lose_a_table,
    "an answer less": lose_an_answer,
    "no date": change("answers", "as_of", "someday"),
    "another date": change("answers", "as_of", "2027-01-01"),
    "no amount": change("prices", "usd", b"\xff\xfe"),
    "another sum": change("answers", "sum", 0),
    "another kind": change("answers", "kind", "spoT", where="kind = 'spot'"),
    "another region": change("answers", "region", "us-west-3", where="kind = 'spot'"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_cache_is_kept_aside_and_said_and_nothing_of_it_is_used(path: Path, kind: str) -> None:
    write_cache(path, facts(), silent)
    DAMAGE[kind](path)
    notes: list[str] = []
    assert read_cache(path, notes.append, regions=[REGION]) == []
    assert [note.partition("(")[0] for note in notes] == ["The cache of prices was damaged "]
    assert path.with_name("catalog.db.damaged-1").exists()
    assert read_cache(path, silent) == []
    write_cache(path, facts(), silent)
    assert read_cache(path, silent) == [facts()]


@pytest.mark.parametrize("kind", ["no database", "cut off", "a table less"])
def test_a_refresh_begins_a_new_cache_where_the_file_is_damaged(path: Path, kind: str) -> None:
    write_cache(path, facts(), silent)
    DAMAGE[kind](path)
    notes: list[str] = []
    write_cache(path, facts("0.90"), notes.append)
    assert read_cache(path, silent) == [facts("0.90")]
    assert len(notes) == 1
    assert path.with_name("catalog.db.damaged-1").exists()


def test_a_cache_that_another_command_just_began_anew_is_not_put_away(path: Path) -> None:
    write_cache(path, facts(), silent)
    opened = path.stat().st_ino
    path.rename(path.with_name("old"))
    write_cache(path, facts(), silent)
    cache._put_away(path, opened, "damage", silent)  # noqa: SLF001 - the instant between two commands
    assert read_cache(path, silent) == [facts()]


def test_a_cache_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    write_cache(path, facts(), silent)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    for attempt in (lambda: read_cache(path, silent), lambda: write_cache(path, facts(), silent)):
        with pytest.raises(StateError, match="made by a newer Launchbay") as caught:
            attempt()
        assert "upgrade launchbay" in caught.value.hint
    assert path.read_bytes() == before


def test_a_folder_in_its_place_is_an_error_and_no_damage(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StateError, match="cannot be read") as caught:
        read_cache(path, silent)
    assert caught.value.where == str(path)
    with pytest.raises(StateError, match="cannot be written"):
        write_cache(path, facts(), silent)
    assert path.is_dir()


def test_a_full_disk_leaves_what_was_there(path: Path, mount: Callable[[Path, int], None], tmp_path: Path) -> None:
    mount(tmp_path / "small", 256)
    path = tmp_path / "small" / "catalog.db"
    write_cache(path, facts(), silent)
    types = tuple(replace(facts().types[0], name=f"m{number}.large") for number in range(5000))
    with pytest.raises(StateError, match=r"cannot be written.*nothing was changed"):
        write_cache(path, replace(facts("0.90"), types=types), silent)
    assert read_cache(path, silent) == [facts()]


def check_flips(tmp_path: Path, seed: int, count: int) -> set[str]:
    """Flip one bit in each of so many copies of a cache; return what came of it. A changed fact would be a failure here."""
    good, chance, seen = facts(), random.Random(seed), set()
    write_cache(tmp_path / "good.db", good, silent)
    data = (tmp_path / "good.db").read_bytes()
    for number in range(count):
        place, changed = chance.randrange(len(data)), bytearray(data)
        changed[place] ^= 1 << chance.randrange(8)
        path = tmp_path / f"{number}.db"
        path.write_bytes(changed)
        notes: list[str] = []
        try:
            found = read_cache(path, notes.append)
        except StateError as error:
            seen.add("newer" if "newer" in error.what else f"refused at {place}: {error.what}")
        else:
            assert found == ([] if notes else [good]), f"seed {seed}, byte {place}"
            seen.add("set aside" if notes else "harmless")
    return seen


def test_a_flipped_bit_is_harmless_or_noticed(tmp_path: Path) -> None:
    assert check_flips(tmp_path, seed=0, count=60) <= {"harmless", "set aside", "newer"}


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1, 6))
def test_any_flipped_bit_is_harmless_or_noticed(tmp_path: Path, seed: int) -> None:
    assert check_flips(tmp_path, seed=seed, count=2000) <= {"harmless", "set aside", "newer"}


# --- killed ---


def killed_at(number: int, path: Path, live: Live, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Write in a child that kills itself before the statement of that number; return whether it lived to its end."""
    connect = cache._connect  # noqa: SLF001 - the only place that opens the file

    def watched(path: Path) -> sqlite3.Connection:
        connection, left = connect(path), [number]

        def count(_: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        connection.set_trace_callback(count)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_check", lambda *_: None)
        patch.setattr(cache, "_connect", watched)
        pid = os.fork()
        if pid == 0:
            try:
                write_cache(path, live, silent)
                os._exit(0)
            finally:
                os._exit(1)  # a child that failed is no second run of the tests
    return os.waitpid(pid, 0)[1] == 0


def test_killed_before_any_statement_a_refresh_leaves_the_old_prices_or_all_the_new(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = facts(), facts("0.90", day=DAY + timedelta(days=1))
    seen = set()
    write_cache(path, old, silent)
    for number in range(1, 200):
        if killed_at(number, path, new, monkeypatch):
            seen.add("lived")
            break
        (kept,) = read_cache(path, silent)
        assert kept in (old, new)
        seen.add("old" if kept == old else "new")
    assert seen == {"old", "lived"}
    assert number > 20
    assert read_cache(path, silent) == [new]


def test_a_reader_sees_one_state_whoever_writes_meanwhile(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = facts(), facts("0.90")
    write_cache(path, old, silent)
    writer = threading.Thread(target=write_cache, args=(path, new, silent))
    real = cache._facts  # noqa: SLF001 - the instant between the list of what there is and the rows

    def between(*given: Any) -> list[Any]:
        if writer.ident is None:
            writer.start()
            writer.join(
                0.3
            )  # it waits for this reader; could it write now, the rows would not be those that were listed
        return real(*given)

    monkeypatch.setattr(cache, "_facts", between)
    assert read_cache(path, silent) == [old]
    writer.join()
    assert read_cache(path, silent) == [new]


def test_readers_and_writers_at_once_see_whole_regions(path: Path) -> None:
    write_cache(path, facts(), silent)
    pid = os.fork()
    if pid == 0:
        try:
            for number in range(20):
                write_cache(path, facts("0.90" if number % 2 else "1.006"), silent)
            os._exit(0)
        finally:
            os._exit(1)
    seen = 0
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        (kept,) = read_cache(path, silent)
        assert kept in (facts(), facts("0.90"))
        seen += 1
    assert ended == (pid, 0)
    assert seen > 0
