"""Prove that the instances of a fleet on EC2 are identical: each verifies itself, and here they are compared with each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from launchbay.afar.bundle import find_bundle
from launchbay.afar.compare import Comparison, compare_machines
from launchbay.cloud.reach import ports_of
from launchbay.cloud.standing import AT_ONCE, FarInstance, machine_of, observe_fleets, open_transport
from launchbay.errors import Conflict, LaunchbayError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.identity import Difference
from launchbay.lifecycle.verify import Verification
from launchbay.ports import Event
from launchbay.providers.ec2.instances import Row

__all__ = ["refuse_stopped", "verify_far"]


@dataclass(slots=True)
class _Answers:
    """What came of asking: what each instance said of itself, and why the others said nothing."""

    said: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)


def verify_far(bay: Bay, fars: Sequence[FarInstance]) -> Verification:
    """Let every instance hash its image and take its fingerprint, several at a time, and compare them. Seconds to a minute.

    One that is gone or does not answer is a difference, by its name. Raises Conflict where one is stopped.
    """
    began = time.monotonic()
    rows = observe_fleets(bay, list(dict.fromkeys(far.fleet for far in fars)))
    refuse_stopped(fars, rows, "verify")
    answers = _ask(bay, fars, rows)
    declared = [far.name for far in fars if far.fleet.provider == "twin"]
    silent = [
        Difference(instance=far.name, kind="machine", what=answers.silent[far.name])
        for far in fars
        if far.name in answers.silent
    ]
    said = {far.name: answers.said[far.name] for far in fars if far.name in answers.said}
    proof = compare_machines(said, declared=declared) if said else None
    contents = {value.get("content") for value in said.values()}
    return Verification(
        identical=proof is not None and proof.identical and not silent,
        gpu_proven=None if proof is None or silent else proof.gpu_proven,
        fingerprints=proof.fingerprints if proof else [],
        differences=[*silent, *(proof.differences if proof else [])],
        image_problems=proof.image_problems if proof else [],
        content=contents.pop() if len(contents) == 1 else None,
        seconds=_seconds(said, time.monotonic() - began),
        declared=_with_gpus(proof) if proof else [],
    )


def refuse_stopped(fars: Sequence[FarInstance], rows: Mapping[str, Row], verb: str) -> None:
    """Raise Conflict where instances stand and do not run; one that is gone is not among `rows`."""
    still = {far.name: rows[far.name].state for far in fars if far.name in rows and rows[far.name].state != "running"}
    if still:
        named = ", ".join(f"{name} is {state}" for name, state in list(still.items())[:5])
        more = f", and {len(still) - 5} more are not running" if len(still) > 5 else ""
        raise Conflict(f"{named}{more}", hint=f"bay start {fars[0].fleet.name}, then {verb}")


def _ask(bay: Bay, fars: Sequence[FarInstance], rows: Mapping[str, Row]) -> _Answers:
    port_of, bundle = ports_of(bay, fars[0].fleet), find_bundle(bay.home)
    progress = Event(task=f"verify {fars[0].fleet.name}", total=len(fars), unit="instances")
    answers, lock = _Answers(), threading.Lock()
    bay.reporter.event(progress)

    def one(far: FarInstance) -> None:
        row = rows.get(far.name)
        if row is None:
            answers.silent[far.name] = "is gone: EC2 has it no more"
        else:
            transport = open_transport(bay, far, row=row, port=port_of(row))
            try:
                answers.said[far.name] = machine_of(far, transport).install(bundle).call(["verify", far.name])
            except (
                LaunchbayError
            ) as error:  # what is wrong with one is a finding, and no reason not to look at the others
                answers.silent[far.name] = f"does not answer: {error.what}"
            finally:
                transport.close()
        with lock:
            done = len(answers.said) + len(answers.silent)
            bay.reporter.event(replace(progress, done=done, finished=done == len(fars)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, fars))
    return answers


def _with_gpus(proof: Comparison) -> Sequence[str]:
    """Return the instances whose GPUs somebody only says are there, where a driver shows any."""
    shown = {print_["instance"] for print_ in proof.fingerprints if print_.get("gpus")}
    return [name for name in proof.declared if name in shown]


def _seconds(said: Mapping[str, Mapping[str, Any]], took: float) -> Mapping[str, float]:
    """Return what it took: all of it together, and what an instance took by its own count."""
    stages = [value["seconds"] for value in said.values()]
    prints = [item["fingerprints"] for item in stages]
    images = max((item["images"] for item in stages), default=0.0)
    return {
        "fingerprints": round(max(0.0, took - images), 3),
        "images": round(images, 3),
        "per_instance": round(sum(prints) / max(1, len(prints)), 4),
    }
