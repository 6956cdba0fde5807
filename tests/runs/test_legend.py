from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.runs.chart import loss_chart
from launchbay.runs.curves import Curves
from launchbay.runs.legend import Pen, list_legend
from tests.runs.odd import decay
from tests.runs.writing import curves_of

NAME = "run-20261123-12101{}-hsn3b"


def legend(curves: Curves, width: int, *, most: int = 8, color: bool = False, unicode: bool = True) -> list[str]:
    chart = loss_chart(curves)
    pen = Pen(color=color, unicode=unicode, is_lone=len(curves.runs) == 1)
    return list_legend(curves, chart, pen, width, most)[1:]


def some(folder: Path, count: int, scale: float = 1.0) -> Curves:
    training, validation = [scale * value for value in decay()], [scale * value for value in decay(floor=2.5)]
    return curves_of(
        folder, **{NAME.format(index): {"loss": training, "val_loss": validation} for index in range(count)}
    )


def test_a_run_has_one_line_where_it_fits(tmp_path: Path) -> None:
    (line,) = legend(some(tmp_path, 1), 85)
    assert line == "run-20261123-121010-hsn3b  ━━ validation 2.5, best 2.5 at 199  ·· training 0.1"


@pytest.mark.parametrize("width", [40, 60])
def test_on_a_narrow_terminal_each_curve_has_a_line_with_its_numbers(tmp_path: Path, width: int) -> None:
    assert legend(some(tmp_path, 1), width) == [
        "run-20261123-121010-hsn3b",
        "  ━━ validation 2.5, best 2.5 at 199",
        "  ·· training 0.1",
    ]


def test_a_line_that_is_still_too_long_goes_on_in_the_next(tmp_path: Path) -> None:
    assert legend(some(tmp_path, 1, scale=1.23e6), 40, unicode=False) == [
        "run-20261123-121010-hsn3b",
        "  A validation 3.08e+06,",
        "    best 3.08e+06 at 199",
        "  a training 123,587",
    ]


def test_best_values_are_left_out_before_runs_are(tmp_path: Path) -> None:
    assert legend(some(tmp_path, 3), 40, most=6) == [
        "run-20261123-121010-hsn3b",
        "  A validation 2.5  a training 0.1",
        "run-20261123-121011-hsn3b",
        "  B validation 2.5  b training 0.1",
        "run-20261123-121012-hsn3b",
        "  C validation 2.5  c training 0.1",
    ]


def test_runs_that_are_left_out_are_counted(tmp_path: Path) -> None:
    found = legend(some(tmp_path, 9), 40, most=5)
    assert len(found) == 5
    assert found[-1] == "and 7 more"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("count", [1, 2, 8, 40])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_no_line_is_cut_or_too_long(tmp_path: Path, width: int, count: int, scale: float) -> None:
    found = legend(some(tmp_path, count, scale), width)
    assert len(found) <= 8
    assert max(map(len, found)) <= width
    assert all(line.split()[-1] for line in found)
    assert NAME.format(0) in found[0]
    text = " ".join(found)
    assert "validation" in text
    assert "training" in text


def test_signs_have_the_colour_of_their_line(tmp_path: Path) -> None:
    (line,) = legend(some(tmp_path, 1), 120, color=True)
    assert "\x1b[38;5;33m━━\x1b[0m validation" in line
    assert "\x1b[38;5;33;2m━━\x1b[0m training" in line
