"""What the application does where something breaks: events, hooks and state are not lost by it, and the client is answered."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.twin import keeping
from launchbay.twin.app import Kept, TwinApp
from launchbay.twin.call import Answer, Call
from launchbay.twin.clock import Due
from launchbay.twin.keeping import BucketKeeper, write_state
from launchbay.twin.rule import After, Happens, Rule
from launchbay.twin.truth import Fault, Settings, new_truth
from launchbay.twin.world import World
from tests.twin.test_process import wait_for

CATALOGUE = load_snapshot(["us-east-1"])
SCOPE = "AWS4-HMAC-SHA256 Credential=K/20261127/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0"


def world_of(*rules: Rule, **happens: Happens) -> World:
    ours = Rule(name="ours", on=frozenset(), source="this test", happens=happens)
    return World(new_truth(Settings(is_virtual=True)), CATALOGUE, [*rules, ours])


def nothing(world: World, due: Due) -> None:
    """Let nothing happen."""


# --- what is due ------------------------------------------------------------------------------------------------------


def test_what_cannot_happen_is_kept_and_said_and_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    happened: list[str] = []
    is_broken = [True]

    def happens(world: World, due: Due) -> None:
        if due.resource == "bad" and is_broken[0]:
            raise KeyError("gone")
        happened.append(f"{due.resource} {(world.now() - begin).total_seconds():g}")

    world = world_of(state=happens)
    begin = world.now()
    for seconds, resource in ((1, "first"), (2, "bad"), (3, "last")):
        world.clock.plan("state", resource, seconds=seconds)
    world.clock.advance(10)
    assert world.catch_up()
    assert happened == ["first 1", "last 3"]  # what comes after it is not kept from happening
    (problem,) = world.problems.values()
    assert problem.startswith("'state' of bad, due at ")
    assert problem.endswith("cannot happen: KeyError: 'gone'")
    world.catch_up()
    assert capsys.readouterr().err.count("Traceback") == 1  # it is said once
    assert [due.resource for due in world.clock.waiting] == ["bad"]
    is_broken[0] = False
    world.catch_up()
    assert happened[2:] == ["bad 2"]
    assert (world.problems, world.clock.waiting) == ({}, ())
    assert not world.catch_up()


def test_hosts_that_ask_while_they_are_told_start_nothing_over() -> None:
    seen: list[str] = []

    def happens(world: World, due: Due) -> None:
        seen.append(f"{due.resource} begins")
        world.catch_up()
        seen.append(f"{due.resource} ends")

    world = world_of(state=happens)
    world.clock.plan("state", "one", seconds=1)
    world.clock.plan("state", "two", seconds=2)
    world.clock.advance(5)
    assert world.catch_up()
    assert seen == ["one begins", "one ends", "two begins", "two ends"]


# --- a call that breaks in the middle ---------------------------------------------------------------------------------


class Asked:
    """An application with rules of the test's own, and what it did with its state."""

    def __init__(self, *rules: Rule, save: Callable[[], None] | None = None) -> None:
        self.saved = 0
        self.world = world_of(*rules)
        self.app = TwinApp(self.world, Kept(save=save or self._save, put=lambda: None, admin=self._admin))
        self.seen: list[str] = []

    def _save(self) -> None:
        self.saved += 1

    def _admin(self, environ: Mapping[str, Any], body: bytes) -> Answer:
        raise OSError(f"broken at {environ['PATH_INFO']} with {len(body)} bytes")

    def ask(self, body: str = "Action=CreateKeyPair&KeyName=k", *, path: str = "/") -> tuple[str, str]:
        """Return the status and the body of the answer."""
        said: list[str] = []
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "HTTP_HOST": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": SCOPE,
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(body.encode()),
        }
        parts = self.app(environ, lambda status, _: said.append(status))
        return said[0], b"".join(parts).decode()


def rule(name: str, *, after: After | None = None, broken: bool = False) -> Rule:
    def before(call: Call, world: World) -> Mapping[str, Any] | None:  # noqa: ARG001 - a rule's form
        if broken:
            raise RuntimeError("a mistake of ours")
        return None

    return Rule(name=name, on=frozenset({"ec2:CreateKeyPair"}), source="this test", before=before, after=after)


def test_a_rule_that_breaks_is_an_error_and_the_others_see_it_all_the_same() -> None:
    seen: list[bool] = []

    def sees(call: Call, world: World, answer: Answer) -> Answer | None:  # noqa: ARG001 - a rule's form
        seen.append(answer.is_error)
        return None

    def breaks(call: Call, world: World, answer: Answer) -> Answer | None:  # noqa: ARG001 - a rule's form
        raise RuntimeError("a mistake of ours, later")

    for rules in (
        (rule("first", after=sees), rule("bad", broken=True)),
        (rule("first", after=sees), rule("bad", after=breaks)),
    ):
        asked = Asked(*rules)
        status, text = asked.ask()
        assert (status[:3], seen, asked.saved) == ("500", [True], 1)
        assert "<Code>InternalError</Code><Message>The twin failed (RuntimeError: a mistake of ours" in text
        seen.clear()


def test_a_door_of_the_twins_own_that_breaks_is_an_error_in_its_form() -> None:
    asked = Asked()
    status, text = asked.ask("{}", path="/twin/advance")
    assert (status[:3], asked.saved) == ("500", 1)
    what = "The twin failed (OSError: broken at /twin/advance with 2 bytes); its log says where."
    assert json.loads(text) == {"error": what}


def test_what_stands_is_metered_and_written_down_whatever_breaks() -> None:
    asked = Asked(rule("bad", broken=True))
    settled: list[bool] = []
    asked.world.settle = lambda: settled.append(True)  # type: ignore[method-assign]
    asked.ask()
    assert (settled, asked.saved) == ([True], 1)


def test_nobody_is_told_what_could_not_be_written() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    status, text = Asked(save=full).ask()
    assert status.startswith("500")
    assert "<Code>InternalError</Code>" in text
    assert "No space left on device" in text


# --- buckets ----------------------------------------------------------------------------------------------------------


def test_buckets_that_cannot_be_written_are_said_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, problems = tmp_path / "twin", dict[str, str]()
    keeper = BucketKeeper(folder / "buckets.pickle", problems)  # the folder is missing: an OSError, as a full disk is
    keeper.changed()
    wait_for(lambda: problems)
    assert "buckets.pickle cannot be written: FileNotFoundError" in problems["buckets"]
    folder.mkdir()
    wait_for(lambda: (folder / "buckets.pickle").exists() and not problems)
    monkeypatch.setattr(keeping, "write_buckets", lambda _: 1 / 0)
    keeper.changed()
    keeper.close()  # and what cannot be written at the end does not keep the process
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_draft_does_not_take_the_rest_of_a_full_disk(
    tmp_path: Path, mount: Callable[[Path, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchbay.twin.keeping._KEPT", {})  # what other tests left in moto of this process
    disk = tmp_path / "disk"
    mount(disk, 64)
    truth = new_truth(Settings())
    truth.noted("much")["it"] = "x" * 200_000
    with pytest.raises(OSError, match="No space left"):
        write_state(disk / "state.pickle", truth)
    assert list(disk.iterdir()) == []


# --- settings and faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seed": "7"}, "seed must be a int, got '7'"),
        ({"is_virtual": 1}, "is_virtual must be a bool, got 1"),
        ({"pending_s": True}, "pending_s must be a float, got True"),
        ({"pending_s": -1}, "pending_s must not be below 0, got -1"),
        ({"pending_s": float("nan")}, "pending_s must not be below 0, got nan"),
    ],
)
def test_settings_that_cannot_be_are_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(**asked)


@pytest.mark.parametrize("asked", [{"count": 0}, {"chance": 2.0}, {"chance": "x"}, {"data": 5}, {"after": -1}])
def test_faults_that_cannot_be_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|once at least"):
        Fault(name="throttling", **asked)
