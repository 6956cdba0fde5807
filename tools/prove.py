"""Run the campaigns and benchmarks one after the other, and go on where the last call stopped.

``make prove``. A step is a campaign (``pytest -m prove``) or one ``benchmarks/NAME.py``. Its output is shown
and kept in ``build/prove/STEP.log``; what was run on which source, how long it took and how it ended stands
in ``steps.json`` beside it. A step that passed on the same source is not run again. Steps find the folder
for their own totals and seeds in ``$LAUNCHBAY_PROVE``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["main", "prove", "source_digest", "steps"]

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("src", "tests", "benchmarks", "requirements")
NO_TESTS = 5  # pytest's exit code for "nothing selected"


def steps(root: Path = ROOT) -> dict[str, list[str]]:
    """Return the steps by name, each with the command that runs it."""
    found = {"campaigns": [sys.executable, "-m", "pytest", "-m", "prove"]}
    for path in sorted((root / "benchmarks").glob("[!_]*.py")):
        found[path.stem] = [sys.executable, str(path)]
    return found


def source_digest(root: Path = ROOT) -> str:
    """Hash what decides the outcome, so that a changed source is proved anew."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()


def prove(commands: dict[str, list[str]], folder: Path, source: str, *, again: bool = False) -> bool:
    """Run the steps that have not passed on this source; say whether all have by now."""
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "steps.json"
    done: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}
    for name, command in commands.items():
        before = done.get(name, {})
        if not again and before.get("source") == source and before.get("passed"):
            print(f"{name}: passed before in {before['seconds']} s")
            continue
        print(f"{name}: {' '.join(command)}", flush=True)
        began = time.monotonic()
        code = _run(command, folder, folder / f"{name}.log")
        passed = code == 0 or (code == NO_TESTS and name == "campaigns")
        seconds = round(time.monotonic() - began, 1)
        done[name] = {"source": source, "passed": passed, "exit_code": code, "seconds": seconds}
        temporary = record.with_suffix(".tmp")
        temporary.write_text(json.dumps(done, indent=1, sort_keys=True) + "\n")
        temporary.replace(record)
        print(f"{name}: {'passed' if passed else f'FAILED with {code}'} in {seconds} s", flush=True)
    return all(done[name]["passed"] for name in commands)


def _run(command: Sequence[str], folder: Path, log: Path) -> int:
    """Run a command; its output goes to the terminal and to `log`."""
    environ = {**os.environ, "LAUNCHBAY_PROVE": str(folder), "PYTHONUNBUFFERED": "1"}
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            sys.stdout.write(line)
            file.write(line)
    return process.returncode


def main() -> int:
    """Run what is left to run."""
    parser = argparse.ArgumentParser(description="Run the campaigns and benchmarks that have not passed yet.")
    parser.add_argument("--again", action="store_true", help="run all of them, whatever has passed before")
    again = parser.parse_args().again
    return 0 if prove(steps(), ROOT / "build" / "prove", source_digest(), again=again) else 1


if __name__ == "__main__":
    sys.exit(main())
