"""Stands in for shutdown, poweroff, reboot and halt: asks the twin to stop or reboot this instance, now or later."""

from __future__ import annotations

import math
import re
import time

from .asking import ask, say
from .clock import twin_time
from .times import of_day

__all__ = ["later", "main", "power"]

_NAME = "shutdown"
"""What the twin knows a planned shutdown by: there is one at most, as there."""

_AT = re.compile(r"\+?(\d+)|(\d{1,2}):(\d{2})")


def power(what: str) -> int:
    """Ask for "stop" or "reboot" and return an exit code. The processes of this host are ended soon after."""
    try:
        ask("PUT", "power/" + what)
    except OSError as error:
        say(f"twin: cannot {what}: {error}")
        return 1
    return 0


def later(name: str, at: float, what: str) -> int:
    """Ask the twin for something at a time of its clock, known by a name; what was planned by that name before is not then."""
    try:
        # rounded down: who lets just that time pass on a virtual clock sees it happen
        ask("PUT", f"timers/{name}/{math.floor(at * 1000) / 1000:.3f}/{what}")
    except OSError as error:
        say(f"twin: cannot plan {name}: {error}")
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
    when = times[0] if times else "+1"
    if when in ("now", "+0", "0"):
        return power(what)
    match = _AT.fullmatch(when)
    if not match:
        say(f"shutdown: Failed to parse time specification: {when}")
        return 1
    now = twin_time()
    at = now + 60.0 * int(match.group(1)) if match.group(1) else of_day(int(match.group(2)), int(match.group(3)), now)
    code = later(_NAME, at, what)
    if code == 0:
        shown = time.strftime("%a %Y-%m-%d %H:%M:%S %Z", time.localtime(at))
        say(f"Shutdown scheduled for {shown}, use 'shutdown -c' to cancel.")
    return code


def _cancel() -> int:
    try:
        ask("DELETE", "timers/" + _NAME)
    except OSError as error:
        say(f"twin: {error}")
        return 1
    return 0
