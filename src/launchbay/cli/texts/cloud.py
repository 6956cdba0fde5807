"""Fleets on EC2 as text for people: what a launch brought, what was ended, what still costs. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from launchbay.cli.texts.lists import few, span
from launchbay.cli.texts.store import stay_text
from launchbay.units import count_of, format_amount, format_duration

if TYPE_CHECKING:
    from launchbay.cloud.end import CloudEnded
    from launchbay.cloud.extend import Extended
    from launchbay.cloud.launch import CloudLaunch
    from launchbay.cloud.power import CloudPower

__all__ = ["cloud_ended_text", "cloud_launch_text", "cloud_power_text", "extended_text", "when"]

_STAGES = {"plan": "asked for", "running": "running", "reached": "reached", "ready": "ready"}


def when(at: float) -> str:
    """Write a time, in seconds since 1970, as people and clouds read it."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def cloud_launch_text(launch: CloudLaunch) -> str:
    """Say what a launch on EC2 brought: what, where, whether all are alike, at which price and until when."""
    return "\n".join(_launch_lines(launch))


def _launch_lines(launch: CloudLaunch) -> Iterator[str]:
    fleet, names = launch.fleet, list(launch.rows)
    place = next(iter(launch.rows.values())).zone
    if launch.created:
        yield f"{len(launch.created)} of {len(names)} launched on {_where(fleet.provider)}: {span(names)}"
    else:
        yield f"{fleet.name} stands already on {_where(fleet.provider)}: {span(names)}; nothing to launch."
    yield f"  image   {fleet.image} {fleet.digest[:12]} on {fleet.machine_image}"
    yield f"  type    {fleet.type}, {fleet.market}, in {place}"
    for item in launch.tried:
        yield f"          not {item.rung.type}, {item.rung.market}, in {item.rung.zone}: {item.why}"
    proof = "identical" if launch.identical else f"NOT identical; `bay verify {fleet.name}` says what differs"
    yield f"  proof   {count_of(len(names), 'fingerprint')}, {proof}"
    if launch.proof.declared:
        yield "          The twin's GPUs are declared, not there: nothing is proven of them."
    elif launch.proof.gpu_proven is not None:
        yield f"          {'the framework can use every GPU' if launch.proof.gpu_proven else 'NOT every GPU can be used'}"
    yield f"  clock   {_clock(launch.clock)}"
    if launch.prepared:
        yield f"          {_slowest(launch)}"
    first, last = (when(end(map(fleet.ends_of, launch.rows))) for end in (min, max))
    ends = f"each ends itself by {last}" if first == last else f"they end themselves from {first} on"
    yield f"  cost    {_an_hour(launch)}; {ends} (`bay extend {fleet.name} 2h`)"
    yield f"  next    bay train {names[0]} train.py --data data    bay shell {names[0]}    bay terminate {fleet.name}"


def _where(provider: str) -> str:
    return "the twin" if provider == "twin" else "EC2"


def _clock(clock: Mapping[str, float | None]) -> str:
    """Say when each stage was reached, from the command on."""
    total, parts = 0.0, []
    for stage, seconds in clock.items():
        if stage in _STAGES and seconds is not None:
            total += seconds
            parts.append(f"{_STAGES[stage]} {format_duration(total)}")
    return ", ".join(parts)


_DONE_THERE = {"install": "Launchbay", "instance": "environment", "verify": "proof and first import"}


def _slowest(launch: CloudLaunch) -> str:
    """Say what the time up to ready went into; whether the image had to be installed is what baking one saves."""
    image = "image installed from its lock" if launch.installed else "image found there"
    parts = [f"{_DONE_THERE.get(name, image)} {format_duration(took)}" for name, took in launch.stages.items()]
    return f"the slowest of each: {', '.join(parts)}"


def _an_hour(launch: CloudLaunch) -> str:
    rates = (launch.fleet.usd_per_hour, launch.fleet.disk_usd_per_hour)
    if None in rates:
        return "unknown an hour"
    total = sum((Decimal(rate) for rate in rates if rate is not None), Decimal(0)) * launch.fleet.count
    return f"${format_amount(total, most=4, least=2)} an hour with disks and addresses"


def cloud_power_text(done: CloudPower) -> str:
    """Say what was stopped, started or rebooted, and what it costs now."""
    names = span(done.names)
    if not done.changed:
        return f"{names} {'is' if len(done.names) == 1 else 'are'} {done.state} already. {_a_day(done.usd_per_day)}"
    words = {"stop": "stopped", "start": "started", "reboot": "rebooted"}
    disks = "; their disks stay, and cost" if done.verb == "stop" else ""
    return f"{names} {words[done.verb]}{disks}. {_a_day(done.usd_per_day)}"


def _a_day(usd: str | None) -> str:
    return "What they cost a day is unknown." if usd is None else f"What they cost now: ${usd} a day."


def cloud_ended_text(ended: CloudEnded) -> str:
    """Say what was ended, what still costs, and what the fleet has cost."""
    if ended.made:
        first = f"No instance of {ended.fleet} was there; removed: {', '.join(ended.made)}."
    elif not ended.names and ended.still_costs:
        first = f"No instance of {ended.fleet} is left; what was to be kept of it costs on:"
    elif not ended.names:
        first = f"Nothing of {ended.fleet} that was launched from here is left: it was terminated before."
    else:
        gone = "disks, addresses, group and key" if ended.is_whole else "disks and addresses"
        first = f"{span(ended.names)} terminated, with {gone}; runs, logs and models stay (`bay runs`)."
    lines = [first, *(f"  {line}" for line in few([_still(item) for item in ended.still_costs]))]
    if ended.still_costs:
        lines.append(f"  aws ec2 delete-volume --region {ended.region} --volume-id ID removes one for good")
    if not ended.still_costs and ended.names:
        lines[0] += " What still costs: $0.00 a day."
    if ended.names:
        lines.append(f"cost      {'unknown' if ended.cost_so_far is None else f'${ended.cost_so_far}'} since launch")
    if ended.store is not None and ended.store.objects:
        lines.append(f"store     {stay_text(ended.store)}")
    return "\n".join(lines)


def _still(item: Mapping[str, object]) -> str:
    price = item.get("usd_per_month")
    costs = f"${price} a month" if price is not None else "a price that is unknown"
    return f"still there: {item['kind']} {item['id']}, {item['gib']} GiB, for {costs}"


def extended_text(extended: Extended) -> str:
    """Say until when instances may live now, and what a day of it costs."""
    verb = "lives" if len(extended.names) == 1 else "live"
    return f"{span(extended.names)} {verb} until {when(extended.ends_at)}. {_a_day(extended.usd_per_day)}"
