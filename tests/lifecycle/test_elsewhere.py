"""What an instance would be on EC2: the cheapest type that has what it may use, and nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.api.fleet import launch
from launchbay.api.listing import ps
from launchbay.catalog.known import load_catalogue
from launchbay.errors import NotFound, StateError
from launchbay.files import write_json
from launchbay.images.image import Image
from launchbay.lifecycle import elsewhere
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.elsewhere import Size, find_type, note_elsewhere
from launchbay.store.spent import find_elsewhere
from tests.providers.specs import make_instances

SMALL = Size(processors=2, memory_mib=8192, architecture="x86_64")


def test_nothing_that_has_as_much_is_cheaper(bay: Bay) -> None:
    found = find_type(bay, SMALL, "us-west-2")
    assert found is not None
    catalogue = load_catalogue(bay.home.catalog, print, regions=["us-west-2"])
    chosen = catalogue.types[found.type]
    assert (chosen.vcpus >= 2, chosen.memory_mib >= 8192, chosen.is_current) == (True, True, True)
    for kind in catalogue.types.values():
        price = catalogue.price(kind.name, "us-west-2")
        if price is None or not kind.is_current or kind.is_burstable or kind.is_bare_metal:
            continue
        if kind.vcpus >= 2 and kind.memory_mib >= 8192 and "x86_64" in kind.architectures:
            assert price.usd_per_hour >= Decimal(found.usd_per_hour)


@pytest.mark.parametrize(
    ("model", "count", "kind"),
    [
        ("Tesla T4", 1, "g4dn.xlarge"),
        ("NVIDIA A10G", 4, "g5.12xlarge"),
        ("NVIDIA A100-SXM4-40GB", 8, "p4d.24xlarge"),
        ("NVIDIA A100-SXM4-80GB", 8, "p4de.24xlarge"),
        ("NVIDIA L4", 1, "g6.xlarge"),
        ("NVIDIA L40S", 1, "g6e.xlarge"),
        ("NVIDIA GeForce RTX 4090", 1, None),
        ("", 1, None),
    ],
)
def test_a_gpu_is_the_same_model(bay: Bay, model: str, count: int, kind: str | None) -> None:
    found = find_type(bay, replace(SMALL, gpus=(model,) * count), "us-east-1")
    assert (found and found.type) == kind


def test_what_a_smaller_type_of_unknown_price_makes_cheaper_is_unknown(bay: Bay) -> None:
    h100 = replace(SMALL, processors=16, memory_mib=128 << 10, gpus=("NVIDIA H100 80GB HBM3",))
    types = load_catalogue(bay.home.catalog, print, regions=["us-east-1"])
    assert types.price("p5.48xlarge", "us-east-1") is not None
    assert types.price("p5.4xlarge", "us-east-1") is None
    assert find_type(bay, h100, "us-east-1") is None
    found = find_type(bay, replace(h100, gpus=h100.gpus * 2), "us-east-1")
    assert found is not None
    assert (found.type, found.is_stale, found.gpus, found.gpus_here) == ("p5.48xlarge", True, 8, 2)


@pytest.mark.parametrize("processors", [1, 2, 4, 8, 16, 32, 64])
def test_a_machine_without_gpus_has_an_answer(bay: Bay, processors: int) -> None:
    for gib in (2, 4, 8):
        found = find_type(bay, replace(SMALL, processors=processors, memory_mib=processors * gib << 10), "us-west-2")
        assert found is not None, gib
        assert (found.gpus, found.is_stale) == (0, False)


def test_what_nobody_has_is_nothing_and_an_unknown_region_an_error(bay: Bay) -> None:
    assert find_type(bay, replace(SMALL, processors=10_000), "us-east-1") is None
    with pytest.raises(NotFound):
        find_type(bay, SMALL, "us-esat-1")


def test_it_is_written_once_and_stays_what_it_was_at_the_launch(
    bay: Bay, with_image: Callable[[str], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    two = make_instances(bay, with_image("tiny"), 2)
    (first, _) = note_elsewhere(bay, two, region="us-east-1")
    assert first.region == "us-east-1"
    monkeypatch.setattr(elsewhere, "find_type", lambda *_: pytest.fail("it is known"))
    assert note_elsewhere(bay, two, region="eu-central-1") == [first, first]
    (two[1].root / "elsewhere.json").unlink()
    assert note_elsewhere(bay, two, region="us-east-1") == [first, first], "remembered, without reading the catalogue"


def test_an_instance_with_a_part_of_the_machine_is_as_large_as_that(
    bay: Bay, with_image: Callable[[str], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "_whole_machine", lambda: replace(SMALL, processors=64, memory_mib=1 << 19))
    one, two = make_instances(bay, with_image("tiny"), 2)
    write_json(
        one.root / "resources.json", {"cpus": 2, "processors": [0, 1], "memory": 4 << 30, "gpus": None, "group": None}
    )
    small, large = note_elsewhere(bay, [one, two], region="us-east-1")
    types = load_catalogue(bay.home.catalog, print, regions=["us-east-1"]).types
    assert (types[small.type].vcpus, types[large.type].vcpus >= 64) == (2, True)


def test_no_launch_fails_for_a_region_that_is_nobodys_or_for_want_of_room(
    bay: Bay, with_image: Callable[[str], Image]
) -> None:
    (one,) = make_instances(bay, with_image("tiny"), 1)
    assert note_elsewhere(bay, [one], region="mars-west-1") == []
    assert find_elsewhere(one.root) is None
    bay.home.elsewhere.rename(bay.home.root / "gone")
    bay.home.elsewhere.write_text("a file in the place of the folder", encoding="utf-8")
    assert len(note_elsewhere(bay, [one], region="us-east-1")) == 1


def test_only_what_is_known_to_be_nothing_is_remembered_as_nothing(
    bay: Bay, with_image: Callable[[str], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StateError("the cache of prices cannot be read")

    (one,) = make_instances(bay, with_image("tiny"), 1)
    with monkeypatch.context() as broken:
        broken.setattr(elsewhere, "find_type", fail)
        assert note_elsewhere(bay, [one], region="us-east-1") == []
    assert len(note_elsewhere(bay, [one], region="us-east-1")) == 1


def test_a_list_says_what_each_costs_and_would(bay: Bay, with_image: Callable[[str], Image]) -> None:
    with_image("tiny")
    launched = launch(bay, "tiny", count=2, name="exp")
    rows = ps(bay)
    assert [row.elsewhere for row in rows] == launched.elsewhere
    assert {row.fleet_so_far for row in rows} == {"0.00"}
    assert all(row.elsewhere_so_far is not None for row in rows)


def test_gpus_of_two_models_are_found_nowhere(bay: Bay) -> None:
    assert find_type(bay, replace(SMALL, gpus=("Tesla T4", "NVIDIA L4")), "us-east-1") is None


def test_an_instance_has_the_gpus_that_it_was_given(
    bay: Bay, with_image: Callable[[str], Image], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(elsewhere, "_whole_machine", lambda: SMALL)
    monkeypatch.setattr(elsewhere, "_GPUS", tmp_path)
    for number, (bus, model) in enumerate([("0000:02", "NVIDIA L4"), ("0000:01", "Tesla T4")]):
        (tmp_path / bus).mkdir()
        text = f"Model: \t\t {model}\nGPU UUID: \t GPU-1\nDevice Minor: \t {number}\n"
        (tmp_path / bus / "information").write_text(text, encoding="utf-8")
    one, two = make_instances(bay, with_image("tiny"), 2)
    for instance, number in ((one, 0), (two, 1)):
        record = {"cpus": None, "processors": [], "memory": None, "gpus": [number], "group": None}
        write_json(instance.root / "resources.json", record)
    assert [item.type for item in note_elsewhere(bay, [one, two], region="us-east-1")] == ["g6.xlarge", "g4dn.xlarge"]
