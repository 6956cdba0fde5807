"""What is asked of EC2 to bake an image of an instance: its name, its tags, and the request. Pure.

CreateImage takes no token, and EC2 lets an account have each name once: a name that follows from what is baked is the token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from launchbay.errors import UsageError
from launchbay.planning.cloudimage import DIGEST_TAG, IMAGE_TAG, MANAGED_TAG, ListedImage
from launchbay.planning.cloudwish import LONGEST_VALUE, MOST_TAGS

__all__ = ["bake_name", "bake_request", "bake_tags"]

_LONGEST, _SHOWN = 128, 12
_FORBIDDEN = re.compile(r"[^A-Za-z0-9()\[\] ./'@_-]")
"""What a name of an image cannot hold, by EC2's own refusal."""
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_INSTANCE = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})\Z")


def bake_name(image: str, digest: str, instance: str) -> str:
    """Return the name under which an image is baked, always the same for the same: at most 128 letters that EC2 allows."""
    _check(digest, instance)
    end = f"/{digest[:_SHOWN]}/{instance}"
    start = f"launchbay/{_FORBIDDEN.sub('-', image)}"
    return start[: _LONGEST - len(end)] + end


def bake_tags(image: str, digest: str, base: ListedImage | None = None) -> dict[str, str]:
    """Return the tags of a baked image and of its snapshots: what it is, and what is known of the image below it."""
    said: dict[str, str | None] = {DIGEST_TAG: digest, IMAGE_TAG: image, MANAGED_TAG: "launchbay"}
    if base is not None:
        said |= {
            "launchbay:base": base.id,
            "launchbay:system": base.system,
            "launchbay:python": base.python,
            "launchbay:cuda": base.cuda,
            "launchbay:driver": base.driver,
            "launchbay:driver-floor": base.driver_floor,
            "launchbay:has-driver": "no" if base.driver == "" else None,
            "launchbay:families": " ".join(base.families),
            "launchbay:neuron": "yes" if base.is_neuron else None,
        }
    # a tag that is cut would say something else: without it, it is not known
    return {key: value for key, value in said.items() if value and len(value) <= LONGEST_VALUE}


def bake_request(
    instance: str,
    *,
    image: str,
    digest: str,
    base: ListedImage | None = None,
    no_reboot: bool = False,
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the parameters of CreateImage. Without `no_reboot` EC2 restarts the instance, and its disks are whole.

    `tags` are the person's own. Raises UsageError for a digest or an instance that is none, for more tags than EC2 takes.
    """
    ours = bake_tags(image, digest, base)
    every = {**(tags or {}), **ours}
    if len(every) > MOST_TAGS:
        raise UsageError(f"a resource can have {MOST_TAGS} tags, got {len(every)} with Launchbay's own")
    listed = [{"Key": key, "Value": value} for key, value in every.items()]
    return {
        "InstanceId": instance,
        "Name": bake_name(image, digest, instance),
        "Description": f"Launchbay image {image[:100]}, baked of {instance}",
        "NoReboot": no_reboot,
        "TagSpecifications": [{"ResourceType": kind, "Tags": listed} for kind in ("image", "snapshot")],
    }


def _check(digest: str, instance: str) -> None:
    if not _DIGEST.match(digest):
        raise UsageError(f"a digest must be 64 letters of 0-9 and a-f, got {digest[:70]!r}", hint="bay images")
    if not _INSTANCE.match(instance):
        raise UsageError(f"an instance of EC2 must look like i-0123456789abcdef0, got {instance[:40]!r}", hint="bay ps")
