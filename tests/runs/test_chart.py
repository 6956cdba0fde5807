from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from launchbay.runs.axis import Axis
from launchbay.runs.chart import Chart, loss_chart, metric_charts, printable, thin
from tests.runs.writing import curves_of


def chart(folder: Path, **scalars: list[float]) -> Chart:
    return loss_chart(curves_of(folder, run=dict(scalars)))


def labels(axis: Axis) -> list[str]:
    return [label for _, label in axis.ticks]


def test_training_and_validation_are_one_runs_two_lines(tmp_path: Path) -> None:
    found = chart(tmp_path, loss=[3, 2, 1], val_loss=[4, 3, 2])
    assert [(line.role, line.is_strong, line.index) for line in found.lines] == [
        ("training", False, 0),
        ("validation", True, 0),
    ]
    assert found.lines[1].values == (4, 3, 2)
    assert found.metric == "loss"


def test_training_alone_is_strong(tmp_path: Path) -> None:
    (line,) = chart(tmp_path, loss=[3, 2, 1]).lines
    assert line.is_strong


def test_the_best_validation_point_is_marked(tmp_path: Path) -> None:
    (mark,) = chart(tmp_path, loss=[3, 2, 1, 0.5], val_loss=[4, 2.5, 2.75, 3]).marks
    assert (mark.step, mark.value, mark.label, mark.is_bad) == (1, 2.5, "best 2.5 at 1", False)


def test_the_last_good_point_before_nan_is_marked(tmp_path: Path) -> None:
    found = chart(tmp_path, loss=[3, 2, 2, 2], val_loss=[4, 3, math.nan, math.inf])
    assert [mark.label for mark in found.marks] == ["infinite after step 1", "best 3 at 1"]
    assert found.marks[0].is_bad


def test_a_line_breaks_where_values_are_missing(tmp_path: Path) -> None:
    line = chart(tmp_path, loss=[math.nan, 1, 2, math.inf, 1e200, 5, math.nan]).lines[0]
    assert line.segments == [[(1, 1.0), (2, 2.0)], [(5, 5.0)]]


@pytest.mark.parametrize(
    ("values", "is_log"),
    [
        ([400.0, 30.0, 2.5], True),
        ([2.3, 1.0, 0.5], False),
        ([2.0, 0.0], False),
        ([50.0, -1.0], False),
        ([5.0, 5.0], False),
        ([math.nan, 1000.0, 1.0], True),
        ([math.nan], False),
    ],
)
def test_the_scale_is_logarithmic_where_values_span_decades(
    tmp_path: Path, values: list[float], *, is_log: bool
) -> None:
    assert chart(tmp_path, loss=values).y.is_log is is_log


def test_a_scale_can_be_wished_for_where_it_is_possible(tmp_path: Path) -> None:
    found = curves_of(tmp_path, run={"loss": [400.0, 2.0]}, zero={"loss": [400.0, 0.0]})
    assert not loss_chart(found, is_log=False).y.is_log
    assert not loss_chart(found, is_log=True).y.is_log  # there is no logarithm of 0
    assert loss_chart(curves_of(tmp_path, run={"loss": [3.0, 2.0]}), is_log=True).y.is_log


def test_ticks_are_round_and_inside(tmp_path: Path) -> None:
    found = chart(tmp_path, loss=[402.9, 100.0, 2.4], val_loss=[260.0, 50.0, 2.5])
    assert labels(found.y) == ["2", "5", "10", "20", "50", "100", "200", "500"]
    linear = chart(tmp_path, loss=[float(value) for value in range(500)])
    assert labels(linear.x) == ["0", "100", "200", "300", "400", "500"]
    assert labels(loss_chart(curves_of(tmp_path, run={"loss": [0.9, 0.1]}), is_log=False).y) == [
        "0.2",
        "0.4",
        "0.6",
        "0.8",
    ]


def test_every_drawn_point_lies_on_the_axes(tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(100):
        size = 10.0 ** chance.randrange(-12, 12)
        sign = chance.choice([1, 1, 1, -1])
        values = [sign * size * 10 ** chance.uniform(0, chance.choice([0.1, 1, 3])) for _ in range(20)]
        found = chart(tmp_path, loss=values)
        places = [found.y.place(value) for _, value in found.lines[0].finite]
        assert min(places) > 0
        assert max(places) < 1
        assert 2 <= len(found.y.ticks) <= 12
        assert all(0 <= found.y.place(value) <= 1 for value, _ in found.y.ticks)
        assert len(set(labels(found.y))) == len(found.y.ticks)


def test_a_memorising_training_loss_does_not_flatten_the_validation_loss(tmp_path: Path) -> None:
    found = chart(tmp_path, loss=[10.0**-power for power in range(20)], val_loss=[1.0 - 0.01 * i for i in range(20)])
    assert found.y.low > 1e-5
    assert found.y.place(1e-15) < 0


def test_a_single_point_and_no_point_have_axes(tmp_path: Path) -> None:
    one = chart(tmp_path, loss=[2.0])
    assert one.x.low < 0 < one.x.high
    assert one.y.low < 2 < one.y.high
    none = chart(tmp_path, loss=[math.nan, math.nan])
    assert none.y.ticks == ()
    assert none.marks[:0] == ()


def test_metrics_other_than_the_loss_have_charts_of_their_own(tmp_path: Path) -> None:
    found = metric_charts(
        curves_of(
            tmp_path,
            a={"loss": [1, 2], "accuracy": [0.5, 0.9], "val_accuracy": [0.4, 0.8]},
            b={"loss": [1, 2], "lr": [0.1, 0.01]},
        )
    )
    assert [(item.metric, len(item.lines)) for item in found] == [("accuracy", 2), ("lr", 1)]
    assert found[1].lines[0].index == 1
    assert found[0].marks == ()  # the lowest accuracy is not the best


def test_a_run_without_a_loss_shows_its_first_metric(tmp_path: Path) -> None:
    found = loss_chart(curves_of(tmp_path, run={"accuracy": [0.5, 0.9]}))
    assert found.metric == "accuracy"
    assert found.lines[0].values == (0.5, 0.9)


def test_a_run_without_a_loss_has_no_line_beside_runs_with_one(tmp_path: Path) -> None:
    runs = {"a": {"loss": [3.0, 2.0]}, "b": {"accuracy": [0.5, 0.9]}, "c": {"loss": [2.0, 1.0]}}
    found = curves_of(tmp_path, **runs)
    assert [(line.run, line.index) for line in loss_chart(found).lines] == [("a", 0), ("c", 2)]
    assert [item.metric for item in metric_charts(found)] == ["accuracy"]


def test_where_no_run_has_a_loss_the_first_metric_is_drawn_once(tmp_path: Path) -> None:
    found = curves_of(tmp_path, a={"accuracy": [0.5, 0.9], "f1": [0.1, 0.2]}, b={"f1": [0.1, 0.3]})
    assert [line.run for line in loss_chart(found).lines] == ["a"]
    assert [item.metric for item in metric_charts(found)] == ["f1"]


def test_visible_lines_are_those_of_which_something_is_drawn(tmp_path: Path) -> None:
    deep = [10.0**-power for power in range(8, 28)]
    found = loss_chart(
        curves_of(
            tmp_path,
            lost={"loss": [math.nan] * 20},
            deep={"loss": deep, "val_loss": [1.0 - 0.01 * index for index in range(20)]},
            seen={"loss": [3.0, 2.0]},
        )
    )
    assert [(number, line.run, line.role) for number, line in found.visible] == [
        (2, "deep", "validation"),
        (3, "seen", "training"),
    ]


def test_thinning_keeps_ends_and_spikes() -> None:
    points = [(step, math.sin(step / 500)) for step in range(10_000)]
    points[4321] = (4321, 50.0)
    points[777] = (777, -50.0)
    kept = thin(points, 500)
    assert len(kept) <= 510
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert {(4321, 50.0), (777, -50.0)} <= set(kept)
    assert kept == sorted(set(kept))
    assert thin(points[:400], 500) == points[:400]


def test_medians_take_the_noise_out(tmp_path: Path) -> None:
    values = [1.0 if index % 10 else 1000.0 for index in range(2000)]
    values[1999] = 7.0
    curves = curves_of(tmp_path, run={"loss": values})
    (line,) = loss_chart(curves, most=100).lines
    assert len(line.steps) == 100
    assert set(line.values) == {1.0}
    assert line.last == 7.0


def test_control_characters_are_not_printed() -> None:
    assert printable("run\x1b[31m\n1") == "run\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}1"
    assert printable("Läuft 1") == "Läuft 1"
