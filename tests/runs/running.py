"""Running scripts for tests, and waiting for what they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from launchbay.api.runs import train
from launchbay.home import new_id
from launchbay.images.image import Image, find_image
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.store.records import Run, read_run
from tests.providers.specs import make_specs

__all__ = ["SLOW", "Project", "make_instance", "run_it", "wait_for", "wait_over"]

SLOW = "import time; print('up', flush=True); time.sleep(600)\n"

Project = Callable[[Mapping[str, str]], Path]
"""Write a project's files, return the path of its `train.py`."""


def make_instance(bay: Bay, image: Image) -> Instance:
    """Make an instance whose id is its own: processes are found by it, also those of tests that run beside these."""
    mine = find_image(bay.home, image.digest)
    assert mine is not None
    specs = [replace(spec, id=new_id("i", time.time())) for spec in make_specs(mine, 1)]
    bay.provider.create(specs, mine, made=lambda _: None)
    (made,) = bay.provider.observe()
    return made


def run_it(bay: Bay, instance: Instance, script: Path, **options: object) -> tuple[Run, str]:
    """Run to the end; return the run and what was streamed."""
    streamed = bytearray()
    run = train(bay, instance.name, script, write=streamed.extend, **options)  # type: ignore[arg-type]
    return run, streamed.decode()


def wait_for(run: Run, text: str) -> None:
    """Wait until the script has printed it."""
    until = time.monotonic() + 20
    while not (run.log.exists() and text in run.log.read_text(encoding="utf-8")):
        assert time.monotonic() < until, "the script never said it"
        time.sleep(0.01)


def wait_over(run: Run) -> Run:
    """Wait until the run has ended."""
    until = time.monotonic() + 20
    while not (run := read_run(run.folder)).is_over:
        assert time.monotonic() < until, "the run never ended"
        time.sleep(0.02)
    return run
