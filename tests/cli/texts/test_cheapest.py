"""The cheapest plan as text: what it says where something is missing, unknown, dearer or not proven."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.cli.texts.cheapest import cheapest_text
from launchbay.cli.texts.cost import signed_text
from launchbay.cost.saving.cheapest import Cheapest
from launchbay.cost.saving.waterfall import Step, Waterfall
from tests.cost.saving.world import API, TRAINING, alternatives, catalogue

NOW = datetime(2026, 1, 12, tzinfo=UTC).timestamp()


def shown(found: Cheapest, *, width: int | None = None) -> list[str]:
    return cheapest_text(found, now=NOW, width=width, block="#").splitlines()


@pytest.fixture
def found(tmp_path: Path) -> Cheapest:
    """Three vCPUs of need on a type that has two: what would meet the need costs more."""
    endpoints = [{**API, "needs": {"vcpus": 3, "memory": "8GiB"}}]
    running = [{"name": "one", "type": "c.small", "runs": ["api"], "disk": "10GiB"}]
    return alternatives(
        tmp_path,
        catalogue(is_stale=True),
        endpoints=endpoints,
        jobs=[TRAINING],
        instances=[*running, {"name": "gpu", "type": "t4.small", "runs": ["training"], "disk": "10GiB", "count": 2}],
    )


@pytest.mark.parametrize(
    ("usd", "text"), [("1.5", "+1.50"), ("-1.5", "-1.50"), ("0", "0.00"), ("-0.001", "0.00"), ("0.001", "0.00")]
)
def test_a_difference_has_its_sign(usd: str, text: str) -> None:
    assert signed_text(Decimal(usd)) == text
    assert signed_text(None) == "unknown"


def test_dearer_and_stale_are_said(found: Cheapest) -> None:
    lines = shown(found)
    assert sum(line.endswith("dearer than today") for line in lines) == 1
    assert "stale     c.small on-demand: its price is known to have changed since" in lines
    assert len([line for line in lines if line.startswith("assumed   a month of")]) == 2  # in the bill, and once below
    bars = [line for line in lines if line.startswith("split or share")]
    assert bars[0].split()[3].startswith("+")
    assert bars[0].endswith("#")


def test_what_is_missing_takes_the_place_of_a_plan(tmp_path: Path) -> None:
    lines = shown(alternatives(tmp_path, endpoints=[{"name": "api"}]))
    assert sum(line.split()[2:3] == ["unknown"] for line in lines) == 3
    assert sum(line.endswith("could not be worked out") for line in lines) == 3
    assert "missing   api does not say its vcpus and memory" in lines
    assert lines[-1] == "from today to what is needed: what runs today is not said (instances)"


def test_what_is_unknown_makes_a_lower_bound(tmp_path: Path) -> None:
    lines = shown(alternatives(tmp_path, endpoints=[API]))
    assert any(line.startswith("stated need  ") and ">= " in line for line in lines)
    assert any(line.startswith("api ") and ">= " in line for line in lines)


def test_a_search_that_was_cut_short_says_so(found: Cheapest) -> None:
    cut = replace(found, alternatives=tuple(replace(item, is_cut_short=True) for item in found.alternatives))
    assert sum(line.startswith("proof     the time was over") for line in shown(cut)) == 3
    assert not any(line.startswith("proof ") for line in shown(found))


def test_a_step_too_small_for_a_bar_has_one_all_the_same(found: Cheapest) -> None:
    step = Step(name="clean-up", saves_usd=Decimal("0.01"), left_usd=Decimal("999.99"), what="it", risk="that")
    fall = Waterfall(begin_usd=Decimal(1000), end_usd=Decimal("999.99"), steps=(step,))
    lines = shown(replace(found, waterfall=fall))
    assert f"clean-up    -0.01  {' ' * 29}#" in lines
    assert lines[-2:] == ["step      clean-up: it", "risk      clean-up: that"]


def test_a_narrow_terminal(found: Cheapest) -> None:
    lines = shown(found, width=60)
    head = next(line for line in lines if line.startswith("NAME") and "RUNS" in line)
    assert "REGION" not in head
    assert len(head) <= 60
