"""Why a script failed, when its last words tell, and what to do next. Pure."""

from __future__ import annotations

import re

from launchbay.runs.advice import ADVICE
from launchbay.runs.imports import find_distribution

__all__ = ["explain_failure"]

_HINTS = (
    (r"FileNotFoundError: .*'(\./)?data/?[^']*'", "the script looks for data/: give its folder with --data DIR"),
    (
        r"MemoryError|std::bad_alloc|Cannot allocate memory",
        "the machine ran out of memory: a smaller batch, or a larger machine",
    ),
    (r"No space left on device", "the disk is full: `bay images` and `bay runs` show what takes the room"),
)


def explain_failure(tail: str, *, signal: str | None, state: str, instance: str) -> str:
    """Return a hint from the script's last words, empty when there is nothing to say."""
    if state == "lost":
        return "its supervisor is gone without a result: the machine was switched off, or somebody killed it"
    if state == "stopped":
        return ""
    if signal == "SIGKILL":
        return "something killed the script with SIGKILL; most often that is the system, out of memory"
    if signal in ("SIGSEGV", "SIGABRT", "SIGILL"):
        what = f"the script's Python crashed ({signal})"
        if tail.strip():
            return f"{what}; its last lines may tell which library"
        return f"{what} and wrote nothing; with `import faulthandler; faulthandler.enable()` at its top it says where"
    for advice in ADVICE.values():
        if advice.last_words and (match := re.search(advice.last_words, tail)):
            name = match.groupdict().get("name")
            return f"the script needs {name}, which this image does not have: {advice.hint}" if name else advice.hint
    for pattern, hint in _HINTS:
        if re.search(pattern, tail):
            return hint
    if match := re.search(r"ModuleNotFoundError: No module named '(\w+)((?:\.\w+)*)'", tail):
        return _explain_module(*match.groups(), instance=instance)
    return ""


def _explain_module(name: str, part: str, *, instance: str) -> str:
    if part:  # Python names the first part that is missing, so the others are there
        return f"{name} is here without {name}{part}: it is another version, or a file {name}.py stands before it"
    if package := find_distribution(name):
        return f"install it in the instance: bay exec {instance} -- pip install {package}"
    return (
        f"there is no module {name} here: if it is a file of yours, put it beside the script; if it is a package, "
        "find out first under which name it is installed"
    )
