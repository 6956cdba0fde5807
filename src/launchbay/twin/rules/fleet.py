"""Instant fleets: launches tried pool by pool, until enough stands; what went wrong is told beside what was launched.

A pool is a launch template with one of its overrides. Each is a launch of its own, through all the rules. Fleets that keep
themselves up (``maintain``, ``request``) are not modelled. The strategies that go by capacity go by price here: the twin's
capacity is what somebody said it is, and shows in no pool before it is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.parsers import create_parser
from moto.core.utils import get_service_model

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.rules.asked import tags_asked
from launchbay.twin.rules.pools import Goal, Pool, by_group, in_order, launch_of, read_goals, read_pools
from launchbay.twin.world import World

__all__ = ["FLEETS", "RULE"]

FLEETS = "fleets"
"""Where fleets are noted, by id."""

_ENDED = ("shutting-down", "terminated")


def _ask(world: World, call: Call, action: str, params: Mapping[str, Any]) -> tuple[Mapping[str, Any], Answer]:
    asked = Call(service=call.service, action=action, region=call.region, key=call.key, peer=call.peer, params=params)
    answer = world.inner(asked)
    model = get_service_model("ec2")
    shape = model.operation_model(action).output_shape
    raw = {"body": answer.body, "status_code": answer.status, "headers": dict(answer.headers)}
    parsed: Mapping[str, Any] = create_parser(model.protocol).parse(raw, shape)
    return parsed, answer


def _create(call: Call, world: World) -> Mapping[str, Any]:
    if call.get("Type", default="maintain") != "instant":
        what = "The twin models fleets of type instant only; ask with Type=instant, or launch instances yourself"
        raise Refused("UnsupportedOperation", what)
    pools, goals = read_pools(call), read_goals(call)
    identity = f"fleet-{world.chance.getrandbits(128):032x}"
    identity = "-".join((identity[:14], identity[14:18], identity[18:22], identity[22:26], identity[26:]))
    launched: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for goal in goals:
        _fulfil(_Try(call, world, identity, goal), in_order(world, call.region, pools, goal), launched, errors)
    ids = [name for item in launched for name in item["InstanceIds"]]
    for name in ids:
        ec2(call.region).tags[name]["aws:ec2:fleet-id"] = identity
    ec2(call.region).tags[identity].update(tags_asked(call, "fleet"))
    world.truth.noted(FLEETS)[identity] = {
        "region": call.region,
        "state": "active",
        "made": world.now(),
        "instances": ids,
        "target": dict(call.get("TargetCapacitySpecification")),
        "configs": [dict(item) for item in call.get("LaunchTemplateConfigs")],
        "client_token": call.get("ClientToken", default=""),
    }
    return {"FleetId": identity, "Instances": launched, "Errors": errors}


class _Try:
    """One call's attempt at one goal."""

    def __init__(self, call: Call, world: World, fleet: str, goal: Goal) -> None:
        self.call, self.world, self.fleet, self.goal = call, world, fleet, goal
        self.count = 0

    def launch(self, pool: Pool, least: int, most: int) -> tuple[list[str], dict[str, Any]]:
        """Launch from a pool; give the instances, and the error where there are none."""
        self.count += 1
        token = f"{self.fleet}-{self.goal.market[:4]}-{self.count}"
        params = launch_of(self.call, pool, self.goal, least=least, most=most, token=token)
        parsed, answer = _ask(self.world, self.call, "RunInstances", params)
        if not answer.is_error:
            return [item["InstanceId"] for item in parsed["Instances"]], {}
        error = parsed.get("Error", {})
        return [], {
            "LaunchTemplateAndOverrides": pool.shown(),
            "Lifecycle": self.goal.market,
            "ErrorCode": error.get("Code", "InternalError"),
            "ErrorMessage": error.get("Message", ""),
        }

    def undo(self, instances: Sequence[str]) -> None:
        """End what was launched towards a least that was not reached."""
        _ask(self.world, self.call, "TerminateInstances", {"InstanceIds": list(instances)})


def _fulfil(attempt: _Try, pools: Sequence[Pool], launched: list[dict[str, Any]], errors: list[dict[str, Any]]) -> None:
    """Launch towards a goal: from one group of pools, where all shall be alike or in one zone, else from all of them."""
    goal = attempt.goal
    for group in by_group(pools, goal):
        got: list[dict[str, Any]] = []
        units = 0.0
        for pool in group:
            if units >= goal.units:
                break
            most = pool.count_for(goal.units - units)
            # where a single pool must give the least, the launch itself is all or nothing
            least = pool.count_for(goal.least) if goal.least and len(group) == 1 else 1
            ids, error = attempt.launch(pool, min(least, most), most)
            if error:
                errors.append(error)
                continue
            units += len(ids) * pool.weight
            got.append(
                {
                    "LaunchTemplateAndOverrides": pool.shown(),
                    "Lifecycle": goal.market,
                    "InstanceIds": ids,
                    "InstanceType": pool.type,
                }
            )
        if got and units >= goal.least:
            launched += got
            return
        if got:
            attempt.undo([name for item in got for name in item["InstanceIds"]])


def _describe(call: Call, world: World) -> Mapping[str, Any]:
    asked = call.get("FleetIds", default=[])
    known = world.truth.noted(FLEETS)
    for identity in asked:
        _find(call, world, identity)
    # instant fleets are described only to who names them
    return {"Fleets": [_shown(identity, known[identity]) for identity in asked]}


def _shown(identity: str, fleet: Mapping[str, Any]) -> Mapping[str, Any]:
    tags = ec2(fleet["region"]).tags.get(identity, {})
    return {
        "FleetId": identity,
        "FleetState": fleet["state"],
        "Type": "instant",
        "CreateTime": fleet["made"],
        "ClientToken": fleet["client_token"],
        "TargetCapacitySpecification": fleet["target"],
        "LaunchTemplateConfigs": fleet["configs"],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def _find(call: Call, world: World, identity: str) -> dict[str, Any]:
    found: dict[str, Any] | None = world.truth.noted(FLEETS).get(identity)
    if found is None or found["region"] != call.region:
        raise Refused("InvalidFleetId.NotFound", f"The fleet ID '{identity}' does not exist")
    return found


def _standing(call: Call, fleet: Mapping[str, Any]) -> list[Any]:
    wanted = set(fleet["instances"])
    backend = ec2(call.region)
    return [item for item in backend.all_instances() if item.id in wanted and item.state not in _ENDED]


def _instances(call: Call, world: World) -> Mapping[str, Any]:
    identity = str(call.get("FleetId"))
    standing = _standing(call, _find(call, world, identity))
    active = [
        {"InstanceId": item.id, "InstanceType": item.instance_type, "InstanceHealth": "healthy"} for item in standing
    ]
    return {"FleetId": identity, "ActiveInstances": active}


def _delete(call: Call, world: World) -> Mapping[str, Any]:
    if not call.get("TerminateInstances"):
        what = "An instant fleet is deleted with its instances: TerminateInstances must be true"
        raise Refused("InvalidParameterValue", what)
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for identity in call.get("FleetIds", default=[]):
        fleet = world.truth.noted(FLEETS).get(identity)
        if fleet is None or fleet["region"] != call.region:
            error = {"Code": "fleetIdDoesNotExist", "Message": f"The fleet ID '{identity}' does not exist"}
            failed.append({"FleetId": identity, "Error": error})
            continue
        ids = [item.id for item in _standing(call, fleet)]
        if ids:
            _ask(world, call, "TerminateInstances", {"InstanceIds": ids})
        before, fleet["state"] = fleet["state"], "deleted_terminating"
        done.append({"FleetId": identity, "PreviousFleetState": before, "CurrentFleetState": "deleted_terminating"})
    return {"SuccessfulFleetDeletions": done, "UnsuccessfulFleetDeletions": failed}


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    act = {
        "CreateFleet": _create,
        "DeleteFleets": _delete,
        "DescribeFleetInstances": _instances,
        "DescribeFleets": _describe,
    }
    return act[call.action](call, world)


RULE = Rule(
    name="fleets",
    on=frozenset({"ec2:CreateFleet", "ec2:DeleteFleets", "ec2:DescribeFleetInstances", "ec2:DescribeFleets"}),
    source="parameters, that errors come beside instances, that deleting an instant fleet ends its instances, and that it is "
    "described by id only, verified in botocore's documentation; that other types are refused is ours",
    before=_before,
)
