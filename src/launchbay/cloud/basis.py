"""The machine image that a launch begins with: named by a person, baked before, or the first that fits. Asks EC2."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from launchbay.catalog.type import InstanceType
from launchbay.errors import NotPermitted, UsageError, UserError
from launchbay.planning.cloudimage import ListedImage
from launchbay.planning.fit import ImageNeeds
from launchbay.planning.imagechoice import ImageChoice, choose_image, parameters_for, reasons_of, role_of, take_image
from launchbay.planning.imagesearch import is_image_id
from launchbay.providers.ec2.baking import find_baked
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.images import named_images, search_images

__all__ = ["Basis", "find_basis"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The image, what it is good for (``baked``, ``single``, ``plain``, ...; ``by hand``), and what has to be said of it."""

    image: ListedImage
    needs: ImageNeeds
    role: str
    notes: tuple[str, ...] = ()

    @property
    def is_by_hand(self) -> bool:
        """Whether a person has named it."""
        return self.role == "by hand"


def find_basis(client: Client, needs: ImageNeeds, kind: InstanceType, digest: str, by_hand: str = "") -> Basis:
    """Return the image to begin with, in as few questions as it takes: one where it was baked, or named by its id.

    Raises UserError where none fits, NotFound and UsageError for one by hand that is not there or cannot run.
    """
    ec2, ssm, region = client.raw("ec2"), client.raw("ssm"), client.region
    today = client.now.astimezone(UTC).date()
    if by_hand:
        if not is_image_id(by_hand):
            what = f"an image of EC2 must look like ami-0123456789abcdef0, got {by_hand[:60]!r}"
            raise UsageError(what, hint=f"`bay images --provider {client.provider} --region {region}` shows the ids")
        image = search_images(ec2, ssm, [by_hand], region=region).images[0]
        notes = take_image(needs, kind, image, today=today)
        if role_of(image) == "baked" and image.digest == digest:
            return Basis(image=image, needs=needs, role="baked", notes=notes)
        return Basis(image=image, needs=needs, role="by hand", notes=notes)
    baked = find_baked(ec2, digest, region=region)
    if baked is not None:
        choice = choose_image(needs, kind, [baked], today=today, digest=digest)
        if choice.chosen is not None:
            return _basis(needs, choice)
    said: tuple[str, ...] = ()
    try:
        named = named_images(ec2, ssm, parameters_for(needs, kind), region=region)
    except NotPermitted:
        named = ()
    choice = choose_image(needs, kind, named, today=today, digest=digest)
    if choice.chosen is None:
        found = search_images(ec2, ssm, (), region=region)
        choice, said = choose_image(needs, kind, found.images, today=today, digest=digest), found.notes
    if choice.chosen is None:
        why = "; ".join(reasons_of(choice)) or "none is there"
        raise UserError(f"no machine image fits {kind.name}: {why}", where=region, hint="another --type")
    return _basis(needs, choice, said)


def _basis(needs: ImageNeeds, choice: ImageChoice, said: tuple[str, ...] = ()) -> Basis:
    assert choice.chosen is not None
    return Basis(image=choice.chosen, needs=needs, role=choice.role, notes=(*said, *choice.warnings))
