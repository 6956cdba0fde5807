"""HiGHS behind the covering model: what it says when it is missing, and that what it answers is held against the model."""

from __future__ import annotations

import sys

import pytest

from launchbay.cost.optimum import solver
from launchbay.cost.optimum.solver import Cover, Solution
from launchbay.errors import UserError
from tests.cost.optimum.workloads import cheapest, machine, service


def test_without_highs_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highspy", None)
    with pytest.raises(UserError) as refused:
        cheapest([service("web", 1, 1)], [], [machine("c5.large", 2, 4, "0.085")])
    assert "pip install 'launchbay[solver]'" in str(refused.value)


def cover() -> Cover:
    """Return a model where fractions are cheaper: three pairs cover each of three rows twice over."""
    found = Cover([1, 1, 1])
    for rows in ((0, 1), (1, 2), (0, 2)):
        found.add(2.0, dict.fromkeys(rows, 1))
    return found


def test_fractions_first_then_whole_numbers() -> None:
    model = cover()
    relaxed = model.relax()
    assert relaxed.usd == pytest.approx(3.0)
    assert relaxed.duals == pytest.approx((1.0, 1.0, 1.0))
    whole = model.solve(seconds=10, nodes=1000, gap=0.0)
    assert whole is not None
    assert (whole.usd, sum(whole.values)) == (4.0, 2.0)
    assert whole.bound == pytest.approx(4.0)


def test_it_grows_and_changes_its_demands() -> None:
    model = cover()
    model.add(1.0, {0: 1, 1: 1, 2: 1})
    assert len(model) == 4
    assert model.relax().usd == pytest.approx(1.0)
    model.demand(0, 3.0)
    assert model.relax().usd == pytest.approx(3.0)


@pytest.mark.parametrize(("usd", "bound"), [(3.0, 3.0), (4.0, 4.5), (9.0, 4.0)])
def test_an_answer_that_its_own_columns_contradict_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, usd: float, bound: float
) -> None:
    """A version of HiGHS loses a part of the cost when it goes from a relaxation to whole numbers, and of the bound too."""
    wrong = Solution(values=(1.0, 1.0, 0.0), duals=(), usd=usd, bound=bound)
    monkeypatch.setattr(solver, "_read", lambda *_: wrong)
    whole = cover().solve(seconds=10, nodes=1000, gap=0.0)
    assert whole is not None
    assert (whole.usd, whole.bound) == (4.0, 0.0)


def test_a_start_is_used() -> None:
    model = cover()
    whole = model.solve(seconds=10, nodes=0, gap=0.0, start=[1.0, 1.0, 0.0])
    assert whole is not None
    assert whole.usd == 4.0


def test_a_model_without_an_answer_gives_none() -> None:
    model = Cover([1])
    model.add(1.0, {})
    assert model.solve(seconds=10, nodes=1000, gap=0.0) is None
