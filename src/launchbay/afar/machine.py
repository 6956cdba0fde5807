"""A machine elsewhere, with a home of its own: Launchbay is put there, and its verbs are run there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launchbay import errors
from launchbay.afar import receive
from launchbay.afar.bundle import Bundle
from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError, UserError, WillFail
from launchbay.transport.base import Completed, Transport

__all__ = ["FarMachine", "Installed", "raise_there"]

_FIND_PYTHON = r"""
for name in "$1" python3.13 python3.12 python3.11 python3; do
  [ -n "$name" ] && path=$(command -v "$name") || continue
  "$path" -I -c 'import sys; sys.exit(sys.version_info < (3, 11) or print(sys.executable))' 2>/dev/null && exit 0
done
PATH="$PATH:$HOME/.local/bin"
uv python find --system --no-project '>=3.11' 2>/dev/null
"""
"""Says which Python of the machine, from 3.11 on, runs us: one that is given, else the newest that we are tested with."""

_INSTALL_S = 600.0
_ASK_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Launchbay as it stands on a machine. `new` says whether it was put there now; `removed` names older ones."""

    program: str
    command: str
    python: str
    python_version: str
    platform: str
    uv: str
    new: bool
    removed: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FarMachine:
    """A machine that `transport` leads to. `home` is its Launchbay home, an absolute path there; `name` is for people.

    `python` and `uv` are paths there, where it is known which to take.
    """

    transport: Transport
    home: str
    name: str = ""
    python: str = ""
    uv: str = ""
    installed: Installed | None = None

    def install(self, bundle: Bundle) -> FarMachine:
        """Make sure that Launchbay is there; return the machine with it. Once it is, this takes two questions.

        It appears whole or not at all; older ones stay as long as something runs from them. Raises NotFound for a
        machine without Python 3.11 or newer, UserError where it cannot be put (no uv, a full disk).
        """
        if not self.home.startswith("/"):
            raise UsageError(f"the home of a machine must be an absolute path there, got {self.home!r}")
        python = self._find_python()
        request = {"home": self.home, "sha256": bundle.sha256, "uv": self.uv}
        found = self._take(python, request, b"")
        if found.pop("wanted"):
            found = self._take(python, request, bundle.path.read_bytes())
            found.pop("wanted")
        return replace(self, installed=Installed(**found))

    def _find_python(self) -> str:
        done = self.transport.run(["sh", "-c", _FIND_PYTHON, "sh", self.python], timeout=_ASK_S)
        python = done.stdout.decode(errors="replace").strip()
        if done.code != 0 or not python:
            what = f"{self.called} has no Python 3.11 or newer"
            raise NotFound(what, hint="install python3.11 (or uv, with a Python of its own) there or in its image")
        return python.splitlines()[-1]

    def _take(self, python: str, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        source = Path(receive.__file__).read_text(encoding="utf-8")
        done = self.transport.run(
            [python, "-I", "-c", source], data=json.dumps(request).encode() + b"\n" + data, timeout=_INSTALL_S
        )
        answer = _last_json(done.stdout)
        if not isinstance(answer, dict):
            raise _no_answer("putting Launchbay there", done)
        if not answer.get("ok"):
            error = answer.get("error") or {}
            raise UserError(error.get("what", "refused"), where=self.called, hint=error.get("hint", ""))
        result: dict[str, Any] = answer["result"]
        return result

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return self.name or "the machine"

    def _ready(self) -> Installed:
        if self.installed is None:
            raise Conflict(f"Launchbay is not on {self.called} yet", hint="install it first")
        return self.installed

    def command(self, words: Sequence[str], *, json_out: bool = True) -> Sequence[str]:
        """Return what runs a verb there; nobody is there to be asked, so consent is given here."""
        options = ["--json", "-y"] if json_out else ["-y"]
        return ["env", "LAUNCHBAY_ERRORS=json", self._ready().command, *options, *words]

    def call(self, words: Sequence[str], *, data: bytes = b"", timeout: float | None = None) -> Any:
        """Run a verb there and return its JSON value; what goes wrong there is raised here, as the same class.

        A verb that gives a value gives it also where its outcome is not what one hopes for (not identical, a script that
        failed): the value says so.
        """
        done = self.transport.run(self.command(words), data=data, timeout=timeout)
        return _value(words, done)

    def stream(
        self, words: Sequence[str], *, out: Callable[[bytes], None], err: Callable[[bytes], None] = lambda _: None
    ) -> int:
        """Run a verb there that prints as it goes, and pass that on; return its code. Errors are raised as by `call`."""
        tail = bytearray()

        def keep(chunk: bytes) -> None:
            tail.extend(chunk)
            del tail[: -(1 << 16)]
            err(chunk)

        code = self.transport.stream(self.command(words, json_out=False), out=out, err=keep)
        if code != 0:
            raise_there(bytes(tail), code)
        return code

    def there(self, request: dict[str, Any], *, data: bytes = b"", timeout: float | None = None) -> bytes:
        """Ask the program there that moves files; return its answer as it is. Raises what it raised."""
        installed = self._ready()
        command = ["env", f"LAUNCHBAY_HOME={self.home}", installed.python, "-I", f"{installed.program}/there.py"]
        done = self.transport.run(command, data=json.dumps(request).encode() + b"\n" + data, timeout=timeout)
        if done.code != 0:
            raise_there(done.stderr, done.code)
            raise _no_answer(str(request.get("do")), done)
        return done.stdout


def _value(words: Sequence[str], done: Completed) -> Any:
    if done.code != 0:
        raise_there(done.stderr, done.code)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise _no_answer(f"bay {' '.join(words[:2])}", done) from None


def raise_there(words: bytes, code: int) -> None:
    """Raise the error that a Launchbay elsewhere has written to its stderr; nothing where it has written none."""
    value = _last_json(words)
    fields = value.get("error") if isinstance(value, dict) else None
    if isinstance(fields, dict):
        text = {name: str(fields.get(name) or "") for name in ("what", "where", "hint")}
        kind = fields.get("class")
        if kind == "WillFail":
            raise WillFail(**text, problems=tuple(fields.get("problems") or ()))
        known = getattr(errors, str(kind)) if kind in errors.__all__ else LaunchbayError
        raise known(**text)
    lines = words.decode(errors="replace").strip().splitlines()
    if code == UsageError.exit_code:  # its parser's
        what = re.sub(r"^bay[a-z ]*: error: ", "", lines[-1]) if lines else "wrong usage"
        raise UsageError(what, hint="is Launchbay there another version than here?")


def _last_json(output: bytes) -> Any:
    for line in reversed(output.splitlines()[-3:]):
        if line.startswith(b"{"):
            try:
                return json.loads(line)
            except ValueError:
                return None
    return None


def _no_answer(what: str, done: Completed) -> LaunchbayError:
    tail = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
    how = f"killed by signal {-done.code}" if done.code < 0 else f"ended with code {done.code}"
    return LaunchbayError(f"{what} gave no answer ({how}): {' / '.join(tail)}")
