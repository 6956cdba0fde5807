"""A launch on EC2 as it is shown before anybody agrees to it. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from launchbay.cli.table import table
from launchbay.planning.way import auth_costs
from launchbay.units import count_of, format_amount, format_duration, format_usd

if TYPE_CHECKING:
    from launchbay.cloud.plan import CloudPlan
    from launchbay.cost.line import Line

__all__ = ["plan_text"]

_LABEL = 12
_WIDTH = 100
_UNKNOWN = "unknown"
_MOST_RUNGS = 12
_UNTIL = ", which costs at most"
"""Where what a line says of a market begins; it is said below the table."""


def plan_text(plan: CloudPlan, *, width: int | None = None) -> str:
    """Say what would be launched, where, who could come in, until when, and what it costs at most. At most `width` wide."""
    wide = min(width or _WIDTH, 120)
    lines = [_headline(plan), ""]
    for label, text in _facts(plan):
        lines += _wrapped(label, text, wide)
    lines += ["", "tried in this order, all of them on one or none:", *_rungs(plan, wide)]
    lines += ["", *_costs(plan, wide), ""]
    for note in (*plan.notes, *plan.worst.notes):
        lines += _wrapped("note", note, wide)
    if plan.quota.shortage:
        lines += _wrapped("REFUSED", plan.quota.shortage, wide)
        lines += [f"{'':{_LABEL}}{plan.quota.command}"]  # in one piece, to be copied
    return "\n".join(lines)


def _headline(plan: CloudPlan) -> str:
    asked, market = plan.asked, plan.wish.market
    where = f"the twin's {asked.region}: nothing of this costs money" if asked.provider == "twin" else asked.region
    return f"{asked.fleet}: {asked.count} × {plan.type.name}, {market}, in {where}"


def _wrapped(label: str, text: str, width: int) -> list[str]:
    found = textwrap.wrap(text, width - _LABEL, break_on_hyphens=False, break_long_words=False) or [""]
    return [f"{label if index == 0 else '':{_LABEL}}{line}" for index, line in enumerate(found)]


def _facts(plan: CloudPlan) -> Iterator[tuple[str, str]]:
    yield (
        "image",
        f"{plan.cargo.name} {plan.cargo.digest[:12]}{'' if plan.role != 'baked' else ', baked into the machine image'}",
    )
    yield "type", _type(plan)
    yield "machine", f"{plan.image.id}  {plan.image.name}"
    yield "", _machine(plan)
    yield from (("disks" if index == 0 else "", text) for index, text in enumerate(_disks(plan)))
    yield "reach", _reach(plan)
    yield "", f"costs {plan.reach_costs}"
    yield "login", _login(plan)
    yield "", f"costs {auth_costs(plan.way)}"
    yield "lease", _lease(plan)
    if plan.wish.profile:
        yield "profile", f"{plan.wish.profile}: what it may do on AWS, every program on the instances may"
    if plan.makes_placement:
        yield (
            "network",
            f"{count_of(len(plan.wish.efa_cards), 'EFA')} each, in a placement group of its own, removed with it",
        )
    if plan.template is not None:
        yield "template", f"{plan.template.shown}: what was asked for goes over it, and it over the defaults"
    if plan.wish.tags:
        yield "tags", ", ".join(f"{key}={value}" for key, value in sorted(plan.wish.tags.items()))
    yield "quota", _quota(plan)
    yield "controls", _controls(plan)


def _type(plan: CloudPlan) -> str:
    kind = plan.type
    devices = [
        f"{item.count} × {item.name} {format_amount(Decimal(item.memory_mib) / 1024, most=1)} GiB"
        for item in kind.accelerators
    ]
    declared = " (declared by the twin, and not there)" if plan.is_declared else ""
    memory = f"{format_amount(Decimal(kind.memory_mib) / 1024, most=1)} GiB of memory"
    return ", ".join([f"{kind.name}: {count_of(kind.vcpus, 'vCPU')}", memory, *devices]) + declared


def _machine(plan: CloudPlan) -> str:
    image, today = plan.image, plan.seen_at.date()
    if image.has_ended(today):
        support = f"not patched any more since {image.ends_by}"
    elif image.support_ends:
        support = f"patched until {image.support_ends}"
    else:
        support = f"patched until {image.ends_by} at most" if image.ends_by else "how long it is patched is unknown"
    if image.usd_per_hour is None:
        charge = "what its maker takes is unknown"
    else:
        charge = f"its maker takes {image.usd_per_hour} USD an hour" if image.usd_per_hour else "no charge of its own"
    return f"{image.kind} of {image.owner}, {support}, {charge}"


def _disks(plan: CloudPlan) -> Iterator[str]:
    wish = plan.wish
    size = max(wish.root_gib or 0, wish.image.root.snapshot_gib)
    filled = f"filled at {wish.rate} MiB/s" if wish.rate else "read from its snapshot as needed: first reads are slow"
    yield f"{'root':8} {size} GiB, {filled}"
    for disk in wish.image.others:
        yield f"{disk.device:8} {disk.snapshot_gib} GiB, the image's own"
    for volume in wish.volumes:
        end = "STAYS when its instance ends, and goes on costing" if volume.is_kept else "ends with its instance"
        yield f"{volume.mount:8} {volume.gib} GiB, {end}"
    yield "all gp3 and encrypted"


def _reach(plan: CloudPlan) -> str:
    asked, networks = plan.asked, ", ".join(plan.way.networks)
    by = f", as {', '.join(plan.wish.groups)} has it" if not plan.makes_group else ""
    public = "" if plan.wish.public_address else "; without public addresses"
    through = ""
    if plan.way.endpoint is not None:
        at = ", ".join(plan.way.endpoint.addresses)
        through = f"through {plan.way.endpoint.id} ({at}), an Instance Connect Endpoint of {plan.vpc}, and from "
    if not networks:
        return f"{through}nowhere else{by}{public}" if through else f"nobody by an address{by}"
    if asked.is_open_to_anyone:
        forced = "FORCED, whoever is in there may try to get in as often as they like"
        return f"{through}{networks}, port 22{by}: {forced}"
    whose = "your address " if plan.makes_group and not asked.networks else ""
    return f"{through}{whose}{networks}, port 22{by}, and nobody else{public}"


def _login(plan: CloudPlan) -> str:
    user = plan.image.login or "ubuntu"
    if plan.way.is_one_time:
        key = "a key made for this fleet alone, which EC2 Instance Connect lets in for 60 seconds at each connection"
    elif plan.wish.key_name:
        key = (
            f"your key pair {plan.wish.key_name} ({plan.asked.identity_file or 'its private key is looked for by ssh'})"
        )
    else:
        key = "a key made for this fleet alone; its private half stays here"
    return f"{user}, by {key}; host keys are known before the first connection"


def _lease(plan: CloudPlan) -> str:
    end = plan.seen_at + timedelta(seconds=plan.lease_s)
    return f"each instance ends itself after {format_duration(float(plan.lease_s))}: {end:%Y-%m-%d %H:%M} UTC, if launched now"


def _quota(plan: CloudPlan) -> str:
    room = plan.quota
    named = f"{room.quota.code} ({room.quota.name})"
    if room.limit is None or room.used is None:
        return f"{named}: {count_of(room.needed, 'vCPU')} needed, and what there is is unknown"
    return f"{named}: {room.used} of {count_of(room.limit, 'vCPU')} in use, {room.needed} more needed"


def _controls(plan: CloudPlan) -> str:
    kept = sum(item.outcome == "passed" for item in plan.findings)
    accepted = [f"{item.control}: {item.sentence}" for item in plan.findings if item.outcome == "accepted"]
    forced = [
        f"{item.control} BROKEN, as forced: {item.sentence}" for item in plan.findings if item.outcome == "failed"
    ]
    return "; ".join([f"{kept} of AWS's controls kept", *accepted, *forced])


def _rungs(plan: CloudPlan, width: int) -> Sequence[str]:
    rows = [
        (
            f"  {rung.zone}",
            rung.type,
            rung.market,
            _UNKNOWN if rung.usd_per_hour is None else format_amount(rung.usd_per_hour),
            rung.why,
        )
        for rung in plan.rungs[:_MOST_RUNGS]
    ]
    more = len(plan.rungs) - _MOST_RUNGS
    shown = table(("  ZONE", "TYPE", "MARKET", "USD/HOUR", "WHY"), rows, right=(3,), width=width).splitlines()
    return [*shown, f"  ... and {more} more"] if more > 0 else shown


def _costs(plan: CloudPlan, width: int) -> Iterator[str]:
    worst = plan.worst
    rows = [
        (
            f"  {line.what.partition(_UNTIL)[0]}",
            "" if line.quantity is None else f"{format_amount(line.quantity, most=2)} {line.unit}",
            _UNKNOWN if line.unit_usd is None else format_amount(line.unit_usd, most=6),
            _UNKNOWN if line.amount is None else format_usd(line.amount),
            _age(line),
        )
        for line in worst.lines
    ]
    yield from table(
        ("  AT MOST", "QUANTITY", "PRICE", "USD", "PRICED"), rows, right=(1, 2, 3), width=width
    ).splitlines()
    yield ""
    if worst.usd is None:
        yield f"WORST CASE  unknown, and more than {format_usd(worst.at_least_usd)} USD: not all prices are known"
        for why in worst.unknown:
            yield from _wrapped("", why, width)
    else:
        yield f"WORST CASE  {format_usd(worst.usd)} USD, if all of it runs until the lease ends, boot and shutdown with it"
    if plan.wish.market != "on-demand":
        yield f"{'':{_LABEL}}{plan.wish.market} costs at most what it does on demand, by which it is counted here"
    rate = _UNKNOWN if plan.usd_per_hour is None else f"{format_amount(plan.usd_per_hour, most=4, least=2)} USD"
    whom = f"for all {plan.asked.count}, " if plan.asked.count > 1 else ""
    yield f"an hour     {rate} {whom}without disks and addresses"


def _age(line: Line) -> str:
    if line.unit_usd is None:
        return "-"
    stale = ", stale" if line.is_stale else ""
    return f"{line.as_of.isoformat()}{stale}" if line.as_of else line.method or "-"
