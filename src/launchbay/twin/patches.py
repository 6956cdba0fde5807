"""Every place where the twin reaches into moto's code, each with what it mends.

moto is pinned to one version, and `install` refuses another one: what is replaced here are its insides.
"""

from __future__ import annotations

import functools
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import moto
from moto.core import utils
from moto.ec2.models import elastic_network_interfaces
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.tags import TagBackend
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, filter_dict_attribute_mapping, get_prefix
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket
from moto.ssm.models import SimpleSystemManagerBackend

from launchbay.errors import StateError

__all__ = ["MOTO", "Hooks", "install"]

MOTO = "5.2.5"
"""The version of moto whose insides these are."""


class Hooks:
    """What of moto's calls comes back to us.

    `now` tells the time, `made` sees new instances, `images` fills a new region, `address` gives out public addresses.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        made: Callable[[Sequence[Any]], None],
        images: Callable[[Any], None],
        address: Callable[[], str],
    ) -> None:
        self.now = now
        self.made = made
        self.images = images
        self.address = address


_hooks: Hooks | None = None


def install(hooks: Hooks) -> None:
    """Change moto for this process, for good; a second call changes the hooks only. Raises StateError for another version."""
    global _hooks
    if moto.__version__ != MOTO:
        what = f"the twin stands on moto {MOTO}, and {moto.__version__} is installed"
        raise StateError(what, hint="pip install 'launchbay[twin]'")
    first, _hooks = _hooks is None, hooks
    if not first:
        return
    _read_tags_directly()
    filter_dict_attribute_mapping["client-token"] = "client_token"  # moto has no such filter
    _tell_time()
    _show_what_was_made()
    _leave_images_to_us()
    elastic_network_interfaces.random_public_ip = _address
    _let_parameters_be_kept()
    _find_images_directly()
    _pass_over_conditions()


def _address() -> str:
    """Give out a public address at which a host of ours can listen; moto's are of the internet."""
    return _hooks.address() if _hooks else ""


def _let_parameters_be_kept() -> None:
    """Give SSM a dictionary that can be written to disk, in the place of one that makes others by a nameless function."""
    original = SimpleSystemManagerBackend.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it stands in the place of one
        original(self, *args, **kwargs)
        self._resource_tags = defaultdict(functools.partial(defaultdict, dict))

    SimpleSystemManagerBackend.__init__ = __init__


def _find_images_directly() -> None:
    """Look one image up by its id; moto goes through all of them for each instance that it makes."""
    original = AmiBackend.describe_images

    def describe_images(self: Any, *args: Any, **kwargs: Any) -> Any:
        filters = kwargs.get("filters")
        if not args and set(kwargs) == {"filters"} and filters and set(filters) == {"image-id"}:
            found = self.amis.get(filters["image-id"])
            return [found] if found else []
        return original(self, *args, **kwargs)

    AmiBackend.describe_images = describe_images


def _pass_over_conditions() -> None:
    """Judge no bucket by a condition: moto takes `Deny where the way is in the clear` for `Deny`."""
    original = FakeBucket.get_permission

    def get_permission(self: Any, action: str, resource: str) -> Any:
        if self.policy is None:
            return original(self, action, resource)
        policy = json.loads(self.policy)
        said = policy.get("Statement", [])
        plain = [item for item in (said if isinstance(said, list) else [said]) if not item.get("Condition")]
        if not plain:
            return PermissionResult.NEUTRAL
        return IAMPolicy(json.dumps({**policy, "Statement": plain})).is_action_permitted(action, resource)

    FakeBucket.get_permission = get_permission


def _read_tags_directly() -> None:
    """Look tags up by resource; moto goes through all tags of the region for each."""

    def get_tags(self: Any) -> list[dict[str, str]]:
        if not self.id:
            return []
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
        found = self.ec2_backend.tags.get(self.id) or {}
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": kind} for key, value in found.items()
        ]

    TaggedEC2Resource.get_tags = get_tags
    assert hasattr(TagBackend, "describe_tags")


def _tell_time() -> None:
    """Let every part of moto ask our clock; it keeps times without a zone, in UTC. AWS tells them in whole seconds."""
    original = utils.utcnow

    def utcnow() -> datetime:
        return _hooks.now().replace(tzinfo=None, microsecond=0) if _hooks else original()

    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and getattr(module, "utcnow", None) is original:
            module.utcnow = utcnow  # type: ignore[attr-defined]


def _show_what_was_made() -> None:
    """Let the rules see instances before moto writes them into its answer."""
    original = InstanceBackend.run_instances

    def run_instances(self: Any, *args: Any, **kwargs: Any) -> Any:
        reservation = original(self, *args, **kwargs)
        if _hooks:
            _hooks.made(reservation.instances)
        return reservation

    InstanceBackend.run_instances = run_instances
    # giving addresses back when Python forgets an object would happen at any time, also in a copy that was only read
    Instance.__del__ = lambda self: None  # noqa: ARG005


def _leave_images_to_us() -> None:
    """Fill a region with our images; moto's own are old, many, and slow to load."""

    def _load_amis(self: Any) -> None:
        if _hooks:
            _hooks.images(self)

    AmiBackend._load_amis = _load_amis  # noqa: SLF001
