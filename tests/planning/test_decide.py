"""What is planned, as data: a case is added to a file in `cases/` without writing Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.planning.decide import plan_launch, plan_power, plan_terminate, select, select_one, token_for
from launchbay.planning.fleet import FleetWish, Instance, Plan, look
from launchbay.spec.names import instance_names

Case = Mapping[str, Any]
CASES = Path(__file__).parent / "cases"
WISH = FleetWish(fleet="exp", count=3, image="tiny", digest="d1")


def cases(name: str) -> list[Any]:
    found = yaml.safe_load((CASES / f"{name}.yaml").read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["case"].replace(" ", "-")) for case in found]


def standing(case: Case) -> list[Instance]:
    return [instance for fleet in case["observed"] for instance in fleet_of(**fleet)]


def fleet_of(fleet: str, count: int, digest: str, have: Sequence[str], state: str = "running") -> list[Instance]:
    return [
        Instance(
            id=f"id-of-{name}",
            name=name,
            fleet=fleet,
            count=count,
            image="tiny",
            digest=digest,
            token="token",
            provider="local",
            layer="layer",
            state=state,
            created_at=1_800_000_000.0,
            root=Path("/nowhere") / name,
        )
        for name in have
    ]


def words(plan: Plan) -> list[str]:
    return [" ".join((action.verb, *action.names)) for action in plan.actions]


def ids_for(wish: FleetWish) -> dict[str, str]:
    return {name: f"new-{name}" for name in instance_names(wish.fleet, wish.count)}


def launch(wish: FleetWish, observed: Sequence[Instance] = ()) -> Plan:
    return plan_launch(wish, observed, ids=ids_for(wish), token="t1")


def check_error(error: LaunchbayError, case: Case) -> None:
    assert error.what == case["error"]
    assert error.hint == case.get("hint", error.hint)


@pytest.mark.parametrize("case", cases("launch"))
def test_launch(case: Case) -> None:
    wish = FleetWish(image="tiny", **case["wish"])
    observed = standing(case)
    if "error" in case:
        with pytest.raises(Conflict) as caught:
            launch(wish, observed)
        check_error(caught.value, case)
        return
    plan = launch(wish, observed)
    assert words(plan) == case["actions"]
    assert plan.subject == f"fleet {wish.fleet}"
    assert not plan.needs_consent
    assert plan.saw == look([item for item in observed if item.fleet == wish.fleet])


@pytest.mark.parametrize("case", cases("end"))
def test_end(case: Case) -> None:
    observed = standing(case)
    if "error" in case:
        with pytest.raises(NotFound) as caught:
            select(observed, case["name"])
        check_error(caught.value, case)
        return
    chosen = select(observed, case["name"])
    plan = plan_terminate(chosen) if case["verb"] == "terminate" else plan_power(case["verb"], chosen)
    assert words(plan) == case["actions"]
    assert plan.needs_consent is case["consent"]
    assert plan.subject == "fleet exp"
    assert plan.saw == look(chosen)


@pytest.mark.parametrize("case", cases("one"))
def test_one(case: Case) -> None:
    observed = standing(case)
    if "error" in case:
        with pytest.raises((NotFound, UsageError)) as caught:
            select_one(observed, case["name"])
        check_error(caught.value, case)
        return
    assert select_one(observed, case["name"]).name == case["instance"]


def test_what_is_created_is_decided_before_the_first_step() -> None:
    plan = launch(WISH, fleet_of("exp", 3, "d1", ["exp-2"]))
    create, verify = plan.actions
    assert [spec.name for spec in create.specs] == ["exp-1", "exp-3"]
    assert [spec.id for spec in create.specs] == ["new-exp-1", "new-exp-3"]
    assert {(spec.fleet, spec.count, spec.image, spec.digest, spec.token) for spec in create.specs} == {
        ("exp", 3, "tiny", "d1", "t1")
    }
    assert verify.specs == ()


def test_a_plan_to_end_nothing_does_nothing() -> None:
    assert plan_terminate([]).actions == ()
    assert not plan_terminate([]).needs_consent


def test_planning_again_after_applying_finds_nothing_to_create() -> None:
    created = launch(WISH).actions[0].specs
    observed = fleet_of("exp", 3, "d1", [spec.name for spec in created])
    assert words(launch(WISH, observed)) == ["verify exp-1 exp-2 exp-3"]


# --- the token of an intent ---


def test_a_retry_has_the_same_token() -> None:
    assert token_for("op-1", WISH) == token_for("op-1", replace(WISH))
    assert len(token_for("op-1", WISH)) == 32


@pytest.mark.parametrize(
    ("operation", "changes"),
    [("op-2", {}), ("op-1", {"fleet": "exp2"}), ("op-1", {"count": 4}), ("op-1", {"digest": "d2"})],
)
def test_another_intent_has_another_token(operation: str, changes: dict[str, Any]) -> None:
    assert token_for(operation, replace(WISH, **changes)) != token_for("op-1", WISH)


# --- what a plan saw ---


def test_the_order_of_looking_does_not_matter() -> None:
    fleet = fleet_of("exp", 3, "d1", ["exp-1", "exp-2", "exp-3"])
    assert look(fleet) == look(fleet[::-1])


@pytest.mark.parametrize("change", [{"state": "stopped"}, {"id": "i-9"}, {"name": "exp-9"}, {"token": "t9"}])
def test_a_world_that_moved_looks_different(change: dict[str, str]) -> None:
    first, *others = fleet_of("exp", 2, "d1", ["exp-1", "exp-2"])
    moved: Any = {**change}
    assert look([replace(first, **moved), *others]) != look([first, *others])
    assert look(others) != look([first, *others])
    assert look([]) != look(others)
