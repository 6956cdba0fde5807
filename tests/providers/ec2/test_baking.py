"""Images baked on the twin: made once however often it is tried, found by their digest, gone with their snapshots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from launchbay.errors import Conflict, NotFound, NotPermitted, UsageError, UserError
from launchbay.planning.cloudimage import ListedImage
from launchbay.providers.ec2.baking import LEAST_POLL_S, bake, find_baked, remove_baked
from launchbay.providers.ec2.images import search_images
from launchbay.testing import RecordingReporter, VirtualClock
from tests.providers.ec2.watching import asked_of, limited, refused
from tests.twin.conftest import TwinProcess
from tests.twin.rules.launching import make_image, run_one

REGION = "us-east-1"
DIGEST = "d" * 64


@pytest.fixture
def instance(ec2: Any) -> str:
    """Return a running instance with a data disk beside its root."""
    data = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 40, "VolumeType": "gp3"}}
    made = run_one(ec2, make_image(ec2, "below"), BlockDeviceMappings=[data])["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[made], WaiterConfig={"Delay": 0})
    return str(made)


@dataclass(slots=True)
class Passing:
    """A clock that keeps how long was waited each time."""

    at: float = 1_800_000_000.0
    slept: tuple[float, ...] = ()

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.slept += (seconds,)


@pytest.fixture
def clock() -> Passing:
    """Return a clock that nobody waits for."""
    return Passing()


def make(ec2: Any, instance: str, clock: Any, reporter: RecordingReporter | None = None, **more: Any) -> ListedImage:
    asked: dict[str, Any] = {"image": "pytorch", "digest": DIGEST, "region": REGION, **more}
    return bake(ec2, instance, clock=clock, reporter=reporter or RecordingReporter(), **asked)


def ours(ec2: Any) -> list[dict[str, Any]]:
    answer = ec2.describe_images(Owners=["self"], Filters=[{"Name": "tag-key", "Values": ["launchbay:digest"]}])
    return list(answer["Images"])


def snapshots(ec2: Any) -> list[dict[str, Any]]:
    tagged = [{"Name": "tag:managed-by", "Values": ["launchbay"]}]
    return list(ec2.describe_snapshots(OwnerIds=["self"], Filters=tagged)["Snapshots"])


class Instead:
    """A client of which some calls are answered by the test."""

    def __init__(self, client: Any, **instead: Callable[..., Any]) -> None:
        self._client, self._instead = client, instead

    def __getattr__(self, name: str) -> Any:
        return self._instead.get(name) or getattr(self._client, name)


# --- made ---


def test_an_image_is_made_with_its_snapshots_and_their_tags(ec2: Any, ssm: Any, instance: str, clock: Passing) -> None:
    base = search_images(ec2, ssm, ["single", "24.04"], region=REGION).images[0]
    made = make(ec2, instance, clock, base=base, tags={"team": "vision"})
    assert (made.state, made.kind, made.digest) == ("available", "ours", DIGEST)
    assert made.name == f"launchbay/pytorch/dddddddddddd/{instance}"
    assert (made.driver_floor, made.system, made.families) == (base.driver_floor, "Ubuntu 24.04", base.families)
    assert len(made.snapshots) == 2
    wanted = {"launchbay:digest": DIGEST, "launchbay:image": "pytorch", "managed-by": "launchbay", "team": "vision"}
    assert wanted.items() <= dict(made.tags).items()
    for shown in snapshots(ec2):
        assert wanted.items() <= {tag["Key"]: tag["Value"] for tag in shown["Tags"]}.items()
        assert shown["SnapshotId"] in made.snapshots


def test_it_is_asked_once_every_five_seconds_at_most_and_told_how_far_it_is(
    ec2: Any, instance: str, clock: Passing
) -> None:
    calls, reporter = asked_of(ec2), RecordingReporter()
    pending = iter([True, True, True])

    def describe(**asked: Any) -> Any:
        answer = ec2.describe_images(**asked)
        for row in answer["Images"] if next(pending, False) else ():
            row["State"] = "pending"
        return answer

    make(Instead(ec2, describe_images=describe), instance, clock, reporter, poll_s=0.01)
    assert set(clock.slept) == {LEAST_POLL_S}
    polls = [asked for name, asked in calls if name == "DescribeImages"][1:]
    assert len(polls) == len(clock.slept) + 1, "one call a poll"
    assert {name for name, _ in calls} == {"DescribeImages", "CreateImage"}
    assert reporter.events[0].message.startswith("pending, 0 ms")
    assert reporter.events[-1].finished


@pytest.mark.parametrize(("no_reboot", "said"), [(False, "restarts, so its disks are whole"), (True, "may be torn")])
def test_it_is_said_whether_the_instance_restarts(
    ec2: Any,
    instance: str,
    clock: Passing,
    no_reboot: bool,  # noqa: FBT001
    said: str,
) -> None:
    calls, reporter = asked_of(ec2), RecordingReporter()
    make(ec2, instance, clock, reporter, no_reboot=no_reboot)
    (created,) = (asked for name, asked in calls if name == "CreateImage")
    assert created["NoReboot"] is no_reboot
    assert said in reporter.notes[0]


# --- killed, and again ---


def test_done_twice_it_is_made_once(ec2: Any, instance: str, clock: Passing) -> None:
    first = make(ec2, instance, clock)
    calls = asked_of(ec2)
    assert make(ec2, instance, clock).id == first.id
    assert "CreateImage" not in [name for name, _ in calls]
    assert len(ours(ec2)) == 1


def test_the_image_of_another_instance_is_not_taken_for_this_ones(ec2: Any, instance: str, clock: Passing) -> None:
    first = make(ec2, instance, clock)
    other = str(run_one(ec2, make_image(ec2, "below the other"))["InstanceId"])
    ec2.get_waiter("instance_running").wait(InstanceIds=[other], WaiterConfig={"Delay": 0})
    second = make(ec2, other, clock)
    assert (first.source_instance, second.source_instance) == (instance, other)
    assert len(ours(ec2)) == 2


def test_killed_while_it_waits_it_goes_on_with_the_same(ec2: Any, instance: str, clock: Passing) -> None:
    class Killed(VirtualClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt(seconds)

    def describe(**asked: Any) -> Any:
        answer = ec2.describe_images(**asked)
        return {"Images": [{**row, "State": "pending"} for row in answer["Images"]]}

    with pytest.raises(KeyboardInterrupt):
        make(Instead(ec2, describe_images=describe), instance, Killed())
    reporter = RecordingReporter()
    made = make(ec2, instance, clock, reporter)
    assert [row["ImageId"] for row in ours(ec2)] == [made.id]
    assert "was begun" in reporter.notes[0]


def test_when_the_answer_is_lost_the_image_is_still_found(ec2: Any, instance: str, clock: Passing) -> None:
    def lost(**asked: Any) -> Any:
        ec2.create_image(**asked)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(Instead(ec2, create_image=lost), instance, clock)
    made = make(ec2, instance, clock)
    assert [row["ImageId"] for row in ours(ec2)] == [made.id]


def test_an_image_that_is_not_seen_yet_is_not_made_again(ec2: Any, instance: str, clock: Passing) -> None:
    """EC2 may not find for a while what it has made: the name, which is taken, says that it is there."""
    first, unseen = make(ec2, instance, clock), iter([True])

    def describe(**asked: Any) -> Any:
        return {"Images": []} if next(unseen, False) else ec2.describe_images(**asked)

    assert make(Instead(ec2, describe_images=describe), instance, clock).id == first.id
    assert len(ours(ec2)) == 1


def test_a_new_image_may_stay_unseen_for_some_minutes_and_not_for_ever(ec2: Any, instance: str, clock: Passing) -> None:
    unseen = iter([True] * 8)

    def describe(**asked: Any) -> Any:
        return {"Images": []} if next(unseen, False) else ec2.describe_images(**asked)

    assert make(Instead(ec2, describe_images=describe), instance, clock).state == "available"
    never = Instead(
        ec2, describe_images=lambda **_: {"Images": []}, create_image=lambda **_: {"ImageId": "ami-0badbad0"}
    )
    with pytest.raises(UserError, match="not seen yet"):
        make(never, instance, clock, digest="e" * 64)


def test_one_that_failed_is_taken_away_and_made_anew(ec2: Any, instance: str, clock: Passing) -> None:
    first = make(ec2, instance, clock)
    failed = iter([True, True])

    def describe(**asked: Any) -> Any:
        answer = ec2.describe_images(**asked)
        for row in answer["Images"] if next(failed, False) else ():
            row["State"] = "failed"
        return answer

    again = make(Instead(ec2, describe_images=describe), instance, clock)
    assert again.id != first.id
    assert [row["ImageId"] for row in ours(ec2)] == [again.id]
    assert {item["SnapshotId"] for item in snapshots(ec2)} == set(again.snapshots), "those of the first are gone"


@pytest.mark.parametrize("state", ["failed", "error", "invalid"])
def test_where_ec2_fails_it_is_said(ec2: Any, instance: str, clock: Passing, state: str) -> None:
    def describe(**asked: Any) -> Any:
        answer = ec2.describe_images(**asked)
        return {"Images": [{**row, "State": state} for row in answer["Images"]]}

    with pytest.raises(UserError, match=f"it is {state}") as caught:
        make(Instead(ec2, describe_images=describe), instance, clock)
    assert "begins anew" in caught.value.hint


def test_one_that_somebody_deregisters_meanwhile_is_not_waited_for(ec2: Any, instance: str, clock: Passing) -> None:
    shown = iter([None, "pending"])

    def describe(**asked: Any) -> Any:
        state = next(shown, None)
        rows = ec2.describe_images(**asked)["Images"] if state else []
        return {"Images": [{**row, "State": state} for row in rows]}

    with pytest.raises(UserError, match="it is gone"):
        make(Instead(ec2, describe_images=describe), instance, clock)


def test_patience_ends_and_the_image_stays(ec2: Any, instance: str, clock: Passing) -> None:
    def describe(**asked: Any) -> Any:
        answer = ec2.describe_images(**asked)
        return {"Images": [{**row, "State": "pending"} for row in answer["Images"]]}

    with pytest.raises(UserError, match="is pending after 1m") as caught:
        make(Instead(ec2, describe_images=describe), instance, clock, patience_s=100)
    assert "goes on waiting" in caught.value.hint
    assert len(ours(ec2)) == 1


# --- refused ---


def test_a_name_that_somebody_elses_image_has(ec2: Any, instance: str, clock: Passing) -> None:
    make_image(ec2, f"launchbay/pytorch/dddddddddddd/{instance}")
    with pytest.raises(Conflict, match="is not of ours"):
        make(ec2, instance, clock)


def test_an_instance_that_is_not_there(ec2: Any, clock: Passing) -> None:
    with pytest.raises(NotFound, match="there is no instance i-0123456789abcdef0"):
        make(ec2, "i-0123456789abcdef0", clock)


@pytest.mark.parametrize(
    ("instance", "digest", "what"),
    [
        ("i-nothing", DIGEST, "must look like i-"),
        ("i-01234567", "abc", "64 letters"),
        ("i-01234567", "D" * 64, "64 letters"),
    ],
)
def test_what_is_wrong_costs_no_call(ec2: Any, clock: Passing, instance: str, digest: str, what: str) -> None:
    calls = asked_of(ec2)
    with pytest.raises(UsageError, match=what):
        make(ec2, instance, clock, digest=digest)
    assert calls == []


def test_who_may_not_make_images_is_told_the_permission(twin: TwinProcess, instance: str, clock: Passing) -> None:
    (few,) = limited(twin, "ec2", allow=["ec2:Describe*"])
    with pytest.raises(NotPermitted, match="ec2:CreateImage"):
        make(few, instance, clock)


def test_a_refusal_of_the_making_does_not_claim_that_nothing_happened(ec2: Any, instance: str, clock: Passing) -> None:
    def create(**asked: Any) -> Any:
        with refused(ec2, "create_image", "InternalError"):
            return ec2.create_image(**asked)

    with pytest.raises(UserError, match="InternalError") as caught:
        make(Instead(ec2, create_image=create), instance, clock)
    assert "nothing was changed" not in str(caught.value)
    assert "sees how it stands" in str(caught.value)


# --- found ---


def test_the_newest_of_a_digest_is_found_and_only_what_is_ready(ec2: Any, instance: str, clock: Passing) -> None:
    assert find_baked(ec2, DIGEST, region=REGION) is None
    first = make(ec2, instance, clock)
    assert find_baked(ec2, DIGEST, region=REGION) == first
    assert find_baked(ec2, "e" * 64, region=REGION) is None

    def pending(**asked: Any) -> Any:
        return {"Images": [{**row, "State": "pending"} for row in ec2.describe_images(**asked)["Images"]]}

    assert find_baked(Instead(ec2, describe_images=pending), DIGEST, region=REGION) is None

    def two(**asked: Any) -> Any:
        (row,) = ec2.describe_images(**asked)["Images"]
        newer = {**row, "ImageId": "ami-0newer", "CreationDate": "2099-01-01T00:00:00.000Z"}
        return {"Images": [newer, row]}

    newest = find_baked(Instead(ec2, describe_images=two), DIGEST, region=REGION)
    assert newest is not None
    assert newest.id == "ami-0newer"


def test_an_image_with_the_digest_alone_was_not_made_by_us(ec2: Any) -> None:
    forged = make_image(ec2, "forged")
    ec2.create_tags(Resources=[forged], Tags=[{"Key": "launchbay:digest", "Value": DIGEST}])
    assert find_baked(ec2, DIGEST, region=REGION) is None


# --- removed ---


def test_an_image_goes_with_its_snapshots(ec2: Any, instance: str, clock: Passing) -> None:
    made = make(ec2, instance, clock)
    removed = remove_baked(ec2, made.id, region=REGION, clock=clock)
    assert (set(removed.snapshots), removed.kept) == (set(made.snapshots), {})
    assert (ours(ec2), snapshots(ec2)) == ([], [])
    with pytest.raises(NotFound, match="there is no image"):
        remove_baked(ec2, made.id, region=REGION, clock=clock)


def test_snapshots_that_deregistering_leaves_are_deleted(ec2: Any, instance: str, clock: Passing) -> None:
    made = make(ec2, instance, clock)

    def forgetful(**asked: Any) -> Any:
        return ec2.deregister_image(ImageId=asked["ImageId"])

    removed = remove_baked(Instead(ec2, deregister_image=forgetful), made.id, region=REGION, clock=clock)
    assert set(removed.snapshots) == set(made.snapshots)
    assert snapshots(ec2) == []


def test_killed_between_image_and_snapshots_it_finishes_what_it_began(ec2: Any, instance: str, clock: Passing) -> None:
    made = make(ec2, instance, clock)
    ec2.deregister_image(ImageId=made.id)
    assert len(snapshots(ec2)) == 2
    removed = remove_baked(ec2, made.id, region=REGION, clock=clock)
    assert set(removed.snapshots) == set(made.snapshots)
    assert snapshots(ec2) == []


def test_a_snapshot_that_another_image_needs_stays_and_is_told(ec2: Any, instance: str, clock: Passing) -> None:
    made = make(ec2, instance, clock)
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": made.snapshots[0]}}
    other = make_image(ec2, "needs it", BlockDeviceMappings=[disk])
    removed = remove_baked(ec2, made.id, region=REGION, clock=clock)
    assert removed.kept == {made.snapshots[0]: "another image needs it"}
    assert removed.snapshots == made.snapshots[1:]
    assert [item["SnapshotId"] for item in snapshots(ec2)] == [made.snapshots[0]]
    assert other


def test_a_snapshot_without_our_tag_is_not_deleted_whatever_image_it_is_in(
    ec2: Any, instance: str, clock: Passing
) -> None:
    made = make(ec2, instance, clock)
    ec2.delete_tags(Resources=[made.snapshots[0]], Tags=[{"Key": "managed-by"}])
    removed = remove_baked(ec2, made.id, region=REGION, clock=clock)
    assert (removed.snapshots, removed.kept) == (made.snapshots[1:], {made.snapshots[0]: "it has not our tag"})
    assert ec2.describe_snapshots(SnapshotIds=[made.snapshots[0]])["Snapshots"]
    assert ours(ec2) == []


def test_snapshots_that_will_not_go_are_named(ec2: Any, instance: str, clock: Passing) -> None:
    made = make(ec2, instance, clock)
    stubborn = Instead(
        ec2,
        deregister_image=lambda **asked: ec2.deregister_image(ImageId=asked["ImageId"]),
        delete_snapshot=lambda **_: {},
    )
    with pytest.raises(UserError, match="2 snapshots of it will not go") as caught:
        remove_baked(stubborn, made.id, region=REGION, clock=clock)
    assert "go on costing" in caught.value.hint
    assert made.snapshots[0] in caught.value.what


def test_what_is_not_ours_is_not_removed(ec2: Any, clock: Passing) -> None:
    theirs = make_image(ec2, "golden")
    ec2.create_tags(Resources=[theirs], Tags=[{"Key": "launchbay:digest", "Value": DIGEST}])
    with pytest.raises(Conflict, match="is not ours to remove"):
        remove_baked(ec2, theirs, region=REGION, clock=clock)
    assert ec2.describe_images(ImageIds=[theirs])["Images"]


@pytest.mark.parametrize("identity", ["ami-0123456789abcdef0", "pytorch", ""])
def test_what_is_not_there_is_not_removed(ec2: Any, clock: Passing, identity: str) -> None:
    calls = asked_of(ec2)
    with pytest.raises(NotFound) as caught:
        remove_baked(ec2, identity, region=REGION, clock=clock, provider="twin")
    assert caught.value.hint == f"`bay images --provider twin --region {REGION}` shows the ids"
    assert not {name for name, _ in calls} - {"DescribeImages", "DescribeSnapshots"}


def test_amazons_images_are_not_removed(ec2: Any, ssm: Any, clock: Passing) -> None:
    image = search_images(ec2, ssm, ["single"], region=REGION).images[0]
    with pytest.raises(NotFound):
        remove_baked(ec2, image.id, region=REGION, clock=clock)
