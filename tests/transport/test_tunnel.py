"""A port of an instance's loopback on ours, through reboots."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.errors import Conflict
from launchbay.transport.ssh import SshTransport
from launchbay.transport.tunnel import Tunnel
from launchbay.transport.tunnelrecord import Wanted, write_tunnels
from tests.sockets import listening
from tests.transport.conftest import HOME, Far, Relay, wait_for

PORT = 8899


@pytest.fixture
def serve(reach: Callable[..., SshTransport]) -> Iterator[Callable[[], None]]:
    """Return a function that starts a web server on the instance's loopback, which a reboot ends."""
    there = reach(folder=HOME)

    def start() -> None:
        code = (
            "import http.server, os\n"
            "os.makedirs('www', exist_ok=True); os.chdir('www'); open('page', 'w').write('x' * 500000)\n"
            f"s = http.server.HTTPServer(('127.0.0.1', {PORT}), http.server.SimpleHTTPRequestHandler)\n"
            "print('up', os.getpid(), flush=True); s.serve_forever()"
        )
        done = there.start(["python3", "-c", code], data=b"", errors="errors", variables={})
        assert done.stdout.startswith(b"up"), there.run(["cat", "errors"]).stdout

    yield start
    there.run(["sh", "-c", f"pkill -f 'HTTPServer.*{PORT}' || true"])


def fetch(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=30) as answer:
        return len(answer.read())


def can_fetch(port: int) -> bool:
    try:
        return fetch(port) == 500_000
    except (urllib.error.URLError, ConnectionError):
        return False


def test_it_comes_back_after_a_reboot_without_being_asked(far: Far, serve: Callable[[], None]) -> None:
    serve()
    with Tunnel(far.door, 0, PORT) as tunnel:
        assert [fetch(tunnel.port) for _ in range(3)] == [500_000] * 3
        assert tunnel.problem == ""
        idle = socket.create_connection(("127.0.0.1", tunnel.port))
        idle.sendall(b"GET ")
        far.reboot()
        idle.settimeout(20)
        assert idle.recv(10) == b""  # what went through the old connection ends, and does not hang
        idle.close()
        serve()
        wait_for(lambda: can_fetch(tunnel.port))
        tunnel.check()
    assert not can_fetch(tunnel.port)


def test_a_port_where_nothing_listens_ends_the_client_and_not_the_tunnel(far: Far, serve: Callable[[], None]) -> None:
    with Tunnel(far.door, 0, PORT) as tunnel:
        with socket.create_connection(("127.0.0.1", tunnel.port)) as client:
            client.settimeout(20)
            assert client.recv(10) == b""
        serve()
        assert can_fetch(tunnel.port)


def test_it_never_gives_up_and_says_why_it_waits(far: Far, serve: Callable[[], None]) -> None:
    serve()
    closed = dataclasses.replace(far.door, address="127.0.0.1", port=1)
    with Tunnel(closed, 0, PORT) as tunnel:
        wait_for(lambda: "nothing listens" in tunnel.problem)
        asked: list[int] = []
        client = threading.Thread(target=lambda: asked.append(fetch(tunnel.port)))
        client.start()
        tunnel.door = far.door  # as after a stop and a start: another address
        client.join(20)
        assert asked == [500_000]
        assert tunnel.problem == ""


def test_a_connection_that_falls_silent_is_given_up_for_another(
    far: Far, serve: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchbay.transport.tunnel._ALIVE_S", 0.2)
    serve()
    relay = Relay(far.door.address, far.door.port)
    with Tunnel(dataclasses.replace(far.door, address="127.0.0.1", port=relay.port), 0, PORT) as tunnel:
        assert can_fetch(tunnel.port)
        relay.fall_silent()
        assert fetch(tunnel.port) == 500_000  # the first that comes waits, and is not sent away
        assert len(relay.held) == 4
    relay.close()


def test_it_listens_on_loopback_alone_and_a_taken_port_is_told(far: Far) -> None:
    with Tunnel(far.door, 0, PORT) as tunnel:
        mine = {place for place in listening(os.getpid()) if place[1] == tunnel.port}
        assert mine == {("127.0.0.1", tunnel.port)}
        with pytest.raises(Conflict, match=f"port {tunnel.port} of this machine is taken"):
            Tunnel(far.door, tunnel.port, PORT)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    begun: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "launchbay.transport.tunnel", str(tmp_path / "record")]
        begun.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def test_a_process_holds_those_of_a_record_until_it_is_removed(
    far: Far, serve: Callable[[], None], hold: Callable[[], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    serve()
    one, two = free_port(), free_port()
    record = tmp_path / "record"
    write_tunnels(record, [Wanted(door=far.door, local_port=one, remote_port=PORT)])
    process = hold()
    assert process.stdout
    assert json.loads(process.stdout.readline()) == {"v": 1, "ok": True, "result": {"pid": process.pid}}
    assert fetch(one) == 500_000
    write_tunnels(record, [Wanted(door=far.door, local_port=two, remote_port=PORT)])
    wait_for(lambda: can_fetch(two))
    assert not can_fetch(one)
    record.unlink()
    assert process.wait(20) == 0
    assert process.stderr
    assert process.stderr.read() == b""
    assert not can_fetch(two)


def test_a_process_is_ended_and_says_what_it_cannot_do(
    far: Far, hold: Callable[[], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    port = free_port()
    write_tunnels(tmp_path / "record", [Wanted(door=far.door, local_port=port, remote_port=PORT)])
    first = hold()
    assert first.stdout
    first.stdout.readline()
    second = hold()
    assert second.wait(20) == 1
    assert second.stderr
    assert b"is taken" in second.stderr.read()
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
