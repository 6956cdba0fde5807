"""What holds of the cheapest plan from a file to its dollars: over workloads made by chance from a seed."""

from __future__ import annotations

import copy
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cost.saving.test_placed import make_fields
from tests.cost.saving.world import HOURLY, catalogue, needed

SEEDS = range(25)


def least(folder: Path, fields: dict[str, Any], scale: Decimal = Decimal(1)) -> Decimal:
    """Return the least cost, which is proven to be the least."""
    found = needed(folder, catalogue(HOURLY, scale=scale), **fields)
    assert found.usd is not None
    assert found.gap == 0
    return found.usd


def add_need(chance: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    """Return a workload that needs more of something."""
    more = copy.deepcopy(fields)
    items = [*more["endpoints"], *more["jobs"]]
    needs = chance.choice(items)["needs"]
    change = chance.choice(["vcpus", "memory", "architecture", "gpus", "local_disk", "job"])
    if change == "vcpus" and "local_disk" not in needs:
        needs |= {"disk": "100GiB", "public_address": True}
        needs["vcpus"] = min(needs["vcpus"] + 0.5, 4)
    elif change == "memory" and "local_disk" not in needs:
        needs["memory"] = "40GiB"
    elif change == "architecture":
        needs["architecture"] = "x86_64"
    elif change == "gpus" and "local_disk" not in needs:  # no type here has both
        needs |= {"gpus": 1, "gpu_memory": "10GiB"}
    elif change == "job":
        more["jobs"].append(
            {
                "name": f"more-{len(items)}",
                "needs": {"vcpus": 1, "memory": "2GiB", "disk": "10GiB"},
                "hours": 3,
                "runs": "1 a week",
            }
        )
    else:
        more["endpoints"].append(
            {
                "name": f"more-{len(items)}",
                "needs": {"vcpus": 1, "memory": "2GiB", "local_disk": "100GB", "disk": "10GiB"},
            }
        )
    return more


@pytest.mark.parametrize("seed", SEEDS)
def test_adding_a_need_never_lowers_the_least_cost(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    fields = make_fields(chance)
    before = least(tmp_path, fields)
    for _ in range(3):
        fields = add_need(chance, fields)
        after = least(tmp_path, fields)
        assert after >= before - Decimal("0.001")
        before = after


@pytest.mark.parametrize("seed", SEEDS)
def test_scaling_the_prices_scales_the_least_cost(tmp_path: Path, seed: int) -> None:
    fields = make_fields(random.Random(seed))
    scale = Decimal("1.7")
    assert abs(least(tmp_path, fields, scale) - scale * least(tmp_path, fields)) < Decimal("0.01")
