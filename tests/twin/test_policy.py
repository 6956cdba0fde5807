"""Policies are judged as IAM does."""

from __future__ import annotations

from typing import Any

import pytest

from launchbay.twin.policy import Asked, Unmodelled, judge


def allow(**more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*", **more}]}


def deny(**more: Any) -> dict[str, Any]:
    return {"Statement": {"Effect": "Deny", "Action": ["ec2:RunInstances"], "Resource": "*", **more}}


def run(resource: str = "arn:aws:ec2:us-east-1:1:instance/*", **context: str) -> Asked:
    keys = {key.replace("__", ":").replace("_T_", "Tag/"): [value] for key, value in context.items()}
    return Asked(action="ec2:RunInstances", resource=resource, context=keys)


@pytest.mark.parametrize(
    ("policies", "asked", "expected"),
    [
        ([], run(), False),
        ([allow()], run(), True),
        ([allow(Action="ec2:runinst*")], run(), True),  # actions know no case
        ([allow(Action=["s3:*", "ec2:Describe*"])], run(), False),
        ([allow(NotAction="iam:*", Action=[])], run(), True),
        ([allow(), deny()], run(), False),
        ([deny(), allow()], run(), False),
        ([allow(Resource="arn:aws:ec2:*:*:instance/*")], run(), True),
        ([allow(Resource="arn:aws:ec2:*:*:volume/*")], run(), False),
        ([allow(NotResource="arn:aws:ec2:*:*:instance/*", Resource=[])], run(), False),
        (
            [allow(Condition={"StringEquals": {"ec2:Region": ["eu-west-1", "us-east-1"]}})],
            run(ec2__Region="us-east-1"),
            True,
        ),
        ([allow(Condition={"StringEquals": {"ec2:Region": "eu-west-1"}})], run(ec2__Region="us-east-1"), False),
        ([allow(Condition={"StringEquals": {"ec2:Region": "eu-west-1"}})], run(), False),  # a key that is not there
        ([allow(Condition={"StringEqualsIfExists": {"ec2:Region": "eu-west-1"}})], run(), True),
        ([allow(), deny(Condition={"StringNotEquals": {"ec2:MetadataHttpTokens": "required"}})], run(), False),
        (
            [allow(), deny(Condition={"StringNotEquals": {"ec2:MetadataHttpTokens": "required"}})],
            run(ec2__MetadataHttpTokens="required"),
            True,
        ),
        ([allow(Condition={"StringLike": {"ec2:InstanceType": "t3.*"}})], run(ec2__InstanceType="p3.2xlarge"), False),
        ([allow(Condition={"NumericLessThanEquals": {"ec2:VolumeSize": "100"}})], run(ec2__VolumeSize="35"), True),
        ([allow(Condition={"Null": {"aws:TagKeys": "false"}})], run(), False),
        ([allow(Condition={"Bool": {"ec2:Encrypted": "true"}})], run(ec2__Encrypted="true"), True),
    ],
)
def test_verdicts(policies: list[dict[str, Any]], asked: Asked, expected: bool) -> None:  # noqa: FBT001 - a column
    assert judge(policies, asked).is_allowed is expected


def test_all_values_of_a_key_or_any_of_them() -> None:
    asked = Asked(action="ec2:CreateTags", context={"aws:TagKeys": ["fleet", "owner"]})
    every = allow(Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["fleet"]}})
    some = allow(Condition={"ForAnyValue:StringEquals": {"aws:TagKeys": ["fleet"]}})
    assert not judge([every], asked).is_allowed
    assert judge([some], asked).is_allowed
    assert judge([every], Asked(action="ec2:CreateTags")).is_allowed  # of no values all are right


def test_a_condition_that_is_not_modelled_is_refused_and_not_passed_over() -> None:
    with pytest.raises(Unmodelled, match="'IpAddress' is not modelled"):
        judge([allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], run())


def test_a_resource_is_a_pattern_of_stars_and_question_marks_only() -> None:
    assert not judge([allow(Resource="arn:aws:ec2:us-east-[12]:*:instance/*")], run()).is_allowed
    assert judge([allow(Resource="arn:aws:ec2:us-east-?:1:instance/*")], run()).is_allowed
