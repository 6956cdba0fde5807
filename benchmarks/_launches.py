"""One launch on a twin up to `running`, by us or by a bare boto3 script; says how many calls it made, as JSON.

    python benchmarks/_launches.py ours|boto3 COUNT NAME URL RECIPE

The boto3 script does what a careful person would write: image, group for one address, key, one call with a token and tags, one
waiter. It plans nothing, prices nothing, keeps no journal, and cannot be given again after a kill.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

REGION, TYPE = "us-east-1", "c5.large"


def launch_ours(count: int, name: str, recipe: str) -> Counter[str]:
    """Plan and launch, as `bay launch` does up to `running`."""
    from dataclasses import replace

    from launchbay.cloud.asked import CloudAsked
    from launchbay.cloud.plan import plan_cloud
    from launchbay.lifecycle.bay import open_bay
    from launchbay.lifecycle.climb import Ascent, climb
    from launchbay.lifecycle.cloud import open_cloud
    from launchbay.ports import SystemClock
    from launchbay.providers.ec2.client import Client
    from launchbay.providers.ec2.groups import ensure_group, ensure_key
    from launchbay.providers.ec2.tags import OURS
    from launchbay.store.journal import open_journal
    from launchbay.transport.keypair import make_key_pair

    class NoWait(SystemClock):
        """The twin's virtual clock goes on when it is asked: nobody has to sleep for it."""

        def sleep(self, seconds: float) -> None:
            del seconds

    calls: Counter[str] = Counter()
    first = Client.__init__

    def counted(self: Client, *args: object, **named: object) -> None:
        first(self, *args, **named)  # type: ignore[arg-type]
        self.calls = calls  # one count for all ways to EC2 of this process

    Client.__init__ = counted  # type: ignore[method-assign]
    bay = replace(open_bay(), clock=NoWait())
    plan = plan_cloud(bay, CloudAsked(image=recipe, fleet=name, provider="twin", region=REGION, type=TYPE, count=count))
    client = open_cloud(bay, "twin", REGION)
    with open_journal(bay.home.journal, bay.clock, lambda _: None) as journal:
        operation = journal.begin("launch on EC2", name, {"count": count})
        wish = replace(
            plan.wish,
            groups=(ensure_group(client, name, plan.vpc, plan.way.networks),),
            key_name=ensure_key(client, name, make_key_pair(name).public),
            tags={OURS[0]: OURS[1], "Name": name, "launchbay:fleet": name},
        )
        ascent = Ascent(fleet=name, wish=wish, rungs=plan.rungs)
        found = climb(client, journal, operation, ascent, clock=bay.clock)
        journal.end(operation, "done")
    assert len(found.rows) == count
    return calls


def launch_boto3(count: int, name: str, url: str) -> Counter[str]:
    """Launch with boto3 alone."""
    import boto3

    calls: Counter[str] = Counter()
    session = boto3.Session(aws_access_key_id="twin", aws_secret_access_key="twin", region_name=REGION)
    session.events.register("before-call", lambda model, **_: calls.update([model.name]))
    ec2, ssm = session.client("ec2", endpoint_url=url), session.client("ssm", endpoint_url=url)
    parameter = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
    image = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.1/32"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    ec2.create_key_pair(KeyName=name, KeyType="ed25519")
    tags = [
        {"Key": "Name", "Value": name},
        {"Key": "managed-by", "Value": "launchbay"},
        {"Key": "launchbay:fleet", "Value": name},
    ]
    answer = ec2.run_instances(
        ImageId=image,
        InstanceType=TYPE,
        MinCount=count,
        MaxCount=count,
        ClientToken=str(uuid.uuid4()),
        KeyName=name,
        SecurityGroupIds=[group],
        TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
    )
    names = [item["InstanceId"] for item in answer["Instances"]]
    ec2.get_waiter("instance_running").wait(InstanceIds=names, WaiterConfig={"Delay": 0, "MaxAttempts": 40})
    return calls


def main() -> int:
    """Launch once, and say how many calls that took."""
    who, count, name, url, recipe = sys.argv[1:6]
    calls = launch_ours(int(count), name, recipe) if who == "ours" else launch_boto3(int(count), name, url)
    print(json.dumps({"calls": sum(calls.values()), "by": calls}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
