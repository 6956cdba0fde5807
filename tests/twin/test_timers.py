"""Timers that hosts set: held by the twin, at their moment, for as long as their instance is not stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.twin.test_standing import Place

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

PUT = "curl -s -o /dev/null -w '%{http_code} ' -X PUT http://169.254.169.254/twin/timers/"
GET = "curl -s http://169.254.169.254/twin/timers"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("timers"))
    yield place
    place.twin.end()


def test_a_later_shutdown_comes_though_the_host_is_left(place: Place) -> None:
    name = place.launch(place.ready())
    assert "Shutdown scheduled" in place.ssh(name, "shutdown -P +90").stderr
    place.twin.ask("advance", seconds=89 * 60)
    assert place.state(name) == "running"
    place.twin.ask("advance", seconds=120)
    assert place.state(name) in ("stopping", "stopped")  # it was not launched to terminate


def test_a_later_reboot_is_one(place: Place) -> None:
    name = place.launch(place.ready())
    done = place.ssh(name, "touch /run/systemd/system/x; shutdown -r +5; systemctl list-timers")
    assert " shutdown reboot\n" in done.stdout
    place.twin.ask("advance", seconds=301)
    assert place.state(name) == "running"
    assert place.ssh(name, "ls /run/systemd/system; systemctl list-timers").stdout == ""


def test_what_else_a_timer_starts_runs_in_the_host(place: Place) -> None:
    name = place.launch(place.ready())
    place.ssh(name, "systemd-run --on-active=1h --unit=note sh -c 'date +%H:%M > /srv/note'")
    at = place.ssh(name, 'date +%H:%M -d "@$(($(date +%s) + 3600))"').stdout
    place.twin.ask("advance", seconds=3600)
    for _ in range(100):
        if place.ssh(name, "cat /srv/note").stdout == at:
            break
    else:
        pytest.fail("it did not run")


def test_stopping_ends_what_was_planned(place: Place) -> None:
    name = place.launch(place.ready())
    place.ssh(name, "shutdown -P +60")
    place.ec2.stop_instances(InstanceIds=[name])
    place.twin.ask("advance", seconds=60)
    place.ec2.start_instances(InstanceIds=[name])
    place.twin.ask("advance", seconds=2 * 3600)
    assert place.state(name) == "running"


def test_a_host_cannot_plan_without_end(place: Place) -> None:
    name = place.launch(place.ready())
    command = f"for number in $(seq 40); do {PUT}x$number/4000000000/stop; done; {PUT}x1/1/stop"
    said = place.ssh(name, command).stdout.split()
    assert said[:40] == ["200"] * 32 + ["404"] * 8
    # one that is there may be set anew, and is due
    place.wait(name, "stopped")


def test_what_is_no_timer_is_none(place: Place) -> None:
    name = place.launch(place.ready())
    paths = ["x/now/stop", "x/1e9/stop", "x/99999999999999/stop", "x/1/start:../../x", "x/1/sh", "", "x%2F/1/stop"]
    for path in paths:
        assert place.ssh(name, f"{PUT}{path}; {GET}").stdout == "404 {}", path
