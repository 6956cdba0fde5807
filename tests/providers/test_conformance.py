"""What every provider promises, held by each of them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest

from launchbay.errors import UserError
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.planning.fleet import Instance, InstanceSpec
from launchbay.ports import SystemClock
from launchbay.providers.base import CanStop, Provider
from launchbay.providers.layer import OverlayLayer, PthLayer
from launchbay.providers.local import LocalProvider
from launchbay.testing import FakeProvider
from tests.providers.specs import make_specs


class Whole(Provider, CanStop, Protocol):
    """A provider that can do everything."""


class _FullAt:
    """Finds the disk full at the k-th instance, when half of it is written."""

    def __init__(self, at: int) -> None:
        self.left = at

    def count(self, root: Path) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(root / "env" / "pyvenv.cfg"))


class _Breaking(_FullAt, PthLayer):
    def create(self, root: Path, image: Image) -> None:
        super().create(root, image)
        self.count(root)


class _BreakingOverlay(_FullAt, OverlayLayer):
    def create(self, root: Path, image: Image) -> None:
        super().create(root, image)
        self.count(root)


@dataclass
class Case:
    """A provider, another look at the same world, and how to make it fail at the k-th create."""

    provider: Whole
    other: Whole
    breaking: Callable[[int], Whole]
    image: Image
    layer: str

    def specs(self, count: int) -> list[InstanceSpec]:
        """Return what a launch of `count` would hand to it."""
        return [replace(spec, layer=self.layer) for spec in make_specs(self.image, count)]


@pytest.fixture(params=["local", "overlay", "fake"])
def case(request: pytest.FixtureRequest, home: Home, with_image: Callable[[str], Image]) -> Iterator[Case]:
    image = with_image("tiny")
    if request.param != "fake":
        clock = SystemClock()
        layer, breaking_layer = ("layer", _Breaking) if request.param == "local" else ("overlay", _BreakingOverlay)
        provider = LocalProvider(home, clock)
        yield Case(
            provider,
            LocalProvider(home, clock),
            lambda at: LocalProvider(home, clock, layers={layer: breaking_layer(at)}.__getitem__),
            image,
            layer,
        )
        provider.delete(provider.observe())
        return
    fake = FakeProvider()

    def breaking(at: int) -> FakeProvider:
        fake.fail_at = at
        return fake

    yield Case(fake, fake, breaking, image, "layer")


def names(provider: Provider) -> list[str]:
    return [instance.name for instance in provider.observe()]


def make(case: Case, count: int) -> list[Instance]:
    made: list[Instance] = []
    case.provider.create(case.specs(count), case.image, made=made.append)
    return made


def test_what_is_made_is_observed_as_it_was_meant(case: Case) -> None:
    made = make(case, 3)
    assert [item.name for item in made] == ["exp-1", "exp-2", "exp-3"]
    assert list(case.provider.observe()) == made
    for spec, instance in zip(case.specs(3), made, strict=True):
        assert all(getattr(instance, key) == getattr(spec, key) for key in spec.__dataclass_fields__)
        assert instance.provider == case.provider.name
        assert instance.state == "running"
        assert instance.created_at > 0


def test_create_is_idempotent_by_id(case: Case) -> None:
    first = make(case, 2)
    again = make(case, 3)
    assert [item.name for item in again] == ["exp-3"]
    assert list(case.provider.observe()) == [*first, *again]


def test_observe_is_fresh(case: Case) -> None:
    assert names(case.other) == []
    made = make(case, 2)
    assert names(case.other) == ["exp-1", "exp-2"]
    case.provider.delete(made[:1])
    assert names(case.other) == ["exp-2"]


def test_delete_removes_only_what_is_named_and_may_be_repeated(case: Case) -> None:
    made = make(case, 3)
    for _ in range(2):
        case.provider.delete([made[1]])
        assert names(case.provider) == ["exp-1", "exp-3"]
    case.provider.delete([])
    case.provider.delete(made)
    assert names(case.provider) == []


def test_a_failure_in_the_middle_leaves_the_earlier_ones_and_raises(case: Case) -> None:
    provider = case.breaking(2)
    made: list[Instance] = []
    with pytest.raises(UserError, match="exp-2"):
        provider.create(case.specs(3), case.image, made=made.append)
    assert [item.name for item in made] == ["exp-1"]
    assert list(case.other.observe()) == made


def test_stop_and_start_are_idempotent_and_touch_only_one(case: Case) -> None:
    first, second = make(case, 2)
    for _ in range(2):
        assert case.provider.stop([first]) == 0
        stopped, other = case.other.observe()
        assert _apart_from_hours(stopped) == _apart_from_hours(replace(first, state="stopped"))
        assert (stopped.up_since, other) == (None, second)
    for _ in range(2):
        case.provider.start([first])
        started, other = case.other.observe()
        assert _apart_from_hours(started) == _apart_from_hours(first)
        assert (started.ran_s, other) == (stopped.ran_s, second), "hours are counted once"


def _apart_from_hours(instance: Instance) -> Instance:
    return replace(instance, ran_s=None, up_since=None)


def test_one_that_is_gone_is_not_brought_back(case: Case) -> None:
    (instance,) = make(case, 1)
    case.provider.delete([instance])
    assert case.provider.stop([instance]) == 0
    case.provider.start([instance])
    assert names(case.provider) == []


def test_sweep_leaves_what_is_whole(case: Case) -> None:
    made = make(case, 2)
    case.provider.sweep()
    assert list(case.provider.observe()) == made
    assert list(case.provider.sweep()) == []
