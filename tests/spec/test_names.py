from __future__ import annotations

import random
import string

import pytest

from launchbay.errors import NotFound, UsageError
from launchbay.spec.names import MAX_COUNT, check_count, check_fleet_name, instance_names, nearest, suggest_name


@pytest.mark.parametrize("count", [1, 2, 20, 1000])
def test_a_count_that_can_be(count: int) -> None:
    assert check_count(count) == count


@pytest.mark.parametrize("count", [0, -1, 1001, 100_000])
def test_a_count_that_cannot_be(count: int) -> None:
    with pytest.raises(UsageError) as caught:
        check_count(count, where="bay.yaml:7")
    assert str(caught.value) == f"count must be 1 to {MAX_COUNT}, got {count} (bay.yaml:7)\n  Try: -n 3"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["a", "7", "exp", "Exp-1", "a--b", "a-", "x" * 63])
def test_a_name_that_can_be(name: str) -> None:
    assert check_fleet_name(name) == name


@pytest.mark.parametrize("name", ["latest", "run-20261126-025230-6bjgx"])
def test_what_means_a_run_names_no_fleet(name: str) -> None:
    with pytest.raises(UsageError, match="means a run") as caught:
        check_fleet_name(name)
    assert caught.value.hint == f"--name my-{name}"
    assert check_fleet_name(suggest_name(name)) == f"my-{name}"


@pytest.mark.parametrize("name", ["run", "run-2", "latest-1", "Latest"])
def test_what_only_looks_like_a_run_is_a_name(name: str) -> None:
    assert check_fleet_name(name) == name == suggest_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a b",
        "a_b",
        "a.b",
        "a/b",
        "../a",
        "é",
        "a\n",
        "\n",
        "x" * 64,
        "a;rm",
        "$HOME",
        "a\0",
        "٣",
        "-",
        "--json",
    ],
)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(name: str) -> None:
    with pytest.raises(UsageError, match="must be 1 to 63 letters, digits or '-'") as caught:
        check_fleet_name(name, where="bay.yaml:1")
    assert repr(name) in caught.value.what
    assert caught.value.where == "bay.yaml:1"
    flag, _, proposed = caught.value.hint.partition(" ")
    assert flag == "--name"
    assert check_fleet_name(proposed) == proposed


def test_any_text_has_a_name_near_it() -> None:
    draw = random.Random(2)
    letters = string.printable + "éß漢\0"
    for _ in range(2000):
        text = "".join(draw.choices(letters, k=draw.randrange(100)))
        assert check_fleet_name(suggest_name(text))


@pytest.mark.parametrize(
    ("text", "name"), [("my exp", "my-exp"), ("a_b.c", "a-b-c"), ("../../etc", "etc"), ("---", "exp"), ("", "exp")]
)
def test_the_nearest_name_is_what_one_would_expect(text: str, name: str) -> None:
    assert suggest_name(text) == name


def test_instances_are_numbered_from_one() -> None:
    assert instance_names("exp", 3) == ("exp-1", "exp-2", "exp-3")
    assert len(set(instance_names("exp", 1000))) == 1000


def test_what_was_probably_meant_is_offered() -> None:
    error = nearest("tensorflw", ["jax", "tensorflow"], kind="image", hint="`bay images` lists them")
    assert isinstance(error, NotFound)
    assert error.what == "there is no image named 'tensorflw'; did you mean tensorflow?"
    assert error.hint == "`bay images` lists them"


def test_several_are_offered_in_order() -> None:
    error = nearest("exp", ["exp-3", "exp-1", "exp-2"], kind="instance", hint="")
    assert error.what.endswith("did you mean exp-1, exp-2 or exp-3?")
    assert nearest("exp", ["exp-2", "exp-1"], kind="instance", hint="").what.endswith("mean exp-1 or exp-2?")


def test_nothing_far_fetched_is_offered() -> None:
    assert nearest("zzz", ["jax", "tensorflow"], kind="image", hint="").what == "there is no image named 'zzz'"
    assert nearest("zzz", [], kind="run", hint="").what == "there is no run named 'zzz'"
