"""Stands in for cloud-init: says whether the boot script has ended."""

from __future__ import annotations

import os
import sys
import time

from .asking import say

__all__ = ["main"]

_FINISHED = "/var/lib/cloud/instance/boot-finished"
_RESULT = "/var/lib/cloud/data/twin-result"


def main(name: str, arguments: list[str]) -> int:
    """Answer `status` and `status --wait` as cloud-init does: 0 for done or running, 1 for an error."""
    if arguments[:1] != ["status"]:
        say("twin: {} {} is not modelled, only status".format(name, " ".join(arguments)))
        return 1
    while "--wait" in arguments and not os.path.exists(_FINISHED):
        time.sleep(0.1)
    status = _status()
    sys.stdout.write(f"status: {status}\n")
    return 1 if status == "error" else 0


def _status() -> str:
    if not os.path.exists(_FINISHED):
        return "running"
    try:
        with open(_RESULT, encoding="ascii") as file:
            return "done" if file.read().strip() == "0" else "error"
    except OSError:
        return "done"
