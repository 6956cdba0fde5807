"""How many vCPUs an account may run at once: EC2's quotas, by the groups of types that it counts together. Pure.

Codes from EC2's table "EC2 quotas" (Service Quotas, service code ``ec2``), as it was stored; an account's own numbers are asked
of AWS, which this module does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from launchbay.catalog.type import InstanceType

__all__ = ["QUOTAS", "Quota", "QuotaRoom", "quota_of", "vcpus_short"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A quota of running instances. `default_vcpus` is what a new account has; AWS may have given more since.

    `is_assumed` marks one that no table of AWS's says to count these types, so that its name has to be looked up.
    """

    code: str
    name: str
    default_vcpus: int = 0
    is_assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRoom:
    """What of a quota a launch needs: all in vCPUs, `limit` and `used` None where they could not be asked.

    `used` is what everybody's pending, running and stopping instances take in the region.
    """

    quota: Quota
    region: str
    needed: int
    limit: int | None = None
    used: int | None = None

    @property
    def short(self) -> int | None:
        """How many vCPUs are lacking, 0 where the launch fits, None where that is not known."""
        return None if self.limit is None or self.used is None else max(0, self.used + self.needed - self.limit)

    @property
    def shortage(self) -> str:
        """Why the launch does not fit, as a sentence; empty where it does, or where that is not known."""
        if not self.short:
            return ""
        code, name = self.quota.code, self.quota.name
        has = f"it allows {self.limit} vCPUs in {self.region}, {self.used} are in use, and this needs {self.needed}"
        return f"the quota {code} ({name}) is too small: {has}, {self.short} more than there are"

    def as_json(self) -> Mapping[str, object]:
        """Return the fields that `--json` shows."""
        kept = {name: getattr(self, name) for name in ("limit", "used", "needed", "short")}
        return {
            "code": self.quota.code,
            "name": self.quota.name,
            **kept,
            "command": self.command if self.short else None,
        }

    @property
    def command(self) -> str:
        """How a person asks AWS for as much as is needed."""
        wanted = self.needed + (self.used or 0)
        words = f"--service-code ec2 --quota-code {self.quota.code} --desired-value {wanted} --region {self.region}"
        return f"aws service-quotas request-service-quota-increase {words}"


def _pair(on_demand: str, spot: str, kinds: str, default: int = 0) -> dict[str, Quota]:
    """Return the quota of each market; the market of an empty code has no such types."""
    made = {
        "on-demand": Quota(code=on_demand, name=f"Running On-Demand {kinds} instances", default_vcpus=default),
        "spot": Quota(code=spot, name=f"All {kinds} Spot Instance Requests", default_vcpus=default),
    }
    return {market: quota for market, quota in made.items() if quota.code}


_GRAPHICS = _pair("L-DB2E81BA", "L-3819A6DF", "G and VT")
_STANDARD = _pair("L-1216C47A", "L-34B43A08", "Standard (A, C, D, H, I, M, R, T, Z)", 5)
_P = {"on-demand": Quota(code="L-417A185B", name="Running On-Demand P instances")}
_OLD_P_SPOT = Quota(code="L-7212CCBC", name="All P4, P3 and P2 Spot Instance Requests")
_P5_SPOT = Quota(code="L-C4BD4855", name="All P5 Spot Instance Requests")
_P6_SPOT = Quota(code=_P5_SPOT.code, name=_P5_SPOT.name, is_assumed=True)
"""The stored table names no quota of P6 on the spot market, and public code counts P6 with P5."""

_KINDS: Mapping[str, Mapping[str, Quota]] = {
    "dl": _pair("L-6E869C2A", "L-85EED4F7", "DL"),
    "f": _pair("L-74FC7D96", "L-88CF9481", "F"),
    "g": _GRAPHICS,
    "gr": _GRAPHICS,
    "hpc": _pair("L-F7808C92", "", "HPC"),
    "inf": _pair("L-1945791B", "L-B5D1601B", "Inf"),
    "mac": {},  # runs on dedicated hosts only, which are counted by the host
    "p": _P,
    "trn": _pair("L-2C3B7624", "L-6B0D517C", "Trn"),
    "u": _pair("L-43DA4232", "", "High Memory"),
    "vt": _GRAPHICS,
    "x": _pair("L-7295265B", "L-E3A00192", "X"),
}
"""By the letters that a type begins with; a type that is not here is a standard one."""

QUOTAS: Mapping[str, Quota] = {
    quota.code: quota
    for quota in (
        *(quota for pair in (_STANDARD, *_KINDS.values()) for quota in pair.values()),
        _OLD_P_SPOT,
        _P5_SPOT,
    )
}
"""Every quota that instances count against, by code."""


def quota_of(type_name: str, market: str) -> Quota | None:
    """Return the quota that a type counts against in a market (``on-demand`` or ``spot``); None where it has none."""
    letters = re.match(r"[a-z]*", type_name.casefold())
    kind = letters.group() if letters else ""
    if kind == "p" and market == "spot":
        generation = type_name[1:2]
        return _OLD_P_SPOT if generation in ("2", "3", "4") else _P5_SPOT if generation == "5" else _P6_SPOT
    return _KINDS.get(kind, _STANDARD).get(market)


def vcpus_short(type_: InstanceType, count: int, *, limit: float | None, used: int | None) -> int | None:
    """Return how many vCPUs a quota lacks for `count` more instances of a type, 0 where they fit.

    `limit` is what the account may run, `used` what pending, running and stopping instances take of it. None where one of
    the two is not known.
    """
    if limit is None or used is None:
        return None
    return max(0, used + count * type_.vcpus - int(limit))
