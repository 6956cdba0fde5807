"""How long a budget lasts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from launchbay.cost.line import Line
from launchbay.errors import UsageError
from launchbay.planning.lease import lease_within
from launchbay.planning.worstcase import WorstCase


def worst_of(seconds: int, *, hourly: str | None = "3.06", once: str = "0.60") -> WorstCase:
    """Return a worst case of so much an hour, and something that is billed once."""
    plain = {"name": "launch", "region": "us-east-1", "what": "x", "unit": "hour"}
    usd = None if hourly is None else Decimal(hourly)
    hours = Decimal(seconds) / 3600
    return WorstCase(
        lines=(
            Line(category="compute", item="c5", quantity=hours, unit_usd=usd, **plain),  # type: ignore[arg-type]
            Line(category="disk", item="fill", quantity=Decimal(1), unit_usd=Decimal(once), **plain),  # type: ignore[arg-type]
        )
    )


def test_without_a_budget_and_with_a_large_one_the_lease_is_as_asked_for() -> None:
    assert lease_within(None, 28_800, worst_of) == 28_800
    assert lease_within(Decimal("25.08"), 28_800, worst_of) == 28_800


@pytest.mark.parametrize("budget", ["0.70", "1", "3.66", "10", "25.07"])
def test_it_ends_at_the_last_second_that_the_budget_lasts(budget: str) -> None:
    seconds = lease_within(Decimal(budget), 28_800, worst_of)
    here, next_one = worst_of(seconds).usd, worst_of(seconds + 2).usd
    assert here is not None
    assert next_one is not None
    assert here <= Decimal(budget) < next_one


def test_a_budget_for_less_than_a_minute_is_refused() -> None:
    with pytest.raises(UsageError, match="used up by a boot, a minute and a shutdown") as caught:
        lease_within(Decimal("0.60"), 28_800, worst_of)
    assert "--budget 25.08usd" in caught.value.hint


def test_nobody_knows_how_long_a_budget_lasts_at_an_unknown_price() -> None:
    with pytest.raises(UsageError, match=r"nobody knows how long 5\.00 USD last"):
        lease_within(Decimal(5), 28_800, lambda seconds: worst_of(seconds, hourly=None))
