"""A door's proxy: heard where it says why there is no way, out of an interrupt's reach, and gone with its connection."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
from pathlib import Path

import asyncssh
import pytest

from launchbay.errors import NotFound
from launchbay.transport.connection import connect
from launchbay.transport.door import Door
from launchbay.transport.hostkeys import pin_host_key
from launchbay.transport.loop import LoopThread
from launchbay.transport.ssh import SshTransport
from launchbay.transport.trouble import HostKeyRefused, KeyRefused, Unreachable, WayRefused
from launchbay.transport.waiting import wait_for_ssh
from tests.transport.conftest import Far, wait_for

RELAY = """
import os, socket, sys, threading
from pathlib import Path
Path(sys.argv[1]).write_text(str(os.getpid()))
far = socket.create_connection((sys.argv[2], int(sys.argv[3])))
def up():
    while data := os.read(0, 65536):
        far.sendall(data)
    far.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
try:
    while data := far.recv(65536):
        os.write(1, data)
except BrokenPipeError:
    pass
"""
STUBBORN = "trap '' TERM HUP INT; echo $$ > {pid}; echo warming up >&2; sleep 600 & wait; sleep 600"


def shell(text: str) -> tuple[str, ...]:
    return ("sh", "-c", text)


def public(key: Path) -> str:
    return asyncssh.read_private_key(key).export_public_key().decode()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    return path


@pytest.fixture
def door(tmp_path: Path, key: Path) -> Door:
    """Return a door to nowhere, for which a host key is pinned."""
    known = tmp_path / "known"
    pin_host_key(known, "i-1", public(key))
    return Door(address="192.0.2.1", user="ubuntu", keys=(key,), known_hosts=known, alias="i-1")


@pytest.fixture
def relayed(far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Door, Path]:
    """Return a door through a program, and where that writes its process id. It is not let go between two uses."""
    monkeypatch.setattr("launchbay.transport.connection._REST_S", 60.0)
    (tmp_path / "relay.py").write_text(RELAY)
    pid = tmp_path / "pid"
    words = (sys.executable, str(tmp_path / "relay.py"), str(pid), far.door.address, str(far.door.port))
    return dataclasses.replace(far.door, address="192.0.2.1", proxy=words), pid


def is_there(pid: Path) -> bool:
    """Return whether a process is there, as a zombie too."""
    return Path(f"/proc/{pid.read_text().strip()}").exists()


def group_is_alive(pid: Path) -> bool:
    """Return whether anything of a process's group runs still; what is dead may wait long for a parent that is not ours."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has gone meanwhile
            state, _, group, *_ = path.read_text().rpartition(")")[2].split()
            if group == pid.read_text().strip() and state != "Z":
                return True
    return False


def test_one_that_nobody_uses_is_let_go_and_begun_again(
    relayed: tuple[Door, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leads there has few connections at a time, and of a whole fleet each would hold one."""
    monkeypatch.setattr("launchbay.transport.connection._REST_S", 0.2)
    door, pid = relayed
    with contextlib.closing(SshTransport(door=door, variables={}, folder="/tmp")) as transport:
        assert transport.run(["echo", "one"]).stdout == b"one\n"
        first = pid.read_text()
        wait_for(lambda: not is_there(pid))
        assert transport.run(["echo", "two"]).stdout == b"two\n"
        assert pid.read_text() != first
        # what takes longer than that is use all the while
        assert transport.run(["sh", "-c", "sleep 1; echo three"]).stdout == b"three\n"


def test_a_terminal_takes_the_only_connection_that_there_is(relayed: tuple[Door, Path], tmp_path: Path) -> None:
    door, _ = relayed
    counted = shell(f'mkdir {tmp_path}/busy || exit 1; "$@"; rmdir {tmp_path}/busy')
    door = dataclasses.replace(door, proxy=(*counted, "sh", *door.proxy))
    with contextlib.closing(SshTransport(door=door, variables={}, folder="/tmp")) as transport:
        assert transport.run(["true"]).code == 0
        assert transport.attach(["true"]) == 0


def log_in(door: Door, *, within: float = 20) -> None:
    SshTransport(door=door, variables={}, connect_timeout=within).run(["true"])


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        ("echo one >&2; echo 'the subnet is full' >&2; echo >&2; exit 1", Unreachable, "the subnet is full"),
        ("echo 'no permission' >&2; exit 2", WayRefused, "no permission"),
        ("exit 1", Unreachable, "sh ended with code 1"),
        ("exit 2", WayRefused, "sh ended with code 2"),
        ("kill -9 $$", Unreachable, "sh ended with code -9"),
        ("printf 'a\\033[2J\\007 b' >&2; exit 1", Unreachable, "a[2J b"),
        ("yes | head -c 3000000 >&2; echo; echo last >&2; exit 1", Unreachable, "last"),
    ],
)
def test_what_it_says_is_why(door: Door, text: str, kind: type[Exception], why: str) -> None:
    with pytest.raises(kind) as caught:
        log_in(dataclasses.replace(door, proxy=shell(text)))
    assert type(caught.value) is kind
    assert str(caught.value) == f"i-1 cannot be reached: {why} (ubuntu@192.0.2.1 port 22)"


def test_one_that_ends_without_a_word_hung_up(door: Door) -> None:
    with pytest.raises(Unreachable, match="it hung up before the login") as caught:
        log_in(dataclasses.replace(door, proxy=("true",)))
    assert caught.value.hint == ""


def test_one_that_has_no_way_is_not_tried_for_ever(door: Door, tmp_path: Path) -> None:
    text = f"echo x >> {tmp_path}/tries; echo gone >&2; exit $(( $(wc -l < {tmp_path}/tries) > 2 ? 2 : 1 ))"
    with pytest.raises(WayRefused, match="gone"):
        wait_for_ssh(dataclasses.replace(door, proxy=shell(text)), timeout_s=60, poll=0.01, key_grace_s=0)
    assert (tmp_path / "tries").read_text() == "x\n" * 3


def test_a_way_that_was_just_made_may_be_refused_a_little_longer(relayed: tuple[Door, Path], tmp_path: Path) -> None:
    door, _ = relayed
    text = f'echo x >> {tmp_path}/tries; [ $(wc -l < {tmp_path}/tries) -gt 2 ] || exit 2; exec "$@"'
    late = dataclasses.replace(door, proxy=(*shell(text), "sh", *door.proxy))
    assert wait_for_ssh(late, timeout_s=60, poll=0.01) < 30
    assert (tmp_path / "tries").read_text() == "x\n" * 3
    (tmp_path / "tries").unlink()
    never = dataclasses.replace(door, proxy=shell(f"echo x >> {tmp_path}/tries; exit 2"))
    with pytest.raises(WayRefused):
        wait_for_ssh(never, timeout_s=60, poll=0.01, key_grace_s=0.3)
    assert (tmp_path / "tries").read_text().count("x") > 1


def test_one_that_hangs_is_ended_with_all_that_it_began(door: Door, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(Unreachable, match="warming up"):
        log_in(dataclasses.replace(door, proxy=shell(STUBBORN.format(pid=pid))), within=0.5)
    assert not is_there(pid)
    wait_for(lambda: not group_is_alive(pid))
    with pytest.raises(Unreachable, match="it does not answer"):
        log_in(dataclasses.replace(door, proxy=("sleep", "600")), within=0.1)


def test_one_that_is_not_there_is_named(door: Door, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"there is no file {tmp_path}/none"):
        log_in(dataclasses.replace(door, proxy=(f"{tmp_path}/none",)))


def test_an_interrupt_of_ours_is_not_for_it(relayed: tuple[Door, Path]) -> None:
    door, pid = relayed
    there = SshTransport(door=door, variables={}, folder="/tmp")
    assert there.run(["echo", "through"]).stdout == b"through\n"
    assert os.getpgid(int(pid.read_text())) not in (os.getpgid(0), 0)
    assert os.getsid(int(pid.read_text())) != os.getsid(0)
    there.close()
    assert not is_there(pid)


def test_what_it_says_beside_is_no_part_of_the_stream(relayed: tuple[Door, Path]) -> None:
    door, pid = relayed
    text = 'i=0; while [ $i -lt 2000 ]; do echo "noise noise noise noise noise" >&2; i=$((i+1)); done; exec "$@"'
    there = SshTransport(
        door=dataclasses.replace(door, proxy=(*shell(text), "sh", *door.proxy)), variables={}, folder="/tmp"
    )
    data = bytes(range(256)) * 4000
    assert there.run(["cat"], data=data).stdout == data
    there.close()
    assert not is_there(pid)


def test_a_refusal_of_the_instance_stays_one(relayed: tuple[Door, Path], key: Path, tmp_path: Path) -> None:
    door, pid = relayed
    with pytest.raises(KeyRefused):
        log_in(dataclasses.replace(door, keys=(key,)))
    assert not is_there(pid)
    known = tmp_path / "others"
    pin_host_key(known, door.alias, public(key))
    with pytest.raises(HostKeyRefused):
        log_in(dataclasses.replace(door, known_hosts=known))
    assert not is_there(pid)


def test_a_connection_that_is_lost_with_it_is_opened_again(relayed: tuple[Door, Path]) -> None:
    door, pid = relayed
    there = SshTransport(door=door, variables={}, folder="/tmp")
    there.run(["true"])
    first = pid.read_text()
    os.kill(int(first), signal.SIGKILL)
    assert there.run(["echo", "again"]).stdout == b"again\n"
    assert pid.read_text() != first
    there.close()
    assert not is_there(pid)


def test_one_that_does_not_end_with_its_connection_is_ended(
    relayed: tuple[Door, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launchbay.transport.proxied._GRACE_S", 0.3)
    door, _ = relayed
    outer = tmp_path / "outer"
    words = (*shell(f'trap "" TERM HUP; echo $$ > {outer}; "$@"; exec sleep 600'), "sh", *door.proxy)
    there = SshTransport(door=dataclasses.replace(door, proxy=words), variables={}, folder="/tmp")
    there.run(["true"])
    there.close()
    assert not is_there(outer)
    wait_for(lambda: not group_is_alive(outer))


@pytest.mark.parametrize("is_all_over", [False, True])
def test_an_attempt_that_is_given_up_leaves_nothing(door: Door, tmp_path: Path, *, is_all_over: bool) -> None:
    loop, pid = LoopThread(), tmp_path / "pid"
    hanging = dataclasses.replace(door, proxy=shell(STUBBORN.format(pid=pid)))
    running = loop.begin(connect(hanging, within=60, alive_s=9))
    wait_for(lambda: pid.exists() and pid.read_text().strip())
    if not is_all_over:
        running.end()
        assert not is_there(pid)
    loop.close()
    assert not is_there(pid)
    wait_for(lambda: not group_is_alive(pid))


def test_a_loop_that_ends_leaves_nothing_of_an_open_connection(relayed: tuple[Door, Path]) -> None:
    door, pid = relayed
    loop = LoopThread()
    connection = loop.call(connect(door, within=20, alive_s=9))
    assert not connection.is_closed()
    loop.close()
    assert not is_there(pid)
