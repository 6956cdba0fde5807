"""Instances on EC2: launched once for a token, watched all with one question, ended one by one where that is needed.

What stands is what EC2 says by our tags; nothing here remembers anything.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from launchbay.errors import LaunchbayError
from launchbay.planning.refusal import is_passing, is_proof
from launchbay.ports import Clock
from launchbay.providers.ec2.client import Client, CloudRefusal, CloudSilence
from launchbay.providers.ec2.tags import made_for

__all__ = [
    "Row",
    "Watch",
    "find_by_token",
    "launch",
    "list_ended",
    "list_ours",
    "remove_volumes",
    "terminate",
    "watch",
]

_LIVING = ("pending", "running", "stopping", "stopped", "shutting-down")
_ENDING = ("shutting-down", "terminated")
_TRIES = 5
_FIRST_PAUSE_S = 1.0
_TIME = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)")
_IDS = 200
"""Ids in one call; a terminate of more is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An instance as DescribeInstances shows it. `index` is its place in its launch, from 0 on; addresses are empty without one.

    `reason` is why it ended, as EC2 has it, `started` when it was launched or started last, `ended` when it was stopped or
    terminated by somebody, None where EC2 does not say.
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
    ended: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What waiting brought: the rows, and those that ended before they ran, with why."""

    rows: tuple[Row, ...]
    lost: tuple[Row, ...] = ()


def launch(
    client: Client, request: Mapping[str, Any], token: str, *, clock: Clock, asked_before: bool = False
) -> tuple[Row, ...]:
    """Launch what a frozen request says, once for its token, however often this is called. Returns all of them.

    After silence, or an error of the server's, what the token made is looked up first, and the same call is made again with the
    same token: EC2 answers it with the same instances. `asked_before` says that this token was asked, and nobody knows what
    came of it. Raises CloudRefusal, `in_doubt` where it does not prove that nothing of the token stands; CloudSilence when
    nobody knows after some tries.
    """
    pause, is_open = _FIRST_PAUSE_S, asked_before
    for left in range(_TRIES - 1, -1, -1):
        try:
            answer = client.act("run_instances", **request, ClientToken=token)
            return tuple(_read(item) for item in answer["Instances"])
        except CloudRefusal as refusal:
            refusal.in_doubt = not is_proof(refusal.code, asked_before=is_open)
            if not is_passing(refusal.code):
                raise
            found, is_open = _all_of(client, request, token) if refusal.in_doubt else (), refusal.in_doubt
            if not found and not left:
                raise
        except CloudSilence:
            found, is_open = _all_of(client, request, token), True
            if not found and not left:
                raise
        if found:
            return found
        clock.sleep(pause)
        pause *= 2
    raise AssertionError("the last try returns or raises")


def _all_of(client: Client, request: Mapping[str, Any], token: str) -> tuple[Row, ...]:
    """Return all that a token made, or nothing: a part may be shown before the rest, and who asks may not be told at all.

    Asked once and not by the patient client: where EC2 does not say, the launch itself is asked again.
    """
    with contextlib.suppress(LaunchbayError):
        answer = client.act("describe_instances", Filters=_by_token(token), MaxResults=1000)
        rows = (_read(item) for group in answer["Reservations"] for item in group["Instances"])
        found = tuple(row for row in rows if row.state not in _ENDING)
        if len(found) == request["MaxCount"]:
            return found
    return ()


def find_by_token(client: Client, token: str, *, is_ending_too: bool = False) -> tuple[Row, ...]:
    """Return the instances that a token launched, as far as EC2 shows them; those that are ending or ended only if asked for."""
    rows = _rows(client, Filters=_by_token(token))
    return tuple(row for row in rows if is_ending_too or row.state not in _ENDING)


def _by_token(token: str) -> list[Mapping[str, Any]]:
    return [{"Name": "client-token", "Values": [token]}]


def list_ours(client: Client, *, fleet: str = "", launch: str = "") -> tuple[Row, ...]:
    """Return all instances of ours in the region that are not gone, or those of one fleet, or of one launch.

    `launch` is the id of the operation in the journal that launched them. What was launched some seconds ago need not be shown
    yet: absent is not gone.
    """
    return _rows(client, Filters=[*made_for(fleet, launch), {"Name": "instance-state-name", "Values": list(_LIVING)}])


def list_ended(client: Client, fleet: str) -> tuple[Row, ...]:
    """Return the instances of a fleet that ended, as long as EC2 shows them: about an hour."""
    return _rows(client, Filters=[*made_for(fleet), {"Name": "instance-state-name", "Values": list(_ENDING)}])


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


def terminate(client: Client, identities: Collection[str], *, clock: Clock | None = None) -> tuple[str, ...]:
    """Terminate instances; return those that were there. One that is gone, or protected, keeps none of the others.

    EC2 ends none of a call in which one id is unknown or protected, so such a call is made again one by one; and any is made
    again for about a minute while AWS is busy or silent, since what is ending is not ended twice. Raises CloudRefusal, which
    names those that are protected, after the others are ending.
    """
    names, ended, kept = list(identities), list[str](), list[str]()
    refused: CloudRefusal | None = None
    for start in range(0, len(names), _IDS):
        part = names[start : start + _IDS]
        try:
            client.insist("terminate_instances", clock=clock, InstanceIds=part)
            ended += part
        except CloudRefusal as refusal:
            if refusal.code not in ("InvalidInstanceID.NotFound", "OperationNotPermitted"):
                raise
            for name in part:
                try:
                    client.insist("terminate_instances", clock=clock, InstanceIds=[name])
                    ended.append(name)
                except CloudRefusal as single:
                    if single.code != "InvalidInstanceID.NotFound":
                        refused = single
                    if single.code == "OperationNotPermitted":
                        kept.append(name)
    if refused is not None:
        if refused.code == "OperationNotPermitted":
            what = f"{', '.join(kept)} cannot be ended: somebody has protected {'them' if kept[1:] else 'it'} from that"
            refused.what = f"{what}; the others are ending" if ended else what
            allow = "aws ec2 modify-instance-attribute --no-disable-api-termination"
            refused.hint = f"{'; '.join(f'{allow} --instance-id {name}' for name in kept)}; then the same command again"
        raise refused
    return tuple(ended)


def remove_volumes(client: Client, launch: str, *, clock: Clock | None = None) -> tuple[str, ...]:
    """Delete the disks that a launch made and that no instance has any more; return their ids. Idempotent.

    For a launch that was given up: what was to be kept of it has never been anybody's.
    """
    filters = [*made_for(launch=launch), {"Name": "status", "Values": ["available"]}]
    found = [row["VolumeId"] for row in client.pages("describe_volumes", "Volumes", Filters=filters)]
    for name in found:
        try:
            client.insist("delete_volume", clock=clock, VolumeId=name)
        except CloudRefusal as refusal:
            if refusal.code != "InvalidVolume.NotFound":
                raise
    return tuple(found)


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
        ended=_time_in(item.get("StateTransitionReason", "")),
    )


def _time_in(text: str) -> datetime | None:
    """Return the time in such as ``User initiated (2026-11-23 10:45:01 GMT)``; the only place where EC2 says when it was."""
    found = _TIME.search(text)
    return datetime.strptime(f"{found[1]} +0000", "%Y-%m-%d %H:%M:%S %z") if found else None
