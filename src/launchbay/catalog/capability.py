"""CUDA compute capability of the GPUs in EC2, which decides what a CUDA build runs on. Pure.

From NVIDIA's table "CUDA GPU Compute Capability" and, for what left it, "CUDA Legacy GPUs" (developer.nvidia.com). Their
A10 stands for EC2's A10G, and GRID K520 for K520.
"""

from __future__ import annotations

import re

from launchbay.catalog.type import Accelerator
from launchbay.errors import UsageError

__all__ = [
    "ANY_CUDA",
    "CAPABILITIES",
    "Capability",
    "capability_of",
    "format_capability",
    "parse_capability",
    "runs_cuda",
]

Capability = tuple[int, int]

ANY_CUDA: Capability = (0, 0)
"""What asks for whatever runs CUDA: also a GPU whose compute capability is not known."""

CAPABILITIES: dict[str, Capability] = {
    "K520": (3, 0),
    "K80": (3, 7),
    "M60": (5, 2),
    "V100": (7, 0),
    "T4": (7, 5),
    "T4g": (7, 5),
    "A100": (8, 0),
    "A10G": (8, 6),
    "L4": (8, 9),
    "L40S": (8, 9),
    "H100": (9, 0),
    "H200": (9, 0),
    "B200": (10, 0),
    "B300": (10, 3),
    "RTX PRO 4500": (12, 0),
    "RTX PRO Server 6000": (12, 0),
}
"""By the name that EC2 gives a GPU."""

_TEXT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?\Z")


def runs_cuda(accelerator: Accelerator | None) -> bool:
    """Say whether it is a GPU that runs CUDA at all, of whatever compute capability."""
    return accelerator is not None and accelerator.kind == "gpu" and accelerator.maker == "NVIDIA"


def capability_of(accelerator: Accelerator | None) -> Capability | None:
    """Return a GPU's compute capability; None for one that has none (AMD, Habana), or whose is not known."""
    return CAPABILITIES.get(accelerator.name) if accelerator is not None and runs_cuda(accelerator) else None


def parse_capability(text: str) -> Capability:
    """Read ``8.6``, ``9``, ``any``, or ``8.6+``, for it is always the least. Raises UsageError on anything else."""
    typed = text.strip().casefold()
    if typed == "any":
        return ANY_CUDA
    found = _TEXT.match(typed.removesuffix("+"))
    if found is None:
        raise UsageError(f"a compute capability must look like 8.6, got {text!r}", hint="--capability 8.0")
    return int(found[1]), int(found[2] or 0)


def format_capability(capability: Capability) -> str:
    """Write a compute capability as NVIDIA does: ``8.6``."""
    return f"{capability[0]}.{capability[1]}"
