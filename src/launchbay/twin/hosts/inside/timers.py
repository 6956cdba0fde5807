"""Timers of systemd that come once. The twin waits for them, by its own clock: nothing has to run in the host until then."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import NamedTuple

from .asking import ask
from .clock import twin_time
from .power import later
from .times import moment, span
from .units import UNITS, BadUnit, find_unit, read_unit, settings

__all__ = ["VERBS", "WANTS", "Timer", "effect", "find_timer", "list_timers"]

WANTS = os.path.join(UNITS, "timers.target.wants")
_STAMPS = "/var/lib/systemd/timers"
_SWITCHES = {"poweroff.target": "stop", "halt.target": "stop", "reboot.target": "reboot"}
_PROGRAMS = {"poweroff": "stop", "halt": "stop", "reboot": "reboot"}


class Timer(NamedTuple):
    """A timer: what it starts, at which moments, in how many seconds, and whether it makes good what was missed."""

    name: str
    unit: str
    moments: list[float]
    spans: list[float]
    is_persistent: bool


def find_timer(name: str) -> Timer:
    """Read a timer's file. Raises BadUnit."""
    said = settings(read_unit(name), "[Timer]")
    try:
        moments = [moment(text) for text in said.get("OnCalendar", [])]
        spans = [span(text) for key in ("OnActiveSec", "OnBootSec", "OnStartupSec") for text in said.get(key, [])]
    except ValueError as error:
        raise BadUnit(f"twin: a time of {name} is not modelled, only what comes once is: {error}") from None
    if not moments and not spans:
        raise BadUnit(f"twin: {name} says no time that is modelled")
    unit = (said.get("Unit") or [name[: -len(".timer")] + ".service"])[-1]
    is_persistent = (said.get("Persistent") or ["no"])[-1].lower() in ("1", "yes", "true", "on")
    return Timer(name=name, unit=unit, moments=moments, spans=spans, is_persistent=is_persistent)


def effect(unit: str) -> str:
    """Return what starting a unit comes to: stop or reboot for one that only presses the power switch, else to start it."""
    if unit in _SWITCHES:
        return _SWITCHES[unit]
    service = find_unit(unit)
    lines = [*service.before, *service.commands]
    words = lines[0] if len(lines) == 1 else [""]
    program, rest = os.path.basename(words[0]), words[1:]
    if program == "systemctl":
        verbs = [word for word in rest if not word.startswith("-")]
        return _PROGRAMS.get(verbs[0], "start:" + unit) if len(verbs) == 1 else "start:" + unit
    if program == "shutdown" and {"now", "+0"} & set(rest):
        return "reboot" if {"-r", "--reboot"} & set(rest) else "stop"
    return _PROGRAMS.get(program, "start:" + unit)


def _start(name: str) -> int:
    timer = find_timer(name)
    what, now = effect(timer.unit), twin_time()
    last = _stamp(timer, now)
    coming = [at for at in timer.moments if at > now] + [now + seconds for seconds in timer.spans]
    if timer.is_persistent and any(last < at <= now for at in timer.moments):
        coming.append(now)
    if not coming:
        return 0  # it has elapsed, and stays so
    return later(name, min(coming), what)


def _stamp(timer: Timer, now: float) -> float:
    """Return when a persistent timer was last at work, and note that it is now."""
    if not timer.is_persistent:
        return now
    path = os.path.join(_STAMPS, "stamp-" + timer.name)
    try:
        with open(path, encoding="ascii") as file:
            last = float(file.read())
    except (OSError, ValueError):
        last = now
    os.makedirs(_STAMPS, exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(str(now))
    return last


def _stop(name: str) -> int:
    ask("DELETE", "timers/" + name)
    return 0


def _enable(name: str) -> int:
    read_unit(name)
    os.makedirs(WANTS, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(os.path.join("..", name), os.path.join(WANTS, name))
    return 0


def _disable(name: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(WANTS, name))
    return 0


def _is_enabled(name: str) -> int:
    is_enabled = os.path.lexists(os.path.join(WANTS, name))
    sys.stdout.write("enabled\n" if is_enabled else "disabled\n")
    return 0 if is_enabled else 1


def _is_active(name: str) -> int:
    is_active = name in _waiting()
    sys.stdout.write("active\n" if is_active else "inactive\n")
    return 0 if is_active else 3


def _waiting() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(ask("GET", "timers"))
    return found


def list_timers() -> int:
    """Print what the twin waits for in this host's name: when, and what happens then."""
    for name, (at, what) in sorted(_waiting().items(), key=lambda item: float(item[1][0])):
        sys.stdout.write(f"@{float(at):.0f} {name} {what}\n")
    return 0


VERBS = {
    "disable": _disable,
    "enable": _enable,
    "is-active": _is_active,
    "is-enabled": _is_enabled,
    "restart": _start,
    "start": _start,
    "status": _is_active,
    "stop": _stop,
}
"""What can be done with a timer by its name: verb -> what does it and returns an exit code."""
