"""Service Quotas for EC2: what the account may run, what AWS gives a new one, and requests for more, granted after two days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.clock import Due
from launchbay.twin.paging import cut_page
from launchbay.twin.quotas import QUOTAS, Quota, quota_vcpus
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE"]

_NOTES = "quota requests"
_SERVICE, _SERVICE_NAME = "ec2", "Amazon Elastic Compute Cloud (Amazon EC2)"
_DECIDED_S = 2 * 86400.0
"""After how long a request is granted: hours to days on AWS, and not always."""

_OPEN = ("PENDING", "CASE_OPENED")


def _describe(quota: Quota, value: Decimal, call: Call, world: World) -> Mapping[str, Any]:
    account = world.truth.settings.account
    described: dict[str, Any] = {
        "ServiceCode": _SERVICE,
        "ServiceName": _SERVICE_NAME,
        "QuotaArn": f"arn:aws:servicequotas:{call.region}:{account}:{_SERVICE}/{quota.code}",
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }
    if quota.usage:
        dimensions = {"Class": quota.usage, "Resource": "vCPU", "Service": "EC2", "Type": "Resource"}
        described["UsageMetric"] = {
            "MetricNamespace": "AWS/Usage",
            "MetricName": "ResourceCount",
            "MetricDimensions": dimensions,
            "MetricStatisticRecommendation": "Maximum",
        }
    return described


def _asked(call: Call) -> Quota:
    quota = QUOTAS.get(str(call.get("QuotaCode", default="")))
    if call.get("ServiceCode") != _SERVICE or quota is None:
        raise Refused(
            "NoSuchResourceException", "The request failed because the specified service or quota does not exist."
        )
    return quota


def _get(call: Call, world: World) -> Mapping[str, Any]:
    quota = _asked(call)
    return {"Quota": _describe(quota, quota_vcpus(world, call.region, quota.code), call, world)}


def _get_default(call: Call, world: World) -> Mapping[str, Any]:
    quota = _asked(call)
    return {"Quota": _describe(quota, quota.new, call, world)}


def _list(call: Call, world: World) -> Mapping[str, Any]:
    _check_service(call)
    code = call.get("QuotaCode")
    is_default = call.action == "ListAWSDefaultServiceQuotas"
    rows = [
        _describe(quota, quota.new if is_default else quota_vcpus(world, call.region, quota.code), call, world)
        for quota in sorted(QUOTAS.values(), key=lambda quota: quota.name)
        if code in (None, quota.code)
    ]
    page, following = _cut(rows, call)
    return {"Quotas": page, "NextToken": following}


def _check_service(call: Call) -> None:
    if call.get("ServiceCode") != _SERVICE:
        raise Refused("NoSuchResourceException", "The request failed because the specified service does not exist.")


def _cut(rows: list[Any], call: Call) -> tuple[Any, str | None]:
    return cut_page(
        rows, call.get("NextToken"), call.get("MaxResults") or 100, refusal="InvalidPaginationTokenException"
    )


def _request(call: Call, world: World) -> Mapping[str, Any]:
    quota = _asked(call)
    desired = Decimal(str(call.get("DesiredValue")))
    present = quota_vcpus(world, call.region, quota.code)
    if desired <= present:
        what = f"You must provide a quota value greater than the current quota value ({present:f})."
        raise Refused("IllegalArgumentException", what)
    if any(note["code"] == quota.code and note["status"] in _OPEN for _, note in _requests(call, world)):
        what = "Only one open service quota increase request is allowed per quota."
        raise Refused("ResourceAlreadyExistsException", what)
    identity = f"{world.chance.getrandbits(128):032x}"
    note = {
        "code": quota.code,
        "region": call.region,
        "desired": desired,
        "status": "PENDING",
        "created": world.now(),
        "updated": world.now(),
        "key": call.key,
    }
    world.truth.noted(_NOTES)[identity] = note
    world.clock.plan("quota request", identity, seconds=_DECIDED_S)
    return {"RequestedQuota": _describe_request(identity, note, world)}


def _requests(call: Call, world: World) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for identity, note in world.truth.noted(_NOTES).items():
        if note["region"] == call.region:
            yield identity, note


def _describe_request(identity: str, note: Mapping[str, Any], world: World) -> Mapping[str, Any]:
    quota, account = QUOTAS[note["code"]], world.truth.settings.account
    return {
        "Id": identity,
        "ServiceCode": _SERVICE,
        "ServiceName": _SERVICE_NAME,
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "DesiredValue": float(note["desired"]),
        "Status": note["status"],
        "Created": _seconds(note["created"]),
        "LastUpdated": _seconds(note["updated"]),
        "Requester": f'{{"accountId":"{account}"}}',
        "QuotaArn": f"arn:aws:servicequotas:{note['region']}:{account}:{_SERVICE}/{quota.code}",
        "GlobalQuota": False,
        "Unit": "None",
        "QuotaRequestedAtLevel": "ACCOUNT",
    }


def _seconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _history(call: Call, world: World) -> Mapping[str, Any]:
    if call.action.endswith("ByQuota"):
        _asked(call)
    code, service, status = call.get("QuotaCode"), call.get("ServiceCode"), call.get("Status")
    rows = [
        _describe_request(identity, note, world)
        for identity, note in _requests(call, world)
        if code in (None, note["code"]) and service in (None, _SERVICE) and status in (None, note["status"])
    ]
    page, following = _cut(rows, call)
    return {"RequestedQuotas": page, "NextToken": following}


def _one(call: Call, world: World) -> Mapping[str, Any]:
    identity = str(call.get("RequestId", default=""))
    note = world.truth.noted(_NOTES).get(identity)
    if note is None or note["region"] != call.region:
        raise Refused("NoSuchResourceException", "The request failed because the specified request does not exist.")
    return {"RequestedQuota": _describe_request(identity, note, world)}


_ACTIONS = {
    "GetAWSDefaultServiceQuota": _get_default,
    "GetRequestedServiceQuotaChange": _one,
    "GetServiceQuota": _get,
    "ListAWSDefaultServiceQuotas": _list,
    "ListRequestedServiceQuotaChangeHistory": _history,
    "ListRequestedServiceQuotaChangeHistoryByQuota": _history,
    "ListServiceQuotas": _list,
    "RequestServiceQuotaIncrease": _request,
}


def _before(call: Call, world: World) -> Mapping[str, Any] | Answer | None:
    """Answer for EC2; what is asked of another service's quotas goes on to moto, as far as that knows them."""
    is_motos = call.get("ServiceCode") == "vpc" and call.action in ("GetServiceQuota", "ListServiceQuotas")
    return None if is_motos else _ACTIONS[call.action](call, world)


def _decided(world: World, due: Due) -> None:
    """Grant what was asked for."""
    note = world.truth.noted(_NOTES)[due.resource]
    note["status"], note["updated"] = "APPROVED", world.now()
    key = (note["region"], note["code"])
    world.truth.quotas[key] = max(note["desired"], quota_vcpus(world, *key))


RULE = Rule(
    name="quotas api",
    on=frozenset(f"service-quotas:{action}" for action in _ACTIONS),
    source="codes and names seen in a copy of AWS's table of EC2's quotas, the classes of the usage metric in public code; "
    "fields and kinds of errors verified in botocore's model; messages, and that a request is granted, are remembered or assumed",
    before=_before,
    happens={"quota request": _decided},
)
