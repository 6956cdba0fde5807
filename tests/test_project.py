"""What is tracked: nothing of the machine it was written on, and pins that are complete."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = [*sorted(ROOT.glob("requirements/*.txt")), *sorted(ROOT.glob("src/launchbay/images/locks/*.txt"))]

# In pieces, so that this file may be looked at too.
INDEX_HOSTS = [".".join(name) for name in (("pypi", "org"), ("pythonhosted", "org"), ("pypi", "python"))]
MACHINE_PATHS = ["work", "tmp", "opt", "root"]
FOREIGN = re.compile(
    "|".join([*(re.escape(host) for host in INDEX_HOSTS), rf"(?<![\w.$}}/~*-])/(?:{'|'.join(MACHINE_PATHS)})/"])
)
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)(?P<marker> *;[^\\]*)?")


def tracked() -> list[Path]:
    """Return what is in the checkout and not ignored; where there is no git, what comes with the source."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        folders = ("src", "tests", "tools", "benchmarks", "docs", "examples", "requirements")
        return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def foreign_lines(text: str) -> list[str]:
    return [line.strip()[:200] for line in text.splitlines() if FOREIGN.search(line)]


def test_nothing_of_a_machine_or_an_index_is_written_down() -> None:
    found = {}
    for path in tracked():
        lines = foreign_lines(path.read_bytes().decode("utf-8", "replace"))
        if lines:
            found[str(path.relative_to(ROOT))] = lines
    assert found == {}


@pytest.mark.parametrize(
    ("line", "is_foreign"),
    [
        (f"cd {'/work'}/main", True),
        (f"x = '{'/tmp'}/x'", True),
        (f"--index-url https://{'pypi'}.org/simple", True),
        ("$HOME/tmp/x and {images,tmp}/ID and ~/work/data and https://example.org/opt/x", False),
        ("tmp/trash, frame/work/", False),
    ],
)
def test_the_search_finds_what_it_should(line: str, is_foreign: bool) -> None:  # noqa: FBT001
    assert bool(foreign_lines(line)) is is_foreign


def pins(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            match = PIN.match(line)
            assert match, f"{path.name}: not a pin: {line[:80]}"
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), f"{path.name}: no hash: {match['name']}"
            found[canonicalize_name(match["name"])] = match["version"]
    return found


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_pins_with_hashes_and_no_address(path: Path) -> None:
    assert pins(path)
    assert "://" not in path.read_text(encoding="utf-8")


def test_the_pins_satisfy_what_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    run = pins(ROOT / "requirements/run.txt")
    dev = pins(ROOT / "requirements/dev.txt")
    build = [line for line in (ROOT / "requirements/build.in").read_text().splitlines() if line[0] != "#"]
    extras = project["project"]["optional-dependencies"]
    declared = [*project["project"]["dependencies"], *extras["plot"], *extras["solver"]]
    for requirement in map(Requirement, [*declared, *project["build-system"]["requires"], *build]):
        assert requirement.specifier.contains(run[canonicalize_name(requirement.name)]), requirement
    for line in (ROOT / "requirements/dev.in").read_text().splitlines():
        if line[0] != "#":
            requirement = Requirement(line)
            assert requirement.specifier.contains(dev[canonicalize_name(requirement.name)]), requirement
    assert {name: version for name, version in dev.items() if run.get(name, version) != version} == {}


def test_few_packages_are_needed_at_run_time() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {Requirement(item).name for item in project["dependencies"]} == {"uv", "PyYAML", "rich", "plotext"}
