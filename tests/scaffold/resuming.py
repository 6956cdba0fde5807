"""Kill a training at each of its steps, start it again each time, and compare the end with that of one left alone.

    python resuming.py SCRIPT EPOCHS EXTRA SEED

This runs with an image's own Python, in a folder that holds `data/`. Importing a framework takes seconds, so it is
imported once, here, and every attempt is a fork of this process that runs the script from its first line. Each step is
killed where it ends, right after its checkpoint, and EXTRA times in all somewhere within: before or after anything that
lasts is written, or at a moment drawn from the clock. Prints a JSON object.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import os
import random
import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tensorboard.summary.writer.event_file_writer import EventFileWriter

ENDS = "after fsync folder"  # crossed twice a step: for the checkpoint and for its manifest


def cross(crossed: Callable[[str], None]) -> None:
    """Call `crossed` before and after everything that an attempt writes; only in a fork, for good."""

    def wrap(owner: Any, name: str, label: Callable[[Any], str]) -> None:
        real = getattr(owner, name)

        def wrapped(*args: Any, **named: Any) -> Any:
            crossed(f"before {label(args)}")
            result = real(*args, **named)
            crossed(f"after {label(args)}")
            return result

        setattr(owner, name, wrapped)

    wrap(os, "fsync", lambda args: "fsync " + ("folder" if os.path.isdir(f"/proc/self/fd/{args[0]}") else "file"))
    wrap(os, "replace", lambda args: f"replace {Path(args[1]).suffix}")
    wrap(os, "unlink", lambda args: f"unlink {Path(args[0]).suffix}")
    wrap(EventFileWriter, "add_event", lambda _: "event")
    wrap(EventFileWriter, "flush", lambda _: "flush")


def attempt(folder: Path, script: Path, epochs: int, crossed: Callable[[str], None]) -> int:
    """Run the script in a fork; return the fork's pid."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.chdir(folder)
        output = os.open("output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["LAUNCHBAY_CHECKPOINT_DIR"] = str(folder / "kept")
        # steps so long that the best epoch is not the last: what is remembered of it must survive, too
        sys.argv = [script.name, "--epochs", str(epochs), "--checkpoint-every", "1", "--learning-rate", "0.03"]
        cross(crossed)
        runpy.run_path(str(script), run_name="__main__")
        Path("modules").write_text("\n".join(sys.modules))
        code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def end(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def whole(folder: Path, script: Path, epochs: int) -> list[str]:
    """Run the script to its end; keep its last checkpoint; return what was crossed in the third step."""
    names: list[str] = []

    def crossed(name: str) -> None:
        names.append(name)
        if name.startswith("before unlink"):  # as the script does when it is done
            newest = folder / "kept" / f"epoch-{epochs:06d}.npz"
            if newest.exists() and not (folder / "last.npz").exists():
                os.link(newest, folder / "last.npz")
        (folder / "crossed").write_text("\n".join(names))

    code = end(attempt(folder, script, epochs, crossed))
    assert code == 0, (folder / "output.log").read_text()
    return (folder / "crossed").read_text().split("\n")


def killed(folder: Path, script: Path, epochs: int, *, crossing: int = 0, seconds: float = 0) -> None:
    """Run the script until it is killed: at a crossing, after so many seconds, and no later than where a step ends."""
    count = folders = 0

    def crossed(name: str) -> None:
        nonlocal count, folders
        count += 1
        folders += name == ENDS
        if count == crossing or folders == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    pid = attempt(folder, script, epochs, crossed)
    if seconds:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)  # nobody has waited for it yet, so the number is still its own
    assert end(pid) == -signal.SIGKILL, (folder / "output.log").read_text()


def newest(folder: Path) -> int:
    """Return how many steps are safe: told here from what is on the disk, not by the script's own means."""
    safe = 0
    for path in (folder / "kept").glob("epoch-*.npz"):
        seal = path.with_suffix(".sha256")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if seal.exists() and seal.read_text().split()[:1] == [digest]:
            safe = max(safe, int(path.stem.partition("-")[2]))
    return safe


def digest(folder: Path) -> dict[str, str]:
    """Return hashes of the model that was saved, and of all that the last checkpoint held."""
    model = keras.saving.load_model(folder / "model.keras")
    saved = b"".join(np.ascontiguousarray(item).tobytes() for item in model.get_weights())
    with np.load(io.BytesIO((folder / "last.npz").read_bytes())) as arrays:
        last = b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))
    return {"model": hashlib.sha256(saved).hexdigest(), "state": hashlib.sha256(last).hexdigest()}


def main() -> None:
    script, epochs, extra, seed = Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(seed)
    folders = {name: Path(name).resolve() for name in ("whole", "killed")}
    for folder in folders.values():
        folder.mkdir()
        (folder / "data").symlink_to(Path("data").resolve())
    crossings = whole(folders["whole"], script, epochs)
    for name in (folders["whole"] / "modules").read_text().split("\n"):
        with contextlib.suppress(ImportError):  # what is imported on the way need not be so again in each fork
            importlib.import_module(name)
    step = len(crossings) // epochs
    where = folders["killed"]
    kills, longest, began = {"ends": 0, "within": 0}, 1.0, time.monotonic()
    for number in range(1, epochs + 1):
        for _ in range(extra // epochs + (chance.random() < extra % epochs / epochs)):
            if chance.random() < 0.5:
                killed(where, script, epochs, crossing=chance.randint(1, step))
            else:
                killed(where, script, epochs, seconds=chance.uniform(0, longest))
            kills["within"] += 1
        if newest(where) < number:
            started = time.monotonic()
            killed(where, script, epochs)
            longest = time.monotonic() - started
            kills["ends"] += 1
        assert newest(where) == number, (number, newest(where))
    seconds = time.monotonic() - began
    whole(where, script, epochs)
    value = {
        "backend": keras.backend.backend(),
        "kills": kills,
        "seconds": round(seconds, 1),
        "whole": digest(folders["whole"]),
        "killed": digest(where),
        "left": sorted(path.name for path in (where / "kept").iterdir()),
    }
    print(json.dumps(value))


if __name__ == "__main__":
    main()
