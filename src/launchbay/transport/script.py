"""What an instance's shell is told so that it becomes our program, in our folder, with our variables.

The command that goes over SSH is always the same: it names how many bytes to read from stdin. Those are this script; what
follows them on stdin is the program's own. So variables, which may be secrets, never stand in an argument list, where
everybody on the instance could read them, nor in a file, which could be left behind; and nothing has begun as long as the
script was not sent whole, so that a connection lost before that can be opened again without doing anything twice.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launchbay.errors import NotFound, UsageError, UserError

__all__ = [
    "Mark",
    "boot_command",
    "check_mark",
    "find_mark",
    "terminal_command",
    "write_script",
    "write_terminal_script",
]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOGIN = f'HOME="$HOME" USER="$USER" LOGNAME="$LOGNAME" SHELL="$SHELL" PATH={_PATH}'
"""All that is kept of the login's variables: what else an image's profile sets would make instances differ."""

_MARK = re.compile(rb"\x01launchbay (\d+) (ok|folder|command|python|failed)\n")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the script says of itself before it becomes the program: its process, and whether it could."""

    pid: int
    word: str


def boot_command(size: int) -> str:
    """Return the command that reads a script of so many bytes from stdin, not one more, and becomes it."""
    return f"exec env -i {_LOGIN} /bin/sh -c 'eval \"$(dd bs=1 count={size} 2>/dev/null)\"'"


def terminal_command(path: str) -> str:
    """Return the command that becomes the script in a file of the instance, which it removes: stdin is the terminal's."""
    inner = f'eval "$(cat {shlex.quote(path)}; rm -f {shlex.quote(path)})"'
    return f'exec env -i {_LOGIN} TERM="${{TERM:-dumb}}" /bin/sh -c {shlex.quote(inner)}'


def write_script(
    argv: Sequence[str],
    *,
    folder: str,
    variables: Mapping[str, str],
    errors: str = "",
    instead: Sequence[str] = (),
    is_own_session: bool = False,
) -> bytes:
    """Write the script that becomes a program, or says why it cannot.

    Its stderr goes to the file `errors`, if there is one. With `is_own_session` it leads a session of its own, which no
    terminal ends. With `instead`, it becomes those words once it is certain that `argv` could be started. Raises UsageError
    for a name or a value that no environment can hold.
    """
    words = shlex.join(instead or argv)
    redirection = f" 2>>{shlex.quote(errors)}" if errors else ""
    lead = ""
    if is_own_session:
        # As a rule sshd made it the leader already. `setsid` may fork, and then only waits.
        lead = 'read -r _ _ _ _ _ _launchbay_sid _ </proc/$$/stat; [ "$_launchbay_sid" = $$ ] || set -- setsid -w\n'
    return _whole(
        f"""_launchbay_say() {{ printf '\\001launchbay %s %s\\n' "$$" "$1"; }}
shopt -s execfail 2>/dev/null
{_exports(variables)}{_enter(folder, "_launchbay_say folder")}
{_check(argv[0], variables)}
set --
{lead}_launchbay_say ok
trap '_launchbay_say failed' EXIT
exec "$@" {words}{redirection}
_launchbay_code=$?
exit "$_launchbay_code"
"""
    )


def write_terminal_script(argv: Sequence[str], *, folder: str, variables: Mapping[str, str]) -> bytes:
    """Write the script for a program on a terminal, whose code is 128 + N if signal N ended it.

    SSH's client would tell of any signal as 255, which is also its own code for a lost connection; so a shell stays.
    """
    return _whole(
        f"""{_exports(variables)}{_enter(folder, ":")}
trap : INT QUIT
{shlex.join(argv)}
exit $?
"""
    )


def find_mark(output: bytes) -> tuple[Mark, bytes] | None:
    """Find the mark in what a login said; return it with all behind it. Before it is what the shell's profile prints."""
    found = _MARK.search(output)
    if found is None:
        return None
    return Mark(pid=int(found[1]), word=found[2].decode()), output[found.end() :]


def check_mark(mark: Mark, argv: Sequence[str], folder: str, variables: Mapping[str, str]) -> None:
    """Raise NotFound if the program could not be started for what is missing, UserError for another reason."""
    name = argv[0]
    if mark.word == "folder":
        hint = f"bay exec INSTANCE -- mkdir -p {folder}; or terminate the instance, launch it again"
        raise NotFound("the instance's working folder is gone", where=folder, hint=hint)
    if mark.word == "command":
        hint = "`bay exec INSTANCE -- pip install ...` adds one"
        raise NotFound(f"the instance has no command {name!r}", hint=hint)
    if mark.word == "python":
        own = variables.get("VIRTUAL_ENV", "")
        hint = "terminate the instance, launch it again"
        raise NotFound("the instance's own python is gone", where=f"{own}/bin", hint=hint)
    if mark.word == "failed":
        what = f"{name} cannot be executed: it is no program of this machine, or its interpreter is missing"
        raise UserError(what, where=folder)


def _whole(text: str) -> bytes:
    """Wrap a script so that a part of it is a syntax error, of which the shell does nothing at all."""
    return f"{{\n{text}}}\n".encode("utf-8", "surrogateescape")


def _exports(variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise UsageError(f"no variable can be called {name!r}, or hold its value", where="variables")
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _enter(folder: str, otherwise: str) -> str:
    place = shlex.quote(folder) if folder else '"$HOME"'
    return f"cd -P -- {place} 2>/dev/null || {{ {otherwise}; exit 1; }}"


def _check(name: str, variables: Mapping[str, str]) -> str:
    """Look a program up; a Python must be the instance's own, or the machine's would answer with other packages."""
    own = variables.get("VIRTUAL_ENV", "")
    if own and re.fullmatch(r"python[0-9.]*", name):
        mine = shlex.quote(f"{own}/bin/{name}")
        return f'[ "$(command -v {name})" = {mine} ] || {{ _launchbay_say python; exit 1; }}'
    return f"command -v {shlex.quote(name)} >/dev/null 2>&1 || {{ _launchbay_say command; exit 1; }}"
