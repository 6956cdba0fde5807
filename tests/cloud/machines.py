"""Machines elsewhere that are folders of this one: the program that moves files runs as over SSH, in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from launchbay.afar.machine import FarMachine, Installed
from launchbay.transport.base import Completed, Transport
from launchbay.transport.local import LocalTransport

__all__ = ["Way", "far_machine"]

_THERE = "import sys\nfrom launchbay.afar.there import main\nsys.exit(main())\n"


@dataclass
class Way:
    """A way to a machine; `sent` counts the bytes that went there, `said` is all of them."""

    local: LocalTransport
    sent: int = 0
    commands: list[Sequence[str]] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, data: bytes = b"", timeout: float | None = None) -> Completed:
        """Run a command there."""
        self.sent += len(data)
        self.commands.append(argv)
        return self.local.run(argv, data=data, timeout=timeout)


def far_machine(folder: Path) -> tuple[FarMachine, Way]:
    """Return a machine whose home is a folder, and the way to it."""
    (folder / "program").mkdir(parents=True)
    (folder / "program" / "there.py").write_text(_THERE)
    way = Way(LocalTransport(environment={**os.environ, "HOME": str(folder)}, folder=str(folder)))
    told: dict[str, Any] = {"python_version": "3.11", "platform": "linux", "uv": "", "new": False}
    installed = Installed(program=str(folder / "program"), command="bay", python=sys.executable, **told)
    transport = cast("Transport", way)
    return FarMachine(transport=transport, home=str(folder / "home"), name=folder.name, installed=installed), way
