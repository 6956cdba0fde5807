"""The twin: an EC2 on this machine, to rehearse on and to point other programs at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from launchbay.cloud.end import forget_twin
from launchbay.errors import NotFound
from launchbay.lifecycle import twin as process
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.twin import Twin, start_twin, twin_environment

__all__ = ["TwinStopped", "advance_twin", "start_twin", "stop_twin", "twin_bill", "twin_environment", "twin_status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinStopped:
    """Whether a twin ran, and whether all that was in it is gone."""

    stopped: bool
    forgotten: bool


def twin_status(bay: Bay) -> Twin:
    """Return the twin that runs, with how much stands in it. Raises NotFound when none does."""
    found = process.find_twin(bay.home)
    if found is None:
        raise NotFound("no twin runs", hint="bay twin start")
    return replace(found, left=process.ask_twin(bay.home, "left")["left"])


def twin_bill(bay: Bay) -> Mapping[str, Any]:
    """Return what the twin's meter says: `running` counts what costs now, `usd` is all of it, `lines` each thing's part."""
    return process.ask_twin(bay.home, "bill")


def advance_twin(bay: Bay, seconds: float) -> Mapping[str, Any]:
    """Set the twin's clock forward: what is due happens, and what runs costs. Raises NotFound, UserError."""
    return process.ask_twin(bay.home, "advance", seconds=seconds)


def stop_twin(bay: Bay, *, forget: bool = False) -> TwinStopped:
    """End the twin's process; with `forget` all that is in it goes too, and what is kept of its fleets. Idempotent."""
    stopped = process.stop_twin(bay, forget=forget)
    if forget:
        forget_twin(bay)
    return TwinStopped(stopped=stopped, forgotten=forget)
