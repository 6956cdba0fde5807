"""What is SSH's own: the connection, who is let in and who is believed, and whose files are left alone."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import pty
import pwd
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from launchbay.errors import NotFound, UserError
from launchbay.transport.door import describe_door
from launchbay.transport.foldertree import look_there
from launchbay.transport.gather import gather
from launchbay.transport.hostkeys import pin_host_key, replace_host_key
from launchbay.transport.ssh import SshTransport
from launchbay.transport.sshconfig import write_ssh_config
from launchbay.transport.trouble import ConnectionBroken, HostKeyRefused, KeyRefused, Unreachable
from launchbay.transport.waiting import wait_for_ssh
from tests.transport.conftest import HOME, Far, Relay, wait_for


def ends(transport: SshTransport, mark: str) -> Callable[[], bool]:
    """Return whether no process of the instance has a word in its command line."""
    probe = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done"
    return lambda: mark not in transport.run(["sh", "-c", probe]).stdout.decode()


def test_many_threads_share_one_connection(ssh: SshTransport) -> None:
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda number: ssh.run(["cat"], data=b"%d" % number).stdout, range(30)))
    assert done == [b"%d" % number for number in range(30)]
    assert len({thread.name for thread in threading.enumerate() if thread.name == "launchbay-ssh"}) == 1


def test_no_more_commands_at_a_time_than_a_server_allows(ssh: SshTransport) -> None:
    ssh.run(["mkdir", "running"])
    count = "touch running/$$; ls running | wc -l; sleep 0.2; rm running/$$"
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: int(ssh.run(["sh", "-c", count]).stdout), range(20)))
    assert 1 < max(done) <= 8  # OpenSSH refuses the eleventh


def test_one_given_up_just_when_it_begins_is_ended_too(reach: Callable[..., SshTransport], ssh: SshTransport) -> None:
    slow = reach(folder=HOME, MUCH="x" * 50_000)  # so that beginning takes a while
    for after in range(12):
        with pytest.raises(UserError, match="gave no answer"):
            slow.run(["sleep", "64.25"], timeout=after / 150)
    assert ends(ssh, "64.25")()


def test_a_connection_lost_between_two_calls_is_opened_again(ssh: SshTransport, far: Far) -> None:
    before = ssh.run(["cat", "/proc/sys/kernel/random/boot_id"])
    far.reboot()
    wait_for_ssh(far.door, timeout_s=20, poll=0.1)
    assert ssh.run(["echo", "again"]).stdout == b"again\n"
    assert before.code == 0


def test_one_that_fell_silent_since_the_last_call_is_too(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launchbay.transport.connection._ALIVE_S", 0.2)
    relay = Relay(far.door.address, far.door.port)
    door = dataclasses.replace(far.door, address="127.0.0.1", port=relay.port)
    there = SshTransport(door=door, variables={}, folder="/tmp")
    there.run(["true"])
    relay.fall_silent()
    assert there.run(["echo", "again"]).stdout == b"again\n"
    there.close()
    relay.close()


def test_one_that_is_lost_within_a_call_is_an_error(ssh: SshTransport, far: Far) -> None:
    def reboot(_: bytes) -> None:
        far.reboot()

    command = ["sh", "-c", "echo x >> began; echo x; sleep 600"]
    with pytest.raises(ConnectionBroken, match="it may be running still"):
        ssh.stream(command, out=reboot, err=reboot)
    wait_for_ssh(far.door, timeout_s=20, poll=0.1)
    assert ssh.run(["cat", "began"]).stdout == b"x\n"  # it was not run a second time


def test_a_file_that_is_cut_off_has_no_name(ssh: SshTransport, far: Far, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(8 << 20))
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        if not seen:
            far.reboot()
        seen.append((done, total))

    with pytest.raises(ConnectionBroken):
        ssh.put(str(tmp_path / "big"), "big", progress=progress)
    wait_for_ssh(far.door, timeout_s=20, poll=0.1)
    assert ssh.run(["ls"]).stdout == b""
    ssh.put(str(tmp_path / "big"), "big", progress=progress)
    assert seen[-1] == (8 << 20, 8 << 20)
    seen.clear()
    with pytest.raises(ConnectionBroken):
        ssh.get("big", str(tmp_path / "back" / "big"), progress=progress)
    assert list((tmp_path / "back").iterdir()) == []
    wait_for_ssh(far.door, timeout_s=20, poll=0.1)


def test_a_link_of_ours_is_not_written_through(ssh: SshTransport, tmp_path: Path) -> None:
    ssh.run(["sh", "-c", "mkdir -p tree/in; echo theirs > tree/in/file"])
    (tmp_path / "outside").mkdir()
    (tmp_path / "to" / "tree").mkdir(parents=True)
    (tmp_path / "to" / "tree" / "in").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="a link where a folder has to be"):
        ssh.get("tree", str(tmp_path / "to"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_what_our_own_disk_refuses_is_told(ssh: SshTransport, tmp_path: Path) -> None:
    ssh.run(["touch", "file"])
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match="while copying") as caught:
        ssh.get("file", str(tmp_path / "taken" / "file"))
    assert caught.value.where.startswith(str(tmp_path / "taken"))


def test_home_is_where_a_path_with_a_tilde_starts(ssh: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    ssh.put(str(tmp_path / "file"), "~/tilde/")
    assert ssh.run(["cat", f"{HOME}/tilde/file"]).stdout == b"x"


def test_variables_stand_in_no_argument_list_and_in_no_file(reach: Callable[..., SshTransport]) -> None:
    there = reach(folder=HOME, TOKEN="s3cret")
    with ThreadPoolExecutor() as pool:
        watch = pool.submit(reach(folder=HOME).run, ["python3", "-"], data=SPY)
        wait_for(lambda: there.run(["test", "-e", "spying"]).code == 0)
        while not watch.done():
            assert there.run(["sh", "-c", "echo $TOKEN"]).stdout == b"s3cret\n"
            assert there.attach(["sh", "-c", "test -n $TOKEN"]) == 0
    assert watch.result().stdout.split() == [b"False", b"True"]
    assert there.run(["grep", "-r", "s3cret", "/tmp", HOME]).stdout == b""


SPY = b"""
import glob, time
end, seen = time.monotonic() + 1.2, b""
open("spying", "w").close()
while time.monotonic() < end:
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            seen += open(path, "rb").read()
        except OSError:
            pass
print(b"s3cret" in seen, b"count=" in seen)
"""


def test_an_interrupt_ends_the_command_there(ssh: SshTransport) -> None:
    threading.Timer(0.4, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        ssh.run(["sleep", "61.25"])
    assert ends(ssh, "61.25")()


def test_closing_ends_what_is_under_way_in_other_threads(reach: Callable[..., SshTransport], ssh: SshTransport) -> None:
    other = reach(folder=HOME)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(other.run, ["sleep", "62.25"])
        wait_for(lambda: not ends(ssh, "62.25")())
        other.close()
        with pytest.raises(UserError, match="was closed"):
            running.result()
    assert ends(ssh, "62.25")()
    with pytest.raises(UserError, match="was closed"):
        other.run(["true"])


def test_an_interrupt_of_many_ends_all(reach: Callable[..., SshTransport], ssh: SshTransport) -> None:
    many = {str(number): reach(folder=HOME) for number in range(3)}
    threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        gather(many, lambda item: item.run(["sleep", "63.25"]), at_once=2)
    assert time.monotonic() - began < 10
    assert ends(ssh, "63.25")()


FORK = """
import json, os, sys
from launchbay.transport.door import read_door
from launchbay.transport.ssh import SshTransport
transport = SshTransport(door=read_door(json.loads(sys.argv[1])), variables={}, folder="/tmp")
said = [transport.run(["echo", "before"]).stdout]
sys.stdout.flush()
if child := os.fork():
    os.waitpid(child, 0)
    print(transport.run(["echo", "parent"]).stdout.decode())
else:
    print(transport.run(["echo", "child"]).stdout.decode(), flush=True)
    os._exit(0)
"""


def test_a_forked_child_has_a_connection_of_its_own(far: Far) -> None:
    words = [sys.executable, "-W", "ignore", "-c", FORK, json.dumps(describe_door(far.door))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["child", "parent"]
    assert done.stderr == ""


ATTACH = """
import json, sys
from pathlib import Path
from launchbay.transport.door import read_door
from launchbay.transport.ssh import SshTransport
transport = SshTransport(door=read_door(json.loads(sys.argv[1])), variables={"MARK": "it's"}, folder="/tmp")
sys.exit(transport.attach(["sh", "-c", 'test -t 0 && echo "$MARK $PWD $TERM" && read a && exit "$a"']))
"""


def test_a_terminal_is_one_there_too(far: Far) -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "vt100"}
    words = [sys.executable, "-c", ATTACH, json.dumps(describe_door(far.door))]
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environ)
    said = b""
    while b"vt100" not in said:  # in time: the test's own limit ends it else
        said += os.read(ours, 1024)
    assert said.split() == [b"it's", b"/tmp", b"vt100"]
    os.write(ours, b"9\n")
    assert process.wait(20) == 9
    process.communicate()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 255\n", ""])
def test_what_was_left_for_a_terminal_is_removed_where_none_came(
    reach: Callable[..., SshTransport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    there = reach(folder=HOME, TOKEN="s3cret")
    if text:
        (tmp_path / "ssh").write_text(text)
        (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if text:
        assert there.attach(["true"]) == 255
    else:
        with pytest.raises(UserError, match="no `ssh` on this machine"):
            there.attach(["true"])
    assert there.run(["grep", "-r", "s3cret", "/tmp"]).stdout == b""


class _Lying:
    """An instance's SFTP that lists what no folder can hold."""

    def __init__(self, *names: str) -> None:
        self.names = names

    async def stat(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(permissions=0o040755, mtime=0)

    async def scandir(self, folder: str) -> AsyncIterator[SimpleNamespace]:
        for name in self.names if folder.rstrip("/") == "top" else ():
            attrs = SimpleNamespace(permissions=0o040755 if name == "twice" else 0o100644, mtime=0, size=1)
            yield SimpleNamespace(filename=name, attrs=attrs)


@pytest.mark.parametrize("names", [("../x",), ("/etc/x",), ("a/b",), ("",), ("a\0b",), ("twice", "twice")])
def test_an_instance_cannot_name_a_file_outside_the_folder(names: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="which no folder can hold"):
        asyncio.run(look_there(_Lying(*names), "top"))  # type: ignore[arg-type]
    assert list(asyncio.run(look_there(_Lying(".", "..", "a"), "top")).files) == ["a"]  # type: ignore[arg-type,union-attr]


def test_another_host_key_is_refused_at_once(far: Far, tmp_path: Path) -> None:
    known = tmp_path / "known"
    door = dataclasses.replace(far.door, known_hosts=known)
    with pytest.raises(NotFound, match="no host key"):
        SshTransport(door=door, variables={}).run(["true"])
    kind, key = far.host_key.split()[:2]
    pin_host_key(known, far.instance, f"{kind} {key[:-2]}AA")
    transport = SshTransport(door=door, variables={})
    with pytest.raises(HostKeyRefused, match="not the pinned one") as caught:
        transport.run(["true"])
    assert (str(known) in str(caught.value), far.door.address in caught.value.what) == (True, True)
    began = time.monotonic()
    with pytest.raises(HostKeyRefused):
        wait_for_ssh(door, timeout_s=30, poll=0.1)
    assert time.monotonic() - began < 5
    replace_host_key(known, far.instance, far.host_key)
    assert transport.run(["true"]).code == 0
    transport.close()


def test_another_key_is_not_let_in(far: Far, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    door = dataclasses.replace(far.door, keys=(tmp_path / "other",))
    with pytest.raises(KeyRefused, match="lets nobody in as ec2-user"):
        SshTransport(door=door, variables={}).run(["true"])
    for grace, least in ((0.5, 0.5), (0.0, 0.0)):  # a new instance puts the key in place a little late
        began = time.monotonic()
        with pytest.raises(KeyRefused):
            wait_for_ssh(door, timeout_s=30, poll=0.1, key_grace_s=grace)
        assert least <= time.monotonic() - began < 10
    both = dataclasses.replace(far.door, keys=(tmp_path / "other", far.key))
    assert wait_for_ssh(both, timeout_s=10) < 10
    (tmp_path / "garbage").write_text("no key")
    garbage = dataclasses.replace(far.door, keys=(tmp_path / "garbage",))
    with pytest.raises(UserError, match="private key cannot be used"):
        SshTransport(door=garbage, variables={}).run(["true"])
    missing = dataclasses.replace(far.door, keys=(tmp_path / "none",))
    with pytest.raises(NotFound, match=r"there is no file .*none"):
        SshTransport(door=missing, variables={}).run(["true"])


@pytest.mark.parametrize(("is_listening", "why"), [(False, "nothing listens"), (True, "does not answer")])
def test_where_nobody_answers_it_says_what_to_look_at(far: Far, *, is_listening: bool, why: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if is_listening:
            silent.listen()
        door = dataclasses.replace(far.door, address="127.0.0.1", port=silent.getsockname()[1])
        with pytest.raises(Unreachable, match=why) as caught:
            SshTransport(door=door, variables={}, connect_timeout=0.5).run(["true"])
        assert ("127.0.0.1" in caught.value.where, "security group" in caught.value.hint) == (True, True)
        began = time.monotonic()
        with pytest.raises(Unreachable, match=f"{why}.* for "):
            wait_for_ssh(door, timeout_s=0.8, poll=0.1)
        assert 0.5 < time.monotonic() - began < 5


def test_a_caller_can_end_the_waiting(far: Far) -> None:
    door = dataclasses.replace(far.door, address="127.0.0.1", port=1)

    def check() -> None:
        raise UserError("the instance was terminated")

    with pytest.raises(UserError, match="was terminated"):
        wait_for_ssh(door, timeout_s=30, check=check)


def test_without_the_package_it_says_how_to_get_it(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(UserError, match="needs the package asyncssh") as caught:
        SshTransport(door=far.door, variables={}).run(["true"])
    assert "launchbay[aws]" in caught.value.hint


def test_a_proxy_takes_the_place_of_the_address(far: Far, tmp_path: Path) -> None:
    relay = "import socket, sys, threading, os\n"
    relay += "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
    relay += "def up():\n  while d := os.read(0, 65536): s.sendall(d)\n  s.shutdown(1)\n"
    relay += "threading.Thread(target=up, daemon=True).start()\nwhile d := s.recv(65536): os.write(1, d)\n"
    (tmp_path / "relay.py").write_text(relay)
    words = (sys.executable, str(tmp_path / "relay.py"), far.door.address, str(far.door.port))
    there = SshTransport(
        door=dataclasses.replace(far.door, address="192.0.2.1", proxy=words), variables={}, folder="/tmp"
    )
    assert there.run(["echo", "through"]).stdout == b"through\n"
    assert there.attach(["sh", "-c", "exit 6"]) == 6
    there.close()


POISON = "Host *\n  ProxyCommand false\n  Port 1\n  User nobody\n  IdentityFile /dev/null\n  BindAddress 192.0.2.1\n"


def test_nobodys_own_configuration_is_read_by_us(far: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".ssh").mkdir()
    for name in ("config", "known_hosts", "id_ed25519"):
        (tmp_path / ".ssh" / name).write_text(POISON)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    before = {path: path.stat() for path in (tmp_path / ".ssh").iterdir()}
    there = SshTransport(door=far.door, variables={}, folder="/tmp")
    assert there.run(["echo", "in"]).stdout == b"in\n"
    there.close()
    assert {path: path.stat() for path in (tmp_path / ".ssh").iterdir()} == before


def test_nobodys_own_configuration_is_read_by_openssh(far: Far, tmp_path: Path) -> None:
    """It finds the home in the user database: a poisoned one is put in its place where nobody else sees that."""
    poisoned = tmp_path / "home"
    (poisoned / ".ssh").mkdir(parents=True)
    for name in ("config", "known_hosts"):
        (poisoned / ".ssh" / name).write_text(POISON)
    config = tmp_path / "config"
    write_ssh_config(config, {"exp-1": far.door})
    own = pwd.getpwuid(os.getuid()).pw_dir
    inside = ["bwrap", "--dev-bind", "/", "/", "--bind", str(poisoned), own]
    for folder in (str(far.key.parent), str(tmp_path)):
        inside += ["--bind", folder, folder]
    done = subprocess.run([*inside, "ssh", "-F", config, "exp-1", "echo in"], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"in\n", b"")
    bare = subprocess.run([*inside, "ssh", far.door.address, "true"], capture_output=True, check=False)
    assert bare.returncode == 255  # the poison would work
    assert sorted(path.name for path in (poisoned / ".ssh").iterdir()) == ["config", "known_hosts"]
