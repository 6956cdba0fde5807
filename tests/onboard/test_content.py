"""Files against what their packages say of themselves, and against the seal."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.images.image import Image
from launchbay.onboard.content import (
    compare_seals,
    seal_beside,
    seal_unrecorded,
    verify_environment,
    verify_records,
)

MODULE = b"version = 1\n"
DATA = b"1,2\n"


class Environment:
    """An environment with one package: a module, a data file, a command, and what an installer leaves."""

    def __init__(self, root: Path) -> None:
        self.root = root / "env"
        self.site = self.root / "lib" / "python3.13" / "site-packages"
        self.put("pkg/__init__.py", MODULE)
        self.put("pkg/data, with a comma.csv", DATA)
        self.put("pkg/__pycache__/__init__.cpython-313.pyc", b"compiled")
        self.put("../../../bin/pkg", b"#!/bin/sh\n")
        self.put("Pkg_Name-1.0.dist-info/INSTALLER", b"uv")
        self.record(
            row("pkg/__init__.py", MODULE),
            row('"pkg/data, with a comma.csv"', DATA),
            row("pkg/__pycache__/__init__.cpython-313.pyc", b"compiled elsewhere"),
            row("../../../bin/pkg", b"#!a placeholder\n"),
            row("Pkg_Name-1.0.dist-info/INSTALLER", b"pip"),
            "Pkg_Name-1.0.dist-info/RECORD,,",
        )
        (self.root / "bin" / "python").symlink_to("/usr/bin/env")
        (self.root / "lib64").symlink_to("lib")
        self.sealed = self.seal()

    def put(self, name: str, content: bytes) -> Path:
        path = Path(os.path.normpath(self.site / name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def record(self, *rows: str) -> None:
        self.put("Pkg_Name-1.0.dist-info/RECORD", ("\n".join(rows) + "\n").encode())

    def seal(self) -> dict[str, str]:
        return seal_unrecorded(str(self.root), str(self.site))

    def problems(self) -> list[str]:
        return verify_environment(str(self.root), str(self.site), self.sealed).problems


def row(name: str, content: bytes, method: str = "sha256") -> str:
    digest = base64.urlsafe_b64encode(hashlib.new(method, content).digest()).rstrip(b"=").decode()
    return f"{name},{method}={digest},{len(content)}"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


# --- what packages say of themselves --------------------------------------------------------------------------------


def test_an_untouched_environment_is_what_its_packages_say(environment: Environment) -> None:
    found = verify_records(str(environment.site))
    assert (found.problems, found.files, found.size_bytes) == ([], 2, len(MODULE) + len(DATA))
    assert found.packages == {"pkg-name": "1.0"}
    assert environment.problems() == []


def test_the_content_is_the_hash_of_what_the_records_say(environment: Environment) -> None:
    rows = sorted([row("pkg/__init__.py", MODULE), row("pkg/data, with a comma.csv", DATA)])
    assert verify_records(str(environment.site)).content == hashlib.sha256("\n".join(rows).encode()).hexdigest()


def test_the_content_does_not_depend_on_where_it_lies_or_on_the_order_of_rows(
    environment: Environment, tmp_path: Path
) -> None:
    other = Environment(tmp_path / "elsewhere")
    other.record(row('"pkg/data, with a comma.csv"', DATA), row("pkg/__init__.py", MODULE))
    assert verify_records(str(other.site)).content == verify_records(str(environment.site)).content
    other.record(row("pkg/__init__.py", MODULE))
    assert verify_records(str(other.site)).content != verify_records(str(environment.site)).content


def test_a_changed_file_is_named_with_its_package(environment: Environment) -> None:
    path = environment.put("pkg/__init__.py", b"version = 2\n")
    assert path.stat().st_size == len(MODULE)  # size tells nothing here, only the hash does
    assert environment.problems() == ["pkg/__init__.py of Pkg_Name-1.0: changed in place"]


def test_a_missing_file_is_named_with_its_package(environment: Environment) -> None:
    (environment.site / "pkg" / "data, with a comma.csv").unlink()
    assert environment.problems() == ["pkg/data, with a comma.csv of Pkg_Name-1.0: missing"]


def test_what_cannot_be_hashed_is_a_problem_and_not_a_crash(environment: Environment) -> None:
    (environment.site / "pkg" / "__init__.py").unlink()
    (environment.site / "pkg" / "__init__.py").mkdir()
    (problem,) = verify_records(str(environment.site)).problems
    assert problem.startswith("pkg/__init__.py of Pkg_Name-1.0: ")
    assert "Is a directory" in problem
    environment.record(row("pkg/data, with a comma.csv", DATA).replace("sha256", "sha0").replace("pkg/data,", "pkg/x"))
    (problem,) = verify_records(str(environment.site)).problems
    assert "sha0" in problem


def test_other_hashes_count_as_well(environment: Environment) -> None:
    environment.record(row("pkg/__init__.py", MODULE, "sha512"))
    assert verify_records(str(environment.site)).problems == []
    environment.put("pkg/__init__.py", b"x")
    assert len(verify_records(str(environment.site)).problems) == 1


# --- the seal -------------------------------------------------------------------------------------------------------


def test_the_seal_holds_what_no_record_vouches_for(environment: Environment) -> None:
    lib = "lib/python3.13/site-packages"
    assert environment.sealed == {
        "bin/pkg": "sha256:" + hashlib.sha256(b"#!/bin/sh\n").hexdigest(),
        "bin/python": "link:/usr/bin/env",
        "lib64": "link:lib",
        f"{lib}/Pkg_Name-1.0.dist-info/INSTALLER": "sha256:" + hashlib.sha256(b"uv").hexdigest(),
        f"{lib}/Pkg_Name-1.0.dist-info/RECORD": environment.sealed[f"{lib}/Pkg_Name-1.0.dist-info/RECORD"],
        f"{lib}/pkg/__pycache__/__init__.cpython-313.pyc": "sha256:" + hashlib.sha256(b"compiled").hexdigest(),
    }


def add(environment: Environment) -> None:
    environment.put("pkg/stray.py", b"x")


def add_link(environment: Environment) -> None:
    (environment.site / "linked").symlink_to("/usr")


def change_compiled(environment: Environment) -> None:
    environment.put("pkg/__pycache__/__init__.cpython-313.pyc", b"compileD")


def change_command(environment: Environment) -> None:
    environment.put("../../../bin/pkg", b"#!/bin/rm\n")


def remove_command(environment: Environment) -> None:
    (environment.root / "bin" / "pkg").unlink()


def point_elsewhere(environment: Environment) -> None:
    (environment.root / "bin" / "python").unlink()
    (environment.root / "bin" / "python").symlink_to("/usr/bin/false")


def edit_module_and_record(environment: Environment) -> None:
    """Do what somebody does who knows how RECORD works."""
    environment.put("pkg/__init__.py", b"version = 9\n")
    environment.record(row("pkg/__init__.py", b"version = 9\n"), row('"pkg/data, with a comma.csv"', DATA))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (add, ["lib/python3.13/site-packages/pkg/stray.py: added to the image"]),
        (add_link, ["lib/python3.13/site-packages/linked: added to the image"]),
        (
            change_compiled,
            ["lib/python3.13/site-packages/pkg/__pycache__/__init__.cpython-313.pyc: changed in place"],
        ),
        (change_command, ["bin/pkg: changed in place"]),
        (remove_command, ["bin/pkg: missing"]),
        (point_elsewhere, ["bin/python: changed in place"]),
        (
            edit_module_and_record,
            ["lib/python3.13/site-packages/Pkg_Name-1.0.dist-info/RECORD: changed in place"],
        ),
    ],
)
def test_what_no_record_tells_the_seal_does(
    environment: Environment, damage: Callable[[Environment], None], told: list[str]
) -> None:
    damage(environment)
    assert verify_records(str(environment.site)).problems == []
    assert environment.problems() == told


def test_a_package_that_was_added_whole_does_not_pass_by_its_own_record(environment: Environment) -> None:
    environment.put("new.py", b"x")
    environment.put("new-1.dist-info/RECORD", row("new.py", b"x").encode())
    assert environment.problems() == [
        "lib/python3.13/site-packages/new-1.dist-info/RECORD: added to the image",
    ]


def test_what_lies_beside_the_environment_is_sealed_but_not_the_seal_itself(environment: Environment) -> None:
    folder = environment.root.parent
    (folder / "commands.json").write_bytes(b"{}")
    (folder / "extra").mkdir()
    before = seal_beside(str(folder))
    assert before == {"commands.json": "sha256:" + hashlib.sha256(b"{}").hexdigest(), "extra": "folder"}
    (folder / "seal.json").write_bytes(b"{}")
    assert seal_beside(str(folder)) == before
    (folder / "commands.json").write_bytes(b"[]")
    (folder / "sitecustomize.py").write_bytes(b"")
    (folder / "extra").rmdir()
    assert compare_seals(before, seal_beside(str(folder))) == [
        "commands.json: changed in place",
        "extra: missing",
        "sitecustomize.py: added to the image",
    ]


def test_a_real_image_is_what_its_record_says(image_store: Callable[[str], Image]) -> None:
    image = image_store("tiny")
    found = verify_records(str(image.site_packages))
    assert (found.problems, found.content) == ([], image.content)
    assert found.packages == image.packages
