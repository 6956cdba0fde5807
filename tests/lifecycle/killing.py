"""Kill an operation at each of its lasting steps, and see what is left."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from launchbay.home import Home
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.end import change_power
from launchbay.providers.processes import instance_processes
from launchbay.testing import crash_points

__all__ = ["count_crossings", "folders", "kill_at", "kill_copies", "leftovers"]


def kill_at(crossing: int, body: Callable[[], object]) -> bool:
    """Run `body` in a process of its own that kills itself at that crossing; say whether it came so far."""
    passed = 0

    def crossed(_: str) -> None:
        nonlocal passed
        passed += 1
        if passed == crossing:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        code = 1
        try:
            with crash_points(crossed):
                body()
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may get out of a forked test process
            traceback.print_exc(file=sys.__stderr__)
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), f"the operation itself failed before crossing {crossing}"
    return code == -signal.SIGKILL


def count_crossings(body: Callable[[], object]) -> list[str]:
    """Run `body` to its end, here; return its crossings."""
    names: list[str] = []
    with crash_points(names.append):
        body()
    return names


def leftovers(home: Home) -> list[str]:
    """Return what a converged command should not have left: drafts, trash, folders without a record, processes."""
    there = [
        *home.tmp.glob("[!t]*"),
        *home.trash.glob("*"),
        *(folder for folder in home.instances.glob("*") if not (folder / "record.json").exists()),
        *home.instances.glob("*/.*"),
    ]
    processes = instance_processes(path.name for path in home.instances.glob("*"))
    return [*(str(path.relative_to(home.root)) for path in there), *(f"process {pid}" for pid in processes)]


def folders(home: Home) -> list[Path]:
    """Return the instance folders, readable or not."""
    return sorted(home.instances.glob("*"))


def kill_copies(
    first: Bay, body: Callable[[Bay], object], *, choose: Callable[[list[int]], list[int]] = list
) -> Iterator[Bay]:
    """Yield a copy of a bay for each instant of `body` between two lasting steps, at which it was killed.

    `choose` takes those to try out of all instants.
    """
    number = itertools.count()

    def make() -> Bay:
        root = first.home.root.with_name(f"{first.home.root.name}-{next(number)}")
        shutil.copytree(first.home.root, root, symlinks=True)
        return open_bay(environ={**first.environ, "LAUNCHBAY_HOME": str(root)})

    change_power(first, "stop", "exp")  # the copies have the same ids
    change_power(first, "start", "exp")
    bay = make()
    names = count_crossings(lambda: body(bay))
    assert len(names) > 40
    # between "after" and the next "before" nothing lasting lies, but for a file that waits to be renamed
    apart = [k for k, name in enumerate(names, start=1) if k == 1 or name.startswith("after") or "replace" in name]
    for crossing in choose(apart):
        name = names[crossing - 1]
        bay = make()
        assert kill_at(crossing, lambda bay=bay: body(bay)), name  # type: ignore[misc]
        yield bay
        bay.provider.delete(bay.provider.observe())
        shutil.rmtree(bay.home.root)
