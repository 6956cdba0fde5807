"""Instances and fleets as text for people. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from launchbay.cli.table import table
from launchbay.cli.texts.cloud import when
from launchbay.cli.texts.lists import few, span
from launchbay.cli.texts.services import service_cell
from launchbay.store.spent import add_up
from launchbay.units import count_of, format_amount, format_duration

if TYPE_CHECKING:
    from launchbay.api.listing import Row
    from launchbay.cloud.update import FarUpdate
    from launchbay.lifecycle.end import Ended
    from launchbay.lifecycle.launch import Launch
    from launchbay.lifecycle.update import Update
    from launchbay.lifecycle.verify import Verification
    from launchbay.store.spent import Elsewhere, Spent

__all__ = ["clock_text", "ended_text", "launch_text", "ps_text", "update_text", "verification_text"]


def clock_text(clock: Mapping[str, float | None]) -> str:
    """Say where a launch's time went."""
    words = {
        "image": "image built",
        **{name: name for name in ("plan", "create", "stage", "switch", "replay", "verify")},
    }
    parts = [
        f"{words[name]} {format_duration(seconds)}"
        for name, seconds in clock.items()
        if name in words and seconds is not None
    ]
    first = clock.get("first_import")
    if first is not None:
        parts.append(f"first import {format_duration(first)} (measured when the image was built)")
    return ", ".join(parts)


def launch_text(launch: Launch, *, has_project: bool = False) -> str:
    """Say what a launch brought; with a bay.yaml that says what to train, that is not said again."""
    names = [item.name for item in launch.instances]
    image = launch.image
    what = ", ".join(f"{name} {version}" for name, version in image.frameworks.items()) or "no framework"
    if not launch.created:
        first = f"{launch.fleet} stands already: {span(names)}; nothing to launch."
    else:
        first = f"{len(launch.created)} of {len(names)} launched: {span(launch.created)}"
    train = "bay train" if has_project else f"bay train {names[0]} train.py --data data"
    proof = "identical" if launch.identical else f"NOT identical; `bay verify {launch.fleet}` says what differs"
    if launch.identical and len(launch.created) < len(names):
        proof += _unseen(launch.fleet)
    return "\n".join(
        [
            first,
            f"  image   {image.name} {image.digest[:12]} ({what}, Python {image.python_version})",
            f"  proof   {count_of(len(names), 'fingerprint')}, {proof}",
            f"  clock   {clock_text(launch.clock)}",
            *(f"  share   {line}" for line in launch.parts),
            f"  cost    $0.00 an hour: they are on this machine{_there(launch.elsewhere)}.",
            "          A layer keeps packages and files apart, not hostile users.",
            f"  next    {train}    bay shell {names[0]}    bay terminate {launch.fleet}",
        ]
    )


def _there(elsewhere: Sequence[Elsewhere]) -> str:
    if not elsewhere:
        return ""
    return f" (on EC2 {_sum(item.usd_per_hour for item in elsewhere)}: {_types_of(elsewhere)})"


def update_text(updated: Update | FarUpdate) -> str:
    """Say what an update brought, and what people have to install again themselves."""
    image, names = updated.image, [item.name for item in updated.instances]
    if not updated.updated:
        return f"{updated.fleet} stands on {image.name} {image.digest[:12]} already: {span(names)}; nothing to update."
    lines = [
        f"{len(updated.updated)} of {len(names)} moved: {span(updated.updated)}; homes, working folders and runs stay",
        f"  image   {image.name} {image.digest[:12]}",
        f"  proof   {count_of(len(names), 'fingerprint')}, " + _sameness(updated),
        f"  clock   {clock_text(updated.clock)}",
    ]
    for item in updated.replayed:
        if item.packages:
            lines.append(f"  {item.instance}: installed again: {', '.join(item.packages)}")
        lines += [f"  {item.instance}: NOT installed again: {name}: {why}" for name, why in item.left.items()]
    if updated.kept:
        lines.append("  files that had been put into an environment were copied into the homes:")
        lines += [f"    {path}" for path in updated.kept[:20]]
    return "\n".join(lines)


def _sameness(updated: Update | FarUpdate) -> str:
    if any(item.packages for item in updated.replayed):
        return "identical but for what people had installed"
    if updated.identical:
        return f"identical{_unseen(updated.fleet)}"
    return f"NOT identical; `bay verify {updated.fleet}` says what differs"


def _unseen(fleet: str) -> str:
    """Say what was not compared of instances that people have been in."""
    return f"; homes and data are compared by `bay verify {fleet}`"


_COST = ("USD/H", "SO FAR")


def ps_text(rows: Sequence[Row], width: int | None = None) -> str:
    """Say what instances there are."""
    if not rows:
        return "No instances. `bay launch tensorflow -n 3` makes some."
    has_people = any(row.person for row in rows)
    shown = table(
        ("NAME", *(["PERSON"] if has_people else []), "FLEET", "STATE", "IMAGE", "PROVIDER", *_COST, "AGE", "RUNNING"),
        [
            (
                row.name,
                *([row.person or "-"] if has_people else []),
                row.fleet,
                row.state,
                row.image,
                row.provider,
                "unknown" if row.usd_per_hour is None else format_amount(Decimal(row.usd_per_hour), most=4, least=2),
                row.cost_so_far or "unknown",
                format_duration(row.age_s),
                " ".join([*row.running, *map(service_cell, row.services)]) or "-",
            )
            for row in rows
        ],
        right=[column + has_people for column in (5, 6, 7)],
        width=width,
        least=("FLEET", "PROVIDER", "SO FAR", "USD/H", "AGE"),
    )
    lines = _cost_lines(rows)
    return "\n".join([shown, "", *(textwrap.fill(line, width or 1000, subsequent_indent=" " * 10) for line in lines)])


def _cost_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Say what all of it costs an hour and has cost, and what the same would on EC2."""
    fleets = {row.fleet: row for row in rows}.values()
    an_hour, so_far = _sum(row.usd_per_hour for row in rows), _sum(row.fleet_so_far for row in fleets)
    yield f"cost      {an_hour} an hour, {so_far} since launch"
    known = [row.elsewhere for row in rows if row.elsewhere is not None]
    if known:
        an_hour = _sum(row.elsewhere.usd_per_hour if row.elsewhere else None for row in rows)
        so_far = _sum(row.fleet_elsewhere_so_far for row in fleets)
        yield f"on EC2    {an_hour} an hour, {so_far} since launch: {_types_of(known)}{_of_all(known, rows)}"
    for row in fleets:
        ends = [(item.ends_at, item.name) for item in rows if item.fleet == row.fleet and item.ends_at is not None]
        if ends:
            kind = f"{row.type}, {row.market}, {row.region}"
            yield f"lease     {row.fleet} ({kind}) ends itself{_by(ends)}; `bay extend {row.fleet} 2h`"


def _by(ends: Sequence[tuple[float, str]]) -> str:
    """Say by when instances end: the first and the last where that is not at the same time."""
    (first, sooner), (last, later) = min(ends), max(ends)
    if when(first) == when(last):
        return f" by {when(first)}"
    return f", the first ({sooner}) by {when(first)}, the last ({later}) by {when(last)}"


def _sum(amounts: Iterable[str | None]) -> str:
    """Add up amounts in US dollars; what is unknown makes the sum so."""
    found = list(amounts)
    if None in found:
        return "unknown"
    usd = sum((Decimal(amount) for amount in found if amount is not None), Decimal(0))
    return f"${format_amount(usd, most=4, least=2)}"


def _types_of(known: Sequence[Elsewhere]) -> str:
    """Say which types the same would be, and since when their prices are known."""
    return ", ".join(f"{count} × {_type_of(item)}" for item, count in Counter(known).items())


def _type_of(item: Elsewhere) -> str:
    more = (
        f" (with {count_of(item.gpus, 'GPU')} in the place of {item.gpus_here})" if item.gpus > item.gpus_here else ""
    )
    changed = ", known to have changed since" if item.is_stale else ""
    return f"{item.type}{more} in {item.region}, price of {item.as_of}{changed}"


def verification_text(name: str, proof: Verification) -> str:
    """Say whether instances are identical, and what is not."""
    odd_ones = [item for item in proof.differences if item.kind != "gpu"]
    silent = {item.instance for item in odd_ones if item.kind == "machine"}
    count = len(proof.fingerprints)
    all_ = count_of(count + len(silent), "instance")
    lines = []
    if proof.identical:
        lines.append(f"{name}: {all_}, identical, and every file of the image is what its packages say.")
    elif silent and len(silent) == len({item.instance for item in odd_ones}) and not proof.image_problems:
        do = "does" if len(silent) == 1 else "do"
        lines.append(f"{name}: NOT PROVEN identical. {len(silent)} of {all_} {do} not answer, or stand no more.")
        lines += few([f"{item.instance}: {item.what}" for item in odd_ones])
    else:
        odd = list(dict.fromkeys(item.instance for item in odd_ones))
        lines.append(
            f"{name}: NOT identical. {len(odd)} of {all_} differ{'s' if len(odd) == 1 else ''}."
            if odd
            else f"{name}: the image was changed."
        )
        lines += few([f"{item.instance}: {item.what}" for item in odd_ones])
        if proof.image_problems:
            named = [f"{item.get('instance')}: " for item in proof.fingerprints]
            is_of_one = all(problem.startswith(tuple(named)) for problem in proof.image_problems)
            lines.append("an image was changed:" if is_of_one else f"the image below all {count} of them was changed:")
            lines += few(proof.image_problems)
    if proof.gpu_proven is not None:
        lines.append(
            f"  gpu     {'the framework can use every GPU' if proof.gpu_proven else 'NOT every GPU can be used by the framework'}"
        )
        lines += few([f"{item.instance}: {item.what}" for item in proof.differences if item.kind == "gpu"])
    if proof.declared:
        lines.append(
            f"  gpu     declared by the twin on {count_of(len(proof.declared), 'instance')}, not there: nothing is proven of it"
        )
    if proof.content:
        lines.append(f"  content {proof.content}")
    lines.append(
        f"  clock   fingerprints {format_duration(proof.seconds['fingerprints'])} "
        f"({format_duration(proof.seconds['per_instance'])} an instance), image {format_duration(proof.seconds['images'])}"
    )
    return "\n".join(lines)


def ended_text(ended: Ended) -> str:
    """Say what was stopped, started or removed."""
    done = {"stop": "stopped", "start": "started", "reboot": "restarted", "terminate": "terminated"}[ended.verb]
    if not ended.names:
        return "Nothing of it is left: it was terminated before."
    names = ended.names[0] if len(ended.names) == 1 else f"{ended.names[0]} to {ended.names[-1]} ({len(ended.names)})"
    if not ended.changed:
        return f"{names} {'is' if len(ended.names) == 1 else 'are'} {ended.state} already."
    ended_words = f", {count_of(ended.processes_ended, 'process')} ended" if ended.processes_ended else ""
    left = "; runs, logs and models stay (`bay runs`)" if ended.verb == "terminate" else ""
    is_of_interest = ended.verb == "terminate" or ended.usd_per_day != "0.00"
    cost = f" What still costs: ${ended.usd_per_day} a day." if is_of_interest else ""
    return "\n".join([f"{names} {done}{ended_words}{left}.{cost}", *_spent_lines(ended.spent)])


def _spent_lines(spent: Sequence[Spent]) -> Iterator[str]:
    """Say what a fleet cost in all, and what the same would have on EC2."""
    if not spent:
        return
    total = add_up(item.usd for item in spent)
    yield f"cost      {'unknown' if total is None else f'${total}'} since launch"
    known = [item.elsewhere for item in spent if item.elsewhere is not None]
    there = add_up(item.usd_elsewhere for item in spent)
    if known:
        amount = "unknown" if there is None else f"${there}"
        yield f"on EC2    {amount} for the same: {_types_of(known)}{_of_all(known, spent)}"


def _of_all(known: Sequence[Elsewhere], every: Sequence[object]) -> str:
    """Say of how many it is not known what the same would be."""
    lacking = len(every) - len(known)
    return f", and {lacking} of which that is not known" if lacking else ""
