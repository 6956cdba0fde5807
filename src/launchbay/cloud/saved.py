"""A plan as it is kept in a file, and whether the world is still as it saw it. Pure.

What is kept is what was asked for and what was seen. Applying plans anew and compares: nothing in the file is believed of what
things cost, and nothing in it decides what is launched but what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from launchbay.cloud.asked import CloudAsked
from launchbay.cloud.plan import CloudPlan
from launchbay.errors import UsageError
from launchbay.fields import (
    AMOUNT,
    FLAG,
    INTEGER,
    MAPPING,
    TEXT,
    Kind,
    faults,
    fields,
    list_of,
    mapping_of,
    nullable,
)
from launchbay.images.recipe import is_recipe_path
from launchbay.jsonable import to_json
from launchbay.planning.cloudwish import Volume
from launchbay.units import count_of, format_usd

__all__ = ["KIND", "SCHEMA", "SavedPlan", "Seen", "check_still_true", "plan_from_json", "plan_to_json"]

KIND, SCHEMA = "launchbay cloud plan", 1
"""What a file of ours says that it is, and how it is laid out."""

_EXACT = Decimal("0.000001")
_AGAIN = "bay plan, and read it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a plan saw: each as text or number, None where it was not known.

    `rungs` are zone, type, market and price each. `prices` are US dollars a unit by line of the worst case, `worst_usd` their
    sum. `quota` is its code, limit and what was in use of it.
    """

    at: str
    digest: str
    machine_image: str
    type: str
    rungs: tuple[tuple[str, str, str, str | None], ...]
    prices: Mapping[str, str | None]
    worst_usd: str | None
    lease_s: int
    networks: tuple[str, ...]
    way: str
    vpc: str
    quota: tuple[str, int | None, int | None]
    template: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan that was read: what to ask for again, and what was seen when it was made."""

    asked: CloudAsked
    seen: Seen


def _seen_by(plan: CloudPlan) -> Seen:
    """Return what a plan saw."""
    quota = plan.quota
    return Seen(
        at=plan.seen_at.isoformat(timespec="seconds"),
        digest=plan.cargo.digest,
        machine_image=plan.image.id,
        type=plan.type.name,
        rungs=tuple((rung.zone, rung.type, rung.market, _text(rung.usd_per_hour)) for rung in plan.rungs),
        prices={f"{line.item}: {line.what}": _text(line.unit_usd) for line in plan.worst.lines},
        worst_usd=None if plan.worst.usd is None else _text(plan.worst.usd.quantize(_EXACT)),
        lease_s=plan.lease_s,
        networks=plan.way.networks,
        way=f"{plan.way.endpoint.id if plan.way.endpoint else plan.way.reach}, {plan.way.auth} key",
        vpc=plan.vpc,
        quota=(quota.quota.code, quota.limit, quota.used),
        template="" if plan.template is None else f"{plan.template.id}:{plan.template.version}",
    )


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def plan_to_json(plan: CloudPlan) -> dict[str, Any]:
    """Return a plan as it is written into a file, to be applied in any folder; no secret is in one, and no key."""
    asked = plan.asked
    if is_recipe_path(asked.image):
        asked = replace(asked, image=str(Path(asked.image).expanduser().absolute()))
    return {"kind": KIND, "schema": SCHEMA, "asked": to_json(asked), "seen": to_json(_seen_by(plan))}


def plan_from_json(value: Any, *, where: str = "") -> SavedPlan:
    """Read what `plan_to_json` wrote. Raises UsageError, naming what is wrong, for anything else and for a newer layout."""
    if not isinstance(value, Mapping) or value.get("kind") != KIND:
        raise UsageError(
            "that is no plan of a launch on EC2", where=where, hint="`bay plan ... -o plan.json` writes one"
        )
    if value.get("schema") != SCHEMA:
        what = f"this plan is laid out as {value.get('schema')!r}, and this Launchbay reads {SCHEMA}"
        raise UsageError(what, where=where, hint=f"the Launchbay that wrote it; or {_AGAIN}")
    asked: Any = value.get("asked")
    seen: Any = value.get("seen")
    for name, part, wanted in (("asked", asked, _ASKED), ("seen", seen, _SEEN)):
        wrong = faults(part, wanted) if isinstance(part, dict) else ["it is no object"]
        if isinstance(part, dict) and (strange := sorted(part.keys() - wanted.keys())):
            wrong = [*wrong, f"nobody knows {', '.join(strange)}"]
        if wrong:
            raise UsageError(f"the plan is damaged: in {name} {'; '.join(wrong)}", where=where, hint=_AGAIN)
    return SavedPlan(asked=_read_asked(asked), seen=_read_seen(seen))


_ASKED: Mapping[str, Kind] = {
    **dict.fromkeys(("image", "fleet", "provider", "region", "type", "zone", "machine_image", "subnet"), TEXT),
    **dict.fromkeys(("reach", "auth", "profile", "key_name", "identity_file", "template"), TEXT),
    **dict.fromkeys(("is_spot", "with_sisters", "is_open_to_anyone", "efa"), FLAG),
    **dict.fromkeys(("count", "ttl_s"), INTEGER),
    **dict.fromkeys(("disk_gib", "rate"), nullable(INTEGER)),
    **dict.fromkeys(("networks", "groups"), list_of(TEXT)),
    "budget": nullable(AMOUNT),
    "tags": mapping_of(TEXT),
    "volumes": list_of(
        fields(
            {
                "gib": INTEGER,
                "mount": TEXT,
                "is_kept": FLAG,
                "iops": nullable(INTEGER),
                "throughput": nullable(INTEGER),
            }
        )
    ),
}
_SEEN: Mapping[str, Kind] = {
    **dict.fromkeys(("at", "digest", "machine_image", "type", "way", "vpc", "template"), TEXT),
    "rungs": list_of(Kind("a rung", lambda item: isinstance(item, list) and len(item) == 4)),
    "prices": MAPPING,
    "worst_usd": nullable(AMOUNT),
    "lease_s": INTEGER,
    "networks": list_of(TEXT),
    "quota": Kind("a quota", lambda item: isinstance(item, list) and len(item) == 3),
}


def _read_asked(value: Mapping[str, Any]) -> CloudAsked:
    known = {name: value[name] for name in _ASKED}
    return CloudAsked(
        **{
            **known,
            "budget": None if value["budget"] is None else Decimal(value["budget"]),
            "volumes": tuple(Volume(**item) for item in value["volumes"]),
            "networks": tuple(value["networks"]),
            "groups": tuple(value["groups"]),
        }
    )


def _read_seen(value: Mapping[str, Any]) -> Seen:
    rungs = tuple((zone, kind, market, usd) for zone, kind, market, usd in value["rungs"])
    code, limit, used = value["quota"]
    more = {"rungs": rungs, "networks": tuple(value["networks"]), "quota": (code, limit, used)}
    return Seen(**{**value, **more})


def check_still_true(saved: SavedPlan, fresh: CloudPlan) -> list[str]:
    """Return what moved since a plan was made, a sentence each; nothing where the fresh plan is the same.

    What is in use of a quota may change as long as the launch still fits; the clock may go on.
    """
    then, now = saved.seen, _seen_by(fresh)
    moved = []
    if saved.asked != fresh.asked:
        moved.append("something else is asked for now")
    if then.digest != now.digest:
        moved.append(f"the image {fresh.cargo.name} is another: {then.digest[:12]} then, {now.digest[:12]} now")
    if then.machine_image != now.machine_image:
        moved.append(f"the machine image is another: {then.machine_image} then, {now.machine_image} now")
    if then.template != now.template:
        moved.append(f"the launch template is another: {then.template or 'none'} then, {now.template or 'none'} now")
    moved += _moved_rungs(then.rungs, now.rungs)
    moved += _moved_prices(then.prices, now.prices)
    if then.worst_usd != now.worst_usd:
        moved.append(f"the worst case was {_usd(then.worst_usd)}, and is {_usd(now.worst_usd)}")
    if then.lease_s != now.lease_s:
        moved.append(f"the lease was {then.lease_s} seconds, and is {now.lease_s}")
    if then.networks != now.networks:
        before, after = (", ".join(networks) or "nobody" for networks in (then.networks, now.networks))
        moved.append(f"who may come in was {before}, and is {after}")
    if then.way != now.way:
        moved.append(f"the way in was {then.way}, and is {now.way}")
    if then.vpc != now.vpc:
        moved.append(f"the network was {then.vpc}, and is {now.vpc}")
    if then.quota[:2] != now.quota[:2]:
        moved.append(f"the quota {now.quota[0]} was {_vcpus(then.quota[1])}, and is {_vcpus(now.quota[1])}")
    elif fresh.quota.short and then.quota != now.quota:
        moved.append(
            f"of the quota {now.quota[0]} {_vcpus(now.quota[2])} are in use now, and {_vcpus(then.quota[2])} were"
        )
    return moved


_Rungs = Sequence[tuple[str, str, str, str | None]]


def _moved_rungs(then: _Rungs, now: _Rungs) -> list[str]:
    if then == now:
        return []
    before, after = ({rung[:3]: rung[3] for rung in rungs} for rungs in (then, now))
    found = [f"{' '.join(rung)} is offered no more" for rung in before.keys() - after.keys()]
    found += [f"{' '.join(rung)} was not offered" for rung in after.keys() - before.keys()]
    found += [
        f"{' '.join(rung)} was {before[rung] or 'of unknown price'} USD an hour, and is {after[rung] or 'unknown'}"
        for rung in before.keys() & after.keys()
        if before[rung] != after[rung]
    ]
    return sorted(found) or ["the zones are tried in another order"]


def _moved_prices(then: Mapping[str, str | None], now: Mapping[str, str | None]) -> list[str]:
    return [
        f"the price of {name} was {then.get(name) or 'not known'}, and is {now.get(name) or 'not known'}"
        for name in sorted({*then, *now})
        if name in then and name in now and then[name] != now[name]
    ]


def _usd(amount: str | None) -> str:
    return "not known" if amount is None else f"{format_usd(Decimal(amount))} USD"


def _vcpus(count: int | None) -> str:
    return "not known" if count is None else count_of(count, "vCPU")
