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
    with pytest.raises(Unmodelled, match="'BinaryEquals' is not modelled"):
        judge([allow(Condition={"BinaryEquals": {"key": "QmluYXJ5"}})], run())
    with pytest.raises(Unmodelled, match="'ForSomeValues:StringEquals' is not modelled"):
        judge([allow(Condition={"ForSomeValues:StringEquals": {"aws:TagKeys": "a"}})], run())


def test_a_key_that_ec2_has_and_the_twin_has_not_is_refused_where_it_would_decide() -> None:
    closed = deny(Condition={"StringEquals": {"ec2:Tenancy": "host"}})
    with pytest.raises(Unmodelled, match="key 'ec2:Tenancy' is not modelled"):
        judge([allow(), closed], run())
    assert judge([allow(), closed], Asked(action="ec2:StopInstances")).is_allowed  # it is about another action


@pytest.mark.parametrize(
    ("condition", "tags", "expected"),
    [
        # a key that a request does not have: equal to nothing, and therefore not equal to anything
        ({"StringEquals": {"no:Such": "a"}}, [], False),
        ({"StringLike": {"no:Such": "*"}}, [], False),
        ({"StringNotEquals": {"no:Such": "a"}}, [], True),
        ({"ArnNotLike": {"no:Such": "arn:*"}}, [], True),
        ({"NumericLessThan": {"no:Such": "5"}}, [], False),
        ({"NumericNotEquals": {"no:Such": "5"}}, [], True),
        ({"StringEqualsIfExists": {"no:Such": "a"}}, [], True),
        ({"Null": {"no:Such": "true"}}, [], True),
        ({"Null": {"no:Such": "false"}}, [], False),
        ({"Null": {"aws:TagKeys": "true"}}, [], True),  # a key without any value is none
        # of no values all are right and none is, negated or with IfExists too
        ({"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}, [], True),
        ({"ForAllValues:StringNotEquals": {"aws:TagKeys": "a"}}, [], True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}, [], False),
        ({"ForAnyValue:StringNotEquals": {"aws:TagKeys": "a"}}, [], False),
        ({"ForAnyValue:StringNotEqualsIfExists": {"aws:TagKeys": "a"}}, [], False),
        # negated: one of the values has to be none of those that are named, or all of them
        ({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["a", "b"]}}, ["a", "c"], True),
        ({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["a", "b"]}}, ["a", "b"], False),
        ({"ForAllValues:StringNotEquals": {"aws:TagKeys": ["a", "b"]}}, ["c", "d"], True),
        ({"ForAllValues:StringNotLike": {"aws:TagKeys": ["a*"]}}, ["c", "ab"], False),
        ({"StringNotEquals": {"aws:TagKeys": ["a"]}}, ["a", "c"], False),
    ],
)
def test_absent_keys_and_keys_with_several_values(condition: dict[str, Any], tags: list[str], expected: bool) -> None:  # noqa: FBT001
    asked = Asked(action="ec2:RunInstances", context={"aws:TagKeys": tags})
    assert judge([allow(Condition=condition)], asked).is_allowed is expected


HOME = "arn:aws:s3:::home/${aws:username}/*"


@pytest.mark.parametrize(
    ("statement", "version", "expected"),
    [
        ({"Resource": HOME}, "2012-10-17", True),
        ({"Resource": HOME}, "2008-10-17", False),  # there it is a text like any other
        ({"Resource": HOME.replace("username", "PrincipalTag/none")}, "2012-10-17", False),
        ({"Resource": HOME.replace("username", "PrincipalTag/none, 'ada'")}, "2012-10-17", True),
        ({"Resource": "arn:aws:s3:::home/${*}/*"}, "2012-10-17", False),
        ({"NotResource": HOME, "Resource": []}, "2012-10-17", False),
        ({"Condition": {"StringEquals": {"aws:RequestTag/owner": "${aws:username}"}}}, "2012-10-17", True),
        ({"Condition": {"StringNotEquals": {"aws:RequestTag/owner": "${aws:username}"}}}, "2012-10-17", False),
        ({"Condition": {"StringEquals": {"aws:RequestTag/owner": "${no:Such}"}}}, "2012-10-17", False),
        ({"Condition": {"StringNotEquals": {"aws:RequestTag/owner": "${no:Such}"}}}, "2012-10-17", True),
        ({"Condition": {"StringLike": {"aws:RequestTag/glob": "${aws:PrincipalTag/star}"}}}, "2012-10-17", False),
    ],
)
def test_policy_variables(statement: dict[str, Any], version: str, expected: bool) -> None:  # noqa: FBT001
    asked = Asked(
        action="s3:GetObject",
        resource="arn:aws:s3:::home/ada/x",
        context={
            "aws:username": ["ada"],
            "aws:RequestTag/owner": ["ada"],
            "aws:RequestTag/glob": ["anything"],
            "aws:PrincipalTag/star": ["*"],  # what stands in a variable is no pattern
        },
    )
    policy = {"Version": version, "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*", **statement}]}
    assert judge([policy], asked).is_allowed is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, False),
        ({"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}, False),
        ({"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}}, False),
        ({"NumericGreaterThan": {"ec2:VolumeSize": "9"}}, True),  # numbers, not letters
        ({"NumericGreaterThan": {"ec2:VolumeSize": "much"}}, False),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/ada"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:*/ada"}}, False),  # a star stays within its field
        ({"StringNotEqualsIgnoreCase": {"aws:RequestedRegion": "US-EAST-1"}}, False),
    ],
)
def test_addresses_times_numbers_and_names(condition: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    asked = Asked(
        action="ec2:RunInstances",
        context={
            "aws:SourceIp": ["203.0.113.7"],
            "aws:CurrentTime": ["2026-11-27T12:00:00+00:00"],
            "ec2:VolumeSize": ["35"],
            "aws:PrincipalArn": ["arn:aws:iam::123456789012:user/ada"],
            "aws:RequestedRegion": ["us-east-1"],
        },
    )
    assert judge([allow(Condition=condition)], asked).is_allowed is expected


def test_a_resource_is_a_pattern_of_stars_and_question_marks_only() -> None:
    assert not judge([allow(Resource="arn:aws:ec2:us-east-[12]:*:instance/*")], run()).is_allowed
    assert judge([allow(Resource="arn:aws:ec2:us-east-?:1:instance/*")], run()).is_allowed
