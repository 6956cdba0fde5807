"""A notebook and a board on the twin, seen from here through tunnels that outlive the terminal and the instance's address."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import launchbay
from launchbay.cli.main import main
from launchbay.cloud.services import PROBLEM, TUNNEL, end_services
from launchbay.cloud.standing import find_far
from launchbay.cloud.tunnels import services_of
from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.store.service import Service
from launchbay.transport.tunnelrecord import read_tunnels, write_tunnels
from tests.cloud.fleets import notes_of, row_of, set_power, standing_fleet

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")


@pytest.fixture(scope="module")
def bay(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Bay]:
    with standing_fleet(tmp_path_factory.mktemp("services"), image_store("tensorflow"), count=1) as bay:
        yield bay


def ask(service: Service, path: str, *, token: str = "") -> Any:
    """Ask JupyterLab; return its answer, None where there is none."""
    headers = {"Authorization": f"token {token}"} if token else {}
    request = urllib.request.Request(f"http://127.0.0.1:{service.port}/{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def wait_for(true: Callable[[], object], seconds: float = 90.0) -> None:
    """Wait until something is true."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.2)


def command_lines() -> str:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found.append(Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(found)


def test_a_notebook_there_answers_here_to_who_has_its_token(bay: Bay) -> None:
    service = launchbay.notebook(bay, "exp-1")
    assert (service.kind, service.instance, service.through) == ("notebook", "exp-1", "tunnel")
    assert service.url == f"http://127.0.0.1:{service.port}/lab/tree/start.ipynb"
    assert ask(service, "api/status") == 403
    assert ask(service, "api/status", token=service.token)["kernels"] == 0
    assert ask(service, "api/contents/start.ipynb?content=0", token=service.token)["name"] == "start.ipynb"
    assert service.token in service.door.read_text()
    assert service.door.stat().st_mode & 0o077 == service.token_file.stat().st_mode & 0o077 == 0
    assert service.token not in command_lines()
    assert service.token not in json.dumps(launchbay.to_json(service))
    assert {name: [item.kind for item in found] for name, found in services_of(bay.home).items()} == {
        "exp-1": ["notebook"]
    }
    again = launchbay.notebook(bay, "exp")
    assert (again.pid, again.port, again.token) == (service.pid, service.port, service.token)
    assert service.pid is not None
    assert os.getsid(service.pid) != os.getsid(0)  # it goes on when the terminal closes


def test_a_board_there_stands_beside_it(
    bay: Bay, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = launchbay.board(bay, ["exp-1"])
    assert board.through == "tunnel"
    assert ask(board, "") == 401  # it asks for its token
    assert sorted(item.kind for item in services_of(bay.home)["exp-1"]) == ["board", "notebook"]
    monkeypatch.setenv("LAUNCHBAY_HOME", str(bay.home.root))
    assert main(["--json", "board", "exp-1", "--stop"]) == 0
    assert json.loads(capsys.readouterr().out)["running"] is False
    assert sorted(item.kind for item in services_of(bay.home)["exp-1"]) == ["notebook"]
    assert ask(board, "") is None


def test_a_port_of_ours_can_be_chosen_and_is_nobody_elses(bay: Bay) -> None:
    notebook = launchbay.notebook(bay, "exp-1")
    with pytest.raises(UsageError, match="1 to 65535"):
        launchbay.notebook(bay, "exp-1", port=70000)
    with pytest.raises(Conflict, match=f"stands on port {notebook.port}"):
        launchbay.notebook(bay, "exp-1", port=notebook.port + 1000)
    with pytest.raises(Conflict, match="that of the notebook of exp-1"):
        launchbay.board(bay, ["exp-1"], port=notebook.port)


def test_after_a_reboot_it_answers_again_with_the_same_token(bay: Bay) -> None:
    service = launchbay.notebook(bay, "exp-1")
    began = ask(service, "api/status", token=service.token)["started"]
    set_power(bay, "exp-1", "reboot")

    def is_another() -> bool:
        answer = ask(service, "api/status", token=service.token)
        return isinstance(answer, dict) and answer["started"] != began

    wait_for(is_another)


def test_stopped_and_started_it_is_found_at_its_new_address(bay: Bay) -> None:
    service, before = launchbay.notebook(bay, "exp-1"), row_of(bay, "exp-1").public_address
    set_power(bay, "exp-1", "stop")
    with pytest.raises(Conflict, match="exp-1 is stopped"):
        launchbay.notebook(bay, "exp-1")
    set_power(bay, "exp-1", "start")
    assert row_of(bay, "exp-1").public_address != before
    wait_for(lambda: isinstance(ask(service, "api/status", token=service.token), dict))
    again = launchbay.notebook(bay, "exp-1")
    assert (again.pid, again.port) == (service.pid, service.port)
    assert "it is at ubuntu@" in service.log.read_text()


def test_a_tunnel_that_has_no_connection_is_begun_again_with_what_is_here_now(bay: Bay) -> None:
    """Its process has the credentials of the day it was started, and those of a session end after an hour."""
    service = launchbay.notebook(bay, "exp-1")
    problem = service.folder / PROBLEM
    assert not problem.exists()
    (held,) = read_tunnels(service.folder / TUNNEL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    astray = replace(held.door, address="127.0.0.1", port=port, proxy=())
    write_tunnels(service.folder / TUNNEL, [replace(held, door=astray)])
    wait_for(problem.exists)
    wait_for(lambda: not problem.exists())  # it asked where the instance is
    problem.write_text("the credentials have expired\n")
    again = launchbay.notebook(replace(bay, environ={**bay.environ, "LAUNCHBAY_TRIED": "anew"}), "exp-1")
    assert again.pid not in (None, service.pid)
    assert (again.port, again.token) == (service.port, service.token)
    assert b"LAUNCHBAY_TRIED=anew" in Path(f"/proc/{again.pid}/environ").read_bytes().split(b"\0")
    assert not problem.exists()
    assert "had no connection, and is begun again: the credentials have expired" in notes_of(bay)[-1]
    wait_for(lambda: isinstance(ask(again, "api/status", token=again.token), dict))
    assert launchbay.notebook(bay, "exp-1").pid == again.pid


def test_ended_it_keeps_its_port_and_token(bay: Bay) -> None:
    service = launchbay.notebook(bay, "exp-1")
    ended = launchbay.end_notebook(bay, "exp-1")
    assert not ended.is_running
    assert ask(service, "api") is None
    assert services_of(bay.home) == {}
    assert not launchbay.end_notebook(bay, "exp-1").is_running  # again
    back = launchbay.notebook(bay, "exp-1")
    assert (back.port, back.token) == (service.port, service.token)
    with pytest.raises(NotFound):
        launchbay.notebook(bay, "nothing-1")


def test_who_terminates_a_fleet_ends_its_tunnels(bay: Bay) -> None:
    service = launchbay.notebook(bay, "exp-1")
    assert end_services(bay, find_far(bay, "exp")) == 1
    assert ask(service, "api") is None
    assert not service.folder.exists()
    with pytest.raises(NotFound, match="has no notebook"):
        launchbay.end_notebook(bay, "exp-1")


def test_where_the_instance_is_gone_its_tunnel_ends_by_itself(bay: Bay) -> None:
    launchbay.notebook(bay, "exp-1")
    set_power(bay, "exp-1", "terminate")
    wait_for(lambda: services_of(bay.home) == {})
