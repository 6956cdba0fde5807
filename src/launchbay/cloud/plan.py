"""What a launch on EC2 would be: the machine image, the ladder, what is wrong with it, and what it can cost at most.

Asks EC2 and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from launchbay.afar.prepare import Cargo, pack_image
from launchbay.catalog.known import load_catalogue
from launchbay.catalog.price import Catalogue
from launchbay.catalog.query import type_named
from launchbay.catalog.type import InstanceType
from launchbay.errors import UsageError, UserError
from launchbay.images.recipe import Recipe, find_recipe
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.planning.cloudimage import ListedImage, to_ami, to_launch
from launchbay.planning.cloudwish import CloudWish, Volume, check_wish
from launchbay.planning.fit import ImageNeeds, needs_of
from launchbay.planning.imagechoice import choose_image
from launchbay.planning.ladder import Rung, list_rungs
from launchbay.planning.quota import quota_of, vcpus_short
from launchbay.planning.worstcase import WorstCase, disks_of, worst_case
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.groups import caller_network
from launchbay.providers.ec2.images import search_images
from launchbay.providers.ec2.offers import list_offers, quota_limit, used_vcpus
from launchbay.spec.cidr import check_cidrs
from launchbay.spec.names import check_count, check_fleet_name

__all__ = ["CloudAsked", "CloudPlan", "plan_cloud"]

_GROUP_TO_COME = "sg-00000000"
"""Stands in a plan for the group that the launch makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAsked:
    """What somebody asks for. `networks` are who may come in by SSH: nobody said means the address of this machine alone."""

    image: str
    fleet: str
    provider: str
    region: str
    type: str
    count: int = 1
    is_spot: bool = False
    with_sisters: bool = False
    disk_gib: int | None = None
    volumes: tuple[Volume, ...] = ()
    ttl_s: int = 8 * 3600
    networks: tuple[str, ...] = ()
    is_open_to_anyone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPlan:
    """A launch as it would be done. `wish` has no group yet; `short_vcpus` is what the quota lacks, None where not known."""

    asked: CloudAsked
    cargo: Cargo
    image: ListedImage
    wish: CloudWish
    rungs: tuple[Rung, ...]
    networks: tuple[str, ...]
    worst: WorstCase
    quota: str
    short_vcpus: int | None
    notes: tuple[str, ...] = ()


def plan_cloud(bay: Bay, asked: CloudAsked) -> CloudPlan:
    """Return what a launch would be. Raises UsageError and UserError for what cannot be, each with what to do."""
    check_count(asked.count)
    check_fleet_name(asked.fleet, count=asked.count)
    client = open_cloud(bay, asked.provider, asked.region)
    catalogue = load_catalogue(bay.home.catalog, bay.reporter.note, regions=[asked.region])
    kind = type_named(catalogue, asked.type)
    recipe = find_recipe(asked.image)
    # what it would run on EC2 decides what fits; on the twin, whose GPUs are declared, the same recipe's CPU lock runs
    accelerator = _accelerator(recipe, kind)
    is_declared = asked.provider == "twin" and accelerator != "cpu"
    cargo = pack_image(bay, asked.image, "cpu" if is_declared else accelerator)
    needs = needs_of(recipe, accelerator, kind.architectures[-1])
    image, notes = _choose(client, needs, kind, cargo.digest, today=client.now)
    networks = check_cidrs(asked.networks or (caller_network(client),), force=asked.is_open_to_anyone)
    markets = ("spot",) if asked.is_spot else ("on-demand",)
    types = catalogue.types.values() if asked.with_sisters else (kind,)
    rungs = list_rungs(
        kind,
        list_offers(client, types, catalogue, markets=markets),
        needs=needs,
        ami=to_ami(image),
        markets=markets,
        with_sisters=asked.with_sisters,
    )
    if not rungs:
        hint = f"bay types --region {asked.region}, or another --region"
        raise UserError(f"no zone of {asked.region} offers {kind.name}", where=asked.region, hint=hint)
    wish = _wish(asked, kind, image, rungs[0])
    code, short = _quota(client, catalogue, kind, asked)
    if is_declared and kind.gpu is not None:
        notes = (
            *notes,
            f"the twin's GPUs are declared ({kind.gpus} × {kind.gpu.name}): the recipe's CPU lock runs there",
        )
    return CloudPlan(
        asked=asked,
        cargo=cargo,
        image=image,
        wish=wish,
        rungs=rungs,
        networks=networks,
        worst=_worst(catalogue, kind, asked, wish, image),
        quota=code,
        short_vcpus=short,
        notes=notes,
    )


def _accelerator(recipe: Recipe, kind: InstanceType) -> str:
    """Return what the image is locked for on EC2: the newest CUDA that it has where the type has NVIDIA's GPUs."""
    has_cuda = kind.gpu is not None and kind.gpu.maker.casefold() == "nvidia"
    found = [name for name in ("cuda13", "cuda12") if name in recipe.accelerators]
    return found[0] if has_cuda and found else "cpu"


def _choose(
    client: Client, needs: ImageNeeds, kind: InstanceType, digest: str, *, today: datetime
) -> tuple[ListedImage, tuple[str, ...]]:
    found = search_images(client.raw("ec2"), client.raw("ssm"), (), region=client.region)
    choice = choose_image(needs, kind, found.images, today=today.astimezone(UTC).date(), digest=digest)
    if choice.chosen is None:
        why = "; ".join(dict.fromkeys(reason for item in choice.rejected[:3] for reason in item.reasons))
        raise UserError(f"no machine image fits {kind.name}: {why}", where=client.region, hint="another --type")
    return choice.chosen, (*found.notes, *choice.warnings)


def _wish(asked: CloudAsked, kind: InstanceType, image: ListedImage, rung: Rung) -> CloudWish:
    wish = CloudWish(
        region=asked.region,
        zone=rung.zone,
        image=to_launch(image),
        type=kind.name,
        groups=(_GROUP_TO_COME,),
        ttl_s=asked.ttl_s,
        count=asked.count,
        market=rung.market,
        root_gib=asked.disk_gib,
        volumes=asked.volumes,
        public_address=True,
    )
    return check_wish(wish)


def _quota(client: Client, catalogue: Catalogue, kind: InstanceType, asked: CloudAsked) -> tuple[str, int | None]:
    quota = quota_of(kind.name, "spot" if asked.is_spot else "on-demand")
    if quota is None:
        raise UsageError(f"{kind.name} is not sold on that market", hint="without --spot, or another --type")
    limit, used = quota_limit(client, quota.code), used_vcpus(client, catalogue, quota.code)
    return quota.code, vcpus_short(kind, asked.count, limit=limit, used=used)


def _worst(
    catalogue: Catalogue, kind: InstanceType, asked: CloudAsked, wish: CloudWish, image: ListedImage
) -> WorstCase:
    side = {item: price for (item, region), price in catalogue.side.items() if region == asked.region}
    plain = replace(wish, rate=None)  # what filling disks costs is not known, and a rate is only asked for where it is
    return worst_case(
        kind,
        region=asked.region,
        count=asked.count,
        ttl_s=asked.ttl_s,
        market="spot" if asked.is_spot else "on-demand",
        price=catalogue.price(kind.name, asked.region),
        disks=disks_of(plain),
        public_address=True,
        side=side,
        image_usd_per_hour=image.usd_per_hour,
    )
