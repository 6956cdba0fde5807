"""Learning curves as one HTML page that is complete in itself: no other file, font or address is asked for.

Charts are inline SVG, drawn here, and read without JavaScript; with it, values show under the pointer and
runs can be hidden. Colours follow the reader's light or dark setting.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources

from launchbay.runs.chart import Chart, Line, loss_chart, metric_charts, printable
from launchbay.runs.curves import Curves, RunCurves
from launchbay.runs.diagnosis import format_value
from launchbay.runs.svg import Frame, color_class, draw_svg, thin_for_page

__all__ = ["render_page"]

_FEW = 3  # runs whose best values are written into the chart


def render_page(curves: Curves) -> str:
    """Render the page: what each run shows, the loss, a table of last and best values, the other metrics."""
    names = [printable(name) for name in curves.runs]
    title = f"Learning curves of {names[0] if len(names) == 1 else f'{len(names)} runs'}"
    files = resources.files("launchbay.runs")
    main = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            *_cards(curves),
            _loss_figure(curves),
            _table(curves),
            *_metric_figures(curves),
            *_warnings(curves),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # The promise that nothing is loaded, kept by the browser.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{files.joinpath('page.css').read_text('utf-8')}</style>\n"
        f"<main>\n{main}\n</main>\n<footer>Written by <code>bay curves</code>.</footer>\n"
        f"<script>\n{files.joinpath('page.js').read_text('utf-8')}</script>\n</html>\n"
    )


def _cards(curves: Curves) -> Iterator[str]:
    yield '<section class="runs">'
    for index, (name, run) in enumerate(curves.runs.items()):
        found = run.diagnosis
        yield (
            f'<article class="{color_class(index)}"><h2><i class="key"></i>{escape(printable(name))}{_note(run)} '
            f'<span class="verdict {found.verdict}">{found.verdict}</span></h2>'
            f"<p>{escape(printable(found.sentence))}</p>"
            f'<p class="rule">Rule: {escape(printable(found.rule))}.</p></article>'
        )
    yield "</section>"


def _note(run: RunCurves) -> str:
    return f" <small>{escape(printable(run.note))}</small>" if run.note else ""


def _warnings(curves: Curves) -> Iterator[str]:
    lines = list(dict.fromkeys(warning for run in curves.runs.values() for warning in run.warnings))
    if lines:
        items = "".join(f"<li>{escape(printable(line))}</li>" for line in lines)
        yield f'<section class="warnings"><h2>Damaged places, left out</h2><ul>{items}</ul></section>'


# --- table ----------------------------------------------------------------------------------------


def _table(curves: Curves) -> str:
    rows = "".join(
        f'<tr class="{color_class(index)}"><th scope="row"><i class="key"></i>{escape(printable(name))}{_note(run)}</th>'
        f"{_half(run, 'training')}{_half(run, 'validation')}</tr>"
        for index, (name, run) in enumerate(curves.runs.items())
    )
    return (
        '<section class="scroll"><table><thead><tr><th rowspan="2" scope="col">loss</th>'
        '<th colspan="4" scope="colgroup">training</th><th colspan="4" scope="colgroup">validation</th>'
        "</tr><tr>"
        + "<th>points</th><th>last</th><th>best</th><th>at step</th>" * 2
        + f"</tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _half(run: RunCurves, role: str) -> str:
    name = None if run.loss is None else (run.loss.training if role == "training" else run.loss.validation)
    scalar = run.find(name)
    if scalar is None or not scalar.steps:
        return '<td class="none" colspan="4">none</td>'
    finite = [point for point in zip(scalar.values, scalar.steps, strict=True) if math.isfinite(point[0])]
    best, step = min(finite) if finite else (None, None)
    cells = [
        f"{len(scalar.steps):,}",
        format_value(scalar.values[-1]),
        "none" if best is None else format_value(best),
        "none" if step is None else f"{step:,}",
    ]
    return "".join(f"<td>{cell}</td>" for cell in cells)


# --- charts ---------------------------------------------------------------------------------------


def _loss_figure(curves: Curves) -> str:
    chart = loss_chart(curves)
    other = loss_chart(curves, is_log=not chart.y.is_log)
    can_switch = other.y.is_log != chart.y.is_log  # there is no logarithm of zero or less
    return _figure(curves, [chart, other] if can_switch else [chart], 1080, 440)


def _metric_figures(curves: Curves) -> Iterator[str]:
    charts = [chart for chart in metric_charts(curves) if _is_worth_drawing(chart)]
    if charts:
        yield '<h2>Other metrics</h2><section class="grid">'
        yield from (_figure(curves, [chart], 560, 280) for chart in charts)
        yield "</section>"


def _is_worth_drawing(chart: Chart) -> bool:
    """Tell a curve from a single point and from a constant (a fixed learning rate)."""
    values = {value for line in chart.lines for _, value in line.finite}
    return len(values) > 1 and any(len(line.steps) > 1 for line in chart.lines)


def _figure(curves: Curves, scales: Sequence[Chart], width: int, height: int) -> str:
    """Put a chart into the page, in the one or two scales between which the reader may switch."""
    frames = [Frame(chart=chart, width=width, height=height) for chart in scales]
    chart = scales[0]
    plots = "".join(
        f'<div class="plot"{" hidden" if number else ""}>{draw_svg(frame, has_words=len(curves.runs) <= _FEW)}</div>'
        for number, frame in enumerate(frames)
    )
    return (
        f"<figure><figcaption><b>{escape(printable(chart.metric))}</b>{_switch(scales)}"
        f'<span class="keys">{"".join(_key(number, line, curves) for number, line in chart.visible)}</span></figcaption>'
        f'<div class="stage">{plots}<div class="tip" hidden></div></div>'
        f'<script type="application/json">{_data(frames[0])}</script></figure>'
    )


def _switch(scales: Sequence[Chart]) -> str:
    names = ["log" if chart.y.is_log else "linear" for chart in scales]
    if len(names) == 1:
        return f" <small>{names[0]} scale</small>"
    buttons = "".join(
        f'<button type="button" aria-pressed="{"false" if number else "true"}">{name}</button>'
        for number, name in enumerate(names)
    )
    return f'<span class="switch" role="group" aria-label="scale">{buttons}</span>'


def _key(number: int, line: Line, curves: Curves) -> str:
    name = line.role if len(curves.runs) == 1 else f"{printable(line.run)} {line.role}"
    note = _note(curves.runs[line.run]) if line.is_strong else ""
    kind = "strong" if line.is_strong else "light"
    return (
        f'<button type="button" class="{color_class(line.index)}" data-key="{number}" aria-pressed="true">'
        f'<i class="key {kind}"></i>{escape(name)}{note}</button>'
    )


def _data(frame: Frame) -> str:
    """Give the script what it needs to find values under the pointer."""
    chart = frame.chart
    lines = []
    for line in chart.lines:
        points = thin_for_page(line.finite, len(chart.lines))
        lines.append(
            {
                "name": f"{printable(line.run)} {line.role}",
                "color": color_class(line.index),
                "kind": "strong" if line.is_strong else "light",
                "steps": [step for step, _ in points],
                "values": [value for _, value in points],
            }
        )
    value = {"box": frame.box, "steps": [chart.x.low, chart.x.high], "lines": lines}
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
