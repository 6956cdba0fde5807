"""Stands in for systemctl: simple services and timers from unit files, the SSH server, and the power switch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from .asking import ask, say
from .power import power
from .timers import VERBS as TIMER_VERBS
from .timers import WANTS as TIMERS_WANTED
from .timers import effect, list_timers
from .units import UNITS, BadUnit, Unit, find_unit

__all__ = ["main", "start_enabled"]

_STATE = "/run/twin-services"
_LOGS = "/var/log/twin"
_WANTS = os.path.join(UNITS, "multi-user.target.wants")
_SSH = ("ssh", "sshd", "ssh.service", "sshd.service")
_STOP_SECONDS = 10.0
_WITH_VALUE = ("-n", "-o", "-p", "-t", "--lines", "--output", "--property", "--state", "--type")


def main(name: str, arguments: list[str]) -> int:
    """Do what systemctl would to this host, or say that the twin does not model it."""
    del name
    options = [item for item in arguments if item.startswith("-")]
    words: list[str] = []
    for number, item in enumerate(arguments):
        if not item.startswith("-") and (number == 0 or arguments[number - 1] not in _WITH_VALUE):
            words.append(item)
    verb, names = (words[0], words[1:]) if words else ("", [])
    if verb in ("poweroff", "halt", "reboot"):
        return power("reboot" if verb == "reboot" else "stop")
    if verb in ("daemon-reload", "daemon-reexec", "reset-failed"):
        return 0
    if verb == "is-system-running":
        return _answer("running", 0)
    if verb == "start-enabled":  # the twin's own, when the host starts
        return start_enabled()
    if verb == "list-timers":
        return list_timers()
    if verb not in _VERBS or not names:
        say(" ".join(["twin: systemctl", *arguments, "is not modelled"]))
        return 1
    return max(_one(verb, unit, options) for unit in names)


def start_enabled() -> int:
    """Start what is enabled, as a system does that comes up; return an exit code."""
    enabled = [
        unit for folder in (_WANTS, TIMERS_WANTED) if os.path.isdir(folder) for unit in sorted(os.listdir(folder))
    ]
    return max([_one("start", unit, []) for unit in enabled], default=0)


def _one(verb: str, name: str, options: list[str]) -> int:
    try:
        if name in _SSH:
            return _ssh(verb)
        if verb == "start" and name.endswith(".target"):
            return _switch(name)
        code = _do(verb, name)
        if "--now" in options and verb in ("enable", "disable") and code == 0:
            code = _do("start" if verb == "enable" else "stop", name)
    except (BadUnit, OSError) as error:
        say(str(error))
        return 4 if verb in ("status", "is-active") else 5
    return code


def _do(verb: str, name: str) -> int:
    return TIMER_VERBS[verb](name) if name.endswith(".timer") else _VERBS[verb](find_unit(name))


def _switch(target: str) -> int:
    what = effect(target)
    if what.startswith("start:"):
        raise BadUnit(f"twin: {target} is not modelled")
    return power(what)


def _ssh(verb: str) -> int:
    if verb in ("restart", "reload", "try-restart"):
        ask("PUT", "ssh/restart")  # a new host key in /etc/ssh counts from now on
        return 0
    if verb in ("stop", "disable"):
        raise BadUnit("twin: the SSH server runs outside of this host and cannot be stopped from here")
    return _answer("active" if verb == "is-active" else verb, 0) if verb.startswith("is-") else 0


def _start(unit: Unit) -> int:
    if _is_running(unit.name):
        return 0
    for item in unit.left_out:
        say(f"twin: {item} of {unit.name} is not modelled")
    os.makedirs(_STATE, exist_ok=True)
    os.makedirs(_LOGS, exist_ok=True)
    sys.stdout.flush()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _supervise(unit, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        problem = file.read().decode("utf-8", "replace")
    if problem:
        say(f"Job for {unit.name} failed: {problem}")
        return 1
    return 0


def _supervise(unit: Unit, tell: int) -> None:
    """Run the commands in a process of its own, and write down how the last one ended; never returns."""
    code = 1
    try:
        os.setsid()
        log = os.open(os.path.join(_LOGS, unit.name + ".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, end in enumerate((null, log, log)):
            os.dup2(end, number)
        os.set_inheritable(tell, False)  # noqa: FBT003
        for command in [*unit.before, *unit.commands]:
            is_last = unit.kind != "oneshot" and command is unit.commands[-1]
            code = _run(unit, command, tell if is_last else -1)
            if code != 0:
                break
        if code != 0 and unit.kind == "oneshot":
            os.write(tell, f"it ended with {code}".encode())
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(tell, f"{error.filename or unit.name}: {error.strerror}".encode())
    finally:
        _note(unit.name, {"exit": code})
        os._exit(0)


def _run(unit: Unit, command: list[str], tell: int) -> int:
    child = subprocess.Popen(command, env=unit.environment, cwd=unit.folder, start_new_session=True)
    _note(unit.name, {"pid": child.pid, "supervisor": os.getpid()})
    if tell >= 0:
        os.close(tell)  # it has started, which is all that is waited for
    return child.wait()


def _stop(unit: Unit) -> int:
    pid = _noted(unit.name).get("pid")
    if pid is None:
        return 0
    deadline = time.monotonic() + _STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    while _noted(unit.name).get("pid") == pid and time.monotonic() < deadline:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    while _is_running(unit.name):
        time.sleep(0.02)
    _note(unit.name, {"exit": 0})
    return 0


def _restart(unit: Unit) -> int:
    return _stop(unit) or _start(unit)


def _enable(unit: Unit) -> int:
    os.makedirs(_WANTS, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(os.path.join("..", unit.name), os.path.join(_WANTS, unit.name))
    return 0


def _disable(unit: Unit) -> int:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(_WANTS, unit.name))
    return 0


def _is_active(unit: Unit) -> int:
    state = _state(unit.name)
    return _answer(state, 0 if state == "active" else 3)


def _is_enabled(unit: Unit) -> int:
    is_enabled = os.path.lexists(os.path.join(_WANTS, unit.name))
    return _answer("enabled" if is_enabled else "disabled", 0 if is_enabled else 1)


def _status(unit: Unit) -> int:
    state = _state(unit.name)
    lines = [unit.name, f"     Active: {state}"]
    if state == "active":
        lines.append("   Main PID: {}".format(_noted(unit.name).get("pid")))
    lines.append("       Logs: {}".format(os.path.join(_LOGS, unit.name + ".log")))
    return _answer("\n".join(lines), 0 if state == "active" else 3)


def _state(name: str) -> str:
    if _is_running(name):
        return "active"
    return "failed" if _noted(name).get("exit", 0) != 0 else "inactive"


def _is_running(name: str) -> bool:
    pid = _noted(name).get("supervisor")
    return pid is not None and os.path.exists(f"/proc/{pid}")


def _note(name: str, what: dict[str, Any]) -> None:
    path = os.path.join(_STATE, name)
    with open(path + ".draft", "w", encoding="ascii") as file:
        json.dump(what, file)
    os.replace(path + ".draft", path)


def _noted(name: str) -> dict[str, Any]:
    try:
        with open(os.path.join(_STATE, name), encoding="ascii") as file:
            found: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return {}
    return found


def _answer(text: str, code: int) -> int:
    sys.stdout.write(text + "\n")
    return code


_VERBS: dict[str, Callable[[Unit], int]] = {
    "disable": _disable,
    "enable": _enable,
    "is-active": _is_active,
    "is-enabled": _is_enabled,
    "restart": _restart,
    "start": _start,
    "status": _status,
    "stop": _stop,
}
