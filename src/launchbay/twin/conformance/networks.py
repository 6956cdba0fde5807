"""Networks: security groups and their rules, keys, the ways in."""

from __future__ import annotations

import contextlib
import time

from botocore.exceptions import ClientError

from launchbay.twin.conformance.account import TAG, Account
from launchbay.twin.conformance.behaviour import REMEMBERED, SEEN, VERIFIED, listed

__all__: list[str] = []

_MODEL = "botocore's model of EC2"
_ERRORS = "EC2's list of error codes"
_ENDPOINT_S = 600.0
"""How long making or deleting an endpoint is waited for."""


def _group(account: Account) -> str:
    vpc = account.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    identity = account.ec2.create_security_group(GroupName=account.unique("group"), Description=TAG, VpcId=vpc)[
        "GroupId"
    ]
    account.later(lambda: account.ec2.delete_security_group(GroupId=identity))
    return str(identity)


@listed("A security group in use cannot be deleted.", known=SEEN, source=_ERRORS, usd="0.01")
def _group_in_use(account: Account) -> None:
    group = _group(account)
    names = account.launch(SecurityGroupIds=[group])
    with account.refused("DependencyViolation"):
        account.ec2.delete_security_group(GroupId=group)
    account.ec2.terminate_instances(InstanceIds=names)
    account.wait(names, "terminated")


@listed("The same rule twice is refused.", known=SEEN, source=_ERRORS)
def _rule_twice(account: Account) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.7/32"}]}
    group = _group(account)
    account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    with account.refused("InvalidPermission.Duplicate"):
        account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])


@listed("What is no network is refused in a rule.", known=REMEMBERED, source="issues of other tools")
def _rule_malformed(account: Account) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.700/32"}]}
    with account.refused("InvalidParameterValue"):
        account.ec2.authorize_security_group_ingress(GroupId=_group(account), IpPermissions=[rule])


@listed("What is no public key is not imported.", known=SEEN, source=_ERRORS)
def _key_format(account: Account) -> None:
    with account.refused("InvalidKey.Format"):
        account.ec2.import_key_pair(KeyName=account.unique("key"), PublicKeyMaterial=b"no key")


@listed("Instance Connect refuses an instance that does not exist.", known=VERIFIED, source="botocore's model of it")
def _connect_unknown(account: Account) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    with account.refused("EC2InstanceNotFoundException"):
        account.client("ec2-instance-connect").send_ssh_public_key(
            InstanceId="i-0123456789abcdef0", InstanceOSUser="ec2-user", SSHPublicKey=key
        )


@listed("There are Instance Connect Endpoints.", known=VERIFIED, source=_MODEL)
def _connect_endpoints(account: Account) -> None:
    assert "InstanceConnectEndpoints" in account.ec2.describe_instance_connect_endpoints(), "not described"


@listed(
    "An Instance Connect Endpoint is made and deleted over time, and found by its network; one that is not there is refused.",
    known=VERIFIED,
    source="botocore's model of EC2; the code is in EC2's list of them",
)
def _connect_endpoint_life(account: Account) -> None:
    with account.refused("InvalidInstanceConnectEndpointId.NotFound"):
        account.ec2.describe_instance_connect_endpoints(InstanceConnectEndpointIds=["eice-0123456789abcdef0"])
    # in a network of its own: in the default one there may be another already
    vpc = account.ec2.create_vpc(CidrBlock="10.77.0.0/24", TagSpecifications=account.tags("vpc"))["Vpc"]["VpcId"]
    account.later(lambda: account.ec2.delete_vpc(VpcId=vpc))
    subnet = account.ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.0.0/24")["Subnet"]["SubnetId"]
    account.later(lambda: account.ec2.delete_subnet(SubnetId=subnet))
    made = account.ec2.create_instance_connect_endpoint(SubnetId=subnet)["InstanceConnectEndpoint"]
    identity = str(made["InstanceConnectEndpointId"])
    account.later(lambda: _remove_endpoint(account, identity))
    assert made["State"] == "create-in-progress", made["State"]
    state = _endpoint_after(account, identity, "create-in-progress")
    assert state == "create-complete", state
    found = account.ec2.describe_instance_connect_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    (shown,) = found["InstanceConnectEndpoints"]
    assert shown["InstanceConnectEndpointId"] == identity, "not found by its network"
    assert shown["DnsName"], "without a name"
    gone = account.ec2.delete_instance_connect_endpoint(InstanceConnectEndpointId=identity)["InstanceConnectEndpoint"]
    assert gone["State"] == "delete-in-progress", gone["State"]
    state = _endpoint_after(account, identity, "delete-in-progress")
    assert state in ("", "delete-complete"), state


def _endpoint_after(account: Account, identity: str, state: str) -> str:
    """Return what an endpoint's state is after this one, which is waited for; nothing where it is no longer there."""
    end = time.monotonic() + _ENDPOINT_S
    while time.monotonic() < end:
        try:
            found = account.ec2.describe_instance_connect_endpoints(InstanceConnectEndpointIds=[identity])
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidInstanceConnectEndpointId.NotFound":
                return ""
            raise
        now = str(found["InstanceConnectEndpoints"][0]["State"])
        if now != state:
            return now
        time.sleep(account.target.poll_s)
    return state


def _remove_endpoint(account: Account, identity: str) -> None:
    """Delete an endpoint where it is still there, and wait until it no longer stands in its subnet."""
    with contextlib.suppress(ClientError):
        account.ec2.delete_instance_connect_endpoint(InstanceConnectEndpointId=identity)
    _endpoint_after(account, identity, "delete-in-progress")
