"""Try what EC2 does, in a process of its own: it needs boto3, and moto where moto alone is tried."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

from launchbay.errors import LaunchbayError, UserError
from launchbay.files import remove_tree
from launchbay.home import Home, new_id
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.twin import start_twin, stop_twin
from launchbay.ports import Event

__all__ = ["PLACES", "try_conformance"]

PLACES = ("twin", "moto", "real")
"""Where the list can be tried: in a new twin, against moto as it comes, against AWS."""

_REFUSED = 2
"""The code of a trial that was not begun."""


def try_conformance(
    bay: Bay, place: str, *, names: Sequence[str] = (), region: str = "us-east-1", max_usd: Decimal = Decimal(1)
) -> dict[str, Any]:
    """Try the list of what EC2 does, or some of it; return the outcome of each.

    In a twin of its own, which is gone afterwards: what is in the person's own is left alone. Against AWS it costs money, at
    most `max_usd`. Raises UserError without the packages it needs, LaunchbayError where the trial itself broke.
    """
    if find_spec("boto3") is None:
        raise UserError("trying what EC2 does needs boto3", hint="pip install 'launchbay[twin]'")
    if place == "twin":
        apart = replace(bay, home=Home(bay.home.tmp / new_id("conformance", bay.clock.now())))
        try:
            twin = start_twin(apart, clock="virtual", has_hosts=False)
            token = (apart.home.twin / "token").read_text()
            return _run(bay, ["--endpoint", twin.url, "--admin", "-", "--region", region, *names], token=token)
        finally:
            stop_twin(apart, forget=True)
            remove_tree(apart.home.root)
    if place == "moto":
        if find_spec("moto") is None:
            raise UserError("moto is not installed", hint="pip install 'launchbay[twin]'")
        return _run(bay, ["--moto", "--region", region, *names])
    return _run(bay, ["--real", "--region", region, "--max-usd", str(max_usd), *names])


def _run(bay: Bay, words: Sequence[str], *, token: str = "") -> dict[str, Any]:
    """Run the trial, and tell of each behaviour as it is tried."""
    command = [sys.executable, "-m", "launchbay.twin.conformance", *words]
    task = Event(task="try what EC2 does", unit="behaviours")
    done, last = 0, ""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(f"{token}\n")
        process.stdin.close()
        read: list[
            str
        ] = []  # beside what it says: it would wait for somebody to read its answer, and we for its last word
        reader = threading.Thread(target=lambda pipe: read.append(pipe.read()), args=(process.stdout,), daemon=True)
        reader.start()
        for line in process.stderr:
            last = line.strip() or last
            if line.startswith(("met ", "MISSED ", "not tried ")):
                done += 1
                bay.reporter.event(replace(task, message=line.split()[1], done=done))
        reader.join()
        code = process.wait()
    output = "".join(read)
    bay.reporter.event(replace(task, done=done, finished=True))
    if code == _REFUSED:
        what = last.rpartition("error: ")[2]
        raise UserError(what, hint="`bay conformance --json` has their names" if "behaviour" in what else "")
    try:
        found: dict[str, Any] = json.loads(output)
    except ValueError:
        raise LaunchbayError(f"the trial broke: {last}") from None
    return found
