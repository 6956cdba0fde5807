from __future__ import annotations

from decimal import Decimal

import pytest

from launchbay.planning.ladder import Rung
from launchbay.planning.refusal import Kind, advice, explain, is_passing, is_proof


def rung(zone: str, kind: str, market: str) -> Rung:
    return Rung(zone=zone, type=kind, market=market, usd_per_hour=Decimal(1), why="")


HERE = rung("us-west-2a", "p3.2xlarge", "on-demand")
ZONE = rung("us-west-2b", "p3.2xlarge", "on-demand")
SISTER = rung("us-west-2a", "p3.8xlarge", "on-demand")
SPOT = rung("us-west-2a", "p3.2xlarge", "spot")
OTHER = rung("us-west-2a", "g5.xlarge", "on-demand")
LEFT = (ZONE, SISTER, SPOT, OTHER)


@pytest.mark.parametrize(
    "code",
    [
        "InsufficientInstanceCapacity", "Server.InsufficientInstanceCapacity", "InsufficientCapacity",
        "UnfulfillableCapacity", "Unsupported", "SpotMaxPriceTooLow",
    ],
)  # fmt: skip
def test_no_room_goes_to_the_next_rung(code: str) -> None:
    found = advice(code, HERE, LEFT)
    assert (found.kind, found.rungs) == (Kind.CAPACITY, LEFT)
    assert is_proof(code)
    assert is_proof(code, asked_before=True)
    assert "us-west-2a" in found.what
    assert found.hint == "next is p3.2xlarge in us-west-2b, on-demand"
    last = advice(code, HERE, ())
    assert last.rungs == ()
    assert last.hint.startswith("wait some minutes, or allow more")
    assert advice(code, HERE, (HERE, ZONE)).rungs == (ZONE,)


def test_a_full_subnet_is_full_for_every_type() -> None:
    found = advice("InsufficientFreeAddressesInSubnet", HERE, LEFT)
    assert (found.kind, found.rungs) == (Kind.CAPACITY, (ZONE,))


def test_a_quota_is_the_same_in_every_zone() -> None:
    found = advice("VcpuLimitExceeded", HERE, LEFT)
    assert (found.kind, found.rungs) == (Kind.QUOTA, (SPOT, OTHER))
    assert found.quota is not None
    assert found.quota.code == "L-417A185B"
    assert "L-417A185B" in found.what
    assert "--quota-code L-417A185B" in found.hint
    assert found.hint.endswith("next is p3.2xlarge in us-west-2a, spot")
    spot = advice("MaxSpotInstanceCountExceeded", SPOT, (rung("us-west-2b", "p4d.24xlarge", "spot"), HERE))
    assert spot.rungs == (HERE,)
    assert "L-7212CCBC" in spot.what
    assert advice("InstanceLimitExceeded", HERE, (ZONE, SISTER)).rungs == ()


def test_a_type_without_a_quota_ends_no_other() -> None:
    found = advice("VcpuLimitExceeded", rung("us-west-2a", "mac2.metal", "on-demand"), (ZONE,))
    assert (found.quota, found.rungs) == (None, (ZONE,))
    assert "service-quotas" not in found.hint


def test_another_limit_is_no_reason_to_try_elsewhere() -> None:
    found = advice("Client.VolumeLimitExceeded", HERE, LEFT)
    assert (found.kind, found.rungs) == (Kind.QUOTA, ())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("UnauthorizedOperation", Kind.PERMISSION),
        ("AccessDenied", Kind.PERMISSION),
        ("AccessDeniedException", Kind.PERMISSION),
        ("Client.InternalError", Kind.PERMISSION),
        ("PendingVerification", Kind.ACCOUNT),
        ("OptInRequired", Kind.ACCOUNT),
        ("Blocked", Kind.ACCOUNT),
        ("AuthFailure", Kind.CREDENTIALS),
        ("ExpiredToken", Kind.CREDENTIALS),
        ("RequestExpired", Kind.CREDENTIALS),
        ("InvalidClientTokenId", Kind.CREDENTIALS),
        ("SignatureDoesNotMatch", Kind.CREDENTIALS),
        ("InvalidAMIID.NotFound", Kind.REQUEST),
        ("InvalidParameterValue", Kind.REQUEST),
        ("InvalidParameterCombination", Kind.REQUEST),
        ("InvalidBlockDeviceMapping", Kind.REQUEST),
        ("MissingParameter", Kind.REQUEST),
        ("UnknownParameter", Kind.REQUEST),
        ("UnsupportedOperation", Kind.REQUEST),
        ("IdempotentParameterMismatch", Kind.REQUEST),
        ("SomethingNew", Kind.UNKNOWN),
    ],
)
def test_what_is_the_same_everywhere_ends_the_launch(code: str, kind: Kind) -> None:
    found = advice(code, HERE, LEFT, message="words of EC2")
    assert (found.kind, found.rungs) == (kind, ())
    assert found.what
    assert found.hint


@pytest.mark.parametrize(
    "code", ["InternalError", "Server.InternalError", "Unavailable", "ServiceUnavailable", "RequestTimeout"]
)
def test_what_may_have_worked_is_looked_for_before_it_is_tried_again(code: str) -> None:
    found = advice(code, HERE, LEFT)
    assert (found.kind, found.rungs, found.new_attempt) == (Kind.RETRY, (HERE, *LEFT), False)
    assert is_passing(code)
    assert not is_proof(code)


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "Throttling", "ThrottlingException"])
def test_what_was_turned_away_at_the_door_made_nothing(code: str) -> None:
    found = advice(code, HERE, LEFT)
    assert (found.kind, found.rungs) == (Kind.RETRY, (HERE, *LEFT))
    assert is_passing(code)
    assert is_proof(code)
    assert not is_proof(code, asked_before=True)


def test_a_new_instance_profile_takes_seconds_to_be_seen() -> None:
    message = "Value (exp) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
    found = advice("InvalidParameterValue", HERE, LEFT, message=message)
    assert (found.kind, found.rungs) == (Kind.RETRY, (HERE, *LEFT))


def test_a_token_whose_instances_are_gone_needs_another_attempt() -> None:
    found = advice("IdempotentInstanceTerminated", HERE, LEFT)
    assert (found.rungs, found.new_attempt) == ((HERE, *LEFT), True)
    assert is_proof("IdempotentInstanceTerminated", asked_before=True)


def test_an_unknown_code_is_looked_into_and_named() -> None:
    found = advice("SomethingNew", HERE, LEFT)
    assert not is_proof("SomethingNew")
    assert "SomethingNew" in found.what


@pytest.mark.parametrize(
    "code", ["UnauthorizedOperation", "ExpiredToken", "InvalidAMIID.NotFound", "PendingVerification"]
)
def test_what_is_judged_before_the_token_proves_nothing_of_one_that_was_asked_before(code: str) -> None:
    assert is_proof(code)
    assert not is_proof(code, asked_before=True)
    assert is_proof("VcpuLimitExceeded", asked_before=True)
    assert not is_proof("IdempotentParameterMismatch")


def test_a_person_reads_what_is_wrong_with_who_asks() -> None:
    found = explain("UnauthorizedOperation", "ec2:DescribeVpcs")
    assert found is not None
    assert "ec2:DescribeVpcs" in found[0]
    assert "ec2:DescribeVpcs" in found[1]
    assert explain("ExpiredToken", "ec2:DescribeVpcs") == (
        "the credentials have expired (ExpiredToken)",
        "sign in again, such as aws sso login",
    )
    assert explain("InsufficientInstanceCapacity", "ec2:RunInstances") is None


def test_the_permission_that_aws_names_is_the_one_that_is_lacking() -> None:
    said = (
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/ada is not authorized to "
        "perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/lab because no identity-based policy allows it"
    )
    role = "arn:aws:iam::123456789012:role/lab"
    found = explain("UnauthorizedOperation", "ec2:RunInstances", said)
    assert found == (
        "AWS does not allow iam:PassRole to these credentials (UnauthorizedOperation)",
        f"let them have iam:PassRole on {role}",
    )
    refused = advice("UnauthorizedOperation", HERE, LEFT, message=said)
    assert (refused.kind, refused.rungs) == (Kind.PERMISSION, ())
    assert f"iam:PassRole on {role}" in refused.what
    assert "decode-authorization-message" in refused.hint
    assert "this launch" in advice("UnauthorizedOperation", HERE, ()).what
