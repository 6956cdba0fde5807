"""A profile and a key pair that a company has already, looked at on the twin before a launch uses them."""

from __future__ import annotations

from typing import Any

import pytest

from launchbay.errors import NotFound, UsageError
from launchbay.providers.ec2.client import Client, open_client
from launchbay.providers.ec2.given import check_key_pair, check_profile
from tests.providers.ec2.test_instances import KEY
from tests.providers.ec2.watching import limited
from tests.twin_process import TwinProcess


@pytest.fixture
def client(twin: TwinProcess) -> Client:
    return open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))


def test_a_profile_is_found_by_its_name_or_arn(twin: TwinProcess, client: Client) -> None:
    iam = twin.client("iam")
    made = iam.create_instance_profile(InstanceProfileName="train", Path="/team/")["InstanceProfile"]["Arn"]
    iam.create_role(RoleName="reads", AssumeRolePolicyDocument="{}")
    iam.add_role_to_instance_profile(InstanceProfileName="train", RoleName="reads")
    for said in ("train", made):
        assert check_profile(client, said) == ("reads",)
    with pytest.raises(NotFound, match="is not in this account"):
        check_profile(client, made.replace("123456789012", "999999999999"))
    with pytest.raises(NotFound, match="no instance profile 'other'") as caught:
        check_profile(client, "other")
    assert "aws iam list-instance-profiles" in caught.value.hint
    with pytest.raises(UsageError, match="is no instance profile"):
        check_profile(client, "arn:aws:iam::123456789012:role/reads")


def test_a_profile_that_may_not_be_looked_at_is_not_called_missing(twin: TwinProcess) -> None:
    limited(twin, allow=["ec2:DescribeVpcs"])
    key = twin.client("iam").create_access_key(UserName="engineer")["AccessKey"]["AccessKeyId"]
    assert check_profile(open_client("us-east-1", endpoint=twin.url, keys=(key, "secret")), "train") is None


def test_a_key_pair_is_there_or_not(ec2: Any, client: Client) -> None:
    ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=KEY.encode())
    check_key_pair(client, "mine")
    with pytest.raises(NotFound, match="no key pair 'yours'") as caught:
        check_key_pair(client, "yours")
    assert "another region" in caught.value.hint
