from __future__ import annotations

import random
from pathlib import Path

import pytest

from launchbay.runs.chart import loss_chart
from launchbay.runs.label import Label, place_labels
from tests.runs.writing import curves_of

WIDTH, HEIGHT, SIZE = 640.0, 310.0, 9.0


def place(folder: Path, **runs: list[float]) -> dict[str, tuple[Label, tuple[float, float]]]:
    """Place the words of runs, by run, each with the point that it is about."""
    chart = loss_chart(curves_of(folder, **{name: {"val_loss": values} for name, values in runs.items()}))
    found = {}
    for label in place_labels(chart, width=WIDTH, height=HEIGHT, size=SIZE):
        point = chart.x.place(label.mark.step) * WIDTH, chart.y.place(label.mark.value) * HEIGHT
        found[list(runs)[label.mark.index]] = label, point
    return found


def box(label: Label) -> tuple[float, float, float, float]:
    long = 0.55 * SIZE * len(label.mark.label)
    left = label.x - long * {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor]
    return left, label.y - SIZE / 2, left + long, label.y + SIZE / 2


def meet(one: Label, other: Label) -> bool:
    left, bottom, right, top = box(one)
    other_left, other_bottom, other_right, other_top = box(other)
    return left < other_right and other_left < right and bottom < other_top and other_bottom < top


def test_words_stand_right_below_a_lowest_point_that_has_room(tmp_path: Path) -> None:
    label, (x, y) = place(tmp_path, run=[abs(step - 50) + 1.0 for step in range(100)])["run"]
    assert label.mark.label == "best 1 at 50"
    assert label.anchor == "middle"
    assert label.x == pytest.approx(x)
    assert not label.is_apart
    assert 0 < y - label.y < 2 * SIZE


@pytest.mark.parametrize(("best", "anchor"), [(0, "start"), (99, "end")])
def test_words_stay_inside_at_the_ends(tmp_path: Path, best: int, anchor: str) -> None:
    label, _ = place(tmp_path, run=[abs(step - best) + 1.0 for step in range(100)])["run"]
    assert label.anchor == anchor
    assert box(label)[0] >= 0
    assert box(label)[2] <= WIDTH


def test_words_of_near_points_do_not_lie_on_each_other(tmp_path: Path) -> None:
    runs = {f"r{at}": [abs(step - at) + 1.0 for step in range(100)] for at in (47, 50, 53)}
    labels = [label for label, _ in place(tmp_path, **runs).values()]
    assert len(labels) == 3
    assert not any(meet(one, other) for one in labels for other in labels if one is not other)


@pytest.mark.parametrize("below", [0.01, 0.02, 0.03, 0.05])
def test_words_avoid_the_line_of_another_run(tmp_path: Path, below: float) -> None:
    found = place(tmp_path, upper=[3.0 + abs(step - 50) / 100 for step in range(100)], lower=[3.0 - below] * 100)
    label, (_, level) = found["upper"][0], found["lower"][1]
    assert not box(label)[1] < level < box(label)[3]


@pytest.mark.parametrize("seed", range(20))
def test_words_of_noisy_runs_stay_near_inside_and_apart(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    runs = {
        f"r{index}": [3 + index / 10 + 400 * 0.97**step + chance.gauss(0, 0.3) for step in range(500)]
        for index in range(3)
    }
    found = list(place(tmp_path, **runs).values())
    assert len(found) == 3
    for label, (x, y) in found:
        left, bottom, right, top = box(label)
        assert left >= 0
        assert bottom >= 0
        assert right <= WIDTH
        assert top <= HEIGHT
        away = max(left - x, x - right, 0.0), max(bottom - y, y - top, 0.0)
        assert max(away) < 8 * SIZE
        assert label.is_apart or max(away) < 3 * SIZE
    labels = [label for label, _ in found]
    assert not any(meet(one, other) for one in labels for other in labels if one is not other)


def test_words_for_which_there_is_no_room_are_left_out(tmp_path: Path) -> None:
    chart = loss_chart(curves_of(tmp_path, run={"loss": [3.0, 2.0]}))
    assert place_labels(chart, width=20, height=300, size=9) == ()
