from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.providers.resources import Machine, part_of
from launchbay.spec.project import read_project
from launchbay.spec.resources import Resources


def read(folder: Path, text: str) -> Resources | None:
    (folder / "bay.yaml").write_text(text, encoding="utf-8")
    return read_project(folder / "bay.yaml").resources


def test_resources_are_a_part_each(tmp_path: Path) -> None:
    assert read(tmp_path, "name: x\n") is None
    assert read(tmp_path, "resources: {cpus: 2, memory: 4GB, gpus: 0}\n") == Resources(cpus=2, memory=4 * 10**9, gpus=0)
    assert read(tmp_path, "resources:\n  memory: 1.5 GiB\n") == Resources(memory=3 << 29)


@pytest.mark.parametrize("text", ["resources:\n  memory: 1GB\n  cpus: 9\n", "resources:\n  memory: 1GB\n  gpus: 2\n"])
def test_more_than_the_machine_has_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    wish = read(tmp_path, text)
    assert wish is not None
    with pytest.raises(UsageError, match="on this machine, got") as caught:
        part_of(Machine(processors=(0, 1), gpus=(0,)), 0, wish)
    assert caught.value.where == f"{tmp_path / 'bay.yaml'}:3"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("cpus: 0", "cpus must be 1 to 1024, got 0", 2),
        ("cpus: 1.5", "cpus must be a whole number", 2),
        ("gpus: -1", "gpus must be 0 to 1024", 2),
        ("memory: 4", "memory must be a text in quotes", 2),
        ("memory: lots", "a size must look like 500MB, 4GB or 4GiB, got 'lots'", 2),
        ("memory: 0GB", "a size must look like", 2),
        ("disk: 4GB", "unknown field 'disk'", 2),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, message: str, line: int) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path, f"resources:\n  {text}\n")
    assert caught.value.where == f"{tmp_path / 'bay.yaml'}:{line}"


def test_a_list_of_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="resources must be one mapping"):
        read(tmp_path, "resources:\n- cpus: 1\n- cpus: 2\n")
