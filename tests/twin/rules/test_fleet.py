"""Instant fleets: which pools are tried, in which order, and what is told of those that had nothing.

The launches themselves are a script here: how many instances of a type and zone there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from moto.core.base_backend import BackendDict
from moto.core.types import Base64EncodedString

from launchbay.catalog.snapshot import load_snapshot
from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rules.fleet import RULE
from launchbay.twin.truth import Settings, new_truth
from launchbay.twin.wire import write_answer, write_refusal
from launchbay.twin.world import World

REGION = "us-east-1"
NO_ROOM = "InsufficientInstanceCapacity"


class Scripted(World):
    """A twin whose launches give what is left of `room`, by type and zone (empty for any)."""

    def __init__(self) -> None:
        super().__init__(new_truth(Settings(is_virtual=True)), load_snapshot(), ())
        self.room: dict[tuple[str, str], int] = {}
        self.launches: list[Mapping[str, Any]] = []
        self.ended: list[str] = []
        self.count = 0

    def inner(self, call: Call) -> Answer:
        if call.action == "TerminateInstances":
            self.ended += call.get("InstanceIds")
            return write_answer(call, {"TerminatingInstances": []})
        self.launches.append(call.params)
        place = (call.get("InstanceType"), call.get("Placement", "AvailabilityZone", default=""))
        got = min(self.room.get(place, 0), call.get("MaxCount"))
        if got < call.get("MinCount"):
            return write_refusal("ec2", Refused(NO_ROOM, "no room", status=500))
        self.room[place] -= got
        self.count += got
        names = [f"i-{number:017x}" for number in range(self.count - got, self.count)]
        return write_answer(call, {"ReservationId": "r-1", "Instances": [{"InstanceId": name} for name in names]})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    BackendDict.reset()
    data = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "p3.2xlarge", "UserData": Base64EncodedString("aGk=")}
    ec2(REGION).create_launch_template("workers", "", data, {})
    yield Scripted()
    BackendDict.reset()


def ask(world: Scripted, action: str, **params: Any) -> Any:
    assert RULE.before is not None
    return RULE.before(Call(service="ec2", action=action, region=REGION, params=params), world)


def create(world: Scripted, *overrides: dict[str, Any], total: int = 1, market: str = "on-demand", **more: Any) -> Any:
    template = {"LaunchTemplateName": "workers", "Version": "$Latest"}
    asked = {
        "Type": "instant",
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": template, "Overrides": list(overrides)}],
        "TargetCapacitySpecification": {"TotalTargetCapacity": total, "DefaultTargetCapacityType": market},
    }
    return ask(world, "CreateFleet", **{**asked, **more})


def types(answer: Any) -> list[tuple[str, int]]:
    return [(item["InstanceType"], len(item["InstanceIds"])) for item in answer["Instances"]]


def pool(kind: str, zone: str = "", **more: Any) -> dict[str, Any]:
    return {"InstanceType": kind, **({"AvailabilityZone": zone} if zone else {}), **more}


def test_the_cheapest_pool_comes_first_and_the_next_fills_up(world: Scripted) -> None:
    world.room = {("g4dn.xlarge", ""): 3, ("p3.2xlarge", ""): 9}
    answer = create(world, pool("p3.2xlarge"), pool("g4dn.xlarge"), total=5)
    assert types(answer) == [("g4dn.xlarge", 3), ("p3.2xlarge", 2)]
    assert answer["Errors"] == []


def test_a_priority_decides_where_it_is_asked_to(world: Scripted) -> None:
    world.room = {("g4dn.xlarge", ""): 9, ("p3.2xlarge", ""): 9}
    pools = (pool("g4dn.xlarge", Priority=2.0), pool("p3.2xlarge", Priority=1.0))
    answer = create(world, *pools, total=2, OnDemandOptions={"AllocationStrategy": "prioritized"})
    assert types(answer) == [("p3.2xlarge", 2)]


def test_what_went_wrong_is_told_and_not_raised(world: Scripted) -> None:
    world.room = {("p3.2xlarge", ""): 1}
    answer = create(world, pool("g4dn.xlarge"), pool("p3.2xlarge"), total=2)
    assert types(answer) == [("p3.2xlarge", 1)]
    (error,) = answer["Errors"]
    assert (error["ErrorCode"], error["ErrorMessage"], error["Lifecycle"]) == (NO_ROOM, "no room", "on-demand")
    assert error["LaunchTemplateAndOverrides"]["Overrides"] == {"InstanceType": "g4dn.xlarge"}
    nothing = create(world, pool("g5.xlarge"), total=2)
    assert (nothing["Instances"], len(nothing["Errors"])) == ([], 1)


def test_all_or_nothing_of_one_type_in_one_zone(world: Scripted) -> None:
    world.room = {("g4dn.xlarge", "us-east-1a"): 3, ("g4dn.xlarge", "us-east-1b"): 4}
    options = {"MinTargetCapacity": 4, "SingleInstanceType": True, "SingleAvailabilityZone": True}
    pools = (pool("g4dn.xlarge", "us-east-1a"), pool("g4dn.xlarge", "us-east-1b"))
    answer = create(world, *pools, total=4, OnDemandOptions=options)
    assert types(answer) == [("g4dn.xlarge", 4)]
    assert answer["Instances"][0]["LaunchTemplateAndOverrides"]["Overrides"]["AvailabilityZone"] == "us-east-1b"
    assert world.room["g4dn.xlarge", "us-east-1a"] == 3
    assert world.ended == []


def test_a_zone_that_cannot_give_the_least_keeps_nothing(world: Scripted) -> None:
    world.room = {("g4dn.xlarge", "us-east-1a"): 1, ("p3.2xlarge", "us-east-1a"): 1, ("p3.2xlarge", "us-east-1b"): 3}
    pools = [pool(kind, zone) for zone in ("us-east-1a", "us-east-1b") for kind in ("g4dn.xlarge", "p3.2xlarge")]
    options = {"MinTargetCapacity": 3, "SingleAvailabilityZone": True}
    answer = create(world, *pools, total=3, OnDemandOptions=options)
    assert types(answer) == [("p3.2xlarge", 3)]
    assert len(world.ended) == 2


def test_weights_count_units(world: Scripted) -> None:
    world.room = {("g4dn.12xlarge", ""): 9}
    answer = create(world, pool("g4dn.12xlarge", WeightedCapacity=4.0), total=9)
    assert types(answer) == [("g4dn.12xlarge", 3)]


def test_both_markets_are_asked_for_what_each_shall_give(world: Scripted) -> None:
    world.room = {("g4dn.xlarge", ""): 9}
    target = {"TotalTargetCapacity": 5, "OnDemandTargetCapacity": 1, "DefaultTargetCapacityType": "spot"}
    answer = create(world, pool("g4dn.xlarge", MaxPrice="0.5"), TargetCapacitySpecification=target)
    assert [(item["Lifecycle"], len(item["InstanceIds"])) for item in answer["Instances"]] == [
        ("on-demand", 1),
        ("spot", 4),
    ]
    first, second = world.launches
    assert "InstanceMarketOptions" not in first
    assert second["InstanceMarketOptions"]["SpotOptions"]["MaxPrice"] == "0.5"
    assert first["ClientToken"] != second["ClientToken"]


def test_a_launch_says_what_template_and_override_say(world: Scripted) -> None:
    world.room = {("g4dn.xlarge", "us-east-1b"): 1}
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}, {"ResourceType": "fleet", "Tags": []}]
    override = pool("g4dn.xlarge", "us-east-1b", ImageId="ami-2", Placement={"GroupName": "near"})
    create(world, override, TagSpecifications=tags)
    (launch,) = world.launches
    assert launch["LaunchTemplate"]["Version"] == "1"
    assert (launch["ImageId"], launch["TagSpecifications"]) == ("ami-2", tags[:1])
    assert launch["Placement"] == {"GroupName": "near", "AvailabilityZone": "us-east-1b"}


def test_instances_carry_the_id_of_their_fleet_and_end_with_it(world: Scripted) -> None:
    world.room = {("g4dn.xlarge", ""): 2}
    answer = create(world, pool("g4dn.xlarge"), total=2)
    for name in answer["Instances"][0]["InstanceIds"]:
        assert ec2(REGION).tags[name] == {"aws:ec2:fleet-id": answer["FleetId"]}
    assert ask(world, "DescribeFleets")["Fleets"] == []
    (shown,) = ask(world, "DescribeFleets", FleetIds=[answer["FleetId"]])["Fleets"]
    assert (shown["FleetState"], shown["Type"]) == ("active", "instant")
    gone = ask(world, "DeleteFleets", FleetIds=[answer["FleetId"], "fleet-none"], TerminateInstances=True)
    assert [item["FleetId"] for item in gone["SuccessfulFleetDeletions"]] == [answer["FleetId"]]
    assert [item["FleetId"] for item in gone["UnsuccessfulFleetDeletions"]] == ["fleet-none"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Type": "maintain"}, "UnsupportedOperation"),
        ({"OnDemandOptions": {"MinTargetCapacity": 1}}, "InvalidParameterCombination"),
        ({"LaunchTemplateConfigs": []}, "MissingParameter"),
        (
            {"LaunchTemplateConfigs": [{"LaunchTemplateSpecification": {"LaunchTemplateName": "workers"}}]},
            "InvalidParameterValue",
        ),
        (
            {
                "LaunchTemplateConfigs": [
                    {"LaunchTemplateSpecification": {"LaunchTemplateName": "none", "Version": "1"}}
                ]
            },
            "InvalidLaunchTemplateName.NotFoundException",
        ),
        (
            {"TargetCapacitySpecification": {"TotalTargetCapacity": 1, "SpotTargetCapacity": 2}},
            "InvalidTargetCapacitySpecification",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_launched(world: Scripted, more: Any, code: str) -> None:
    with pytest.raises(Refused) as caught:
        create(world, pool("g4dn.xlarge"), **more)
    assert caught.value.code == code
    assert world.launches == []
