"""A fleet's own placement group on the twin."""

from __future__ import annotations

from typing import Any

import pytest

from launchbay.errors import Conflict, LaunchbayError
from launchbay.providers.ec2.client import Client, open_client
from launchbay.providers.ec2.placement import ensure_placement, remove_placement
from tests.providers.ec2.test_baking import Passing
from tests.twin.conftest import TwinProcess
from tests.twin.rules.test_launch import IMAGE

NAME = "launchbay-exp"


@pytest.fixture
def client(twin: TwinProcess) -> Client:
    return open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))


def there(ec2: Any) -> list[tuple[str, str]]:
    return [(item["GroupName"], item["Strategy"]) for item in ec2.describe_placement_groups()["PlacementGroups"]]


def test_it_is_made_once_and_removed(client: Client, ec2: Any) -> None:
    for _ in range(2):
        assert ensure_placement(client, "exp", NAME) == NAME
    assert there(ec2) == [(NAME, "cluster")]
    assert remove_placement(client, "other", clock=Passing()) == ()
    for removed in ((NAME,), ()):
        assert remove_placement(client, "exp", clock=Passing()) == removed
    assert there(ec2) == []


def test_one_of_somebody_else_is_neither_used_nor_removed(client: Client, ec2: Any) -> None:
    ec2.create_placement_group(GroupName=NAME, Strategy="spread")
    with pytest.raises(Conflict, match="is not of this fleet"):
        ensure_placement(client, "exp", NAME)
    assert remove_placement(client, "exp", clock=Passing()) == ()
    assert there(ec2) == [(NAME, "spread")]


def test_one_that_is_in_use_is_waited_for_and_then_named(client: Client, ec2: Any) -> None:
    ensure_placement(client, "exp", NAME)
    ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="c5n.18xlarge", Placement={"GroupName": NAME})
    clock = Passing()
    with pytest.raises(LaunchbayError, match="is still in use"):
        remove_placement(client, "exp", clock=clock)
    assert sum(clock.slept) == 300
