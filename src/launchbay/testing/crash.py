"""Kill a command at any step, to see whether the next one ends in the wished state.

    python -m launchbay.testing.crash COUNT        bay arguments...   # prints how many crossings there are
    python -m launchbay.testing.crash 7            bay arguments...   # SIGKILLs itself at the 7th

A crossing is the instant before or after anything lasting happens: an entry in the journal, a folder made, a file or
folder renamed into or out of its place, a folder removed, a process ended.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["crash_points", "main"]


@contextmanager
def crash_points(crossed: Callable[[str], None]) -> Iterator[None]:
    """Call `crossed` with a name before and after every lasting step while the body runs."""
    from launchbay import files
    from launchbay.providers import layer, local, processes
    from launchbay.store import journal

    # os.rename and os.replace are what Path.rename and write_atomic come down to; os.makedirs tells the parts of a draft
    seams: list[tuple[Any, str]] = [
        (journal, "_connect"),
        (journal, "set_aside"),
        (journal.Journal, "write"),
        (layer.PthLayer, "create"),
        (processes, "end_processes"),
        (local, "remove_tree"),
        (files, "remove_tree"),
        (os, "makedirs"),
        (os, "rename"),
        (os, "replace"),
    ]
    kept = [(owner, name, getattr(owner, name)) for owner, name in seams]

    def wrap(label: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            crossed(f"before {label}")
            result = real(*args, **named)
            crossed(f"after {label}")
            return result

        return wrapped

    for owner, name, real in kept:
        setattr(owner, name, wrap(f"{getattr(owner, '__name__', owner)}.{name}", real))
    try:
        yield
    finally:
        for owner, name, real in kept:
            setattr(owner, name, real)


def main(arguments: list[str]) -> None:
    """Run `bay` and count the crossings, or die at one; the exit code is `bay`'s own."""
    at = None if arguments[0] == "COUNT" else int(arguments[0])
    crossings: list[str] = []

    def crossed(name: str) -> None:
        crossings.append(name)
        if len(crossings) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.argv = ["bay", *arguments[1:]]
    try:
        with crash_points(crossed):
            runpy.run_module("launchbay", run_name="__main__")
    finally:
        if at is None:
            Path(os.environ["LAUNCHBAY_CROSSINGS"]).write_text("\n".join(crossings), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
