"""Getting started, and whether it can: init, doctor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.doctor import Check, run_checks
from launchbay.scaffold import write_project

__all__ = ["Check", "doctor", "init"]


def init(folder: str | Path = ".", *, image: str = "tensorflow") -> Sequence[Path]:
    """Write a project that trains: bay.yaml, train.py, data. Refuses to overwrite anything."""
    return write_project(Path(folder), image=image)


def doctor(bay: Bay) -> Sequence[Check]:
    """Say what works here and how to mend what does not."""
    return run_checks(bay)
