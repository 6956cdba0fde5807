"""Build the wheel as a user would get it, install it alone and far from the checkout, and try it.

``python -m tools.smoke_wheel``; part of ``make test-all``. The wheel is built from the source archive: both
are known to be complete. It gets its declared dependencies at the pinned versions and nothing else.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["build", "install", "main", "pins_of", "smoke"]

ROOT = Path(__file__).resolve().parents[1]


def build(folder: Path) -> Path:
    """Build the source archive of the checkout, and the wheel from it. Return the wheel."""
    _run(
        [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder)],
        cwd=ROOT,
    )
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    source = folder / archive.name.removesuffix(".tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation"]
    _run([*pip, "--wheel-dir", str(folder), str(source)], cwd=folder)
    [wheel] = folder.glob("*.whl")
    return wheel


def missing_files(wheel: Path) -> list[str]:
    """Return the files of the package that did not come along."""
    source = ROOT / "src"
    package = [path for path in (source / "launchbay").rglob("*") if path.is_file()]
    wanted = {path.relative_to(source).as_posix() for path in package if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as file:
        return sorted(wanted - set(file.namelist()))


def install(wheel: Path, folder: Path) -> Path:
    """Make an environment of the wheel and its dependencies, hashes checked. Return its Python."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    needed = pins_of(_dependencies(wheel), (ROOT / "requirements/run.txt").read_text(encoding="utf-8"))
    requirements = folder / "requirements.txt"
    requirements.write_text(needed, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-qq"]
    _run([*pip, "--require-hashes", "-r", str(requirements)], cwd=folder)
    _run([*pip, "--no-deps", str(wheel)], cwd=folder)
    _run([*pip[:-2], "check"], cwd=folder)
    return python


def pins_of(names: set[str], lock: str) -> str:
    """Return the entries of a lock, with their hashes, for some packages."""
    entries = re.split(r"\n(?=\S)", lock)
    return "\n".join(entry for entry in entries if canonicalize_name(re.split(r"==", entry)[0]) in names) + "\n"


def _dependencies(wheel: Path) -> set[str]:
    """Return what the wheel needs without extras, and what that needs in turn, as installed here."""
    with zipfile.ZipFile(wheel) as file:
        [name] = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = file.read(name).decode()
    pending = re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)
    found: set[str] = set()
    while pending:
        requirement = Requirement(pending.pop())
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        pending += importlib.metadata.requires(name) or []
    return found


def smoke(python: Path, folder: Path) -> None:
    """Try what needs no image. Raises AssertionError or CalledProcessError when something is wrong."""
    place = _run([str(python), "-c", "import launchbay; print(launchbay.__file__)"], cwd=folder)
    assert Path(place).is_relative_to(python.parents[1]), f"imported from elsewhere: {place}"

    def bay(*args: str) -> str:
        home = {"HOME": str(folder), "LAUNCHBAY_HOME": str(folder / "home")}
        return _run([str(python.with_name("bay")), *args], cwd=folder, **home)

    assert importlib.metadata.version("launchbay") in bay("--version")
    assert "launch" in bay("--help")
    assert "tensorflow" in json.dumps(json.loads(bay("images", "--json")))
    bay("init", "project")
    made = {path.name for path in (folder / "project").iterdir()}
    assert {"bay.yaml", "train.py"} <= made, made
    bay("ps")


def _run(command: Sequence[str], *, cwd: Path, **more: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environ | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        done.check_returncode()
    return done.stdout.strip()


def main() -> int:
    """Build, install, try."""
    with tempfile.TemporaryDirectory(prefix="launchbay-wheel-") as name:
        folder = Path(name)
        wheel = build(folder)
        missing = missing_files(wheel)
        if missing:
            print(f"not in the wheel: {', '.join(missing)}")
            return 1
        smoke(install(wheel, folder / "env"), folder)
        print(f"{wheel.name}: {wheel.stat().st_size / 1000:.0f} kB, installed alone, works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
