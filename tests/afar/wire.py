"""The program that moves files, without a process in between; and one that lies."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar import there
from launchbay.afar.machine import FarMachine, Installed
from launchbay.testing.transport import RecordingTransport
from launchbay.transport.base import Completed

__all__ = ["Wire", "fake_machine"]

Alter = Callable[[dict[str, Any], bytes], bytes]


@dataclass(slots=True)
class Wire(RecordingTransport):
    """Answers as the program over there, in this process; `alter` may change an answer, `asked` are the questions."""

    home: Path = Path()
    alter: Alter = lambda _, answer: answer
    asked: list[dict[str, Any]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, data: bytes = b"", timeout: float | None = None) -> Completed:  # noqa: ARG002 - as the real one
        """Answer one question."""
        self.commands.append(tuple(argv))
        request = json.loads(data.partition(b"\n")[0])
        self.asked.append(request)
        self.sent.append(len(data.partition(b"\n")[2]))
        out, err = io.BytesIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAUNCHBAY_HOME", str(self.home))
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, write_through=True))
            patch.setattr(sys, "stderr", err)
            code = there.main()
            sys.stdout.flush()
            answer = out.getvalue()
        return Completed(code=code, stdout=self.alter(request, answer), stderr=err.getvalue().encode())


def fake_machine(home: Path, alter: Alter = lambda _, answer: answer) -> tuple[FarMachine, Wire]:
    """Return a machine that answers questions about files, and what it was asked."""
    wire = Wire(home=home, alter=alter)
    installed = Installed(
        program="/far/p",
        command="/far/p/bay",
        python="/usr/bin/python3",
        python_version="3.11.2",
        platform="linux-x86_64",
        uv="/usr/bin/uv",
        new=False,
    )
    return FarMachine(transport=wire, home=str(home), name="far", installed=installed), wire
