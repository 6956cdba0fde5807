"""Stands in for shutdown, poweroff, reboot and halt: asks the twin to stop or reboot this instance."""

from __future__ import annotations

import os
import re
import signal
import sys
import time

from .asking import ask, say

__all__ = ["main", "power"]

_PENDING = "/run/twin-shutdown"
_AT = re.compile(r"\+?(\d+)|(\d{1,2}):(\d{2})")


def power(what: str) -> int:
    """Ask for "stop" or "reboot" and return an exit code. The processes of this host are ended soon after."""
    try:
        ask("PUT", "power/" + what)
    except OSError as error:
        say(f"twin: cannot {what}: {error}")
        return 1
    return 0


def main(name: str, arguments: list[str]) -> int:
    """Do what the program called `name` would, to this host only."""
    letters = {letter for item in arguments if re.fullmatch(r"-[a-zA-Z]+", item) for letter in item[1:]}
    words = {item for item in arguments if item.startswith("--")}
    what = "reboot" if name == "reboot" else "stop"
    if name != "shutdown":
        return power(what)
    if "c" in letters:
        return _cancel()
    if "k" in letters:
        return 0  # only a warning to everybody
    if "r" in letters or "--reboot" in words:
        what = "reboot"
    times = [item for item in arguments if not item.startswith("-")]
    try:
        seconds = _seconds(times[0] if times else "+1")
    except ValueError:
        say(f"shutdown: Failed to parse time specification: {times[0]}")
        return 1
    return power(what) if seconds <= 0 else _later(what, seconds)


def _seconds(when: str) -> float:
    if when == "now":
        return 0.0
    match = _AT.fullmatch(when)
    if not match:
        raise ValueError(when)
    if match.group(1) is not None:
        return 60.0 * int(match.group(1))
    now = time.localtime()
    ahead = (int(match.group(2)) - now.tm_hour) * 3600 + (int(match.group(3)) - now.tm_min) * 60 - now.tm_sec
    return float(ahead % 86400)


def _later(what: str, seconds: float) -> int:
    """Wait in a process of its own, which also keeps the box alive until then."""
    _cancel()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        with open(_PENDING, "w", encoding="ascii") as file:
            file.write(str(pid))
        say(f"Shutdown scheduled in {seconds:.0f} s, use 'shutdown -c' to cancel.")
        return 0
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    time.sleep(seconds)
    os._exit(power(what))


def _cancel() -> int:
    try:
        with open(_PENDING, encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGTERM)
        os.unlink(_PENDING)
    except (OSError, ValueError):
        return 0
    return 0
