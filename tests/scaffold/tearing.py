"""Tear and alter a checkpoint of the scaffold at every byte, and say what is loaded then.

    python tearing.py SCRIPT

This runs with an image's own Python, in an empty folder. Prints a JSON object: of each way to damage, how many were
tried, and what came of those that were not refused in favour of the checkpoint before.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

STEPS: list[str] = []


def load(script: str) -> Any:
    """Import the scaffold as a module, without running it."""
    spec = importlib.util.spec_from_file_location("scaffold", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def watch() -> None:
    """Note in which order files are put on the disk, get their names, and are removed."""
    sync, replace, unlink = os.fsync, os.replace, os.unlink

    def fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        STEPS.append("sync folder" if path.is_dir() else f"sync {path.name}")
        sync(descriptor)

    def rename(old: Any, new: Any) -> None:
        STEPS.append(f"name {Path(new).name}")
        replace(old, new)

    def remove(path: Any) -> None:
        STEPS.append(f"remove {Path(path).name}")
        unlink(path)

    os.fsync, os.replace, os.unlink = fsync, rename, remove  # type: ignore[assignment]


def loaded(train: Any) -> tuple[int, str]:
    """Return which checkpoint was loaded (0 for none), and what was said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        state = train.load_checkpoint()
    return (0 if state is None else int(state["done"])), said.getvalue()


def damages(data: bytes, positions: Iterator[int] | range) -> Iterator[tuple[str, bytes]]:
    for position in positions:
        yield "cut", data[:position]
        for flip in (0x01, 0x80, 0xFF):
            yield "altered", data[:position] + bytes([data[position] ^ flip]) + data[position + 1 :]
        yield "zeros", data[:position] + bytes(len(data) - position)


def tear(train: Any, path: Path, positions: Iterator[int] | range) -> dict[str, Any]:
    """Damage one file of the second checkpoint in every way."""
    data, tried, wrong = path.read_bytes(), 0, []
    for how, damaged in damages(data, positions):
        if damaged == data:
            continue
        path.write_bytes(damaged)
        number, said = loaded(train)
        tried += 1
        if number != 1 or "epoch-000002.npz is not whole" not in said or "going on from" not in said:
            wrong.append([how, len(damaged), number, said])
    path.write_bytes(data)
    return {"bytes": len(data), "tried": tried, "wrong": wrong[:5]}


def main() -> None:
    train = load(sys.argv[1])
    folder = train.CHECKPOINTS
    folder.mkdir()
    watch()
    for number in (0, 1, 2):
        STEPS.clear()
        train.save_checkpoint(number, {"done": number, "weights": np.arange(8, dtype="float32") + number})
    state, seal = folder / "epoch-000002.npz", folder / "epoch-000002.sha256"
    value: dict[str, Any] = {"steps": list(STEPS), "kept": sorted(path.name for path in folder.iterdir())}
    value["whole"] = loaded(train)[0]
    value["state"] = tear(train, state, range(len(state.read_bytes())))
    value["manifest"] = tear(train, seal, range(len(seal.read_bytes())))
    kept = seal.read_bytes()
    seal.unlink()
    value["no manifest"] = loaded(train)[0]
    seal.write_bytes(kept)
    large = np.random.default_rng(1).normal(size=120_000).astype("float32")  # as large as the scaffold's own
    train.save_checkpoint(2, {"done": 2, "weights": large})
    value["large"] = tear(train, state, iter(random.Random(1).sample(range(state.stat().st_size), 60)))
    for path in folder.glob("epoch-000001*"):
        path.unlink()
    state.write_bytes(b"torn")
    value["none"] = loaded(train)[0]
    print(json.dumps(value))


if __name__ == "__main__":
    main()
