"""How the instances of a launch will be reached and opened: as somebody said, else as the network and the image allow.

A fleet that stands, and a launch that was cut off, keep the way that they have: what comes to stand in a network meanwhile is no
reason to leave it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launchbay.cloud.asked import CloudAsked
from launchbay.cloud.fleet import LAUNCH_VERB, find_fleet, read_endpoint
from launchbay.errors import UserError
from launchbay.lifecycle.bay import Bay
from launchbay.planning.cloudimage import ListedImage
from launchbay.planning.ingress import networks_let_in
from launchbay.planning.way import Endpoint, Way, carries_connect, why_shut
from launchbay.providers.ec2.client import Client, CloudRefusal, asks_for_code
from launchbay.providers.ec2.endpoints import list_endpoints
from launchbay.providers.ec2.groups import caller_network
from launchbay.providers.ec2.offers import Network
from launchbay.spec.cidr import check_cidrs
from launchbay.spec.project import AUTHS, REACHES
from launchbay.store.journal import open_journal

__all__ = ["KeptWay", "find_way", "kept_way"]

_ASKS = "these credentials ask for an MFA code at each connection"
_COMING = "create-in-progress"
_NOT_ASKED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
"""How AWS refuses a question to whoever may not ask it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWay:
    """The way that a launch of this name has already."""

    endpoint: Endpoint | None
    is_one_time: bool


def kept_way(bay: Bay, asked: CloudAsked) -> KeptWay | None:
    """Return the way of a fleet that stands, or of a launch that was cut off, of that name in that place; None for none."""
    fleet = find_fleet(bay.home, asked.fleet)
    place = (asked.provider, asked.region)
    if fleet is not None:
        is_here = (fleet.provider, fleet.region) == place
        return KeptWay(endpoint=fleet.endpoint, is_one_time=fleet.is_one_time) if is_here else None
    if not bay.home.journal.exists():
        return None
    with open_journal(bay.home.journal, bay.clock, bay.reporter.note) as journal:
        for operation in journal.unfinished(LAUNCH_VERB, asked.fleet):
            wish, way = operation.wish, operation.wish.get("way")
            if way and (wish.get("provider"), wish.get("region")) == place:
                return KeptWay(endpoint=read_endpoint(way["endpoint"]), is_one_time=bool(way["is_one_time"]))
    return None


def find_way(
    client: Client,
    said: CloudAsked,
    network: Network,
    groups: Sequence[Mapping[str, Any]],
    *,
    image: ListedImage,
    kept: KeptWay | None = None,
) -> Way:
    """Return how instances in a network will be reached, and what opens them. Asks EC2 for its endpoints.

    `groups` are a person's own security groups, `kept` is the way that a launch of this name has. Raises UserError for an
    endpoint that was asked for and is not there or leads nowhere, UsageError for networks that are none.
    """
    finding = _Finding(client, said, network, groups, kept)
    endpoint, notes = finding.endpoint()
    knows, is_one_time = carries_connect(image.system, image.name), said.auth == AUTHS[0]
    if not said.auth and not said.key_name:
        is_one_time = kept.is_one_time if kept else endpoint is not None and knows
    if (endpoint or is_one_time) and finding.asks_for_code:
        hint = "aws sts get-session-token gives ones that do not for hours; or --reach address --auth injected"
        raise UserError(_ASKS, where=client.region, hint=hint)
    if is_one_time and not knows:
        known = (
            f"{image.system} is not known to take" if image.system else "nobody knows whether this machine image takes"
        )
        notes = (*notes, f"{known} one-time keys; one that does not lets nobody in")
    return Way(networks=finding.networks(endpoint), endpoint=endpoint, is_one_time=is_one_time, notes=notes)


@dataclass(frozen=True, slots=True)
class _Finding:
    client: Client
    said: CloudAsked
    network: Network
    groups: Sequence[Mapping[str, Any]]
    kept: KeptWay | None

    @property
    def asks_for_code(self) -> bool:
        """Whether each connection that AWS has a part in would need somebody who types."""
        return self.client.provider == "ec2" and asks_for_code()

    @property
    def _is_meant(self) -> bool:
        return self.said.reach == REACHES[0]

    def networks(self, endpoint: Endpoint | None) -> tuple[str, ...]:
        """Return who may come in at an address."""
        said = self.said
        if self.groups:
            return tuple(dict.fromkeys(map(str, networks_let_in(self.groups))))
        needs_ours = endpoint.keeps_client if endpoint else not said.networks
        ours = self._caller() if needs_ours else ""
        found = (*said.networks, *([ours] if ours else []))
        return check_cidrs(found, force=said.is_open_to_anyone) if found else ()

    def _caller(self) -> str:
        """Return our own network; empty where nobody tells it, and somebody has said who may come in."""
        try:
            return caller_network(self.client)
        except UserError:
            if self.said.networks or self.groups:
                return ""
            raise

    def endpoint(self) -> tuple[Endpoint | None, tuple[str, ...]]:
        """Return the endpoint to go through, None for an address, and what has to be said of that."""
        said, kept, region = self.said, self.kept, self.client.region
        had = kept.endpoint if kept and not said.reach else None
        # who names networks wants instances reached from them
        if said.reach == REACHES[1] or (not had and not self._is_meant and (kept or said.networks)):
            return None, ()
        try:
            found, others = list_endpoints(self.client, self.network.vpc)
        except CloudRefusal as refusal:
            if self._is_meant or refusal.code not in _NOT_ASKED:
                raise
            which = f"whether {had.id} stands" if had else "whether there is an Instance Connect Endpoint"
            return had, (f"{which} is not known: these credentials may not ask ({refusal.operation})",)
        if had and (same := next((item for item in found if item.id == had.id), None)):
            return same, ()
        shown = tuple(f"{name} is {state}" for name, state in others.items())
        soon = "the same again in a minute or two" if _COMING in others.values() else ""
        if not found:
            if had:
                what = f"{said.fleet} is reached through {had.id}, and that is gone"
                hint = f"{self._to_make}; or --reach address, which lets in your own address on port 22"
                raise UserError(what, where=region, hint=soon or hint)
            if self._is_meant:
                what = f"{self.network.vpc} has no EC2 Instance Connect Endpoint that is ready"
                hint = soon or f"{self._to_make}: once for the network, and free"
                raise UserError(", ".join([what, *shown]), where=region, hint=hint)
            return None, shown
        # the nearest first: what goes from zone to zone costs
        endpoint = min(found, key=lambda item: (item.subnet not in self.network.subnets.values(), item.id))
        if self.asks_for_code and not (self._is_meant or had):
            return None, (f"{endpoint.id} is not gone through: {_ASKS}",)
        if why := self._why_not(endpoint):
            if self._is_meant or had:
                raise UserError(
                    f"{endpoint.id} leads to no instance: {why}", where=region, hint="mend that, or --reach address"
                )
            return None, (f"{endpoint.id} is not gone through: {why}",)
        return endpoint, ()

    @property
    def _to_make(self) -> str:
        """The command that makes an endpoint, where the launch looks for one."""
        subnet, region = next(iter(self.network.subnets.values())), self.client.region
        how = "" if self.client.provider == "ec2" else ", with the variables of `bay twin start` set"
        return f"aws ec2 create-instance-connect-endpoint --region {region} --subnet-id {subnet}{how}"

    def _why_not(self, endpoint: Endpoint) -> str:
        """Say why an endpoint is not to be gone through; empty where nothing is in the way."""
        filters = [{"Name": "group-id", "Values": list(endpoint.groups)}]
        its = list(self.client.pages("describe_security_groups", "SecurityGroups", Filters=filters))
        caller = self._caller() if endpoint.keeps_client else ""
        return why_shut(endpoint, its, self.groups, blocks=self.network.blocks, caller=caller)
