"""Stdin and stdout on a connection of TCP, as a program of its own has them. Through tunnels: `tests/twin/test_tunnels.py`."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[[Callable[[socket.socket], None]], int]

PROGRAM = """
import asyncio, sys
from launchbay.errors import UserError
from launchbay.relay import open_plain

async def lead():
    async with open_plain("127.0.0.1", int(sys.argv[1])) as way:
        await way.carry()

try:
    asyncio.run(lead())
except UserError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that lets something have one connection, and that returns the port."""
    threads, listener = list[threading.Thread](), socket.create_server(("127.0.0.1", 0))

    def serve(what: Callable[[socket.socket], None]) -> None:
        connection, _ = listener.accept()
        with connection:
            what(connection)

    def begin(what: Callable[[socket.socket], None]) -> int:
        threads.append(threading.Thread(target=serve, args=(what,)))
        threads[-1].start()
        return int(listener.getsockname()[1])

    yield begin
    for thread in threads:
        thread.join(timeout=10)
    listener.close()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.sendall(b"over")


def run(port: int, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-c", PROGRAM, str(port)]
    return subprocess.run(words, input=data, capture_output=True, check=False, timeout=60)


def test_all_goes_both_ways_and_the_end_of_stdin_is_passed_on(start: Start) -> None:
    data = bytes(range(256)) * 20_000
    done = run(start(echo), data)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == data + b"over"


def test_it_ends_when_the_far_side_does_though_stdin_stays_open(start: Start) -> None:
    port = start(lambda connection: connection.sendall(b"bye"))
    words = [sys.executable, "-c", PROGRAM, str(port)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.read() == b"bye"
        assert program.wait(timeout=20) == 0


def test_another_descriptor_can_be_read_instead_of_stdin(start: Start, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"the stream")
    program = PROGRAM.replace("way.carry()", f"way.carry(os.open({str(tmp_path / 'other')!r}, os.O_RDONLY))")
    words = [sys.executable, "-c", f"import os{program}", str(start(echo))]
    done = subprocess.run(words, input=b"for another", capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"the streamover")


def test_where_nothing_listens_it_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = run(port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"127.0.0.1 port {port} cannot be reached: ".encode())
