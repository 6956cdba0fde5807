"""The real JupyterLab, in an instance of the tensorflow image."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import launchbay
from launchbay.errors import Conflict, NotFound
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect, python_of
from launchbay.planning.fleet import Instance
from launchbay.store.service import Service
from tests.runs.running import make_instance
from tests.services.asking import ask
from tests.services.conftest import holds, left_running
from tests.sockets import descendants, listening

RUN_A_CELL = """
import json, sys, urllib.request, uuid, websocket
port, token, code = json.loads(sys.stdin.read())
head = {"Authorization": "token " + token}
request = urllib.request.Request(f"http://127.0.0.1:{port}/api/kernels", b"{}", head, method="POST")
kernel = json.load(urllib.request.urlopen(request))["id"]
line = websocket.create_connection(f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels", header=head, timeout=60)
identity = uuid.uuid4().hex
header = {"msg_id": identity, "msg_type": "execute_request", "username": "", "session": identity, "version": "5.3"}
content = {"code": code, "silent": False}
line.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}))
while True:
    message = json.loads(line.recv())
    if message["parent_header"].get("msg_id") == identity and message["msg_type"] == "stream":
        print(message["content"]["text"])
        break
    assert message["msg_type"] != "error", message
"""
LOOK = "import json, os, sys; print(json.dumps([sys.prefix, os.getcwd(), os.environ['HOME'], dict(os.environ)]))"


@pytest.fixture
def machine(bay: Bay, with_image: Callable[[str], Image]) -> Instance:
    """Return an instance of the tensorflow image."""
    return make_instance(bay, with_image("tensorflow"))


def run_cell(bay: Bay, instance: Instance, service: Service, code: str) -> Any:
    """Start a kernel, run a cell in it, return what it prints, read as JSON; the kernel goes on."""
    wish = json.dumps([service.port, service.token, code]).encode()
    done = connect(bay, instance).run([python_of(bay, instance), "-c", RUN_A_CELL], data=wish, timeout=120)
    assert done.code == 0, done.stderr.decode()
    return json.loads(done.stdout)


def check_ports(service: Service) -> None:
    """Check the ports of a notebook with one kernel: its own, and one where the kernel takes output of its children.

    Nobody reads anything from the latter, and what is sent there counts only with a random id in front.
    """
    assert service.pid is not None
    found = listening(service.pid)
    assert {address for address, _ in found} == {"127.0.0.1"}
    assert len(found - {("127.0.0.1", service.port)}) == 1


def test_a_notebook_from_its_start_to_its_end(bay: Bay, machine: Instance) -> None:
    service = launchbay.notebook(bay, machine.name)
    assert service.pid is not None

    # nobody without the token
    for path in ("/api/contents", "/api/kernels", "/api/terminals", "/lab", "/files/start.ipynb"):
        assert ask(service, path).status in (302, 403), path
        wrong = ask(service, path, Authorization="token wrong")
        assert wrong.status in (302, 403), path
    known = {"Authorization": f"token {service.token}"}
    assert ask(service, "/api/status", Host="evil.example", **known).status == 403
    contents = ask(service, "/api/contents", **known).value
    assert [item["name"] for item in contents["content"]] == ["start.ipynb"]

    # a cell, in the instance's own Python, folder and home
    before = service.memory_bytes
    prefix, folder, home, environment = run_cell(bay, machine, service, LOOK)
    assert prefix == str(machine.root / "env")
    assert folder == str(machine.root / "work")
    assert home == str(machine.root / "home")
    assert service.token not in json.dumps(environment)  # it would end up in a notebook that is handed on

    # nothing is listening beyond loopback, and no kernel publishes what it prints on a port
    assert len(descendants(service.pid)) > 2
    check_ports(service)
    sockets = (service.folder / "runtime").resolve()
    assert sockets.stat().st_mode & 0o077 == 0
    assert any(path.is_socket() for path in sockets.iterdir())
    (row,) = launchbay.ps(bay)
    (shown,) = row.services
    assert (shown.memory_bytes or 0) > (before or 0) + (20 << 20)  # its kernel is counted

    # the token is in its file, in the page, and where Jupyter keeps it for its own commands; nowhere that others look
    assert holds(service.folder, service.token) == ["open.html", "token"]
    assert holds(machine.root, service.token) == []
    for pid in descendants(service.pid):
        assert service.token.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert service.token.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    ask(service, f"/lab?token={service.token}")
    assert "/lab?token=" in service.log.read_text(encoding="utf-8")
    assert service.token not in service.log.read_text(encoding="utf-8")

    # the same one again, and what is in its folder is the person's
    (machine.root / "work" / "start.ipynb").write_text("mine", encoding="utf-8")
    assert launchbay.notebook(bay, machine.name).pid == service.pid
    launchbay.stop(bay, machine.name)
    assert not left_running(machine)
    with pytest.raises(Conflict, match="is stopped"):
        launchbay.notebook(bay, machine.name)
    launchbay.start(bay, machine.name)
    again = launchbay.notebook(bay, machine.name)
    assert (again.port, again.token) == (service.port, service.token)
    assert (machine.root / "work" / "start.ipynb").read_text(encoding="utf-8") == "mine"
    assert not sockets.exists()
    sockets = (again.folder / "runtime").resolve()

    launchbay.terminate(bay, machine.name)
    assert not left_running(machine)
    assert not service.folder.exists()
    assert not sockets.exists()


def test_what_the_persons_own_configuration_says_does_not_open_it(bay: Bay, machine: Instance) -> None:
    own = machine.root / "home" / ".jupyter"
    own.mkdir()
    careless = {
        "ServerApp": {"ip": "0.0.0.0", "allow_remote_access": True, "port": 7777, "allow_origin": "*"},
        "IdentityProvider": {"token": ""},
        "KernelManager": {"transport": "tcp"},
    }
    (own / "jupyter_server_config.json").write_text(json.dumps(careless), encoding="utf-8")
    service = launchbay.notebook(bay, machine.name)
    assert service.pid is not None
    assert run_cell(bay, machine, service, "print(1)") == 1
    check_ports(service)
    assert ask(service, "/api/kernels").status in (302, 403)


def test_an_image_without_jupyterlab(bay: Bay, instance: Instance) -> None:
    with pytest.raises(Conflict, match="has no JupyterLab"):
        launchbay.notebook(bay, instance.name)
    with pytest.raises(NotFound, match="has no notebook"):
        launchbay.end_notebook(bay, instance.name)


def test_it_runs_outside_every_terminal(bay: Bay, machine: Instance) -> None:
    service = launchbay.notebook(bay, machine.name)
    assert service.pid is not None
    assert os.getsid(service.pid) == service.pid
    assert launchbay.end_notebook(bay, machine.name).is_running is False
    assert not left_running(machine)
