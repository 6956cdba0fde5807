"""Key pairs and instance profiles that a launch on the twin names."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from launchbay.twin.rules.keys import is_public_key
from launchbay.twin.rules.profiles import VISIBLE_AFTER_S
from tests.twin.rules.launching import described, make_image, message, refusal, run, run_one
from tests.twin_process import TwinProcess


def written(key: Any) -> bytes:
    found: bytes = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return found


@pytest.fixture(scope="module")
def public() -> bytes:
    return written(ed25519.Ed25519PrivateKey.generate())


def test_only_ed25519_and_rsa_of_some_lengths_are_keys(public: bytes) -> None:
    assert is_public_key(public)
    assert is_public_key(public + b" me@here\n")
    assert is_public_key(written(rsa.generate_private_key(65537, 2048)))
    assert not is_public_key(written(rsa.generate_private_key(65537, 1536)))
    assert not is_public_key(written(ec.generate_private_key(ec.SECP256R1())))
    assert not is_public_key(b"-----BEGIN OPENSSH PRIVATE KEY-----")


def test_what_is_no_public_key_is_not_imported(ec2: Any, public: bytes) -> None:
    assert refusal(ec2.import_key_pair, KeyName="k", PublicKeyMaterial=b"nonsense") == "InvalidKey.Format"
    assert refusal(ec2.import_key_pair, KeyName="k", PublicKeyMaterial=public[:-9]) == "InvalidKey.Format"
    assert ec2.describe_key_pairs()["KeyPairs"] == []


def test_a_key_is_imported_once_and_launched_with(ec2: Any, public: bytes) -> None:
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "run", "Value": "1"}]}]
    asked = {"KeyName": "k", "PublicKeyMaterial": public + b" me@here"}
    made = ec2.import_key_pair(**asked, TagSpecifications=tags)
    assert refusal(ec2.import_key_pair, **asked) == "InvalidKeyPair.Duplicate"
    found = ec2.describe_key_pairs(KeyPairIds=[made["KeyPairId"]], IncludePublicKey=True)["KeyPairs"]
    assert [(item["KeyName"], item["KeyType"], item["Tags"][0]["Value"]) for item in found] == [("k", "ed25519", "1")]
    assert found[0]["PublicKey"].split()[:2] == public.decode().split()[:2]
    image = make_image(ec2)
    assert refusal(run, ec2, image, KeyName="other") == "InvalidKeyPair.NotFound"
    assert run_one(ec2, image, KeyName="k")["KeyName"] == "k"


def test_a_key_goes_by_name_or_id_and_a_missing_one_is_no_error(ec2: Any, public: bytes) -> None:
    made = ec2.import_key_pair(KeyName="k", PublicKeyMaterial=public)["KeyPairId"]
    ec2.delete_key_pair(KeyPairId=made)
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    assert refusal(ec2.delete_key_pair, KeyName="k") == ""
    assert refusal(ec2.describe_key_pairs, KeyPairIds=[made]) == "InvalidKeyPair.NotFound"


def make_profile(twin: TwinProcess) -> Any:
    iam = twin.client("iam")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="worker")
    return iam


def test_a_profile_must_be_there_and_have_a_role(twin: TwinProcess, ec2: Any) -> None:
    image, asked = make_image(ec2), {"IamInstanceProfile": {"Name": "worker"}}
    assert refusal(run, ec2, image, **asked) == "InvalidParameterValue"
    assert message(run, ec2, image, **asked).endswith("Invalid IAM Instance Profile name")
    iam = make_profile(twin)
    assert message(run, ec2, image, **asked).endswith("has no associated IAM Roles")
    iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    assert refusal(run, ec2, image, **asked) == ""
    wrong = {"IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/none"}}
    assert message(run, ec2, image, **wrong).endswith("Invalid IAM Instance Profile ARN")


def test_all_instances_of_a_launch_have_the_profile(twin: TwinProcess, ec2: Any) -> None:
    make_profile(twin).add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    made = run(ec2, make_image(ec2), 3, IamInstanceProfile={"Name": "worker"})
    arns = {described(ec2, item["InstanceId"])["IamInstanceProfile"]["Arn"] for item in made}
    assert arns == {"arn:aws:iam::123456789012:instance-profile/worker"}


def test_a_new_profile_is_not_seen_at_once(twin: TwinProcess, ec2: Any) -> None:
    twin.ask("reset", visible_after_s=1)
    try:
        make_profile(twin).add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
        image, asked = make_image(ec2), {"IamInstanceProfile": {"Name": "worker"}}
        assert message(run, ec2, image, **asked).endswith("Invalid IAM Instance Profile name")
        twin.ask("advance", seconds=VISIBLE_AFTER_S)
        assert refusal(run, ec2, image, **asked) == ""
    finally:
        twin.ask("reset", visible_after_s=0)
