"""A bill and its alternatives as one HTML page that is complete in itself: no other file, font or address is asked for."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from html import escape
from importlib import resources

from launchbay.cost.line import Bill
from launchbay.cost.picture.charts import Charts
from launchbay.cost.picture.panels import PANELS, draw_one, panels_of
from launchbay.cost.saving.cheapest import Cheapest
from launchbay.cost.saving.lost import Lost
from launchbay.cost.saving.rung import Rung, Used
from launchbay.cost.saving.waterfall import Waterfall
from launchbay.units import format_amount, format_usd

__all__ = ["render_page"]

_SHORT = 24
"""Characters that stay on one line in a table."""
_NEAREST = 8
"""How many of what lost are named."""
_UNKNOWN = '<span class="bad">unknown</span>'


def render_page(charts: Charts, cheapest: Cheapest | None = None) -> str:
    """Render the page: the charts, the bill line by line, and with alternatives what each rests on.

    Raises UserError where matplotlib is missing.
    """
    css = resources.files("launchbay.cost.picture").joinpath("page.css").read_text("utf-8")
    parts = [f"<h1>{escape(charts.title)}</h1>"]
    if cheapest is not None:
        parts.append(_cards(cheapest))
    parts += [_figure(charts, name) for name in panels_of(charts)]
    if cheapest is not None:
        parts += [*_steps(cheapest.waterfall), *(_rung(cheapest, rung) for rung in cheapest.alternatives)]
    bills = [("The bill", charts.bill)]
    if cheapest is not None and cheapest.bill is not None and cheapest.bill is not charts.bill:
        bills = [("The bill of the cheapest plan", charts.bill), ("Today's bill", cheapest.bill)]
    parts += [_bill(title, bill) for title, bill in bills]
    main = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # The promise that nothing is loaded, kept by the browser.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        f"<title>{escape(charts.title)}</title>\n<style>\n{css}</style>\n"
        f"<main>\n{main}\n</main>\n<footer>Written by <code>bay cost</code>. Amounts are US dollars a month of "
        f"{format_amount(charts.bill.month_hours)} hours.</footer>\n</html>\n"
    )


def _figure(charts: Charts, name: str) -> str:
    picture = base64.b64encode(draw_one(charts, name, "svg")).decode()
    return f'<figure><img alt="{escape(PANELS[name][0])}" src="data:image/svg+xml;base64,{picture}"></figure>'


def _cards(cheapest: Cheapest) -> str:
    cells = []
    if cheapest.bill is not None:
        cells.append(("today", _total(cheapest.bill), ""))
    for rung in cheapest.alternatives:
        saves = cheapest.saves_usd(rung)
        words = ""
        if saves is not None:
            words = f"saves ${format_usd(saves)}" if saves >= 0 else f"${format_usd(-saves)} dearer than today"
        cells.append((rung.name, "-" if rung.bill is None else _total(rung.bill), words))
    sections = "".join(
        f'<section class="card"><span>{escape(name)}</span><b>{total}</b><span>{escape(words)}</span></section>'
        for name, total, words in cells
    )
    return f'<div class="cards">{sections}</div>'


def _total(item: Bill | Used) -> str:
    if item.usd is None:
        return _UNKNOWN
    return f"${format_usd(item.usd)}" if item.complete else f"≥ ${format_usd(item.usd)}"


def _steps(waterfall: Waterfall) -> Iterator[str]:
    if not waterfall.steps:
        yield f'<section class="card"><small>From today to what is needed: {escape(waterfall.missing)}.</small></section>'
        return
    rows = [
        (
            escape(step.name),
            _signed(step.saves_usd),
            format_usd(step.left_usd),
            escape(step.what),
            escape(step.risk or "-"),
        )
        for step in waterfall.steps
    ]
    yield f"<h2>Step by step</h2>{_table(('step', 'saves', 'left', 'what', 'risk'), rows, numbers=(1, 2))}"


def _signed(usd: Decimal) -> str:
    kind = "good" if usd > 0 else "bad" if usd < 0 else ""
    return f'<span class="{kind}">{format_usd(usd)}</span>'


def _rung(cheapest: Cheapest, rung: Rung) -> str:
    proof = []
    if rung.bound_usd is not None and rung.gap is not None:
        gap = format_amount(rung.gap * 100, most=2)
        proof.append(f"no plan under these needs costs less than ${format_usd(rung.bound_usd)}; the gap is {gap} %")
    if rung.is_cut_short:
        proof.append("the time was over: more of it could find a cheaper plan or prove this one")
    doubts = [*(f"the price of {item} is known to have changed since" for item in rung.stale)]
    if rung is not cheapest.best:  # those of the best stand with its bill
        doubts += rung.notes
    parts = {
        "missing": rung.missing,
        "does not meet": rung.unmet,
        "needs": [f"{name}: {text}" for name, text in rung.needs.items()],
        "unknown": [f"{line.category} of {line.name} ({line.what})" for line in rung.unknown],
        "proof": proof,
        "why": rung.reasons,
        "assumed": rung.assumptions,
        "to look at": doubts,
        "what lost": [_lost(item) for item in rung.rejected if item.usd_more is not None][:_NEAREST],
    }
    rows = [
        (
            escape(item.name),
            escape(item.type if item.count == 1 else f"{item.count} × {item.type}"),
            escape(item.region),
            escape(item.market),
            escape(", ".join(item.runs) or "-"),
            format_amount(item.hours, most=1),
            _total(item).replace("$", ""),
        )
        for item in rung.instances
    ]
    head = ("name", "type", "region", "market", "runs", "hours", "usd")
    table = _table(head, rows, numbers=(5, 6)) if rows else ""
    best = " (the cheapest)" if rung is cheapest.best else ""
    lists = "".join(f"<h3>{title}</h3>{_list(lines)}" for title, lines in parts.items() if lines)
    return f'<h2>On {escape(rung.name)}{best}</h2>{table}<section class="card">{lists}</section>'


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _lost(item: Lost) -> str:
    market = ", spot" if item.market == "spot" else ""
    whom = f" for {item.job or 'what always stands'}"
    return f"{item.type} in {item.region}{market} lost{whom}: {item.reason}"


def _bill(title: str, bill: Bill) -> str:
    rows = [
        (
            escape(line.name),
            escape(line.category),
            escape(line.what),
            _UNKNOWN if line.quantity is None else format_amount(line.quantity, most=2),
            escape(line.unit),
            _UNKNOWN if line.unit_usd is None else str(line.unit_usd),
            _UNKNOWN if line.amount is None else format_usd(line.amount),
            escape("" if line.as_of is None else line.as_of.isoformat()),
            escape(line.source or "-"),
        )
        for line in bill.lines
    ]
    head = ("name", "for", "what", "quantity", "unit", "price", "usd", "price of", "source")
    notes = [*(f"assumed: {item}" for item in bill.assumptions), *bill.notes]
    total = "" if bill.complete else " (a lower bound: not everything is known)"
    return (
        f"<h2>{escape(title)}: {_total(bill)}{total}</h2>{_table(head, rows, numbers=(3, 5, 6))}"
        f'<section class="card">{_list(notes)}</section>'
    )


def _kind(place: int, cell: str, numbers: Sequence[int]) -> str:
    return "n" if place in numbers else "short" if len(cell) < _SHORT else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int]) -> str:
    """Return a table; cells are HTML already."""

    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="{_kind(place, cell, numbers)}">{cell}</{tag}>' for place, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f'<section class="card"><table><tr>{row(head, "th")}</tr>{body}</table></section>'
