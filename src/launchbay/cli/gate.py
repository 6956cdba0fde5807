"""What a person's SSH connection leads to: their own instance, and nothing else of ours.

OpenSSH starts this in place of whatever was asked for, as the line in `authorized_keys` says; that line names the
instance, the person and their key. The instance's record has the last word. What was asked for runs inside, handed over
as it is: nothing of it is read by a shell before.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import launchbay
from launchbay.cli.output import ReaderLeft, complain, write_bytes, write_text
from launchbay.errors import LaunchbayError, UserError
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import INSTANCE_MARK
from launchbay.spec.people import parse_key
from launchbay.store.person import PERSON_MARK, read_owner, revocations

__all__ = ["enter", "main"]

_SFTP = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server")
_HIDDEN = ("LAUNCHBAY_HOME", "SSH_ORIGINAL_COMMAND", "SSH_AUTH_SOCK")
"""What nobody inside needs: where all of ours lies, what was asked for, another's keys."""


def main() -> int:
    """Let somebody in, or say in one line why not."""
    try:
        return enter(os.environ, sys.argv[1:])
    except LaunchbayError as error:
        complain(f"bay: {error.what}")
        return error.exit_code
    except (KeyboardInterrupt, ReaderLeft):
        return 130


def enter(environ: Mapping[str, str], arguments: list[str]) -> int:
    """Open what was asked for in the instance that `environ` names; return the exit code. Raises UserError for nobody."""
    bay = open_bay(environ=environ)
    instance = _admit(bay, environ, arguments)
    inside = replace(bay, environ={key: value for key, value in environ.items() if key not in _HIDDEN})
    asked = environ.get("SSH_ORIGINAL_COMMAND", "")
    if asked.strip() in ("notebook", "board"):
        return _serve(inside, asked.strip(), instance)
    if words := _training(asked):
        return _train(inside, instance, words)
    if not asked.strip():
        if sys.stdin.isatty():
            complain(
                f"You are in {instance.name}, on the image {instance.image}. What it keeps apart, it does not lock."
            )
        return launchbay.shell(inside, instance.id)
    shell = environ.get("SHELL") or "/bin/sh"
    return launchbay.execute(inside, instance.id, [shell, "-c", _known_command(asked)])[0]


def _training(asked: str) -> list[str]:
    """Return the words after ``train`` where a script was named for it; none where it is a command like any other."""
    try:
        words = shlex.split(asked)
    except ValueError:
        return []
    return words[1:] if words[:1] == ["train"] and words[1:2] and words[1].endswith(".py") else []


def _train(bay: Bay, instance: Instance, words: list[str]) -> int:
    """Run a script of their working folder as a run, which the board shows; what stands after it is the script's own."""
    script = instance.root / "work" / words[0]
    run = launchbay.train(bay, instance.id, script, args=words[1:], write=lambda chunk: write_bytes(sys.stdout, chunk))
    complain(f"{run.id}: {run.state}")
    return 0 if run.state == "done" else run.exit_code or 1


def _admit(bay: Bay, environ: Mapping[str, str], arguments: list[str]) -> Instance:
    """Return the instance, if it is this person's. Raises UserError with what to tell them."""
    identity, key = environ.get(INSTANCE_MARK, ""), "".join(arguments[:1])
    person = environ.get(PERSON_MARK, "").removesuffix(f"@{identity}")
    instance = next((item for item in bay.provider.observe() if item.id == identity), None)
    if instance is None:
        raise UserError("the instance that this key was for is gone; ask whoever runs this machine")
    owner = read_owner(instance.root)
    is_theirs = owner is not None and owner.name == person and _fingerprint(owner.key) == key
    if owner is None or not is_theirs or owner.key in revocations(bay.home, instance.fleet):
        raise UserError("this key opens nothing here any more; ask whoever runs this machine")
    if instance.state != "running":
        raise UserError(
            f"{instance.name} is {instance.state}; ask whoever runs this machine: bay start {instance.name}"
        )
    return instance


def _fingerprint(key: str) -> str:
    return parse_key(key).fingerprint


def _known_command(asked: str) -> str:
    """Return what was asked for; the server's own name for serving files means a program that can run inside."""
    words = asked.split()
    program = next((path for path in _SFTP if Path(path).exists()), None)
    return " ".join([program, *words[1:]]) if words[0] == "internal-sftp" and program else asked


def _serve(bay: Bay, kind: str, instance: Instance) -> int:
    """Start the person's notebook or board, say where it is, and stay as long as the connection, whose tunnel is used."""
    complain(f"starting the {kind} of {instance.name} ...")
    service = launchbay.notebook(bay, instance.id) if kind == "notebook" else launchbay.board(bay, [instance.id])
    write_text(
        f"The {kind} of {instance.name}: {service.url}\n"
        "  It answers in your own browser while this command runs, if it was started with the -L of your sheet,\n"
        "  which holds the password (token). Ctrl-C ends the tunnel; what runs there goes on.\n"
    )
    with contextlib.suppress(KeyboardInterrupt):
        _await_end(sys.stdout.fileno())
    return 0


def _await_end(descriptor: int) -> None:
    """Wait until nobody is at the other end: the server closes it with the connection, and says nothing else."""
    poll = select.poll()
    poll.register(descriptor, 0)
    poll.poll()


if __name__ == "__main__":
    sys.exit(main())
