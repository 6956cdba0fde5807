"""Comparing fingerprints, without an instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from launchbay.lifecycle.identity import Base, Difference, find_differences

SITE = "lib/python3.11/site-packages"
PRISTINE = {"pyvenv.cfg": "sha256:1", f"{SITE}/_launchbay.pth": "sha256:2", "bin/python": "link:/usr/bin/python3"}


def fingerprint(**changed: Any) -> dict[str, Any]:
    usual = {
        "python": {"version": "3.11"},
        "path": ["<instance>/lib", "<image>/lib"],
        "layer": dict(PRISTINE),
        "packages": {},
        "variables": {},
        "home": {},
        "data": {},
        "kernel": "Linux 6",
        "driver": None,
        "gpus": [],
        "onboard": "ab",
    }
    return {**usual, **changed}


def layer(**files: str) -> dict[str, str]:
    return {**PRISTINE, **files}


def compare(prints: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    found = find_differences(prints, pristine=PRISTINE, bases={"": Base({"six": "1.17.0"}, ("six", "numpy"))})
    assert all(isinstance(item, Difference) for item in found)
    return [(item.instance, item.kind, item.what) for item in found]


def test_alike_is_alike() -> None:
    assert compare({"a": fingerprint(), "b": fingerprint(), "c": fingerprint()}) == []


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("python", {"version": "3.12"}, "python"),
        ("path", ["/elsewhere"], "path"),
        ("kernel", "Linux 7", "machine"),
        ("driver", "NVRM 580", "machine"),
        ("gpus", ["GPU 0"], "machine"),
        ("onboard", "cd", "machine"),
    ],
)
def test_the_odd_one_is_named_with_what_the_others_have(key: str, value: object, kind: str) -> None:
    ((name, found, what),) = compare({"a": fingerprint(), "b": fingerprint(**{key: value}), "c": fingerprint()})
    assert (name, found) == ("b", kind)
    assert what.startswith(f"{key} is {value!r}, the others have ")


def test_on_a_tie_the_first_is_taken_for_usual() -> None:
    found = compare({"a": fingerprint(kernel="6"), "b": fingerprint(kernel="7")})
    assert [name for name, _, _ in found] == ["b"]


def test_all_changed_alike_is_still_told_against_the_untouched_layer() -> None:
    changed = fingerprint(layer=layer(**{"pyvenv.cfg": "sha256:9"}))
    assert [name for name, _, _ in compare({"a": changed, "b": changed})] == ["a", "b"]


def test_a_broken_one_says_no_more_and_hides_nobody() -> None:
    found = compare({"a": {"broken": "no answer"}, "b": fingerprint(packages={"pandas": "2"}), "c": fingerprint()})
    assert found == [
        ("a", "python", "its Python does not run: no answer"),
        ("b", "package", "package pandas 2 was added"),
    ]


def test_files_of_an_added_package_are_not_told_one_by_one() -> None:
    files = {
        f"{SITE}/pandas/core.py": "sha256:1",
        f"{SITE}/pandas-2.dist-info/RECORD": "sha256:1",
        "bin/pandas": "sha256:1",
    }
    assert compare({"a": fingerprint(packages={"pandas": "2"}, layer=layer(**files))}) == [
        ("a", "package", "package pandas 2 was added")
    ]


def test_without_a_package_every_file_is_told() -> None:
    files = {
        f"{SITE}/numpy/x.py": "sha256:1",
        f"{SITE}/six.py": "sha256:1",
        "bin/tool": "sha256:1",
        f"{SITE}/mine.py": "sha256:1",
    }
    assert compare({"a": fingerprint(layer=layer(**files))}) == [
        ("a", "file", "bin/tool was added to its layer"),
        ("a", "file", f"{SITE}/mine.py was added to its layer"),
        ("a", "file", f"{SITE}/numpy/x.py was added to its layer"),
        ("a", "file", f"{SITE}/six.py was added to its layer and shadows a module of the image"),
    ]


def test_a_shadowing_folder_is_told_although_some_package_was_added() -> None:
    files = {f"{SITE}/numpy/__init__.py": "sha256:1", f"{SITE}/hello.py": "sha256:1"}
    found = compare({"a": fingerprint(packages={"hello": "1"}, layer=layer(**files))})
    assert ("a", "package", "package hello 1 was added") in found
    assert ("a", "file", f"{SITE}/numpy/__init__.py was added to its layer and shadows a module of the image") in found
    assert not any("hello.py" in what for _, _, what in found)


def test_a_part_of_a_namespace_shadows_nothing() -> None:
    files = {f"{SITE}/numpy/extra/__init__.py": "sha256:1"}
    assert len(compare({"a": fingerprint(packages={"numpy-extra": "1"}, layer=layer(**files))})) == 1


def test_long_values_are_cut() -> None:
    ((_, _, what),) = compare({"a": fingerprint(), "b": fingerprint(), "c": fingerprint(path=["x" * 1000])})
    assert len(what) < 400


# --- what people fill -----------------------------------------------------------------------------------------------

SET = {"variable OMP_NUM_THREADS in ~/.bashrc": "sha256:1"}


@pytest.mark.parametrize(
    ("homes", "expected"),
    [
        ([SET], {"a": "was added"}),
        ([SET, {}], {"a": "was added"}),
        ([SET, SET], {}),
        ([SET, SET, {}], {"a": "was added", "b": "was added"}),
        ([SET, SET, SET, {}], {"d": "is missing"}),
        ([SET, SET, SET, {next(iter(SET)): "sha256:2"}], {"d": "is not what the others have"}),
    ],
)
def test_a_home_is_compared_with_the_others_and_an_untouched_one(
    homes: list[dict[str, str]], expected: dict[str, str]
) -> None:
    prints = {name: fingerprint(home=home) for name, home in zip("abcd", homes, strict=False)}
    assert compare(prints) == [
        (name, "variable", f"variable OMP_NUM_THREADS in ~/.bashrc {what}") for name, what in expected.items()
    ]


def test_a_setting_is_no_variable() -> None:
    found = compare({"a": fingerprint(home={"~/.pip/pip.conf": "sha256:1"}), "b": fingerprint()})
    assert found == [("a", "setting", "~/.pip/pip.conf was added")]


@pytest.mark.parametrize("how", ["set", "changed", "removed"])
def test_a_variable_at_pythons_start_is_told_with_what_was_done_to_it(how: str) -> None:
    found = compare({"a": fingerprint(variables={"variable X": how}), "b": fingerprint()})
    assert found == [("a", "variable", f"variable X is {how} when its Python starts")]


def test_what_the_image_does_to_variables_is_no_drift() -> None:
    mine = {"variable X": "set"}
    assert compare({"a": fingerprint(variables=mine)}) == []
    found = compare({"a": fingerprint(variables=mine), "b": fingerprint(variables=mine), "c": fingerprint()})
    assert found == [("c", "variable", "variable X is left as it is when its Python starts")]


DATA = {"data/a.csv": "sha256:1", "data/b.csv": "sha256:2"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([DATA, {}, {}], []),
        ([DATA, DATA, {}], []),
        ([DATA, DATA, {**DATA, "data/b.csv": "sha256:3"}], [("c", "data/b.csv is not what the others have")]),
        ([DATA, DATA, {"data/a.csv": "sha256:1"}], [("c", "data/b.csv is missing")]),
        ([DATA, DATA, {**DATA, "data/c.csv": "sha256:3"}], [("c", "data/c.csv was added")]),
        ([DATA, {**DATA, "data/b.csv": "sha256:3"}], [("b", "data/b.csv is not what the others have")]),
    ],
)
def test_data_is_compared_among_those_that_hold_any(
    data: list[dict[str, str]], expected: list[tuple[str, str]]
) -> None:
    prints = {name: fingerprint(data=held) for name, held in zip("abc", data, strict=False)}
    assert compare(prints) == [(name, "data", what) for name, what in expected]


# --- several environments -------------------------------------------------------------------------------------------


def test_what_lies_beside_several_environments_is_told_too() -> None:
    pristine = {"one/pyvenv.cfg": "sha256:1", "two/pyvenv.cfg": "sha256:2"}
    files = {**pristine, "stray": "sha256:3", "three/stray": "sha256:4"}
    found = find_differences(
        {"a": fingerprint(layer=files)}, pristine=pristine, bases=dict.fromkeys(("one", "two"), Base({}, ()))
    )
    assert [item.what for item in found] == [
        "stray was added to its layer",
        "stray was added to its layer (in three)",
    ]


def test_a_package_of_the_old_kind_is_told_by_its_files() -> None:
    files = {f"{SITE}/old-1.0.egg-info/PKG-INFO": "sha256:1"}
    assert compare({"a": fingerprint(layer=layer(**files))}) == [
        ("a", "file", f"{SITE}/old-1.0.egg-info/PKG-INFO was added to its layer")
    ]
