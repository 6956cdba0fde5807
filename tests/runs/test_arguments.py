from __future__ import annotations

import shlex

import pytest

from launchbay.runs.arguments import tell_apart


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("train.py --rate 0.1", "train.py --rate 0.2", ("--rate 0.1", "--rate 0.2")),
        ("train.py --epochs 5 --rate 0.1", "train.py --rate 0.2 --epochs 5", ("--rate 0.1", "--rate 0.2")),
        ("train.py --rate=0.1 x", "train.py --rate=0.2 x", ("--rate=0.1", "--rate=0.2")),
        ("train.py", "train.py --big", ("", "--big")),
        ("train.py --shift -0.5", "train.py --shift -.25", ("--shift -0.5", "--shift -.25")),
        ("train.py --layers 10 20", "train.py --layers 10", ("--layers 10 20", "--layers 10")),
        ("/a/train.py 1", "/b/other.py 1", ("train.py", "other.py")),
        ("/a/train.py 1", "/b/train.py 1", ("", "")),
        ("train.py --name 'a b'", "train.py --name c", ("--name 'a b'", "--name c")),
    ],
)
def test_what_both_have_is_left_out(first: str, second: str, told: tuple[str, str]) -> None:
    found = tell_apart({"a": shlex.split(first), "b": shlex.split(second)})
    assert (found["a"], found["b"]) == told


def test_one_run_differs_from_none() -> None:
    assert tell_apart({"a": ["train.py", "--rate", "1"]}) == {"a": ""}
    assert tell_apart({}) == {}


def test_what_is_long_is_shortened() -> None:
    found = tell_apart({"a": ["t.py", *(f"--option{index} {index}" for index in range(20))], "b": ["t.py"]})
    assert len(found["a"]) <= 60
    assert found["a"].endswith("…")
