"""The fakes do what their users rely on; the fake provider also passes the conformance suite of providers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay import files, testing
from launchbay.errors import UserError
from launchbay.files import write_json
from launchbay.images.image import Image
from launchbay.planning.fleet import Instance, InstanceSpec
from launchbay.ports import Clock, Event, Reporter
from launchbay.providers.base import CanStop, Provider
from launchbay.testing import FakeProvider, RecordingReporter, RecordingTransport, VirtualClock, crash_points
from launchbay.transport.base import Completed, Transport

IMAGE = Image(
    name="tiny",
    kind="cpu",
    digest="d" * 64,
    content="c" * 64,
    folder=Path("/nowhere"),
    python="3.13",
    python_version="3.13.1",
    platform="linux",
    accelerator="cpu",
    frameworks={},
    packages={},
    env={},
    size_bytes=0,
    files=0,
    downloaded_bytes=0,
    built="2026-01-01",
    build_seconds={},
    first_import_s=None,
)


def spec(number: int) -> InstanceSpec:
    return InstanceSpec(
        id=f"i-{number}", name=f"exp-{number}", fleet="exp", count=3, image="tiny", digest="d" * 64, token="t"
    )


def test_they_are_what_they_stand_for() -> None:
    """The checker of types holds the first four lines; it runs over the tests too."""
    clock: Clock = VirtualClock()
    reporter: Reporter = RecordingReporter()
    transport: Transport = RecordingTransport()
    provider: Provider = FakeProvider()
    stopping: CanStop = FakeProvider()
    assert all((clock, reporter, transport, provider, stopping))
    assert all(hasattr(testing, name) for name in testing.__all__)
    with pytest.raises(AttributeError, match="nothing_such"):
        testing.__getattr__("nothing_such")


def test_time_passes_only_when_told() -> None:
    clock = VirtualClock(at=100.0)
    began = time.monotonic()
    clock.sleep(86_400)
    assert (clock.now(), clock.now()) == (86_500.0, 86_500.0)
    assert time.monotonic() - began < 5


def test_a_reporter_keeps_events_and_notes_in_order() -> None:
    reporter = RecordingReporter()
    events = [Event(task="build", done=number) for number in range(3)]
    for event in events:
        reporter.event(event)
    reporter.note("kept")
    assert (reporter.events, reporter.notes) == (events, ["kept"])


def test_a_transport_gives_its_answers_and_then_succeeds() -> None:
    failed = Completed(code=3, stdout=b"first\nsecond\n", stderr=b"no")
    transport = RecordingTransport(answers=[failed, failed, failed])
    assert transport.run(["a", "b"], data=b"in", timeout=1) == failed
    assert transport.attach(["sh"]) == 3
    assert transport.start(["python", "x"], data=b"", errors="/dev/null", variables={}).stdout == b"first"
    assert transport.run(["c"]) == Completed(code=0, stdout=b"", stderr=b"")
    transport.put("here", "there")
    transport.get("there", "here")
    transport.close()
    assert transport.commands == [
        ("a", "b"),
        ("sh",),
        ("python", "x"),
        ("c",),
        ("put", "here", "there"),
        ("get", "there", "here"),
    ]


def test_a_provider_fails_where_it_was_told_to_and_goes_on_later() -> None:
    provider = FakeProvider(clock=VirtualClock(at=7.0), fail_at=3)
    made: list[Instance] = []
    specs = [spec(number) for number in (1, 2, 3)]
    with pytest.raises(UserError, match="no capacity for exp-3"):
        provider.create(specs, IMAGE, made=made.append)
    assert [item.name for item in provider.observe()] == [item.name for item in made] == ["exp-1", "exp-2"]
    provider.fail_at = None
    provider.create(specs, IMAGE, made=made.append)
    assert [item.name for item in made] == ["exp-1", "exp-2", "exp-3"]
    assert {(item.created_at, item.state, item.provider) for item in provider.observe()} == {(7.0, "running", "fake")}


def test_a_provider_stops_and_starts_only_what_there_is() -> None:
    provider = FakeProvider()
    provider.create([spec(1)], IMAGE, made=lambda _: None)
    instance = provider.observe()[0]
    assert provider.stop([instance]) == 0
    assert provider.observe() == [replace(instance, state="stopped", ran_s=60.0, up_since=None)]
    provider.start([instance])
    assert provider.observe() == [replace(instance, ran_s=60.0)]
    provider.delete([instance, instance])
    provider.stop([instance])
    provider.start([instance])
    assert (provider.observe(), provider.sweep()) == ([], ())


def test_crash_points_are_crossed_around_each_lasting_step(tmp_path: Path) -> None:
    crossed: list[str] = []
    there: list[bool] = []
    path = tmp_path / "value.json"

    def look(name: str) -> None:
        crossed.append(name)
        there.append(path.exists())

    with crash_points(look):
        write_json(path, {"a": 1})
    assert (crossed[-1], there[-1]) == ("after os.replace", True)
    assert (crossed[-2], there[-2]) == ("before os.replace", False)
    before = len(crossed)
    write_json(path, {"a": 2})
    assert len(crossed) == before
    assert json.loads(path.read_bytes()) == {"a": 2}


def test_crash_points_are_taken_out_after_a_failure_too() -> None:
    real = files.remove_tree
    inside = []

    def fail() -> None:
        with crash_points(lambda _: None):
            inside.append(files.remove_tree)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert inside != [real]
    assert files.remove_tree is real


def test_a_command_is_killed_at_its_crossing_and_counted_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCHBAY_CROSSINGS", str(tmp_path / "crossings"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("1,2\n", encoding="utf-8")

    def fetch(at: str) -> int:
        words = [sys.executable, "-m", "launchbay.testing.crash", at, "fetch", "a.csv", "-o", f"data-{at}"]
        return subprocess.run(words, capture_output=True, check=False).returncode

    assert fetch("COUNT") == 0
    crossings = (tmp_path / "crossings").read_text(encoding="utf-8").splitlines()
    assert crossings[-2:] == ["before os.rename", "after os.rename"]
    assert (tmp_path / "data-COUNT" / "a.csv").exists()
    last = len(crossings)
    assert (fetch(str(last - 1)), fetch(str(last))) == (-9, -9)
    assert not (tmp_path / f"data-{last - 1}" / "a.csv").exists()
    assert (tmp_path / f"data-{last}" / "a.csv").exists()
