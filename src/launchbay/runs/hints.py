"""Why a script failed, when its last words tell, and what to do next. Pure."""

from __future__ import annotations

import re

__all__ = ["explain_failure"]

_TENSORFLOW = (
    "the script needs {name}, which this image does not have: Keras' TensorBoard callback works only with TensorFlow."
    " Use a tensorflow image, or write scalars as the train.py of `bay init` does"
)
_HINTS = (
    (r"No module named '(?P<name>tensorboard|tensorflow)'", _TENSORFLOW),
    (
        r"ModuleNotFoundError: No module named '(?P<name>\w+)[\w.]*'",
        "install it in the instance: bay exec {instance} -- pip install {name}",
    ),
    (
        r"Invalid filepath extension for saving|File format not supported",
        'Keras 3 saves to a file that ends in .keras: model.save("model.keras")',
    ),
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
        return f"the script's Python crashed ({signal}); its last lines may tell which library"
    for pattern, hint in _HINTS:
        if match := re.search(pattern, tail):
            return hint.format(instance=instance, **match.groupdict())
    return ""
