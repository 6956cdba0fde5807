"""Instance types as text for people. Pure."""

from __future__ import annotations

import csv
import io
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from launchbay.cli.table import table
from launchbay.spec.names import nearest
from launchbay.units import count_of

if TYPE_CHECKING:
    from launchbay.api.types import Answer, Offer

__all__ = ["choose_columns", "compare_text", "csv_text", "left_out_text", "types_text"]

_OF_GPUS = ("type", "gpus", "gpu", "gpu-memory", "capability", "vcpus", "memory", "price", "priced")
_OF_DEVICES = ("type", "accelerators", "vcpus", "memory", "network", "price", "priced")
_OF_OTHERS = ("type", "vcpus", "memory", "arch", "network", "disk", "price", "priced")
_LEAST = ("priced", "network", "capability", "disk", "arch", "generation", "memory", "vcpus", "gpu-memory")
"""Columns that go where a terminal is narrow, in this order."""
_COMPARED = (
    "generation", "vcpus", "memory", "processor", "arch", "gpus", "gpu", "gpu-memory", "gpu-memory-total", "capability",
    "accelerators",
    "disk", "network", "efa", "ebs", "price", "price-per-gpu", "price-per-vcpu", "priced", "method", "source",
    "spot", "spot-range", "spot-zone", "spot-priced", "spot-source",
)  # fmt: skip


def choose_columns(typed: str | None, answer: Answer) -> Sequence[str]:
    """Return which columns are shown: those typed, or those that tell the offers apart.

    Raises NotFound with the nearest names for one that there is not.
    """
    from launchbay.catalog.column import COLUMNS

    if typed is not None:
        chosen = [name.strip() for name in typed.split(",") if name.strip()]
        for name in chosen or [""]:
            if name not in COLUMNS:
                raise nearest(name, COLUMNS, kind="column", hint=f"--columns takes some of {', '.join(COLUMNS)}")
        return chosen
    offers = answer.found.offers
    chosen = list(_OF_GPUS if any(offer.type.gpu for offer in offers) else _OF_OTHERS)
    if chosen[1] != "gpus" and any(offer.type.accelerators for offer in offers):
        chosen = list(_OF_DEVICES)
    if len(answer.question.regions) > 1:
        chosen.insert(1, "region")
    if answer.question.market == "spot":
        chosen.insert(chosen.index("price"), "spot")
    if any(offer.type.is_retired for offer in offers):
        chosen.append("generation")
    if answer.question.sort not in chosen:
        chosen.append(answer.question.sort)
    return chosen


def types_text(answer: Answer, columns: Sequence[str], width: int | None = None) -> str:
    """List types with their prices, and say below how old those are and what is not known."""
    from launchbay.catalog.column import COLUMNS

    offers = answer.found.offers
    notes = [_wrap(note, width) for note in _notes(answer, columns)]
    if not offers:
        return "\n".join(["No instance type matches.", *notes])
    shown = [COLUMNS[name] for name in columns]
    listed = table(
        [column.head for column in shown],
        [[column.text(offer) for column in shown] for offer in offers],
        right=[place for place, column in enumerate(shown) if column.is_number],
        width=width,
        least=[COLUMNS[name].head for name in _LEAST if name in columns[1:] and name != answer.question.sort],
    )
    return "\n".join([listed, "", *notes])


def _wrap(note: str, width: int | None) -> str:
    return textwrap.fill(note, width, subsequent_indent="  ", break_long_words=False) if width else note


def _notes(answer: Answer, columns: Sequence[str]) -> list[str]:
    """Return what a reader has to know besides: how many, from when and whom the prices are, what is unknown."""
    question, found = answer.question, answer.found
    many = len(question.regions) > 1
    noun = "offer" if many else "type"
    where = f"{len(question.regions)} regions" if many else question.regions[0]
    said = f"{count_of(found.matched, noun)} in {where}"
    if len(found.offers) < found.matched:
        said += f", of which {len(found.offers)} {_are(len(found.offers))} shown (--limit {found.matched} shows all)"
    doubts = [_unpriced(answer), left_out_text(answer)]
    lines = [" ".join([f"{said}." if found.matched else "", *doubts])]
    if answer.needs:
        lines.append(f"{answer.needs}.")
    lines += _ages(found.offers, with_spot=any(name.startswith("spot") for name in columns))
    if found.elsewhere and not found.matched:
        types = count_of(found.elsewhere, "type")
        if question.max_usd_per_hour is None:
            lines.append(f"{types} would, in other regions (--region all).")
        else:
            lines.append(f"{types} may, in other regions (--region all): what they cost there was not looked at.")
    if found.retired:
        verb = "matches and is" if found.retired == 1 else "match and are"
        lines.append(f"{count_of(found.retired, f'more {noun}')} {verb} offered no more (--retired).")
    return [" ".join(line.split()) for line in lines if line.strip()]


def left_out_text(answer: Answer) -> str:
    """Say of how many nobody knows whether they match, so that they are not among the offers; nothing where there are none."""
    question, found = answer.question, answer.found
    words = ""
    if found.unpriced and question.max_usd_per_hour is not None:
        words = f"Of {found.unpriced} more no {_price_of(answer)} is known, so they may or may not cost less than the ceiling."
        words += _who_knows(answer)
    if found.unrated:
        words += f" Of {found.unrated} more the compute capability is not known."
    return words.strip()


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _unpriced(answer: Answer) -> str:
    """Say of how many of the offers no price is known."""
    question, found = answer.question, answer.found
    if not found.unpriced or question.max_usd_per_hour is not None:
        return ""
    if found.unpriced == found.matched:
        return f"No {_price_of(answer)} of them is known.{_who_knows(answer)}"
    return f"Of {found.unpriced} no {_price_of(answer)} is known.{_who_knows(answer)}"


def _price_of(answer: Answer) -> str:
    return "spot price" if answer.question.market == "spot" else "price"


def _who_knows(answer: Answer) -> str:
    """Say how spot prices come to be known, where none is."""
    question = answer.question
    if question.market != "spot" or any(offer.spot for offer in answer.found.offers):
        return ""
    region = question.regions[0] if len(question.regions) == 1 else "REGION"
    return f" `bay types refresh --region {region}` asks AWS for them."


def _ages(offers: Sequence[Offer], *, with_spot: bool) -> list[str]:
    """Say from when and from whom the prices shown are, and which of them are worth less."""
    shown = [("Prices", [offer.price for offer in offers if offer.price])]
    if with_spot:
        shown.insert(0, ("Spot prices, of the cheapest zone", [offer.spot for offer in offers if offer.spot]))
    lines = []
    for name, prices in shown:
        if prices:
            days = sorted({price.as_of for price in prices})
            span = f"{days[0]} to {days[-1]}" if days[1:] else f"{days[0]}"
            packages = sorted({price.source.partition(" ")[0] for price in prices})
            methods = Counter(price.method for price in prices)
            how = ", ".join(f"{count} {method}" for method, count in methods.most_common())
            lines.append(
                f"{name}: US dollars an hour for Linux, known as of {span}, from {' and '.join(packages)} ({how})."
            )
    if any(offer.price and offer.price.is_stale for offer in offers):
        lines.append("* is known to have changed since.")
    return lines


def compare_text(offers: Sequence[Offer], width: int | None = None) -> str:
    """Put types side by side, a row for each of their properties that one of them has."""
    from launchbay.catalog.column import COLUMNS

    rows = []
    for name in _COMPARED:
        cells = [COLUMNS[name].text(offer) for offer in offers]
        if any(cell not in ("-", "unknown") for cell in cells) or name == "price":
            rows.append([COLUMNS[name].head, *cells])
    offered = ["yes" if offer.region in offer.type.regions else "no" for offer in offers]
    rows.append([f"IN {offers[0].region}", *offered])
    lines = [table(["", *(offer.type.name for offer in offers)], rows, width=width)]
    if any(offer.price and offer.price.is_stale for offer in offers):
        lines += ["", "* is known to have changed since."]
    return "\n".join(lines)


def csv_text(offers: Sequence[Offer]) -> str:
    """Write offers as CSV, the fields those of the JSON value; several values in one are parted by blanks."""
    from launchbay.catalog.offer import FIELDS

    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    for offer in offers:
        row = offer.as_json()
        writer.writerow(
            {name: " ".join(map(_cell, value)) if isinstance(value, list) else value for name, value in row.items()}
        )
    return text.getvalue().rstrip("\n")


def _cell(value: str | Mapping[str, object]) -> str:
    """Write one of several values; of an accelerator ``neuron:Trainium:1:32768``: kind, name, how many, MiB of each."""
    if isinstance(value, str):
        return value
    return ":".join(str(value[name]).replace(" ", "-") for name in ("kind", "name", "count", "memory_mib"))
