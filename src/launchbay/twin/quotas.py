"""How many vCPUs an account may run at once, by the groups of types that EC2 counts together. Names and codes are EC2's.

A well-established account is rehearsed. A new one has `new_vcpus`: 5 of the standard types, and none with an accelerator
until somebody has asked for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launchbay.twin.world import World

__all__ = [
    "ADDRESSES",
    "ESTABLISHED_VCPUS",
    "NEW_VCPUS",
    "QUOTAS",
    "STANDARD_VCPUS",
    "Quota",
    "quota_code",
    "quota_named",
    "quota_vcpus",
]

ESTABLISHED_VCPUS = Decimal(2000)
"""What an account that has asked for it may run of one kind of accelerated types. No source says this of any account: it is
the twin's, and enough for ten of the largest."""

STANDARD_VCPUS = Decimal(10_000)
"""The same of the standard types."""

NEW_VCPUS = Decimal(5)
"""What a new account may run of the standard types; of every other kind it may run 0."""

ADDRESSES = "L-0263D0A3"
"""The quota of Elastic IP addresses, which are counted and are no vCPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A quota of EC2.

    `new` is what AWS gives a new account, `established` what the twin's account has, `usage` the class
    under which CloudWatch counts what is used (empty where it does not).
    """

    code: str
    name: str
    new: Decimal = Decimal(0)
    established: Decimal = ESTABLISHED_VCPUS
    usage: str = ""


_STANDARD = "Standard (A, C, D, H, I, M, R, T, Z)"

QUOTAS: Mapping[str, Quota] = {
    quota.code: quota
    for quota in (
        Quota(
            code="L-1216C47A",
            name=f"Running On-Demand {_STANDARD} instances",
            new=NEW_VCPUS,
            established=STANDARD_VCPUS,
            usage="Standard/OnDemand",
        ),
        Quota(code="L-6E869C2A", name="Running On-Demand DL instances", usage="DL/OnDemand"),
        Quota(code="L-74FC7D96", name="Running On-Demand F instances", usage="F/OnDemand"),
        Quota(code="L-DB2E81BA", name="Running On-Demand G and VT instances", usage="G/OnDemand"),
        Quota(code="L-F7808C92", name="Running On-Demand HPC instances", usage="HPC/OnDemand"),
        Quota(code="L-43DA4232", name="Running On-Demand High Memory instances", usage="HighMem/OnDemand"),
        Quota(code="L-1945791B", name="Running On-Demand Inf instances", usage="Inf/OnDemand"),
        Quota(code="L-417A185B", name="Running On-Demand P instances", usage="P/OnDemand"),
        Quota(code="L-2C3B7624", name="Running On-Demand Trn instances", usage="Trn/OnDemand"),
        Quota(code="L-7295265B", name="Running On-Demand X instances", usage="X/OnDemand"),
        Quota(
            code="L-34B43A08",
            name=f"All {_STANDARD} Spot Instance Requests",
            new=NEW_VCPUS,
            established=STANDARD_VCPUS,
            usage="Standard/Spot",
        ),
        Quota(code="L-85EED4F7", name="All DL Spot Instance Requests", usage="DL/Spot"),
        Quota(code="L-88CF9481", name="All F Spot Instance Requests", usage="F/Spot"),
        Quota(code="L-3819A6DF", name="All G and VT Spot Instance Requests", usage="G/Spot"),
        Quota(code="L-B5D1601B", name="All Inf Spot Instance Requests", usage="Inf/Spot"),
        Quota(code="L-7212CCBC", name="All P4, P3 and P2 Spot Instance Requests", usage="P/Spot"),
        Quota(code="L-C4BD4855", name="All P5 Spot Instance Requests", usage="P5/Spot"),
        Quota(code="L-6B0D517C", name="All Trn Spot Instance Requests", usage="Trn/Spot"),
        Quota(code="L-E3A00192", name="All X Spot Instance Requests", usage="X/Spot"),
        Quota(code=ADDRESSES, name="EC2-VPC Elastic IPs", new=Decimal(5), established=Decimal(5)),
    )
}
"""The quotas that matter for instances, by code. Those of P6 on the spot market have no entry of their own: AWS's table as it
was stored names none, and public code counts them with P5."""

_STANDARD_CODES = ("L-1216C47A", "L-34B43A08")
_CODES: Mapping[str, tuple[str, str]] = {
    "dl": ("L-6E869C2A", "L-85EED4F7"),
    "f": ("L-74FC7D96", "L-88CF9481"),
    "g": ("L-DB2E81BA", "L-3819A6DF"),
    "gr": ("L-DB2E81BA", "L-3819A6DF"),
    "hpc": ("L-F7808C92", ""),
    "inf": ("L-1945791B", "L-B5D1601B"),
    "p": ("L-417A185B", "L-C4BD4855"),
    "trn": ("L-2C3B7624", "L-6B0D517C"),
    "u": ("L-43DA4232", ""),
    "vt": ("L-DB2E81BA", "L-3819A6DF"),
    "x": ("L-7295265B", "L-E3A00192"),
}
"""On-demand and spot, by the letters that a type begins with; what is not here is standard, and an empty one is none at all."""

_OLD_P = re.compile(r"p[234]([a-z]*)\.")
_DEDICATED = ("mac",)
"""Types that run on dedicated hosts only, of which there is a quota for each kind: they count nowhere here."""


def quota_code(type_name: str, market: str) -> str:
    """Return the code of the quota that a type counts against; `market` is ``on-demand`` or ``spot``.

    Empty where there is none: the market does not have such types, or they are counted by the host.
    """
    letters = re.match(r"[a-z]*", type_name)
    kind = letters.group() if letters else ""
    if kind in _DEDICATED:
        return ""
    place = 1 if market == "spot" else 0
    if place and _OLD_P.match(type_name):
        return "L-7212CCBC"
    return _CODES.get(kind, _STANDARD_CODES)[place]


def quota_named(code: str) -> Quota | None:
    """Return a quota by its code, None where there is none."""
    return QUOTAS.get(code)


def quota_vcpus(world: World, region: str, code: str) -> Decimal:
    """Return how many vCPUs (or addresses) a quota allows in a region: what was said, else what the twin's account has.

    0 for a code that is none.
    """
    said = world.truth.quotas.get((region, code))
    if said is not None:
        return said
    quota = QUOTAS.get(code)
    return quota.established if quota else Decimal(0)
