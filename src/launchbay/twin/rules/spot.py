"""Spot: the request that stands for an instance, its price limit, and the end that EC2 makes of it with a notice before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from launchbay.twin.backend import find_instance
from launchbay.twin.billing import spot_usd
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.clock import Due
from launchbay.twin.rule import Rule
from launchbay.twin.rules.capacity import market_asked
from launchbay.twin.rules.idempotency import zone_asked
from launchbay.twin.rules.states import begin_stop, begin_terminate
from launchbay.twin.truth import SpotRequest
from launchbay.twin.world import World

__all__ = ["NOTICE_S", "RULE", "interrupt"]

NOTICE_S = 120.0
"""How long before its end EC2 tells an instance."""


def interrupt(world: World, instance: Any, *, notice_s: float = NOTICE_S, rebalance_s: float = 0.0) -> None:
    """Let EC2 take a spot instance back: a rebalance signal, then the notice, then its end. Raises ValueError for another."""
    if instance.lifecycle != "spot" or instance.state != "running":
        raise ValueError(f"{instance.id} is not a running spot instance")
    if rebalance_s > 0:
        at = world.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        world.truth.notices.setdefault(instance.id, {})["rebalance"] = {"noticeTime": at}
    world.clock.plan("spot-notice", instance.id, seconds=rebalance_s, data={"notice_s": notice_s})


def _notice(world: World, due: Due) -> None:
    instance = find_instance(due.resource)
    request = _request_of(world, instance)
    if instance is None or request is None or instance.state != "running":
        return
    seconds = float(due.data["notice_s"])
    end = (world.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = world.truth.notices.setdefault(instance.id, {})
    if seconds > 0:
        said["instance-action"] = {"action": request.interruption, "time": end}
    said.setdefault("rebalance", {"noticeTime": world.now().strftime("%Y-%m-%dT%H:%M:%SZ")})
    request.status = f"marked-for-{'stop' if request.interruption == 'stop' else 'termination'}"
    world.clock.plan("spot-end", instance.id, seconds=seconds)


def _end(world: World, due: Due) -> None:
    instance = find_instance(due.resource)
    request = _request_of(world, instance)
    if instance is None or request is None or instance.state != "running":
        return
    why = "Server.SpotInstanceTermination"
    if request.interruption == "stop":
        begin_stop(world, instance, code="Server.SpotInstanceShutdown", why="Spot instance shutdown")
        request.state, request.status = "disabled", "instance-stopped-no-capacity"
    else:
        begin_terminate(world, instance, code=why, why="Spot instance termination")


def _request_of(world: World, instance: Any | None) -> SpotRequest | None:
    return world.truth.spot.get(getattr(instance, "spot_instance_request_id", "") or "")


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.action == "RunInstances":
        _check_price(call, world)
        return None
    if call.action == "DescribeSpotInstanceRequests":
        return {"SpotInstanceRequests": [_shown(item) for item in _asked(call, world)]}
    if call.action == "CancelSpotInstanceRequests":
        return _cancel(call, world)
    return None


def _check_price(call: Call, world: World) -> None:
    options = call.get("InstanceMarketOptions", "SpotOptions", default={})
    limit = str(options.get("MaxPrice", ""))
    if market_asked(call) != "spot":
        return
    kind, ends = options.get("SpotInstanceType", "one-time"), options.get("InstanceInterruptionBehavior", "terminate")
    if kind == "one-time" and ends != "terminate":
        what = "stop and hibernate are for persistent Spot requests; a one-time request ends with terminate"
        raise Refused("InvalidParameterCombination", what)
    if not limit:
        return
    try:
        most = Decimal(limit)
    except InvalidOperation:
        raise Refused("InvalidParameterValue", f"Invalid spot price: {limit}") from None
    zone = zone_asked(call) or f"{call.region}a"
    now = spot_usd(world, str(call.get("InstanceType", default="m1.small")), zone)
    if now is not None and most < now:
        what = f"Your Spot request price of {limit} is lower than the minimum required Spot request fulfillment price of {now:f}."
        raise Refused("SpotMaxPriceTooLow", what)


def _made(call: Call, world: World, made: Sequence[Any]) -> None:
    if market_asked(call) != "spot":
        return
    options = call.get("InstanceMarketOptions", "SpotOptions", default={})
    tags = {
        str(tag["Key"]): str(tag.get("Value", ""))
        for item in call.get("TagSpecifications", default=[])
        if item.get("ResourceType") == "spot-instances-request"
        for tag in item.get("Tags", [])
    }
    for instance in made:
        request = SpotRequest(
            id=f"sir-{world.chance.getrandbits(32):08x}",
            region=call.region,
            instance=instance.id,
            type=instance.instance_type,
            zone=str(instance.availability_zone),
            kind=str(options.get("SpotInstanceType", "one-time")),
            image=str(instance.image_id),
            made=world.now(),
            interruption=str(options.get("InstanceInterruptionBehavior", "terminate")),
            max_price=str(options.get("MaxPrice", "")),
            tags=dict(tags),
        )
        world.truth.spot[request.id] = request
        instance.lifecycle = "spot"
        instance.spot_instance_request_id = request.id


def _asked(call: Call, world: World) -> list[SpotRequest]:
    known = {key: item for key, item in world.truth.spot.items() if item.region == call.region}
    identities = call.get("SpotInstanceRequestIds", default=[])
    missing = [name for name in identities if name not in known]
    if missing:
        raise Refused(
            "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{missing[0]}' does not exist"
        )
    found = [known[name] for name in identities] if identities else list(known.values())
    for item in call.get("Filters", default=[]):
        name, values = str(item["Name"]), [str(value) for value in item.get("Values", [])]
        found = [request for request in found if any(_matches(request, name, value) for value in values)]
    return found


def _matches(request: SpotRequest, name: str, pattern: str) -> bool:
    if name == "tag-key":
        return any(fnmatchcase(key, pattern) for key in request.tags)
    if name.startswith("tag:"):
        return name[4:] in request.tags and fnmatchcase(request.tags[name[4:]], pattern)
    values = {
        "instance-id": request.instance,
        "spot-instance-request-id": request.id,
        "state": request.state,
        "status-code": request.status,
        "type": request.kind,
        "launch.instance-type": request.type,
        "launched-availability-zone": request.zone,
    }
    if name not in values:
        raise Refused("InvalidParameterValue", f"The filter '{name}' is invalid")
    return fnmatchcase(values[name], pattern)


def _shown(request: SpotRequest) -> Mapping[str, Any]:
    return {
        "SpotInstanceRequestId": request.id,
        "State": request.state,
        "Status": {"Code": request.status, "Message": request.message, "UpdateTime": request.made},
        "InstanceId": request.instance,
        "Type": request.kind,
        "InstanceInterruptionBehavior": request.interruption,
        "SpotPrice": request.max_price or None,
        "CreateTime": request.made,
        "LaunchedAvailabilityZone": request.zone,
        "LaunchSpecification": {"ImageId": request.image, "InstanceType": request.type},
        "ProductDescription": "Linux/UNIX",
        "Tags": [{"Key": key, "Value": value} for key, value in request.tags.items()],
    }


def _cancel(call: Call, world: World) -> Mapping[str, Any]:
    """Cancel requests; their instances go on running, as on EC2."""
    for request in _asked(call, world):
        was_active = request.state == "active"
        request.state = "cancelled"
        request.status = "request-canceled-and-instance-running" if was_active else "canceled-before-fulfillment"
    shown = [{"SpotInstanceRequestId": item.id, "State": item.state} for item in _asked(call, world)]
    return {"CancelledSpotInstanceRequests": shown}


RULE = Rule(
    name="spot",
    on=frozenset(
        {
            "ec2:RunInstances",
            "ec2:DescribeSpotInstanceRequests",
            "ec2:CancelSpotInstanceRequests",
        }
    ),
    source="seen in EC2's pages on spot requests and interruptions (two minutes, best effort); states verified in botocore's "
    "model; a persistent request is not fulfilled again by the twin",
    before=_before,
    made=_made,
    happens={"spot-notice": _notice, "spot-end": _end},
)
