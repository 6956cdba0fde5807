from __future__ import annotations

from decimal import Decimal

import pytest

from launchbay.cost.usage import Billed, read_usage_type


@pytest.mark.parametrize(
    ("usage_type", "region", "expected"),
    [
        ("USW2-BoxUsage:p2.xlarge", "us-west-2", ("compute", "p2.xlarge on-demand", "us-west-2")),
        ("BoxUsage:m6i.large", "", ("compute", "m6i.large on-demand", "us-east-1")),
        ("EUC1-SpotUsage:g5.xlarge", "", ("compute", "g5.xlarge spot", "eu-central-1")),
        ("EU-BoxUsage:t3.medium", "", ("compute", "t3.medium on-demand", "eu-west-1")),
        ("USW2-SoftwareUsage:p2.xlarge", "us-west-2", ("software", "software", "us-west-2")),
        ("USW2-EBS:VolumeUsage.gp3", "us-west-2", ("disk", "gp3", "us-west-2")),
        ("EBS:VolumeP-IOPS.gp3", "us-east-1", ("disk", "gp3-iops", "us-east-1")),
        ("EBS:SnapshotUsage", "us-east-1", ("snapshot", "snapshot", "us-east-1")),
        ("USE1-PublicIPv4:InUseAddress", "us-east-1", ("address", "public-ipv4", "us-east-1")),
        ("USW2-PublicIPv4:IdleAddress", "us-west-2", ("address", "public-ipv4", "us-west-2")),
        ("USW2-NatGateway-Hours", "us-west-2", ("nat", "nat-gateway", "us-west-2")),
        ("USW2-NatGateway-Bytes", "us-west-2", ("nat", "nat-gateway-data", "us-west-2")),
        ("USW2-TimedStorage-ByteHrs", "us-west-2", ("bucket", "s3-standard", "us-west-2")),
        ("TimedStorage-ByteHrs", "us-east-1", ("bucket", "s3-standard", "us-east-1")),
        ("USW2-DataTransfer-Out-Bytes", "", ("transfer", "transfer-out", "us-west-2")),
        ("DataTransfer-Regional-Bytes", "us-east-1", ("transfer", "transfer-cross-zone", "us-east-1")),
        ("USW2-USE1-AWS-Out-Bytes", "us-west-2", ("transfer", "transfer-inter-region", "us-west-2")),
        ("EBS:VolumeUsage.gp2", "us-east-1", ("other", "EBS:VolumeUsage.gp2", "us-east-1")),
        ("USW2-CPUCredits:t3", "us-west-2", ("compute", "cpu-surplus-t3", "us-west-2")),
        ("BoxUsage", "us-east-1", ("other", "BoxUsage", "us-east-1")),
        ("USW2-UnusedBox:p2.xlarge", "us-west-2", ("other", "USW2-UnusedBox:p2.xlarge", "us-west-2")),
        ("USW2-USE1-AWS-In-Bytes", "us-west-2", ("other", "USW2-USE1-AWS-In-Bytes", "us-west-2")),
    ],
)
def test_a_usage_type_in_our_words(usage_type: str, region: str, expected: tuple[str, str, str]) -> None:
    category, item, where = expected
    assert read_usage_type(usage_type, region) == Billed(category=category, item=item, region=where)


def test_throughput_is_reported_in_gib_a_second() -> None:
    billed = read_usage_type("USW2-EBS:VolumeP-Throughput.gp3", "us-west-2")
    assert (billed.item, billed.scale) == ("gp3-throughput", Decimal(1024))
