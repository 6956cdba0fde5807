"""What moto holds, for the rules to look at and to touch: every change here shows in all answers.

moto's objects have no types of ours; which of their names are used is written down here and in `patches`, and nowhere else in
a hurry. moto is pinned, and the tests of the twin fail where a new version calls something otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

__all__ = [
    "STATES",
    "ec2",
    "ec2_regions",
    "find_instance",
    "instances",
    "is_region",
    "login_of",
    "set_reason",
    "set_state",
    "tags_of",
    "volumes",
]

STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
"""The states of an instance with their codes, as EC2 has them."""


def ec2(region: str) -> Any:
    """Return moto's EC2 of a region; it is made when first asked for."""
    return ec2_backends[DEFAULT_ACCOUNT_ID][region]


def ec2_regions() -> tuple[str, ...]:
    """Return the regions in which something was ever asked of EC2."""
    return tuple(ec2_backends[DEFAULT_ACCOUNT_ID].keys())


def instances(region: str | None = None) -> Iterator[Any]:
    """Yield all instances of a region, or of all, terminated ones too."""
    for name in (region,) if region else ec2_regions():
        for reservation in list(ec2(name).reservations.values()):
            yield from reservation.instances


def is_region(region: str) -> bool:
    """Say whether EC2 has a region of that name."""
    return region in ec2_backends[DEFAULT_ACCOUNT_ID]


def login_of(image: Any) -> str:
    """Return the user whom an image lets in: that of the image that it was made from, else by its system's name."""
    known = getattr(image, "login", "")
    return str(known) if known else "ubuntu" if "ubuntu" in str(getattr(image, "name", "")).lower() else "ec2-user"


def find_instance(identity: str, region: str | None = None) -> Any | None:
    """Return an instance by its id, None where there is none."""
    return next((item for item in instances(region) if item.id == identity), None)


def volumes(region: str | None = None) -> Iterator[Any]:
    """Yield all volumes that there are."""
    for name in (region,) if region else ec2_regions():
        yield from list(ec2(name).volumes.values())


def set_state(instance: Any, state: str) -> None:
    """Put an instance into a state."""
    instance._state.name, instance._state.code = state, STATES[state]  # noqa: SLF001 - moto has no door for it


def set_reason(instance: Any, code: str, message: str, *, transition: str = "") -> None:
    """Say why an instance is in its state: the state reason, and the text of the transition."""
    instance.state_reason.code, instance.state_reason.message = code, message
    instance._reason = transition  # noqa: SLF001 - moto has no door for it


def tags_of(resource: Any) -> dict[str, str]:
    """Return the tags of a resource."""
    found = resource.ec2_backend.tags.get(resource.id, {})
    return dict(found)
