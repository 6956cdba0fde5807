"""Instances on EC2: launched once for a token, watched all with one question, ended one by one where that is needed.

What stands is what EC2 says by our tags; nothing here remembers anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from launchbay.errors import LaunchbayError
from launchbay.ports import Clock
from launchbay.providers.ec2.client import Client, CloudRefusal, CloudSilence

__all__ = ["OURS", "Row", "Watch", "find_by_token", "launch", "list_ours", "terminate", "watch"]

OURS = ("managed-by", "launchbay")
"""The tag of everything that we make; nothing without it is ever changed."""

_LIVING = ("pending", "running", "stopping", "stopped", "shutting-down")
_ENDING = ("shutting-down", "terminated")
_PERHAPS_DONE = ("InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestLimitExceeded")
"""Errors of the server's: a call that got one may have been carried out."""
_TRIES = 5
_FIRST_PAUSE_S = 1.0
_IDS = 200
"""Ids in one call; a terminate of more is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An instance as DescribeInstances shows it. `index` is its place in its launch, from 0 on; addresses are empty without one.

    `reason` is why it ended, as EC2 has it, `started` when it was launched or started last.
    """

    id: str
    state: str
    type: str
    zone: str
    image: str
    index: int
    token: str
    market: str
    public_address: str
    private_address: str
    started: datetime
    reason: str
    tags: Mapping[str, str]
    disks: tuple[str, ...]
    request: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What waiting brought: the rows, and those that ended before they ran, with why."""

    rows: tuple[Row, ...]
    lost: tuple[Row, ...] = ()


def launch(client: Client, request: Mapping[str, Any], token: str, *, clock: Clock) -> tuple[Row, ...]:
    """Launch what a frozen request says, once for its token, however often this is called.

    After silence, or an error of the server's, what the token made is looked up first, and the same call is made again with the
    same token: EC2 answers it with the same instances. Raises CloudRefusal, or CloudSilence when nobody knows after some tries.
    """
    pause = _FIRST_PAUSE_S
    for left in range(_TRIES - 1, -1, -1):
        try:
            answer = client.act("run_instances", **request, ClientToken=token)
            return tuple(_read(item) for item in answer["Instances"])
        except CloudRefusal as refusal:
            if refusal.code not in _PERHAPS_DONE or not left:
                raise
        except CloudSilence:
            if not left:
                raise
        found = find_by_token(client, token)
        if found:
            return found
        clock.sleep(pause)
        pause *= 2
    raise AssertionError("the last try returns or raises")


def find_by_token(client: Client, token: str) -> tuple[Row, ...]:
    """Return the instances that a token launched and that are not ending."""
    filters = [{"Name": "client-token", "Values": [token]}]
    return tuple(row for row in _rows(client, Filters=filters) if row.state not in _ENDING)


def list_ours(client: Client, *, fleet: str = "") -> tuple[Row, ...]:
    """Return all instances of ours in the region that are not gone, or those of one fleet."""
    filters = [
        {"Name": f"tag:{OURS[0]}", "Values": [OURS[1]]},
        {"Name": "instance-state-name", "Values": list(_LIVING)},
    ]
    if fleet:
        filters.append({"Name": "tag:launchbay:fleet", "Values": [fleet]})
    return _rows(client, Filters=filters)


def watch(
    client: Client,
    identities: Sequence[str],
    state: str,
    *,
    clock: Clock,
    poll_s: float,
    timeout_s: float,
    tell: Callable[[int], None] = lambda _: None,
) -> Watch:
    """Wait until instances are in a state, with one question a poll for all of them; `tell` how many are.

    Filters are asked and not ids: an id that is not known everywhere yet is no error then. An instance that ends instead is
    lost, and not waited for. Raises LaunchbayError when the others are not there in time.
    """
    waited, wanted = 0.0, set(identities)
    while True:
        rows = {row.id: row for row in _described(client, identities)}
        lost = {name: row for name, row in rows.items() if row.state in _ENDING and state not in _ENDING}
        there = {name for name, row in rows.items() if row.state == state}
        if state == "terminated" and waited:
            there |= wanted - rows.keys()  # EC2 has forgotten it already
        tell(len(there))
        if there | lost.keys() >= wanted:
            kept = tuple(rows[name] for name in identities if name in rows and name not in lost)
            return Watch(rows=kept, lost=tuple(lost.values()))
        if waited >= timeout_s:
            missing = len(wanted) - len(there | lost.keys())
            raise LaunchbayError(
                f"{missing} of {len(wanted)} instances are not {state} after {timeout_s:.0f} seconds",
                where=client.region,
                hint="the same command again: it goes on waiting",
            )
        clock.sleep(poll_s)
        waited += poll_s


def terminate(client: Client, identities: Collection[str]) -> tuple[str, ...]:
    """Terminate instances; return those that were there. One that is gone, or protected, keeps none of the others.

    EC2 ends none of a call in which one id is unknown or protected, so such a call is made again one by one. Raises CloudRefusal
    for a protected one, after the others are ending.
    """
    names, ended = list(identities), list[str]()
    refused: CloudRefusal | None = None
    for start in range(0, len(names), _IDS):
        part = names[start : start + _IDS]
        try:
            client.act("terminate_instances", InstanceIds=part)
            ended += part
        except CloudRefusal as refusal:
            if refusal.code not in ("InvalidInstanceID.NotFound", "OperationNotPermitted"):
                raise
            for name in part:
                try:
                    client.act("terminate_instances", InstanceIds=[name])
                    ended.append(name)
                except CloudRefusal as single:
                    if single.code != "InvalidInstanceID.NotFound":
                        refused = single
    if refused is not None:
        raise refused
    return tuple(ended)


def _described(client: Client, identities: Sequence[str]) -> list[Row]:
    found: list[Row] = []
    for start in range(0, len(identities), _IDS):
        filters = [{"Name": "instance-id", "Values": list(identities[start : start + _IDS])}]
        found += _rows(client, Filters=filters)
    return found


def _rows(client: Client, **asked: Any) -> tuple[Row, ...]:
    groups = client.pages("describe_instances", "Reservations", MaxResults=1000, **asked)
    return tuple(_read(item) for group in groups for item in group["Instances"])


def _read(item: Mapping[str, Any]) -> Row:
    return Row(
        id=item["InstanceId"],
        state=item["State"]["Name"],
        type=item["InstanceType"],
        zone=item["Placement"]["AvailabilityZone"],
        image=item["ImageId"],
        index=item.get("AmiLaunchIndex", 0),
        token=item.get("ClientToken", ""),
        market="spot" if item.get("InstanceLifecycle") == "spot" else "on-demand",
        public_address=item.get("PublicIpAddress", ""),
        private_address=item.get("PrivateIpAddress", ""),
        started=item["LaunchTime"],
        reason=item.get("StateReason", {}).get("Code", ""),
        tags={tag["Key"]: tag["Value"] for tag in item.get("Tags", ())},
        disks=tuple(disk["Ebs"]["VolumeId"] for disk in item.get("BlockDeviceMappings", ()) if "Ebs" in disk),
        request=item.get("SpotInstanceRequestId", ""),
    )
