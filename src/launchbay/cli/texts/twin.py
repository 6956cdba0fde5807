"""The twin as text for people: where it is, what runs in it, what it would have cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from launchbay.cli.table import table
from launchbay.units import count_of, format_amount, format_duration, format_usd

if TYPE_CHECKING:
    from launchbay.api.twin import TwinStopped
    from launchbay.lifecycle.twin import Twin

__all__ = ["bill_text", "conformance_text", "stopped_text", "twin_text"]


def twin_text(twin: Twin, environment: Mapping[str, str]) -> str:
    """Say that it runs, what is in it, and how other programs find it."""
    states = ", ".join(f"{count} {state}" for state, count in sorted(twin.instances.items())) or "none yet"
    lines = [
        f"The twin runs at {twin.url}: an EC2 on this machine, on loopback alone.",
        f"  instances  {states}",
        f"  clock      {twin.clock}: {twin.now[:19].replace('T', ' ')} UTC",
        f"  calls      {twin.calls} answered" + (f", {count_of(twin.faults, 'fault')} waiting" if twin.faults else ""),
        "  others     find it by these variables:",
    ]
    lines += [f"      export {name}={value}" for name, value in environment.items()]
    lines += [f"  problem    {problem}" for problem in twin.problems]
    return "\n".join(lines)


def stopped_text(stopped: TwinStopped) -> str:
    """Say that it is ended, and what became of what was in it."""
    what = "The twin is ended" if stopped.stopped else "No twin ran"
    if stopped.forgotten:
        return f"{what}, and nothing of it is left."
    return f"{what}. What is in it stands still, costs nothing meanwhile, and goes on with `bay twin start`."


def bill_text(bill: Mapping[str, Any], *, width: int | None = None) -> str:
    """Show what each kind of thing came to, and what goes on."""
    rows = [_row(item, lines) for item, lines in _by_item(bill["lines"]).items()]
    head = ("ITEM", "TIMES", "TIME", "USD/UNIT", "USD", "NOW")
    shown = table(head, rows, right=(1, 2, 3, 4, 5), width=width) if rows else "Nothing has cost anything yet."
    total = f"{bill['usd']} USD" if bill["complete"] else f"at least {bill['usd']} USD: a price is not known"
    rate = format_amount(Decimal(bill["usd_per_hour"]), most=4)
    now = f"{count_of(bill['running'], 'thing')} that cost {rate} USD an hour" if bill["running"] else "nothing costs"
    note = (
        "this is the twin's meter: nobody is billed for it; what is in buckets is not on it: "
        "`bay store show --provider twin` says that"
    )
    return f"{shown}\n\ntotal     {total}\nnow       {now}\nnote      {note}"


def _by_item(lines: Sequence[Mapping[str, Any]]) -> Mapping[tuple[str, str | None], Sequence[Mapping[str, Any]]]:
    found: dict[tuple[str, str | None], list[Mapping[str, Any]]] = {}
    for line in lines:
        found.setdefault((line["item"], line["usd_per_unit"]), []).append(line)
    return found


def _row(item: tuple[str, str | None], lines: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    name, usd_per_unit = item
    seconds = sum(float(line["seconds"]) for line in lines)
    amount = sum((Decimal(line["usd"]) for line in lines if line["usd"] is not None), Decimal(0))
    return (
        name,
        str(len({line["resource"] for line in lines})),
        format_duration(seconds),
        usd_per_unit or "unknown",
        "unknown" if usd_per_unit is None else format_usd(amount),
        str(sum(line["end"] is None for line in lines)),
    )


def conformance_text(found: Mapping[str, Any]) -> str:
    """Say how many behaviours are as EC2's, and name each that is not, with what was found."""
    lines = [f"{found['place']}: {found['met']} of {found['behaviours']} behaviours are as EC2's."]
    for outcome in found["outcomes"]:
        if outcome["met"] is None:
            lines.append(f"  not tried  {outcome['name']}: {outcome['found']}")
        elif not outcome["met"]:
            lines.append(
                f"  missed     {outcome['name']}: {outcome['says']} Found: {' '.join(outcome['found'].split())}"
            )
    known = [sum(item["known"] == how for item in found["outcomes"]) for how in ("seen", "verified", "remembered")]
    lines.append(
        f"  sources    {known[0]} seen in AWS's documentation and public code, {known[1]} verified in botocore's models, "
        f"{known[2]} from memory (--json has each)"
    )
    if found["place"] != "EC2":
        lines.append(
            "  note       not tried on AWS by us: `bay conformance --real --max-usd 1` does, with your account"
        )
    return "\n".join(lines)
