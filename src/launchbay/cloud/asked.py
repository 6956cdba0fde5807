"""What somebody asks of a launch on EC2, and what it comes to with a launch template under it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from launchbay.errors import UsageError
from launchbay.planning.cloudwish import Volume
from launchbay.planning.template import TemplateSaid
from launchbay.spec.project import AUTHS, REACHES

__all__ = ["CloudAsked", "check_said", "under"]

_OURS = ("launchbay:", "managed-by")
"""How tags begin that the launch itself gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAsked:
    """What somebody asks for; what is empty or None is chosen, or comes from the `template` where one is named.

    `type` may be empty with a template alone. `zone` is the only zone then; a `subnet` lies in one. `networks` are who may
    come in by SSH: nobody said means the address of this machine alone. With `groups`, security groups of the person's own,
    none of ours is made, and who may come in is theirs to say. `reach` is ``endpoint`` or ``address``, `auth` ``one-time`` or
    ``injected``: how instances are reached, and what opens them. `key_name` is a key pair of theirs on EC2, and
    `identity_file` its private half on this machine. `template` is ``lt-0123456789abcdef0``, ``NAME`` or ``NAME:VERSION``,
    `machine_image` an AMI's id. `rate` is at how many MiB/s disks are filled from their snapshots, which costs extra, None
    for none. `efa` gives every network card an EFA, in a placement group of the fleet's own. `budget` is the most that all may
    come to in US dollars until the lease ends: it ends before `ttl_s` where that is needed.
    """

    image: str
    fleet: str
    provider: str
    region: str
    type: str = ""
    count: int = 1
    is_spot: bool = False
    with_sisters: bool = False
    zone: str = ""
    disk_gib: int | None = None
    volumes: tuple[Volume, ...] = ()
    rate: int | None = None
    ttl_s: int = 8 * 3600
    budget: Decimal | None = None
    networks: tuple[str, ...] = ()
    is_open_to_anyone: bool = False
    machine_image: str = ""
    subnet: str = ""
    groups: tuple[str, ...] = ()
    reach: str = ""
    auth: str = ""
    profile: str = ""
    key_name: str = ""
    identity_file: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    efa: bool = False


def under(asked: CloudAsked, template: TemplateSaid | None) -> CloudAsked:
    """Return what is asked for, with what the template says where nothing was said."""
    if template is None:
        return asked
    filled = {
        name: getattr(template, name)
        for name in ("type", "machine_image", "zone", "subnet", "groups", "key_name", "profile")
        if not getattr(asked, name)
    }
    if asked.subnet:
        filled.pop("zone", None)
    if asked.networks:
        filled.pop("groups", None)  # who may come in was said: by a group of ours
    if asked.auth == AUTHS[0]:
        filled.pop("key_name", None)  # what opens them was said: no key pair
    return replace(
        asked, **filled, is_spot=asked.is_spot or template.is_spot, tags={**_others(template.tags), **asked.tags}
    )


def _others(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that are not the launch's own to give."""
    return {key: value for key, value in tags.items() if not key.startswith(_OURS) and key != "Name"}


def check_said(said: CloudAsked) -> None:
    """Raise UsageError for what contradicts itself, or is not said at all."""
    if not said.type:
        raise UsageError("nobody says which instance type", hint="--type g5.xlarge; `bay types --gpus 1` lists some")
    if taken := [key for key in said.tags if key not in _others(said.tags)]:
        raise UsageError(f"the tag {taken[0]!r} is given by Launchbay itself", hint="another key")
    for value, known, option in ((said.reach, REACHES, "--reach"), (said.auth, AUTHS, "--auth")):
        if value and value not in known:
            raise UsageError(f"{option} is {' or '.join(known)}, got {value!r}", hint=f"{option} {known[0]}")
    if said.auth == AUTHS[0] and said.key_name:
        what = "what opens the instances is said twice: a one-time key, and a key pair of your own"
        raise UsageError(what, hint="--auth injected with --key-name and --identity-file; or none of these two")
    if said.groups and said.networks:
        what = "who may come in is said twice: by networks, and by security groups of your own"
        raise UsageError(what, hint="--allow-cidr for a group that Launchbay makes, or your groups alone")
    if bool(said.key_name) != bool(said.identity_file):
        what = "a key pair of your own has two halves: its name on EC2, and its private key's file here"
        raise UsageError(what, hint="--key-name NAME --identity-file FILE, both or none")
