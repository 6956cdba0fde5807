"""Bake an image of an instance, find it again, and take it away with the snapshots that it would leave behind.

Each of these may be killed at any moment and done again: what is there is looked at first. Only what has our tags is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from launchbay.catalog.aws import Operation, ask, code_of, explained
from launchbay.errors import Conflict, NotFound, UserError
from launchbay.planning.cloudimage import DIGEST_TAG, MANAGED_TAG, OURS, ListedImage
from launchbay.planning.imagebake import bake_request
from launchbay.planning.imagesearch import is_image_id
from launchbay.ports import Clock, Event, Reporter
from launchbay.providers.ec2.images import describe_images
from launchbay.units import count_of, format_duration

__all__ = ["RemovedImage", "bake", "find_baked", "remove_baked"]

_SNAPSHOTS = Operation(
    service="ec2",
    name="describe_snapshots",
    rows="Snapshots",
    token="NextToken",  # noqa: S106 - the name of a field
    permission="ec2:DescribeSnapshots",
    page=1000,
    help="",
)
LEAST_POLL_S = 5.0
"""Seconds between two questions, at least: EC2 counts them for the whole account."""

_SEEN_WITHIN_S = 300.0
"""How long a new image may stay unseen: EC2 says that it is there, and does not find it yet."""

_SNAPSHOT_TRIES, _SNAPSHOT_WAIT_S = 10, 6.0
_FAILED = {"error", "failed", "invalid", "transient-failed"}
_OURS = {"Name": f"tag:{MANAGED_TAG}", "Values": ["launchbay"]}
_LOST = "the same command again sees how it stands"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedImage:
    """What became of an image: the snapshots that are gone, and those that stay, with why."""

    id: str
    snapshots: tuple[str, ...]
    kept: Mapping[str, str] = field(default_factory=dict)


def find_baked(ec2: Any, digest: str, *, region: str) -> ListedImage | None:
    """Return the newest image that we baked of a digest in this account, available; None where there is none."""
    found = _own(ec2, region, {"Name": f"tag:{DIGEST_TAG}", "Values": [digest]}, _OURS)
    ready = [image for image in found if image.kind == OURS and image.state == "available"]
    return max(ready, key=lambda image: (image.created.timestamp() if image.created else 0.0, image.id), default=None)


def bake(
    ec2: Any,
    instance: str,
    *,
    image: str,
    digest: str,
    region: str,
    clock: Clock,
    reporter: Reporter,
    base: ListedImage | None = None,
    no_reboot: bool = False,
    tags: Mapping[str, str] | None = None,
    poll_s: float = 15.0,
    patience_s: float = 7200.0,
) -> ListedImage:
    """Make an AMI of an instance that stands on an image of ours, and return it when it is available. Blocks for minutes.

    Done again it goes on with the image that it made before. `base` is what the instance was launched from: what is known
    of that goes into the tags. Raises NotFound without the instance, Conflict for a name that somebody else's image has,
    NotPermitted, and UserError when EC2 fails or has not finished after `patience_s`; then, too, it can be done again.
    """
    request = bake_request(instance, image=image, digest=digest, base=base, no_reboot=no_reboot, tags=tags)
    made = _made_before(ec2, region, request, digest)
    if made is not None and made.state in _FAILED:
        remove_baked(ec2, made.id, region=region, clock=clock)  # it keeps the name, and never gets better
        made = None
    if made is None:
        how = (
            "goes on running, and what it is just writing may be torn"
            if no_reboot
            else "restarts, so its disks are whole"
        )
        reporter.note(f"{instance} {how} while its image is made")
        identity = _create(ec2, region, request, digest)
    else:
        identity = made.id
        reporter.note(f"{identity} was begun of {instance} before, and is {made.state}")
    return _wait(ec2, identity, region=region, clock=clock, reporter=reporter, every=poll_s, patience=patience_s)


def _made_before(ec2: Any, region: str, request: Mapping[str, Any], digest: str) -> ListedImage | None:
    found = _own(ec2, region, {"Name": f"tag:{DIGEST_TAG}", "Values": [digest]}, _OURS)
    same = [item for item in found if item.name == request["Name"] and item.kind == OURS]
    return same[0] if same else None


def _create(ec2: Any, region: str, request: Mapping[str, Any], digest: str) -> str:
    try:
        with explained(region, "ec2:CreateImage", after=_LOST, help_=""):
            return str(ec2.create_image(**request)["ImageId"])
    except UserError as error:
        code = code_of(error)
        if code == "InvalidInstanceID.NotFound":
            hint = "`bay ps` shows what there is"
            raise NotFound(f"there is no instance {request['InstanceId']}", where=region, hint=hint) from error
        if code != "InvalidAMIName.Duplicate":
            raise
        # the name is the token: a call of ours whose answer was lost has made it
        made = _made_before(ec2, region, request, digest)
        if made is None:
            what = f"an image of this account is named {request['Name']!r}, and is not of ours, or not to be seen yet"
            hint = "wait a minute, then the same command again; or rename or deregister that image"
            raise Conflict(what, where=region, hint=hint) from error
        return made.id


def _wait(
    ec2: Any, identity: str, *, region: str, clock: Clock, reporter: Reporter, every: float, patience: float
) -> ListedImage:
    """Return an image when it is available, asking once in a while."""
    begun, was_seen, task = clock.now(), False, f"bake {identity}"
    while True:
        found = _own(ec2, region, {"Name": "image-id", "Values": [identity]})
        passed = clock.now() - begun
        state = found[0].state if found else ("gone" if was_seen else "not seen yet")
        was_seen = was_seen or bool(found)
        message = f"{state}, {format_duration(passed)}; its disks are copied, which takes minutes"
        reporter.event(Event(task=task, message=message, finished=state == "available"))
        if found and state == "available":
            return found[0]
        if state in _FAILED or state == "gone" or (not was_seen and passed >= _SEEN_WITHIN_S):
            reporter.event(Event(task=task, message=state, finished=True))
            hint = "the same command again takes it away and begins anew"
            raise UserError(f"EC2 could not make {identity}: it is {state}", where=region, hint=hint)
        if passed >= patience:
            reporter.event(Event(task=task, message=state, finished=True))
            what = f"{identity} is {state} after {format_duration(passed)}"
            raise UserError(what, where=region, hint="the same command again goes on waiting for it")
        clock.sleep(max(every, LEAST_POLL_S))


def remove_baked(ec2: Any, image: str, *, region: str, clock: Clock, provider: str = "ec2") -> RemovedImage:
    """Deregister an image that we baked, and delete its snapshots; return when none of them is left. Idempotent.

    Raises NotFound for an image that is not there and left no snapshot, Conflict for one that has not our tags, UserError
    naming the snapshots that could not be deleted, which go on costing. `provider` is what a hint calls the place.
    """
    hint = f"`bay images --provider {provider} --region {region}` shows the ids"
    if not is_image_id(image):
        raise NotFound(f"{image} is no id of an image", where=region, hint=hint)
    found = _own(ec2, region, {"Name": "image-id", "Values": [image]})
    if found and found[0].kind != OURS:
        what = f"{image} {found[0].name!r} has not the tags {MANAGED_TAG}=launchbay and {DIGEST_TAG}, so it is not ours to remove"
        hint = f"`aws ec2 deregister-image --image-id {image}`, if it shall go"
        raise Conflict(what, where=region, hint=hint)
    # what an earlier try has left behind an image that is gone is known by what EC2 wrote into the snapshots
    left = found[0].snapshots if found else _snapshots_of(ec2, image, region)
    if not found and not left:
        raise NotFound(f"there is no image {image} of this account", where=region, hint=hint)
    strange = dict.fromkeys(_strangers(ec2, left, region), "it has not our tag")
    if found:
        _deregister(ec2, image, region, with_snapshots=not strange)
    removed = _delete(ec2, image, [item for item in left if item not in strange], region=region, clock=clock)
    return replace(removed, kept={**removed.kept, **strange})


def _strangers(ec2: Any, snapshots: Sequence[str], region: str) -> list[str]:
    """Return the snapshots without our tag: whoever made them may need them, whatever image they were put into."""
    rows = _rows(ec2, snapshots, region)
    return [row["SnapshotId"] for row in rows if {"Key": MANAGED_TAG, "Value": "launchbay"} not in row.get("Tags", ())]


def _deregister(ec2: Any, image: str, region: str, *, with_snapshots: bool) -> None:
    try:
        with explained(region, "ec2:DeregisterImage", after=_LOST, help_=""):
            ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=with_snapshots)
    except UserError as error:
        if code_of(error) not in ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"):
            raise


def _delete(ec2: Any, image: str, snapshots: Sequence[str], *, region: str, clock: Clock) -> RemovedImage:
    """Delete what deregistering left, and look until nothing is: EC2 may say that it is done before it is."""
    kept: dict[str, str] = {}
    for attempt in range(_SNAPSHOT_TRIES):
        left = _still_there(ec2, snapshots, region)
        if not left:
            return RemovedImage(id=image, snapshots=tuple(snapshots))
        kept = {snapshot: _delete_one(ec2, snapshot, region) for snapshot in left}
        if attempt + 1 < _SNAPSHOT_TRIES:
            clock.sleep(_SNAPSHOT_WAIT_S)
    left = _still_there(ec2, snapshots, region)
    kept = {snapshot: why for snapshot, why in kept.items() if snapshot in left}
    if any(not why for why in kept.values()) or set(left) - set(kept):
        what = f"{image} is deregistered, and {count_of(len(left), 'snapshot')} of it will not go: {', '.join(left)}"
        raise UserError(what, where=region, hint="they go on costing; the same command again deletes them")
    return RemovedImage(id=image, snapshots=tuple(item for item in snapshots if item not in kept), kept=kept)


def _delete_one(ec2: Any, snapshot: str, region: str) -> str:
    """Ask for a snapshot to be deleted; return why it is not, where another image needs it."""
    try:
        with explained(region, "ec2:DeleteSnapshot", after=_LOST, help_=""):
            ec2.delete_snapshot(SnapshotId=snapshot)
    except UserError as error:
        code = code_of(error)
        if code == "InvalidSnapshot.InUse":
            return "another image needs it"
        if code != "InvalidSnapshot.NotFound":
            raise
    return ""


def _still_there(ec2: Any, snapshots: Sequence[str], region: str) -> list[str]:
    return [str(row["SnapshotId"]) for row in _rows(ec2, snapshots, region)]


def _rows(ec2: Any, snapshots: Sequence[str], region: str) -> list[Mapping[str, Any]]:
    if not snapshots:
        return []
    asked = {"OwnerIds": ["self"], "Filters": [{"Name": "snapshot-id", "Values": list(snapshots)}]}
    return [row for page in ask(ec2, _SNAPSHOTS, region, asked) for row in page]


def _snapshots_of(ec2: Any, image: str, region: str) -> tuple[str, ...]:
    """Return the snapshots with our tag that EC2 made for an image, by their description: ``... for ami-...``."""
    asked = {"OwnerIds": ["self"], "Filters": [_OURS, {"Name": "description", "Values": [f"*for {image}*"]}]}
    return tuple(str(row["SnapshotId"]) for page in ask(ec2, _SNAPSHOTS, region, asked) for row in page)


def _own(ec2: Any, region: str, *filters: Mapping[str, object]) -> list[ListedImage]:
    return describe_images(ec2, {"Owners": ["self"], "Filters": list(filters)}, region=region, is_own=True)
