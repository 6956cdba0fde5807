"""What a unit file of systemd says, as far as the twin models it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from typing import NamedTuple

__all__ = ["UNITS", "UNITS_UNTIL_STOP", "BadUnit", "Unit", "find_unit", "read_unit", "settings"]

UNITS = "/etc/systemd/system"
UNITS_UNTIL_STOP = "/run/systemd/system"
_TYPES = ("simple", "exec", "idle", "notify", "oneshot")
_NAME = re.compile(r"[A-Za-z0-9:_.@\\-]+")


class BadUnit(Exception):
    """The unit is not there, or says what the twin does not model. Its text is the whole message."""


class Unit(NamedTuple):
    """A simple service: what runs before it, what it runs, where, with what environment, and what the twin leaves out."""

    name: str
    kind: str
    before: list[list[str]]
    commands: list[list[str]]
    environment: dict[str, str]
    folder: str
    left_out: list[str]


def find_unit(name: str) -> Unit:
    """Read a service's file. Raises BadUnit."""
    if not name.endswith(".service"):
        if re.search(r"\.[a-z]+$", name):
            raise BadUnit(f"twin: {name} is not modelled, only services and timers are")
        name += ".service"
    return _unit(name, settings(read_unit(name), "[Service]"))


def read_unit(name: str) -> str:
    """Return the text of a unit's file, below /etc/systemd/system or /run/systemd/system. Raises BadUnit."""
    if not _NAME.fullmatch(name):
        raise BadUnit(f"twin: {name!r} is not the name of a unit")
    for folder in (UNITS, UNITS_UNTIL_STOP):
        with contextlib.suppress(OSError), open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    raise BadUnit(f"Unit {name} not found.")


def settings(text: str, wanted: str) -> dict[str, list[str]]:
    """Return what stands in a section, as "[Service]": a name may come several times, an empty value forgets those before."""
    found: dict[str, list[str]] = {}
    section = ""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in map(str.strip, joined.splitlines()):
        if line.startswith("["):
            section = line
        elif line and line[0] not in "#;" and section == wanted and "=" in line:
            key, _, value = line.partition("=")
            values = found.setdefault(key.strip(), [])
            if value.strip():
                values.append(value.strip())
            else:
                values.clear()
    return found


def _unit(name: str, said: dict[str, list[str]]) -> Unit:
    kind = (said.get("Type") or ["simple"])[-1]
    if kind not in _TYPES:
        raise BadUnit("twin: Type={} of {} is not modelled, only {} are".format(kind, name, ", ".join(_TYPES)))
    environment = _environment(said)
    try:
        before = [_command(line, environment) for line in said.get("ExecStartPre", [])]
        commands = [_command(line, environment) for line in said.get("ExecStart", [])]
    except ValueError as error:
        raise BadUnit(f"{name}: cannot read its command: {error}") from None
    if not commands or (len(commands) > 1 and kind != "oneshot"):
        raise BadUnit("{} has {} ExecStart=, one is needed".format(name, len(commands) or "no"))
    left_out = [f"User={value}" for value in said.get("User", [])[-1:] if value != "root"]
    left_out += [f"Restart={value}" for value in said.get("Restart", [])[-1:] if value != "no"]
    return Unit(
        name=name,
        kind=kind,
        before=before,
        commands=commands,
        environment=environment,
        folder=(said.get("WorkingDirectory") or ["/"])[-1].lstrip("-"),
        left_out=left_out,
    )


def _environment(said: dict[str, list[str]]) -> dict[str, str]:
    found = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}
    for name in ("AWS_EC2_METADATA_SERVICE_ENDPOINT",):
        if name in os.environ:
            found[name] = os.environ[name]
    lines = []
    for path in said.get("EnvironmentFile", []):
        try:
            with open(path.lstrip("-"), encoding="utf-8", errors="replace") as file:
                lines += [line for line in file.read().splitlines() if line.strip() and line.strip()[0] not in "#;"]
        except OSError:
            if not path.startswith("-"):
                raise BadUnit(f"cannot read EnvironmentFile={path}") from None
    for line in [*lines, *said.get("Environment", [])]:
        try:
            words = shlex.split(line)
        except ValueError:
            words = [line]
        for word in words:
            key, separator, value = word.partition("=")
            if separator:
                found[key] = value
    return found


def _command(line: str, environment: dict[str, str]) -> list[str]:
    """Split a command as systemd does: no shell, variables of the unit's own environment only."""
    words = shlex.split(line.lstrip("-@:+!"))
    if not words:
        raise ValueError("it is empty")

    def value(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        return environment.get(match.group(1) or match.group(2), "")

    found: list[str] = []
    for word in words:
        whole = re.fullmatch(r"\$(\w+)", word)
        if whole:
            found += environment.get(whole.group(1), "").split()
        else:
            found.append(re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", value, word).replace("%%", "%"))
    return found
