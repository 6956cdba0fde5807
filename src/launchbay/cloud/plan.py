"""What a launch on EC2 would be: the machine image, the ladder, what is wrong with it, and what it can cost at most.

Asks EC2 and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from launchbay.afar.prepare import Cargo, pack_image
from launchbay.catalog.known import load_catalogue
from launchbay.catalog.price import Catalogue, SidePrice
from launchbay.catalog.query import type_named
from launchbay.catalog.type import InstanceType
from launchbay.cloud.asked import CloudAsked, check_said, under
from launchbay.cloud.basis import Basis, find_basis
from launchbay.cloud.way import find_way, kept_way
from launchbay.errors import UsageError, UserError
from launchbay.images.recipe import Recipe, find_recipe
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.planning.cloudimage import ListedImage, to_ami, to_launch
from launchbay.planning.cloudwish import CloudWish, check_wish
from launchbay.planning.controls import Finding, check_controls, failed
from launchbay.planning.fit import needs_of
from launchbay.planning.ingress import networks_let_in
from launchbay.planning.ladder import Rung, list_rungs
from launchbay.planning.lease import lease_within
from launchbay.planning.quota import QuotaRoom, quota_of
from launchbay.planning.request import build_request
from launchbay.planning.store import store_note
from launchbay.planning.template import TemplateSaid, read_disks
from launchbay.planning.way import Way, reach_costs
from launchbay.planning.worstcase import WorstCase, disks_of, worst_case
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.given import check_key_pair, check_profile
from launchbay.providers.ec2.offers import Network, list_offers, quota_limit, read_network, used_vcpus
from launchbay.providers.ec2.templates import read_template
from launchbay.spec.names import check_count, check_fleet_name
from launchbay.units import format_duration, format_usd

__all__ = [
    "TEMPLATE_TAG",
    "CloudAsked",
    "CloudPlan",
    "accelerator_for",
    "check_launchable",
    "hold_to_controls",
    "placement_name",
    "plan_cloud",
]

TEMPLATE_TAG = "launchbay:template"
"""The tag that says from which launch template, and which version of it, an instance was launched."""

_AROUND_LEASE_S = 300
"""What an instance is billed for beyond its lease: booting until the lease begins to run, and shutting down after it."""

_GROUP_TO_COME = "sg-00000000"
"""Stands in a plan for the group that the launch makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPlan:
    """A launch as it would be done. `asked` is what was asked for, `type` what that came to, with the template's part in it.

    `wish` is for the first rung: its groups are a person's own or one that is still to be made (`makes_group`), its `tags`
    and `user_data` those of the person and of the template, to which the launch adds its own; its `ttl_s` is the lease, with
    the budget in it. `vpc` is the network that a group of ours is made in. `way` is how instances are reached and opened;
    who may come in is what our group says, or the person's own. `findings` are what AWS's controls say of it.
    `is_declared` says that the GPUs are the twin's.
    """

    asked: CloudAsked
    type: InstanceType
    cargo: Cargo
    image: ListedImage
    role: str
    wish: CloudWish
    rungs: tuple[Rung, ...]
    way: Way
    vpc: str
    worst: WorstCase
    quota: QuotaRoom
    seen_at: datetime
    template: TemplateSaid | None = None
    findings: tuple[Finding, ...] = ()
    is_declared: bool = False
    notes: tuple[str, ...] = ()

    @property
    def makes_group(self) -> bool:
        """Whether a security group of the fleet's own is to be made."""
        return self.wish.groups == (_GROUP_TO_COME,)

    @property
    def makes_key(self) -> bool:
        """Whether a key pair of the fleet's own is to be made."""
        return not self.wish.key_name and not self.way.is_one_time

    @property
    def makes_placement(self) -> bool:
        """Whether a placement group of the fleet's own is to be made."""
        return self.wish.placement_group == placement_name(self.asked.fleet)

    @property
    def lease_s(self) -> int:
        """After how many seconds each instance ends itself."""
        return self.wish.ttl_s

    @property
    def worst_s(self) -> int:
        """How many seconds of each instance the worst case has: the lease, with a boot before it and a shutdown after it."""
        return self.lease_s + _AROUND_LEASE_S

    @property
    def reach_costs(self) -> str:
        """What it costs to reach the instances as planned."""
        paid = [line.amount for line in self.worst.lines if line.category == "address"]
        return reach_costs(self.way, address_usd=paid[0] if paid else None, has_address=self.wish.public_address)

    @property
    def short_vcpus(self) -> int | None:
        """How many vCPUs the quota lacks, None where not known."""
        return self.quota.short

    @property
    def usd_per_hour(self) -> Decimal | None:
        """What an hour of all instances costs on the first rung, without disks and addresses; None where not known."""
        usd = self.rungs[0].usd_per_hour
        return None if usd is None else usd * self.asked.count


def placement_name(fleet: str) -> str:
    """Return what a fleet's own placement group is called."""
    return f"launchbay-{fleet}"


def plan_cloud(bay: Bay, asked: CloudAsked) -> CloudPlan:
    """Return what a launch would be. Raises UsageError and UserError for what cannot be, each with what to do.

    A quota that is too small is no error here: the plan says so, and `check_launchable` refuses.
    """
    check_count(asked.count)
    check_fleet_name(asked.fleet, count=asked.count)
    client = open_cloud(bay, asked.provider, asked.region)
    catalogue = load_catalogue(bay.home.catalog, bay.reporter.note, regions=[asked.region])
    template = read_template(client, asked.template) if asked.template else None
    said = under(asked, template)
    check_said(said)
    _check_key_file(said)
    kind = type_named(catalogue, said.type)
    recipe = find_recipe(said.image)
    # what it would run on EC2 decides what fits; on the twin, whose GPUs are declared, the same recipe's CPU lock runs
    accelerator = accelerator_for(recipe, kind)
    cargo = pack_image(bay, said.image, "cpu" if said.provider == "twin" else accelerator)
    _check_platform(cargo, kind)
    cards = _efa_cards(said, kind)
    needs = needs_of(recipe, accelerator, kind.architectures[-1])
    basis = find_basis(client, needs, kind, cargo.digest, said.machine_image)
    network = read_network(client, said.subnet)
    roles = check_profile(client, said.profile) if said.profile else ()
    if said.key_name:
        check_key_pair(client, said.key_name)
    groups = _read_groups(client, said.groups, network)
    way = find_way(client, said, network, groups, image=basis.image, kept=kept_way(bay, asked))
    planning = _Planning(client, catalogue, said, template, kind, basis, network, cards)
    rungs, dropped = planning.rungs()
    wish = planning.wish(rungs[0])
    types = [type_named(catalogue, name) for name in dict.fromkeys(rung.type for rung in rungs)]
    lease_s = lease_within(said.budget, wish.ttl_s, lambda seconds: planning.worst(wish, types, seconds))
    wish = check_wish(replace(wish, ttl_s=lease_s))
    findings = hold_to_controls(said, wish, groups or [_group_to_come(way)])
    return CloudPlan(
        asked=asked,
        type=kind,
        cargo=cargo,
        image=basis.image,
        role=basis.role,
        wish=wish,
        rungs=rungs,
        way=way,
        vpc=network.vpc,
        worst=planning.worst(wish, types, lease_s),
        quota=planning.quota(),
        seen_at=client.now,
        template=template,
        findings=findings,
        is_declared=said.provider == "twin" and kind.gpu is not None,
        notes=(*basis.notes, *dropped, *planning.notes(wish, accelerator, way), *_role_note(said.profile, roles)),
    )


def _check_key_file(said: CloudAsked) -> None:
    """Raise UsageError where the key of a person's own is not on this machine: nobody could come in to what was launched."""
    private = Path(said.identity_file)
    for path in (private, private.with_name(f"{private.name}.pub")) if said.identity_file else ():
        if not path.is_file():
            hint = f"ssh-keygen -y -f {private} > {path}" if path != private else "--identity-file FILE"
            raise UsageError(f"there is no file {path}, which opens what --key-name lets in", hint=hint)


_MACHINES = {"x86_64": "linux-x86_64", "arm64": "linux-aarch64"}


def _check_platform(cargo: Cargo, kind: InstanceType) -> None:
    """Raise UserError where the image was locked for another kind of processor than the type has."""
    fitting = [_MACHINES[name] for name in kind.architectures if name in _MACHINES]
    found = cargo.parts[0][1].target.platform
    if found not in fitting:
        what = f"{cargo.name} is locked for {found} here, and {kind.name} is {' or '.join(fitting) or 'neither Linux kind'}"
        raise UserError(
            what, hint="a type of that kind; or plan and launch from a machine like it, which locks it for that"
        )


def check_launchable(plan: CloudPlan) -> None:
    """Raise UserError for a plan that EC2 would refuse: `-n` beyond the quota, with the command that asks for more."""
    if plan.quota.shortage:
        raise UserError(
            plan.quota.shortage, where=plan.asked.region, hint=f"fewer, or ask for more: {plan.quota.command}"
        )


def hold_to_controls(
    asked: CloudAsked, wish: CloudWish, groups: Sequence[Mapping[str, Any]], *, replaced: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """Return what AWS's controls say of a launch into these security groups. Raises UserError for one that it would break.

    `replaced` are texts in its user data that are worth nothing once it was reached. Networks that a person has named, by
    themselves or in a group of their own, may be more than single addresses; everybody has to be forced.
    """
    allowed = asked.networks or tuple(map(str, networks_let_in(groups)))  # ours lets in single addresses then
    findings = check_controls(build_request(wish), groups, replaced=replaced, allowed=allowed)
    if wrong := failed(findings, is_forced=asked.is_open_to_anyone):
        by = f" (launch template {asked.template})" if asked.template else ""
        what = f"the launch would break AWS's control {wrong[0].control}: {wrong[0].sentence}"
        raise UserError(
            what, where=f"{asked.fleet}{by}", hint="nothing was launched; mend that, and the same command again"
        )
    return findings


def accelerator_for(recipe: Recipe, kind: InstanceType) -> str:
    """Return what the image is locked for on EC2: the newest CUDA that it has where the type has NVIDIA's GPUs."""
    has_cuda = kind.gpu is not None and kind.gpu.maker.casefold() == "nvidia"
    found = [name for name in ("cuda13", "cuda12") if name in recipe.accelerators]
    return found[0] if has_cuda and found else "cpu"


def _efa_cards(said: CloudAsked, kind: InstanceType) -> tuple[int, ...]:
    """Return the network cards that get an EFA. Raises UsageError for a type that has none."""
    if not said.efa:
        return ()
    if not kind.efa_interfaces:
        raise UsageError(f"{kind.name} has no EFA", hint="`bay types --efa` lists those that have; or without --efa")
    return tuple(range(kind.efa_interfaces))


def _role_note(profile: str, roles: Sequence[str] | None) -> Iterator[str]:
    if roles is None:
        yield f"what {profile} lets instances do is not known: these credentials may not ask IAM"
    elif profile:
        yield f"instances may do what {' and '.join(roles) or 'no role'} of {profile} may"


# --- where -----------------------------------------------------------------------------------------------------------


def _read_groups(client: Client, names: Sequence[str], network: Network) -> Sequence[Mapping[str, Any]]:
    """Return a person's own security groups. Raises UserError for one that is not there, or in another network."""
    if not names:
        return ()
    filters = [{"Name": "group-id", "Values": list(names)}]
    found = list(client.pages("describe_security_groups", "SecurityGroups", Filters=filters))
    there = {str(group["GroupId"]): str(group["VpcId"]) for group in found}
    for name in names:
        if name not in there:
            hint = "`aws ec2 describe-security-groups` shows those of the region"
            raise UserError(f"there is no security group {name}", where=client.region, hint=hint)
        if there[name] != network.vpc:
            what = f"the security group {name} is in the network {there[name]}, and the subnet in {network.vpc}"
            raise UserError(what, where=client.region, hint="--subnet names one in the same network")
    return found


def _group_to_come(way: Way) -> Mapping[str, Any]:
    """Return the group that the launch will make, as EC2 would show it."""
    rule = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": item} for item in way.let_in if ":" not in item],
        "Ipv6Ranges": [{"CidrIpv6": item} for item in way.let_in if ":" in item],
    }
    return {"GroupId": _GROUP_TO_COME, "GroupName": "launchbay", "IpPermissions": [rule]}


@dataclass(frozen=True, slots=True)
class _Planning:
    """What is known before a place is chosen."""

    client: Client
    catalogue: Catalogue
    said: CloudAsked
    template: TemplateSaid | None
    kind: InstanceType
    basis: Basis
    network: Network
    cards: tuple[int, ...]

    def rungs(self) -> tuple[tuple[Rung, ...], tuple[str, ...]]:
        """Return the rungs in zones that can be used, and what was left out. Raises UserError where none is left."""
        said, kind, subnets = self.said, self.kind, self.network.subnets
        types = self.catalogue.types.values() if said.with_sisters else (kind,)
        markets = ("spot",) if said.is_spot else ("on-demand",)
        found = list_rungs(
            kind,
            list_offers(self.client, types, self.catalogue, markets=markets),
            needs=self.basis.needs,
            ami=None if self.basis.is_by_hand else to_ami(self.basis.image),
            markets=markets,
            with_sisters=said.with_sisters,
            least_efa=len(self.cards),
        )
        if not found:
            hint = f"bay types --region {said.region}, or another --region"
            raise UserError(f"no zone of {said.region} offers {kind.name}", where=said.region, hint=hint)
        zones = dict.fromkeys(rung.zone for rung in found)
        wanted = [zone for zone in zones if zone in subnets and said.zone in ("", zone)]
        if not wanted:
            place = f"{said.subnet} in {', '.join(subnets)}" if said.subnet else said.zone or "a default subnet"
            hint = f"it is in {', '.join(zones)}"
            raise UserError(f"{kind.name} is not offered where it is asked for: {place}", where=said.region, hint=hint)
        without = [zone for zone in zones if zone not in subnets and not said.subnet and not said.zone]
        note = f"{', '.join(without)} would have it, and has no default subnet: --subnet names one there"
        return tuple(rung for rung in found if rung.zone in wanted), (note,) if without else ()

    def wish(self, rung: Rung) -> CloudWish:
        """Return what is asked of EC2 at a rung, with the template under it. Raises UsageError for disks that cannot be."""
        said, template, launched = self.said, self.template, to_launch(self.basis.image)
        root, disks = read_disks(template, launched, has_volumes=bool(said.volumes)) if template else ({}, {})
        public = self.network.gives_address if said.subnet else True
        if template is not None and template.public_address is not None:
            public = template.public_address
        extra = {**(template.extra if template else {}), **({"disks": disks} if disks else {})}
        placement = placement_name(said.fleet) if self.cards else ""
        return CloudWish(
            region=said.region,
            zone=rung.zone,
            image=launched,
            type=self.kind.name,
            groups=said.groups or (_GROUP_TO_COME,),
            ttl_s=said.ttl_s,
            count=said.count,
            market=rung.market,
            subnet=said.subnet,
            root_gib=said.disk_gib or root.get("VolumeSize"),
            root_iops=root.get("Iops"),
            root_throughput=root.get("Throughput"),
            rate=said.rate,
            volumes=said.volumes,
            public_address=public and len(self.cards) < 2,
            profile=said.profile,
            key_name=said.key_name,
            user_data=template.user_data if template else b"",
            placement_group=(template.placement_group if template else "") or placement,
            efa_cards=self.cards,
            tags={**said.tags, **({TEMPLATE_TAG: f"{template.id}:{template.version}"} if template else {})},
            extra=extra,
        )

    def quota(self) -> QuotaRoom:
        """Return what of the quota it takes. Raises UsageError for a market that has no such types."""
        quota = quota_of(self.kind.name, "spot" if self.said.is_spot else "on-demand")
        if quota is None:
            raise UsageError(f"{self.kind.name} is not sold on that market", hint="without --spot, or another --type")
        limit = quota_limit(self.client, quota.code)
        return QuotaRoom(
            quota=quota,
            region=self.said.region,
            needed=self.said.count * self.kind.vcpus,
            limit=None if limit is None else int(limit),
            used=used_vcpus(self.client, self.catalogue, quota.code),
        )

    def side(self) -> Mapping[str, SidePrice]:
        """Return the region's prices beside those of instances, by item."""
        return {item: price for (item, region), price in self.catalogue.side.items() if region == self.said.region}

    def worst(self, wish: CloudWish, types: Sequence[InstanceType], seconds: int) -> WorstCase:
        """Return the dearest that any type on the ladder comes to in a lease of so many seconds.

        One of which a price is not known counts as dearer than all others.
        """
        side = self.side()
        found = [
            worst_case(
                kind,
                region=wish.region,
                count=wish.count,
                ttl_s=seconds + _AROUND_LEASE_S,
                market=wish.market,
                price=self.catalogue.price(kind.name, wish.region),
                disks=disks_of(wish),
                public_address=wish.public_address,
                side=side,
                image_usd_per_hour=self.basis.image.usd_per_hour,
            )
            for kind in types
        ]
        return max(found, key=lambda item: (item.usd is None, item.at_least_usd))

    def notes(self, wish: CloudWish, accelerator: str, way: Way) -> Iterator[str]:
        """Yield what has to be said before anybody agrees."""
        yield from way.notes
        said, kind, gpu = self.said, self.kind, self.kind.gpu
        if gpu is not None and said.provider == "twin":
            yield f"the twin's GPUs are declared ({kind.gpus} × {gpu.name}): the recipe's CPU lock runs there"
        elif gpu is not None and accelerator == "cpu":
            yield f"{said.image} is locked for processors alone: the {kind.gpus} × {gpu.name} will do nothing"
        for item in kind.accelerators:
            if item.maker == "AWS" and item.kind in ("neuron", "inference"):
                yield f"{said.image} runs on the processor; what uses {item.name} is in the machine image's own environments"
        if len(wish.efa_cards) > 1 and way.endpoint is None:
            yield "EC2 gives no public address to several network cards: they are reached from inside their network"
        if wish.ttl_s < said.ttl_s and said.budget is not None:
            lasts = format_duration(float(wish.ttl_s))
            yield f"{format_usd(said.budget)} USD last {lasts} in the worst case: the lease ends then"
        yield store_note(region=said.region, ttl_s=wish.ttl_s, count=said.count, side=self.side())
