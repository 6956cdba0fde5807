"""What the twin does not have is refused by name, and never answered by moto alone; and what is no request is an error."""

from __future__ import annotations

import http.client
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin_process import IMAGE, TwinProcess


@pytest.mark.parametrize(
    ("service", "call", "asked"),
    [
        ("sqs", "create_queue", {"QueueName": "q"}),
        ("cloudwatch", "list_metrics", {}),
        ("autoscaling", "describe_auto_scaling_groups", {}),
        ("route53", "list_hosted_zones", {}),
        ("efs", "describe_file_systems", {}),
        ("dynamodb", "list_tables", {}),
        ("sns", "list_topics", {}),
        ("resource-groups", "list_groups", {}),
    ],
)
def test_a_service_that_is_not_had_says_so(twin: TwinProcess, service: str, call: str, asked: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="The twin does not have the service") as caught:
        getattr(twin.client(service), call)(**asked)
    assert caught.value.response["Error"]["Code"] == "InvalidAction"


@pytest.mark.parametrize(
    ("service", "call", "asked"),
    [
        ("ec2", "create_nat_gateway", {"SubnetId": "subnet-1"}),
        ("ec2", "get_console_output", {"InstanceId": "i-1"}),
        ("ec2", "purchase_reserved_instances_offering", {"ReservedInstancesOfferingId": "x", "InstanceCount": 1}),
        ("ssm", "send_command", {"DocumentName": "AWS-RunShellScript", "InstanceIds": ["i-1234567890abcdef0"]}),
        ("service-quotas", "list_services", {}),
    ],
)
def test_a_call_that_is_not_had_says_so(twin: TwinProcess, service: str, call: str, asked: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match=f"The twin does not have {service}:") as caught:
        getattr(twin.client(service), call)(**asked)
    assert caught.value.response["Error"]["Code"] == "InvalidAction"


def test_an_auto_scaling_group_launches_nothing(twin: TwinProcess) -> None:
    groups = twin.client("autoscaling")
    with pytest.raises(ClientError):
        groups.create_launch_configuration(LaunchConfigurationName="c", ImageId=IMAGE, InstanceType="p3.2xlarge")
    with pytest.raises(ClientError):
        groups.create_auto_scaling_group(
            AutoScalingGroupName="g",
            LaunchConfigurationName="c",
            MinSize=5,
            MaxSize=5,
            AvailabilityZones=["us-east-1a"],
        )
    assert twin.ask("left")["left"] == 0


def test_what_is_had_is_answered(twin: TwinProcess, ec2: Any) -> None:
    assert ec2.describe_regions()["Regions"]
    assert ec2.describe_route_tables()["RouteTables"]
    assert ec2.describe_security_group_rules()["SecurityGroupRules"]
    address = ec2.allocate_address(Domain="vpc")
    assert ec2.describe_addresses()["Addresses"][0]["AllocationId"] == address["AllocationId"]
    ec2.release_address(AllocationId=address["AllocationId"])
    ssm = twin.client("ssm")
    ssm.put_parameter(Name="/mine", Value="v", Type="String")
    assert ssm.describe_parameters()["Parameters"][0]["Name"] == "/mine"
    assert twin.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert twin.client("iam").list_users()["Users"] == []
    assert twin.client("resourcegroupstaggingapi").get_resources()["ResourceTagMappingList"] == []


@pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")
def test_the_aws_cli_sees_the_refusal(twin: TwinProcess, tmp_path: Path) -> None:
    environ = {
        "AWS_ENDPOINT_URL": twin.url,
        "AWS_ACCESS_KEY_ID": "twin",
        "AWS_SECRET_ACCESS_KEY": "twin",
        "AWS_DEFAULT_REGION": "us-east-1",
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }
    words = [str(shutil.which("aws")), "cloudwatch", "list-metrics"]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert "The twin does not have the service" in done.stderr


def send(twin: TwinProcess, body: bytes, **headers: str) -> tuple[int, str]:
    """Send what no client of AWS would."""
    scope = "AWS4-HMAC-SHA256 Credential=AKIATEST/20261127/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0"
    said = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": scope}
    connection = http.client.HTTPConnection(twin.url.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", "/", body, said | {name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


@pytest.mark.parametrize(
    "body",
    [
        b"Action=RunInstances&MinCount=many&MaxCount=1",
        b"Action=RunInstances&BlockDeviceMapping.x.Ebs.VolumeSize=1",
        b"Action=DescribeInstances&MaxResults=all",
        b"Action=DescribeSpotPriceHistory&StartTime=yesterday",
        b"Action=ImportKeyPair&KeyName=k&PublicKeyMaterial=a",
        b"Action=CreateFleet&TargetCapacitySpecification=5",
        b"Action=\xff\xfe",
        b"Action=",
        b"%%%",
        b"",
    ],
)
def test_a_malformed_form_is_an_error_that_clients_read(twin: TwinProcess, body: bytes) -> None:
    status, text = send(twin, body)
    assert status == 400, text
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>')
    assert "InternalError" not in text


def test_a_malformed_request_to_the_twins_own_addresses_is_an_error(twin: TwinProcess) -> None:
    for door, asked in (("advance", {}), ("reset", {"nonsense": 1}), ("fault", {"name": 5}), ("quota", {"region": 1})):
        with pytest.raises(ValueError, match=r"\w"):
            twin.ask(door, **asked)
