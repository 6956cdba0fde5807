from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launchbay.runs.events import find_logdirs, read_events, read_scalars
from tests.runs.writing import FIRST, event, record, simple, write

DATA = Path(__file__).parent / "data"


def test_scalars_of_keras_callback_equal_its_history() -> None:
    history = json.loads((DATA / "keras" / "history.json").read_text())
    found = {(series.run, series.tag): series for series in read_scalars(DATA / "keras")}
    assert set(found) == {
        ("train", "epoch_loss"),
        ("train", "epoch_mae"),
        ("train", "epoch_learning_rate"),
        ("validation", "epoch_loss"),
        ("validation", "epoch_mae"),
        ("validation", "evaluation_loss_vs_iterations"),
        ("validation", "evaluation_mae_vs_iterations"),
    }
    for run, prefix in (("train", ""), ("validation", "val_")):
        for metric in ("loss", "mae"):
            series = found[run, f"epoch_{metric}"]
            assert series.steps == tuple(range(16))
            assert series.values == pytest.approx(history[prefix + metric], rel=1e-6)
    assert list(found["train", "epoch_loss"].wall_times) == sorted(found["train", "epoch_loss"].wall_times)


def test_scalars_of_a_torch_style_writer() -> None:
    training, validation = read_scalars(DATA / "torch")
    assert (training.run, training.tag, validation.tag) == ("", "Loss/train", "Loss/val")
    assert training.steps == tuple(range(0, 400, 10))
    assert training.values == pytest.approx([2 / (1 + step) for step in range(40)], rel=1e-6)
    assert validation.steps == tuple(range(0, 400, 50))
    assert validation.values == pytest.approx([0.25 + 2 / (1 + step) for step in range(0, 40, 5)], rel=1e-6)


def losses(steps: range, value: float, wall_time: float) -> list[bytes]:
    return [record(event(step, simple("loss", value), wall_time=wall_time + step)) for step in steps]


@pytest.mark.parametrize("names", [("1", "2"), ("2", "1")])
def test_a_restart_goes_on_with_the_history_and_its_values_win(tmp_path: Path, names: tuple[str, str]) -> None:
    first, second = names
    write(tmp_path / f"events.out.tfevents.{first}", losses(range(6), 1.0, wall_time=100))
    write(tmp_path / f"events.out.tfevents.{second}", losses(range(4, 9), 2.0, wall_time=200))
    (series,) = read_scalars(tmp_path)
    assert series.steps == tuple(range(9))
    assert series.values == (1.0,) * 4 + (2.0,) * 5


def test_what_a_killed_training_wrote_after_its_last_checkpoint_is_void(tmp_path: Path) -> None:
    """It came further than the attempt that went on from its checkpoint: that one was stopped early."""
    write(tmp_path / "events.out.tfevents.1", losses(range(8), 1.0, wall_time=100))
    write(tmp_path / "events.out.tfevents.2", losses(range(4, 6), 2.0, wall_time=200))
    (series,) = read_scalars(tmp_path)
    assert (series.steps, series.values) == (tuple(range(6)), (1.0,) * 4 + (2.0,) * 2)
    write(tmp_path / "events.out.tfevents.3", losses(range(5, 7), 3.0, wall_time=300))
    (series,) = read_scalars(tmp_path)
    assert (series.steps, series.values) == (tuple(range(7)), (1.0,) * 4 + (2.0,) + (3.0,) * 2)


def test_two_who_write_side_by_side_void_nothing_of_each_other(tmp_path: Path) -> None:
    write(tmp_path / "events.out.tfevents.1", losses(range(0, 8, 2), 1.0, wall_time=100))
    write(tmp_path / "events.out.tfevents.2", losses(range(1, 8, 2), 2.0, wall_time=100))
    (series,) = read_scalars(tmp_path)
    assert series.steps == tuple(range(8))


def test_what_one_file_lost_does_not_cost_the_others(tmp_path: Path) -> None:
    write(tmp_path / "a.tfevents", losses(range(3), 1.0, wall_time=0))
    bad = write(tmp_path / "b.tfevents", losses(range(3, 5), 1.0, wall_time=0))
    bad.write_bytes(bad.read_bytes() + b"\x01" * 40)
    size = len(FIRST) + sum(map(len, losses(range(3, 5), 1.0, wall_time=0)))
    log = read_events(tmp_path)
    assert log.series[0].steps == tuple(range(5))
    assert log.warnings == (f"{bad}: damaged at byte {size}; what follows is not read",)


def test_log_folders_are_those_with_event_files(tmp_path: Path) -> None:
    for name in ("logs/train", "logs/validation", "logs/deep/er"):
        write(tmp_path / name / "events.out.tfevents.1.host", [])
    (tmp_path / "logs" / "plots").mkdir()
    (tmp_path / "logs" / "notes.txt").touch()
    (tmp_path / "logs" / "plot_tfevents.py").write_text("import tensorboard")
    expected = tuple(tmp_path / "logs" / name for name in ("deep/er", "train", "validation"))
    assert find_logdirs(tmp_path) == expected
    assert find_logdirs(tmp_path / "logs" / "plots") == ()
    assert find_logdirs(tmp_path / "nowhere") == ()


def test_a_folder_is_read_with_or_without_what_lies_below(tmp_path: Path) -> None:
    write(tmp_path / "tfevents", losses(range(2), 1.0, wall_time=0))
    write(tmp_path / "more" / "tfevents", losses(range(2), 2.0, wall_time=0))
    assert [series.run for series in read_events(tmp_path).series] == ["", "more"]
    assert [series.run for series in read_events(tmp_path, below=False).series] == [""]


def test_a_file_that_grows_while_it_is_read_again(tmp_path: Path) -> None:
    source = next((DATA / "keras" / "train").iterdir())
    copy = tmp_path / source.name
    counts = []
    for size in (4000, 9000, source.stat().st_size):
        copy.write_bytes(source.read_bytes()[:size])
        log = read_events(tmp_path)
        assert log.warnings == ()
        counts.append(sum(len(series.steps) for series in log.series))
    assert counts == sorted(counts)
    assert counts[-1] == 48


def test_what_is_only_named_like_an_event_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "tfevents.d").mkdir()
    (tmp_path / "plot_tfevents.py").write_text("import tensorboard")
    shutil.copy(next((DATA / "torch").iterdir()), tmp_path)
    log = read_events(tmp_path)
    assert (len(log.series), log.warnings) == (2, ())


def test_reading_and_drawing_load_no_foreign_package() -> None:
    code = "import sys, launchbay.runs.plots; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"numpy", "matplotlib", "plotext", "google", "tensorflow", "tensorboard", "yaml"} & set(loaded)
