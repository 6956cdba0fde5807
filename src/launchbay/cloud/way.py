"""How the instances of a launch will be reached and opened: as somebody said, else as the network and the image allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from launchbay.cloud.asked import CloudAsked
from launchbay.errors import UserError
from launchbay.planning.ingress import networks_let_in
from launchbay.planning.way import AUTHS, REACHES, Endpoint, Way, carries_connect, why_shut
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.providers.ec2.endpoints import list_endpoints
from launchbay.providers.ec2.groups import caller_network
from launchbay.providers.ec2.offers import Network
from launchbay.spec.cidr import check_cidrs

__all__ = ["find_way"]

_NOT_ASKED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
"""How AWS refuses a question to whoever may not ask it."""


def find_way(
    client: Client, said: CloudAsked, network: Network, groups: Sequence[Mapping[str, Any]], *, system: str | None
) -> Way:
    """Return how instances in a network will be reached, and what opens them. Asks EC2 for its endpoints.

    `groups` are a person's own security groups, `system` what is in the machine image, None unknown. Raises UserError for an
    endpoint that was asked for and is not there or leads nowhere, UsageError for networks that are none.
    """
    endpoint, notes = _find_endpoint(client, said, network, groups)
    is_one_time = said.auth == AUTHS[0]
    if not said.auth and not said.key_name:
        is_one_time = endpoint is not None and carries_connect(system)
    if is_one_time and not carries_connect(system):
        known = f"{system} is not known to take" if system else "nobody knows whether this machine image takes"
        notes = (*notes, f"{known} one-time keys; one that does not lets nobody in")
    if groups:
        networks = tuple(dict.fromkeys(map(str, networks_let_in(groups))))
    elif said.networks:
        networks = check_cidrs(said.networks, force=said.is_open_to_anyone)
    else:
        networks = () if endpoint is not None and not endpoint.keeps_client else (caller_network(client),)
    return Way(networks=networks, endpoint=endpoint, is_one_time=is_one_time, notes=notes)


def _find_endpoint(
    client: Client, said: CloudAsked, network: Network, groups: Sequence[Mapping[str, Any]]
) -> tuple[Endpoint | None, tuple[str, ...]]:
    """Return the endpoint to go through, None for an address, and what has to be said of that."""
    is_meant = said.reach == REACHES[0]
    # who names networks wants instances reached from them
    if said.reach == REACHES[1] or (said.networks and not is_meant):
        return None, ()
    try:
        found = list_endpoints(client, network.vpc)
    except CloudRefusal as refusal:
        if is_meant or refusal.code not in _NOT_ASKED:
            raise
        return None, ("whether there is an Instance Connect Endpoint is not known: these credentials may not ask",)
    if not found:
        if is_meant:
            what = f"{network.vpc} has no EC2 Instance Connect Endpoint that is ready"
            subnet = next(iter(network.subnets.values()))
            hint = f"aws ec2 create-instance-connect-endpoint --subnet-id {subnet}, once for the network, and free"
            raise UserError(what, where=client.region, hint=hint)
        return None, ()
    # the nearest first: what goes from zone to zone costs
    endpoint = min(found, key=lambda item: (item.subnet not in network.subnets.values(), item.id))
    filters = [{"Name": "group-id", "Values": list(endpoint.groups)}]
    its = list(client.pages("describe_security_groups", "SecurityGroups", Filters=filters))
    if why := why_shut(endpoint, its, groups):
        what = f"{endpoint.id} leads to no instance: {why}"
        if is_meant:
            raise UserError(what, where=client.region, hint="let it, or --reach address")
        return None, (what,)
    return endpoint, ()
