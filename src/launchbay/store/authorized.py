"""Lines of ours in an `authorized_keys` file of OpenSSH: one a person, told from others' by its comment.

Lines that are not ours are never touched, whatever is in them. The file is replaced in one step.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import Conflict, UserError
from launchbay.files import explain_os_error, write_atomic

__all__ = ["Entry", "remove_entries", "write_entries"]

_NOWHERE = "launchbay.invalid:1"
"""An address that nobody may listen on: `permitlisten` has no word for none, and left out it allows all of them."""

_COMMENT = "launchbay:"
_KEY = re.compile(rb"(?:^|\s)((?:ssh|ecdsa|sk)-[a-z0-9@.-]+)\s+([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a key may do: run one command, with these variables, and reach these ports of this machine."""

    identity: str
    person: str
    key: str
    ports: Sequence[int]
    variables: Mapping[str, str]
    command: Sequence[str]

    @property
    def comment(self) -> str:
        """How the line is found again: by the instance's id, and the person for whoever reads it."""
        return f"{_COMMENT}{self.identity}:{self.person}"

    def line(self) -> str:
        """Return the line. Raises UserError for a path that no such line can hold."""
        words = ["/usr/bin/env", *(f"{name}={value}" for name, value in self.variables.items()), *self.command]
        command = shlex.join(words)
        if "\n" in command or "\\" in command:
            raise UserError("the path of Launchbay holds a letter that authorized_keys cannot", where=command)
        permitted = [f'permitopen="127.0.0.1:{port}"' for port in self.ports]
        quoted = command.replace('"', '\\"')
        options = ["restrict", "pty", "port-forwarding", *permitted, f'permitlisten="{_NOWHERE}"']
        return f'{",".join(options)},command="{quoted}" {self.key} {self.comment}'


def write_entries(path: Path, entries: Sequence[Entry]) -> bool:
    """Let entries stand in the file, each once and in place of an older one; say whether it was changed.

    Raises Conflict when somebody else's line, or that of another instance, holds one of the keys: OpenSSH takes the
    first line with a key, so one of both would be without effect.
    """
    lines = _read(path)
    mine = {entry.identity for entry in entries}
    others = [line for line in lines if _identity(line) not in mine]
    for entry in entries:
        _check_others(path, lines, entry, mine)
    wanted = [*others, *(entry.line().encode() + b"\n" for entry in entries)]
    if others and not others[-1].endswith(b"\n"):
        wanted[len(others) - 1] += b"\n"
    return _write(path, lines, wanted)


def _check_others(path: Path, lines: Sequence[bytes], entry: Entry, mine: Collection[str]) -> None:
    kind, data = entry.key.split()
    for number, line in enumerate(lines, start=1):
        if _identity(line) in mine or line.lstrip().startswith(b"#"):
            continue
        if (kind.encode(), data.encode()) in _KEY.findall(line):
            owner = _identity(line)
            what = f"opens the instance {owner}" if owner else "is let in without any restriction of ours"
            raise Conflict(
                f"the key of {entry.person} stands in that file already and {what}; OpenSSH heeds the first line alone",
                where=f"{path}:{number}",
                hint="another key for that person, or remove that line"
                + (" with bay share FLEET --revoke PERSON" if owner else ""),
            )


def remove_entries(path: Path, identities: Collection[str]) -> bool:
    """Remove the lines of instances; say whether there were any. A file that is not there is fine."""
    lines = _read(path)
    return _write(path, lines, [line for line in lines if _identity(line) not in identities])


def _identity(line: bytes) -> str:
    """Return the instance that a line of ours is for; nothing for another's."""
    comment = line.split()[-1] if line.strip() else b""
    if not comment.startswith(_COMMENT.encode()):
        return ""
    return comment.decode(errors="replace").split(":")[1]


def _read(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise explain_os_error(error, "reading the list of authorized keys") from error


def _write(path: Path, before: Sequence[bytes], after: Sequence[bytes]) -> bool:
    if list(before) == list(after):
        return False
    try:
        real = path.resolve()  # a link leads to where somebody wants the file to be
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(real, b"".join(after), durable=True, private=True)
    except OSError as error:
        raise explain_os_error(error, "writing the list of authorized keys") from error
    return True
