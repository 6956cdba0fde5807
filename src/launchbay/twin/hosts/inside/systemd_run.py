"""Stands in for systemd-run: a service that nobody wrote down, now or at a time that comes once."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Sequence

from . import systemctl
from .asking import say
from .units import UNITS_UNTIL_STOP

__all__ = ["main"]

_FLAGS = (
    "--collect",
    "-G",
    "--no-block",
    "--quiet",
    "-q",
    "--system",
    "--remain-after-exit",
    "-r",
    "--no-ask-password",
)
_WITH_VALUE = (
    "--unit",
    "--on-active",
    "--on-calendar",
    "--description",
    "--setenv",
    "--working-directory",
    "--timer-property",
)
_SHORT = {"-u": "--unit", "-E": "--setenv", "-d": "--description"}
_NAME = re.compile(r"[A-Za-z0-9:_.@-]{1,100}")


def main(name: str, arguments: list[str]) -> int:
    """Do what systemd-run would for a service of its own; say what is not modelled."""
    del name
    said: dict[str, list[str]] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        item, separator, value = rest.pop(0).partition("=")
        if item == "--":
            break
        item = _SHORT.get(item, item)
        if item in _WITH_VALUE:
            said.setdefault(item, []).append(value if separator or not rest else rest.pop(0))
        elif item not in _FLAGS:
            say(f"twin: systemd-run {item} is not modelled")
            return 1
    unit = said.get("--unit", [f"run-u{time.time_ns() % 10**9}"])[-1]
    unit = unit.removesuffix(".service")
    if not rest or not _NAME.fullmatch(unit):
        say("systemd-run: there is no command to run, or the unit's name is none")
        return 1
    times = [f"OnActiveSec={value}" for value in said.get("--on-active", [])]
    times += [f"OnCalendar={value}" for value in said.get("--on-calendar", [])]
    _write(unit + ".service", ["[Service]", *_service(said, rest)])
    if times:
        _write(unit + ".timer", ["[Timer]", *times])
    kind = "timer" if times else "service"
    code = systemctl.main("systemctl", ["start", f"{unit}.{kind}"])
    if code == 0:
        sys.stderr.write(f"Running {kind} as unit: {unit}.{kind}\n" if times else f"Running as unit: {unit}.{kind}\n")
    return code


def _service(said: dict[str, list[str]], command: Sequence[str]) -> list[str]:
    quoted = " ".join(shlex.quote(word.replace("$", "$$").replace("%", "%%")) for word in command)
    lines = [f"Environment={shlex.quote(item)}" for item in said.get("--setenv", [])]
    lines += [f"WorkingDirectory={folder}" for folder in said.get("--working-directory", [])[-1:]]
    return [*lines, f"ExecStart={quoted}"]


def _write(name: str, lines: Sequence[str]) -> None:
    with open(os.path.join(UNITS_UNTIL_STOP, name), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
