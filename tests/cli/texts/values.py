"""Values to be shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from launchbay.images.image import Image
from launchbay.lifecycle.verify import Verification
from launchbay.models.card import ModelCard
from launchbay.planning.fleet import Instance
from launchbay.store.records import Run

DIGEST = "0123456789abcdef" * 4

IMAGE = Image(
    name="tensorflow",
    kind="recipe",
    digest=DIGEST,
    content="c" * 64,
    folder=Path("/images/x"),
    python="3.13",
    python_version="3.13.1",
    platform="x86_64",
    accelerator="cpu",
    frameworks={"tensorflow": "2.21.0", "keras": "3.15.0"},
    packages={},
    env={},
    size_bytes=1_000_000,
    files=10,
    downloaded_bytes=0,
    built="2026-01-02T03:04:05Z",
    build_seconds={"install": 2.5},
    first_import_s=None,
)

RUN = Run(
    id="r-1",
    folder=Path("/runs/r-1"),
    instance="exp-1",
    fleet="exp",
    image="tensorflow",
    digest=DIGEST,
    script="/home/me/train.py",
    args=(),
    data=None,
    data_files={},
    created_at=1000.0,
    state="running",
)

DONE = replace(RUN, state="done", exit_code=0, seconds=65.2, cpu_seconds=120.0, peak_memory_bytes=250_000_000)

CARD = ModelCard(
    format="keras",
    framework="keras",
    framework_version=None,
    saved=None,
    sha256="ab",
    bytes=10,
    parameters=None,
    trainable_parameters=None,
    layers=(),
    inputs=(),
    outputs=(),
    loss=None,
    metrics=(),
    optimizer=None,
    safe=None,
    findings=(),
)

PROOF = Verification(
    identical=True,
    gpu_proven=None,
    fingerprints=({}, {}, {}),
    differences=(),
    image_problems=(),
    content=None,
    seconds={"fingerprints": 0.12, "per_instance": 0.04, "images": 0.0},
)


def instance(number: int) -> Instance:
    return Instance(
        id=f"i-{number}",
        name=f"exp-{number}",
        fleet="exp",
        count=3,
        image="tensorflow",
        digest=DIGEST,
        token="t",
        provider="local",
        layer="layer",
        state="running",
        created_at=0.0,
        root=Path("/i"),
    )
