"""An image baked of an instance, found by its digest and launched from; and launches with EFA, or from a launch template."""

from __future__ import annotations

import base64
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.cloud.bake import bake_far, remove_far_image
from launchbay.cloud.launch import launch_cloud
from launchbay.cloud.plan import plan_cloud
from launchbay.cloud.standing import find_far, open_transport
from launchbay.errors import NotFound
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.twin import ask_twin
from tests.cloud.fleets import asked, client_of, end

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")


@pytest.fixture
def bay(empty: Bay) -> Bay:
    return empty


def run(bay: Bay, fleet: str, command: str) -> str:
    (far,) = find_far(bay, fleet)
    transport = open_transport(bay, far)
    try:
        return transport.run(["/bin/sh", "-c", command]).stdout.decode()
    finally:
        transport.close()


def test_from_an_instance_to_an_image_to_the_next_launch(bay: Bay) -> None:
    first = plan_cloud(bay, asked(bay, fleet="one"))
    assert first.role == "plain"
    launch_cloud(bay, first)
    run(bay, "one", "echo kept > ~/kept")
    (far,) = find_far(bay, "one")
    baked = bake_far(bay, far)
    assert (baked.machine_image.digest, baked.image) == (first.cargo.digest, first.cargo.name)
    assert baked.usd_per_month is not None
    assert len(baked.machine_image.snapshots) == 1
    assert (baked.provider, baked.region) == ("twin", "us-east-1")
    assert bake_far(bay, far).machine_image.id == baked.machine_image.id  # done again it is the same
    second = plan_cloud(bay, asked(bay, fleet="two"))
    assert (second.role, second.image.id, second.image.login) == ("baked", baked.machine_image.id, "ubuntu")
    launched = launch_cloud(bay, second)
    assert launched.proof.identical
    assert launched.fleet.machine_image == baked.machine_image.id
    assert run(bay, "two", "cat ~/kept") == "kept\n"
    assert launched.installed == 0
    assert set(launched.stages) == {"install", "image", "instance", "verify"}
    removed = remove_far_image(bay, "twin", "us-east-1", baked.machine_image.id)
    assert removed.snapshots == baked.machine_image.snapshots
    assert plan_cloud(bay, asked(bay, fleet="three")).role == "plain"
    assert [
        line for line in ask_twin(bay.home, "bill")["lines"] if line["item"] == "snapshot" and not line["end"]
    ] == []
    with pytest.raises(NotFound, match="there is no image") as caught:
        remove_far_image(bay, "twin", "us-east-1", baked.machine_image.id)
    assert "bay images --provider twin" in caught.value.hint
    assert list(Path(bay.home.twin).rglob("snap-*")) == []


def test_efa_and_a_template_with_a_script_come_up_and_leave_nothing(bay: Bay) -> None:
    ec2 = client_of(bay).raw("ec2")
    script = base64.b64encode(b"#!/bin/sh\ntouch /home/ubuntu/theirs\n").decode()
    ec2.create_launch_template(LaunchTemplateName="lab", LaunchTemplateData={"UserData": script})
    wanted = replace(asked(bay, fleet="fast"), type="c5n.18xlarge", efa=True, template="lab")
    launched = launch_cloud(bay, plan_cloud(bay, wanted))
    (group,) = ec2.describe_placement_groups()["PlacementGroups"]
    assert (group["GroupName"], group["Strategy"]) == ("launchbay-fast", "cluster")
    (row,) = launched.rows.values()
    found = ec2.describe_instances(InstanceIds=[row.id])["Reservations"][0]["Instances"][0]
    assert found["Placement"]["GroupName"] == "launchbay-fast"
    assert found["NetworkInterfaces"][0]["InterfaceType"] == "efa"
    wait = "for _ in $(seq 100); do test -e ~/theirs && echo ran && exit; sleep 0.2; done"
    assert run(bay, "fast", wait) == "ran\n"
    assert end(bay, "fast") is not None
    assert ec2.describe_placement_groups()["PlacementGroups"] == []
