"""An instance profile and a key pair that a company has already, and a launch is to use. Changes nothing.

Looked at before anything is launched, so that what is not there, or lies elsewhere, is said in words.
"""

from __future__ import annotations

from launchbay.errors import NotFound, UsageError
from launchbay.providers.ec2.client import Client, CloudRefusal

__all__ = ["check_key_pair", "check_profile"]


def check_profile(client: Client, profile: str) -> tuple[str, ...] | None:
    """Return the roles of an instance profile, by its name or ARN; None where these credentials may not ask IAM.

    Raises UsageError for the ARN of something else, NotFound for none.
    """
    name = profile
    if profile.startswith("arn:"):
        kind, slash, path = profile.rpartition(":")[2].partition("/")
        name = path.rpartition("/")[2]
        if kind != "instance-profile" or not slash:
            hint = "an instance profile, such as arn:aws:iam::123456789012:instance-profile/NAME, or its name"
            raise UsageError(f"{profile} is no instance profile", hint=hint)
    try:
        found = client.ask("get_instance_profile", service="iam", InstanceProfileName=name)["InstanceProfile"]
    except CloudRefusal as refusal:
        if refusal.code in ("AccessDenied", "AccessDeniedException"):
            return None
        if refusal.code == "NoSuchEntity":
            hint = "aws iam list-instance-profiles; a role is not one by itself: aws iam create-instance-profile"
            raise NotFound(f"there is no instance profile {name!r} in the account", hint=hint) from refusal
        raise
    if name != profile and found["Arn"] != profile:
        raise NotFound(f"{profile} is not in this account, whose {name!r} is {found['Arn']}", hint="its name alone")
    return tuple(str(role["RoleName"]) for role in found["Roles"])


def check_key_pair(client: Client, name: str) -> None:
    """Raise NotFound where the region has no key pair of that name: they are of one region each."""
    try:
        client.ask("describe_key_pairs", KeyNames=[name])
    except CloudRefusal as refusal:
        if not refusal.code.endswith(".NotFound"):
            raise
        hint = f"it may be in another region; aws ec2 describe-key-pairs --region {client.region} lists them"
        raise NotFound(f"there is no key pair {name!r}", where=client.region, hint=hint) from refusal
