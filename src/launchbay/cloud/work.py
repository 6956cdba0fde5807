"""Work in instances on EC2: commands, shells and copies. Each is the same verb, run there."""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from launchbay.afar.machine import FarMachine, raise_there
from launchbay.afar.names import is_inside
from launchbay.afar.origin import as_here
from launchbay.cloud.standing import FarInstance, open_machine
from launchbay.errors import LaunchbayError, NotFound, UserError
from launchbay.lifecycle.bay import Bay
from launchbay.ports import Event
from launchbay.transport.ssh import SshTransport

__all__ = ["copy_far", "execute_far", "shell_far"]

_NOTED = """
read -r _ _ _ _ group _ </proc/$$/stat
umask 077
note=$1
shift
echo "$group" >"$note"
trap : INT QUIT
"$@"
code=$?
rm -f "$note"
exit "$code"
"""
"""Runs a command with a note of the process group that it is in, which is there as long as it runs."""

_END = """
group=$(cat "$1" 2>/dev/null) || exit 0
for signal in INT TERM KILL; do
  kill -s "$signal" -- "-$group" 2>/dev/null || break
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 0.2
    kill -s 0 -- "-$group" 2>/dev/null || break 2
  done
done
rm -f "$1"
"""
"""Ends what such a note tells of: as Ctrl-C would, and where that is not enough, more plainly."""


def execute_far(
    bay: Bay, far: FarInstance, command: Sequence[str], *, capture: bool = False, env: str | None = None
) -> tuple[int, bytes]:
    """Run a command in an instance on EC2, on the caller's terminal or capturing what it prints; as `execute` locally."""
    words = ["exec", far.name, *(["--env", env] if env else []), "--", *command]
    with open_machine(bay, far) as machine:
        if not capture:
            return _attach(machine, words), b""
        done = machine.transport.run(machine.command(words))
        told = _outcome(done.stdout)
        if told is None:
            raise_there(done.stderr, done.code)
            raise LaunchbayError(
                f"{far.name} did not say how the command ended", where=done.stderr[-200:].decode(errors="replace")
            )
        return told, done.stderr


def _outcome(stdout: bytes) -> int | None:
    """Return the code in the value of `bay --json exec`, None where there is no such value."""
    try:
        return int(json.loads(stdout)["exit_code"])
    except (ValueError, TypeError, KeyError):
        return None


def shell_far(bay: Bay, far: FarInstance, *, env: str | None = None) -> int:
    """Open a shell in an instance on EC2, in its working folder."""
    with open_machine(bay, far) as machine:
        return _attach(machine, ["shell", far.name, *(["--env", env] if env else [])])


def _attach(machine: FarMachine, words: Sequence[str]) -> int:
    """Run a verb there on the caller's terminal; what goes wrong there is said there, in the same words as here.

    Without a terminal Ctrl-C, or a lost connection, ends only this side of it, and the other is ended by hand.
    """
    assert machine.installed is not None
    command = [machine.installed.command, *words]
    if sys.stdin.isatty() and sys.stdout.isatty():
        return machine.transport.attach(command)
    note = f"{machine.home}/exec-{secrets.token_hex(8)}"
    code = machine.transport.attach(["/bin/sh", "-c", _NOTED, "sh", note, *command])
    if code in (130, 255):
        with contextlib.suppress(LaunchbayError):  # where it cannot be reached, nobody can end it
            machine.transport.run(["/bin/sh", "-c", _END, "sh", note])
    return code


def copy_far(bay: Bay, far: FarInstance, source: str, target: str, *, is_upload: bool) -> None:
    """Copy between here and an instance on EC2, whose side is a path in it; paths and rules are those of a local one.

    What is copied is put beside the instance first, and from there where it belongs: it takes its room twice meanwhile.
    """
    with open_machine(bay, far) as machine, _beside(machine) as stage:
        copying = _Copying(bay, machine, stage)
        if is_upload:
            copying.upload(source, target)
        else:
            copying.download(source, target)


@contextlib.contextmanager
def _beside(machine: FarMachine) -> Iterator[str]:
    """Lend a folder on the machine, and remove it afterwards."""
    stage = posixpath.join(machine.home, "tmp", f"copy-{secrets.token_hex(8)}")
    done = machine.transport.run(["mkdir", "-p", stage])
    if done.code != 0:
        raise UserError(f"nothing can be copied to {machine.called}: {done.stderr.decode(errors='replace').strip()}")
    try:
        yield stage
    finally:
        with contextlib.suppress(LaunchbayError):
            machine.transport.run(["rm", "-rf", stage])


@dataclass(frozen=True, slots=True)
class _Copying:
    bay: Bay
    machine: FarMachine
    stage: str

    def upload(self, source: str, target: str) -> None:
        """Copy from here."""
        if not os.path.exists(source):
            raise NotFound(f"there is no {source}")
        name = os.path.basename(source.rstrip("/"))
        is_content = name in ("", ".", "..")
        staged = f"{self.stage}/{'content' if is_content else name}"
        with as_here({f"{staged}/.": source, staged: source.rstrip("/"), self.stage: os.path.dirname(source)}):
            self.transport.put(source, staged, progress=self._tell("copy to"))
            self.machine.call(["cp", f"{staged}/." if is_content else staged, f"{self.machine.name}:{target}"])

    def download(self, source: str, target: str) -> None:
        """Copy to here; what it is called is for the instance to say, and may lead nowhere else."""
        self.machine.call(["cp", f"{self.machine.name}:{source}", self.stage])
        name = os.fsdecode(self.transport.run(["ls", "-A", self.stage]).stdout).removesuffix("\n")
        if not is_inside(name) or "/" in name:
            raise LaunchbayError(f"{self.machine.name} copied something else than {source}")
        staged = posixpath.join(self.stage, name)
        with as_here({staged: f"{self.machine.name}:{source}"}):
            self.transport.get(staged, target, progress=self._tell("copy from"))

    @property
    def transport(self) -> SshTransport:
        """The way to the machine, which can tell how far a copy is."""
        transport = self.machine.transport
        assert isinstance(transport, SshTransport)
        return transport

    def _tell(self, doing: str) -> Callable[[int, int], None]:
        task = f"{doing} {self.machine.name}"

        def tell(done: int, total: int) -> None:
            event = Event(task=task, done=done, total=total, unit="bytes", finished=done == total)
            self.bay.reporter.event(event)

        return tell
