"""Whether an image is built for the CPU or for CUDA: asked of the recipe, of the driver, and of who types.

A CUDA build on a GPU or driver that is too old for it trains on the CPU and says nothing; so that is refused before
anything is built.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from launchbay.errors import BuildError, Conflict, UsageError
from launchbay.images.image import Image
from launchbay.images.recipe import ACCELERATORS, Recipe
from launchbay.lifecycle.bay import Bay

__all__ = ["AUTO", "Gpu", "check_built_for", "choose_accelerator", "least_needed", "list_gpus"]

AUTO = "auto"
_ON_CPU = "--accelerator cpu"

_LEAST_DRIVER = {"cuda12": "525", "cuda13": "580"}
"""NVIDIA, "CUDA Compatibility", table "Minimum and Maximum Required Driver Versions"."""
_LEAST_CAPABILITY = {"cuda12": "5.0", "cuda13": "7.5"}
"""CUDA 12 compiles for Maxwell and newer, CUDA 13 for Turing and newer (release notes of 12.0 and of 13.0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """An NVIDIA GPU as its driver describes it."""

    name: str
    capability: str
    driver: str


def list_gpus(bay: Bay) -> Sequence[Gpu]:
    """Return the NVIDIA GPUs of this machine; none where there is no driver. Raises BuildError when it does not answer."""
    tool = shutil.which("nvidia-smi", path=bay.environ.get("PATH", ""))
    if tool is None:
        return ()
    fields = "name,driver_version,compute_cap"
    lines = _ask(tool, fields)
    if lines is None:  # drivers before 510 do not know compute_cap, and are too old for all that we build
        lines = [f"{line}, 0" for line in _ask(tool, "name,driver_version") or ()]
    rows = [[part.strip() for part in line.rsplit(",", 2)] for line in lines]
    gpus = [Gpu(name=row[0], driver=row[1], capability=row[2]) for row in rows if len(row) == 3]
    if not gpus:
        raise BuildError("nvidia-smi is there and shows no GPU", where=tool, hint=_ON_CPU)
    return gpus


def _ask(tool: str, fields: str) -> Sequence[str] | None:
    command = [tool, f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines() if done.returncode == 0 else None


def choose_accelerator(bay: Bay, recipe: Recipe, wish: str) -> str:
    """Return what to lock a recipe for on this machine: ``cpu``, or the newest CUDA that its GPU and driver can.

    Raises UsageError for what the recipe cannot be, BuildError for a GPU or driver that is too old.
    """
    cudas = [name for name in reversed(ACCELERATORS) if name in recipe.accelerators and name != "cpu"]
    has_cpu = "cpu" in recipe.accelerators
    if wish == "cpu" or (wish == AUTO and not cudas):
        if not has_cpu:
            raise UsageError(f"{recipe.name} is not for the CPU: it can be locked for {', '.join(cudas)}")
        return "cpu"
    if not cudas:
        raise UsageError(f"{recipe.name} has no CUDA build", hint=_ON_CPU)
    gpus = list_gpus(bay)
    if not gpus and wish == AUTO and has_cpu:
        return "cpu"
    if not gpus:
        raise BuildError(f"there is no NVIDIA GPU here that {recipe.name} could be built for", hint=_ON_CPU)
    refusals = {name: _refuse(recipe, name, gpus) for name in cudas}
    fitting = [name for name, why in refusals.items() if not why]
    if not fitting:
        raise BuildError(refusals[cudas[-1]], hint=f"{_ON_CPU}, which trains on the CPU" if has_cpu else "")
    return fitting[0]


def least_needed(recipe: Recipe, accelerator: str) -> tuple[str, str]:
    """Return the least driver and the least compute capability that a recipe's build for an accelerator runs with."""
    driver = max(_LEAST_DRIVER[accelerator], recipe.gpu_driver, key=_number)
    return driver, max(_LEAST_CAPABILITY[accelerator], recipe.gpu_capability, key=_number)


def _refuse(recipe: Recipe, accelerator: str, gpus: Sequence[Gpu]) -> str:
    """Say why a build for an accelerator would not run on any of these GPUs; nothing where it would."""
    driver, capability = least_needed(recipe, accelerator)
    if _number(gpus[0].driver) < _number(driver):
        return (
            f"the {accelerator} build of {recipe.name} needs NVIDIA driver {driver} or newer, and this machine has"
            f" {gpus[0].driver}"
        )
    best = max(gpus, key=lambda gpu: _number(gpu.capability))
    if _number(best.capability) < _number(capability):
        return (
            f"the {accelerator} build of {recipe.name} needs a GPU of compute capability {capability} or newer, and"
            f" {best.name} has {best.capability}"
        )
    return ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def check_built_for(image: Image, wish: str) -> None:
    """Raise Conflict when a built image is asked for by name, and is for something else than wished."""
    if wish not in (AUTO, image.accelerator.rstrip("0123456789")):
        raise Conflict(
            f"{image.name} is built for {image.accelerator}", hint=f"give its recipe file with --accelerator {wish}"
        )
