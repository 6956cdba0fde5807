from __future__ import annotations

from typing import Any

import pytest

from launchbay.afar.compare import compare_machines
from launchbay.errors import LaunchbayError


def said(**changed: Any) -> dict[str, Any]:
    """Return what `bay --json verify` says of one instance."""
    top: dict[str, Any] = {
        name: changed.pop(name) for name in ("differences", "image_problems", "gpu_proven") if name in changed
    }
    print_: dict[str, Any] = {
        "instance": "exp-1-1",
        "digest": "a" * 64,
        "python": {"version": "3.11.7"},
        "path": ["<image>"],
        "layer": {"pip.conf": "sha256:1"},
        "packages": {},
        "variables": {},
        "home": {},
        "data": {},
        "kernel": "Linux 6.1",
        "driver": None,
        "gpus": [],
        "onboard": "b",
    }
    return {"differences": [], "image_problems": [], "gpu_proven": None, "fingerprints": [print_ | changed], **top}


def test_alike_machines_are_identical() -> None:
    found = compare_machines({"exp-1": said(), "exp-2": said(), "exp-3": said()})
    assert found.identical
    assert found.differences == []
    assert [item["instance"] for item in found.fingerprints] == ["exp-1", "exp-2", "exp-3"]


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"kernel": "Linux 6.2"}, "machine"),
        ({"python": {"version": "3.11.8"}}, "python"),
        ({"onboard": "c"}, "machine"),
        ({"digest": "c" * 64}, "image"),
        ({"home": {"file .bashrc": "1"}}, "setting"),
        ({"gpus": ["GPU 0: T4"]}, "machine"),
        ({"differences": [{"instance": "exp-1-1", "kind": "package", "what": "package six was added"}]}, "package"),
        ({"broken": "killed"}, "python"),
    ],
)
def test_the_odd_one_is_named_by_our_name(changed: dict[str, Any], kind: str) -> None:
    odd = said(**changed)
    if "broken" in changed:
        odd["differences"] = [{"instance": "exp-1-1", "kind": "python", "what": "its Python does not run"}]
    found = compare_machines({"exp-1": said(), "exp-2": odd, "exp-3": said()})
    assert not found.identical
    assert {(item.instance, item.kind) for item in found.differences} == {("exp-2", kind)}


def test_the_number_of_a_gpu_sets_nothing_apart_and_its_model_does() -> None:
    def with_gpu(name: str, number: str) -> dict[str, Any]:
        return said(gpus=[f"GPU 0: {name} (UUID: GPU-{number})"])

    assert compare_machines({"a": with_gpu("V100", "1"), "b": with_gpu("V100", "2")}).identical
    assert not compare_machines({"a": with_gpu("V100", "1"), "b": with_gpu("T4", "1")}).identical


def test_what_an_image_lost_is_a_problem_of_its_machine() -> None:
    found = compare_machines({"exp-1": said(), "exp-2": said(image_problems=["six.py: missing"])})
    assert not found.identical
    assert found.image_problems == ["exp-2: six.py: missing"]


@pytest.mark.parametrize(
    ("each", "whole"),
    [([True, True], "True"), ([True, False], "False"), ([True, None], "None"), ([None, None], "None")],
)
def test_gpus_are_proven_when_all_are(each: list[bool | None], whole: str) -> None:
    found = compare_machines({f"exp-{k}": said(gpu_proven=value) for k, value in enumerate(each)})
    assert str(found.gpu_proven) == whole


def test_a_declared_gpu_proves_nothing_and_fails_nothing() -> None:
    lacking = [{"instance": "exp-1-1", "kind": "gpu", "what": "the driver shows 1 GPU, torch can use 0"}]
    twins = {name: said(gpu_proven=False, differences=lacking) for name in ("exp-1", "exp-2")}
    declared = compare_machines(twins, declared=["exp-1", "exp-2"])
    assert (declared.gpu_proven, declared.differences) == (None, [])
    real = compare_machines(twins)
    assert (real.gpu_proven, len(real.differences)) == (False, 2)


@pytest.mark.parametrize("value", [{}, {"fingerprints": []}, {"fingerprints": [{"digest": "a"}]}, {"fingerprints": 3}])
def test_what_is_no_verification_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(LaunchbayError, match="verifying exp-1 gave something else"):
        compare_machines({"exp-1": value})
