"""Ports and tokens that are kept, processes that are found: with a program of a few lines in place of Jupyter."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import launchbay
from launchbay.errors import Conflict, StateError, UsageError, UserError
from launchbay.lifecycle.bay import Bay, connect, python_of
from launchbay.planning.fleet import Instance
from launchbay.ports import SystemClock
from launchbay.providers.processes import RUN_MARK, run_processes
from launchbay.services.standing import (
    FIRST_PORTS,
    MARK,
    Program,
    end_service,
    ensure_service,
    find_service,
    look_at,
    reserve,
)
from launchbay.store.records import read_run
from launchbay.store.service import Service, list_services
from tests.services.conftest import holds, left_running
from tests.sockets import LOOPBACK, listening

ANSWERS = """
import os, socket, subprocess, sys
server = socket.socket(); server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(open(os.environ["LAUNCHBAY_SERVICE"] + "/port").read()))); server.listen()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
while True: server.accept()[0].close()
"""


def make_program(bay: Bay, instance: Instance, service: Service, code: str = ANSWERS) -> Program:
    return Program(
        transport=connect(bay, instance),
        python=python_of(bay, instance),
        argv=[python_of(bay, instance), "-c", code],
        variables={},
        files={"port": str(service.port)},
    )


def stand(bay: Bay, instance: Instance, code: str = ANSWERS) -> Service:
    service = reserve(bay, "notebook", instance)
    return ensure_service(bay, service, make_program(bay, instance, service, code))


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- before it runs -------------------------------------------------------------------------------------------------


def test_port_and_token_are_known_before_anything_runs(bay: Bay, instance: Instance) -> None:
    service = reserve(bay, "notebook", instance)
    assert not service.is_running
    assert service.port >= FIRST_PORTS["notebook"]
    assert service.url.startswith(f"http://127.0.0.1:{service.port}/")
    assert reserve(bay, "notebook", instance) == service
    assert reserve(bay, "notebook", instance).token == service.token
    assert len(service.token) >= 43  # 256 bits in base64
    assert launchbay.to_json(service)["token_file"] == str(service.token_file)
    assert service.token not in str(launchbay.to_json(service)) + repr(service)


def test_nobody_else_can_read_the_token(bay: Bay, instance: Instance) -> None:
    before = os.umask(0)
    try:
        service = stand(bay, instance)
    finally:
        os.umask(before)
    assert rights(service.folder) == 0o700
    assert rights(service.token_file) == 0o600
    assert rights(service.folder / "port") == 0o600
    assert rights(service.log) == 0o600


def test_each_has_its_own(bay: Bay, instance: Instance) -> None:
    made = [reserve(bay, "notebook", instance), reserve(bay, "board", instance), reserve(bay, "board")]
    assert len({item.port for item in made}) == 3
    assert len({item.token for item in made}) == 3
    assert list(list_services(bay.home)) == sorted(made, key=lambda item: item.folder.name)
    assert find_service(bay, "notebook") is None


def test_a_port_that_is_in_use(bay: Bay, instance: Instance, taken: int) -> None:
    with pytest.raises(Conflict, match=f"port {taken} is in use") as caught:
        reserve(bay, "notebook", instance, port=taken)
    assert "--port" in caught.value.hint
    assert find_service(bay, "notebook", instance) is None


def test_a_port_of_another_of_ours(bay: Bay, instance: Instance) -> None:
    other = reserve(bay, "board")
    with pytest.raises(Conflict, match="the board of runs"):
        reserve(bay, "notebook", instance, port=other.port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_cannot_be(bay: Bay, instance: Instance, port: int) -> None:
    with pytest.raises(UsageError, match="1 to 65535"):
        reserve(bay, "notebook", instance, port=port)


def test_the_first_free_port_is_taken(
    bay: Bay, instance: Instance, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setitem(FIRST_PORTS, "notebook", taken)
    assert reserve(bay, "notebook", instance).port > taken


# --- while it runs --------------------------------------------------------------------------------------------------


def test_it_stands_and_is_found_again(bay: Bay, instance: Instance) -> None:
    first = stand(bay, instance)
    assert first.is_running
    assert first.pid is not None
    assert listening(first.pid) == {("127.0.0.1", first.port)}
    assert {address for address, _ in listening(first.pid)} <= LOOPBACK
    assert first.memory_bytes is not None
    assert first.memory_bytes > 1 << 20
    again = stand(bay, instance)
    assert (again.pid, again.port, again.token) == (first.pid, first.port, first.token)
    assert os.getsid(first.pid) == first.pid  # in no terminal's session


def test_memory_counts_what_it_started(bay: Bay, instance: Instance) -> None:
    service = stand(bay, instance)
    assert service.pid is not None
    small = look_at(service).memory_bytes
    more = ANSWERS.replace("time.sleep(600)", "a = bytearray(200 << 20); time.sleep(600)")
    end_service(bay, service)
    stand(bay, instance, more)
    until = time.monotonic() + 20
    while (look_at(service).memory_bytes or 0) < (small or 0) + (150 << 20):
        assert time.monotonic() < until, "the memory of a child is not counted"
        time.sleep(0.05)


def test_another_port_while_it_stands(bay: Bay, instance: Instance) -> None:
    service = stand(bay, instance)
    with pytest.raises(Conflict, match=f"stands on port {service.port}"):
        reserve(bay, "notebook", instance, port=service.port + 1000)
    end_service(bay, service)
    moved = reserve(bay, "notebook", instance, port=service.port + 1000)
    assert (moved.port, moved.token) == (service.port + 1000, service.token)


@pytest.mark.parametrize("victim", ["supervisor", "all"])
def test_one_that_died_is_started_where_it_was(bay: Bay, instance: Instance, victim: str) -> None:
    first = stand(bay, instance)
    assert first.pid is not None
    pids = left_running(instance)
    assert len(pids) == 3
    for pid in [first.pid] if victim == "supervisor" else pids:
        os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while look_at(first).is_running:
        assert time.monotonic() < until
    again = stand(bay, instance)
    assert again.pid != first.pid
    assert (again.port, again.token) == (first.port, first.token)
    assert not set(left_running(instance)) & set(pids)


def test_its_port_was_taken_meanwhile(bay: Bay, instance: Instance) -> None:
    service = stand(bay, instance)
    end_service(bay, service)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", service.port))
        other.listen()
        with pytest.raises(Conflict, match=f"port {service.port} is in use"):
            stand(bay, instance)
    assert not left_running(instance)


@dataclass(frozen=True)
class Meanwhile(SystemClock):
    """A clock that does something the first time that somebody waits."""

    act: Callable[[], None]

    def sleep(self, seconds: float) -> None:
        self.act()
        super().sleep(seconds)


def test_an_answer_of_somebody_else_is_not_taken_for_its_own(bay: Bay, instance: Instance) -> None:
    """Whoever takes the port while it starts would be given the token by the person's browser."""
    service = reserve(bay, "notebook", instance)
    squatter = socket.socket()
    squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    looks: list[int] = []

    def squat() -> None:
        looks.append(1)
        if len(looks) == 1:
            squatter.bind(("127.0.0.1", service.port))
            squatter.listen()
        if len(looks) == 10:
            raise KeyboardInterrupt

    program = make_program(bay, instance, service, "import time; time.sleep(600)")
    with squatter, pytest.raises(KeyboardInterrupt):
        ensure_service(replace(bay, clock=Meanwhile(squat)), service, program)
    assert len(looks) == 10
    assert not left_running(instance)  # and what was half up is ended


def test_one_that_does_not_come_up_says_why(bay: Bay, instance: Instance) -> None:
    with pytest.raises(UserError, match=r"the notebook of .* ended at once: NameError") as caught:
        stand(bay, instance, "a\n")
    assert Path(caught.value.where).read_text(encoding="utf-8").startswith("Traceback")
    assert not left_running(instance)


def test_a_token_that_is_gone(bay: Bay, instance: Instance) -> None:
    service = reserve(bay, "notebook", instance)
    service.token_file.unlink()
    with pytest.raises(StateError, match="token cannot be read"):
        assert service.token


# --- its end --------------------------------------------------------------------------------------------------------


def test_ending_leaves_port_and_token_and_nothing_else(bay: Bay, instance: Instance) -> None:
    service = stand(bay, instance)
    ended = end_service(bay, service)
    assert not ended.is_running
    assert not left_running(instance)
    assert sorted(path.name for path in service.folder.iterdir()) == ["record.json", "token"]
    assert end_service(bay, service) == ended
    assert holds(bay.home.root, service.token) == ["token"]


def test_it_ends_with_its_instance_and_does_not_come_back_by_itself(bay: Bay, instance: Instance) -> None:
    service = stand(bay, instance)
    launchbay.stop(bay, instance.name)
    assert not left_running(instance)
    assert not look_at(service).is_running
    launchbay.start(bay, instance.name)
    assert not look_at(service).is_running
    again = stand(bay, instance)
    assert (again.port, again.token) == (service.port, service.token)


def test_a_run_that_was_started_from_within_goes_on_without_it(bay: Bay, instance: Instance, tmp_path: Path) -> None:
    """Typed in a terminal of JupyterLab, say: what a service is found by must not be found in a run."""
    service = stand(bay, instance)
    (tmp_path / "train.py").write_text("import time; time.sleep(600)")
    within = replace(bay, environ={**bay.environ, MARK: str(service.folder)})
    run = launchbay.train(within, instance.name, tmp_path / "train.py", detach=True)
    end_service(bay, service)
    assert read_run(run.folder).state == "running"
    launchbay.stop(bay, run.id)


def test_one_that_was_started_from_within_a_run_is_not_of_it(bay: Bay, instance: Instance) -> None:
    within = replace(bay, environ={**bay.environ, RUN_MARK: "run-20261126-104157-e7ket"})
    service = stand(within, instance)
    assert not run_processes("run-20261126-104157-e7ket")
    end_service(bay, service)


def test_terminating_forgets_it(bay: Bay, instance: Instance) -> None:
    service = stand(bay, instance)
    kept = reserve(bay, "board")
    launchbay.terminate(bay, instance.name)
    assert not left_running(instance)
    assert not service.folder.exists()
    assert list(list_services(bay.home)) == [kept]


def test_what_a_killed_terminate_left_is_forgotten_by_the_next(bay: Bay, instance: Instance) -> None:
    service = reserve(bay, "notebook", replace(instance, id="i-20200101-000000-aaaaa"))
    launchbay.terminate(bay, instance.name)
    assert not service.folder.exists()


def test_ps_shows_it_with_its_memory(bay: Bay, instance: Instance) -> None:
    (row,) = launchbay.ps(bay)
    assert row.services == []
    service = stand(bay, instance)
    (row,) = launchbay.ps(bay)
    (shown,) = launchbay.to_json(row)["services"]
    assert (shown["kind"], shown["pid"], shown["port"]) == ("notebook", service.pid, service.port)
    assert shown["memory_bytes"] > 1 << 20
    assert service.token not in str(shown)


def test_the_mark_is_the_folder(bay: Bay, instance: Instance) -> None:
    """Two homes on one machine must not end each other's."""
    service = stand(bay, instance)
    for pid in left_running(instance):
        with contextlib.suppress(OSError):
            assert f"{MARK}={service.folder}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
