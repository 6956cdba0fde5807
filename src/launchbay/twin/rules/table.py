"""All rules, in the order in which they look at a call."""

from __future__ import annotations

from launchbay.twin.rule import Rule
from launchbay.twin.rules import (
    baking,
    capacity,
    connect,
    copies,
    dryrun,
    endpoints,
    faults,
    fleet,
    groups,
    had,
    iam,
    idempotency,
    images_api,
    interfaces,
    keys,
    listed,
    names,
    network,
    pages,
    parameters,
    placement,
    pricing,
    profiles,
    protection,
    quota,
    quotas_api,
    repeats,
    requirements,
    savings,
    spot,
    spot_prices,
    states,
    templates,
    types,
    visibility,
    volumes,
)

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (
    # is there such a call, who may ask, and was it asked before
    had.RULE,
    faults.RULE,
    iam.RULE,
    dryrun.RULE,
    idempotency.RULE,
    repeats.RULE,
    fleet.RULE,
    visibility.RULE,
    # what a launch asks for
    templates.RULE,
    placement.RULE,
    names.RULE,
    keys.RULE,
    profiles.RULE,
    spot.RULE,
    network.RULE,
    quota.RULE,
    capacity.RULE,
    network.ADDRESSES,
    interfaces.RULE,
    groups.RULE,
    volumes.RULE,
    # what becomes of things
    protection.RULE,
    states.RULE,
    baking.RULE,
    copies.RULE,
    endpoints.RULE,
    connect.RULE,
    # what is told of them
    pages.RULE,
    images_api.RULE,
    images_api.SNAPSHOTS,
    images_api.CHARGES,
    listed.RULE,
    parameters.RULE,
    types.RULE,
    requirements.RULE,
    quotas_api.RULE,
    spot_prices.RULE,
    pricing.RULE,
    savings.RULE,
)
"""What the twin does not have comes first, then faults, then permission, then dry runs; a token is looked up only for what may
be done, and what comes after it is remembered with it. What is refused for its own sake comes before what is refused for want
of quota, and that before want of room, as on EC2."""
