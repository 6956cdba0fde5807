from __future__ import annotations

import math
import random
import struct
import time
from pathlib import Path

import pytest

from launchbay.runs.eventfile import Point, read_event_file
from tests.runs.writing import FIRST, delimited, event, fixed32, fixed64, record, simple, tensor, varint, write

FLOAT, DOUBLE, INT32, STRING, INT64, BFLOAT16, HALF = 1, 2, 3, 7, 9, 14, 19


def read(path: Path) -> tuple[list[Point], list[str]]:
    warnings: list[str] = []
    return list(read_event_file(path, {}, warnings)), warnings


def values(folder: Path, *summaries: bytes) -> list[float]:
    path = write(folder / "tfevents", [record(event(1, summary)) for summary in summaries])
    points, warnings = read(path)
    assert warnings == []
    return [point.value for point in points]


def test_a_simple_value_is_read_with_tag_step_and_time(tmp_path: Path) -> None:
    path = write(tmp_path / "tfevents", [record(event(7, simple("Loss/train", 0.25), wall_time=12.5))])
    assert read(path) == ([Point("Loss/train", 7, 0.25, 12.5)], [])


def test_a_step_that_protobuf_leaves_out_is_zero_and_one_may_be_negative(tmp_path: Path) -> None:
    path = write(tmp_path / "tfevents", [record(event(step, simple("a", 1.0))) for step in (0, -3, 2**40)])
    assert [point.step for point in read(path)[0]] == [0, -3, 2**40]


def test_one_event_may_hold_several_values(tmp_path: Path) -> None:
    path = write(tmp_path / "tfevents", [record(event(1, simple("a", 1.0), simple("b", 2.0)))])
    assert [(point.tag, point.value) for point in read(path)[0]] == [("a", 1.0), ("b", 2.0)]


@pytest.mark.parametrize(
    ("kind", "field", "expected"),
    [
        (FLOAT, delimited(4, struct.pack("<f", 0.5)), 0.5),
        (FLOAT, fixed32(5, 0.5), 0.5),
        (FLOAT, delimited(5, struct.pack("<f", 0.5)), 0.5),
        (FLOAT, b"", 0.0),
        (DOUBLE, delimited(4, struct.pack("<d", 1e-30)), 1e-30),
        (DOUBLE, fixed64(6, 1e-30), 1e-30),
        (HALF, delimited(4, struct.pack("<e", -1.5)), -1.5),
        (HALF, varint(13, 0xBE00), -1.5),
        (HALF, delimited(13, b"\x80\xf8\x03"), -math.inf),
        (BFLOAT16, delimited(4, b"\xc0\x3f"), 1.5),
        (BFLOAT16, varint(13, 0x3FC0), 1.5),
        (INT32, varint(7, -2), -2.0),
        (INT64, varint(10, 2**40), float(2**40)),
        (INT64, delimited(4, struct.pack("<q", -5)), -5.0),
    ],
)
def test_every_number_type_of_a_tensor_is_read(tmp_path: Path, kind: int, field: bytes, expected: float) -> None:
    assert values(tmp_path, tensor("loss", kind, field)) == [expected]


def test_nan_and_infinity_are_values(tmp_path: Path) -> None:
    found = values(tmp_path, simple("a", math.nan), simple("a", math.inf), simple("a", -math.inf))
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]


def test_what_is_no_scalar_is_left_out(tmp_path: Path) -> None:
    two = delimited(4, struct.pack("<ff", 1.0, 2.0))
    other = [
        tensor("weights", DOUBLE, delimited(4, bytes(800)), plugin="histograms"),
        tensor("text", STRING, delimited(8, b"words"), plugin="text"),
        tensor("text", STRING, delimited(8, b"words")),
        tensor("pair", FLOAT, two),
        tensor("undeclared", FLOAT, fixed32(5, 1.0), plugin=None),
        delimited(1, b"image") + delimited(4, varint(1, 8) + delimited(4, b"\x89PNG")),
        delimited(1, b"old histogram") + delimited(5, fixed64(1, 0.0)),
    ]
    assert values(tmp_path, *other, simple("loss", 3.0)) == [3.0]


def test_a_tag_is_declared_once_for_all_its_events(tmp_path: Path) -> None:
    later = tensor("loss", FLOAT, fixed32(5, 2.0), plugin=None)
    assert values(tmp_path, tensor("loss", FLOAT, fixed32(5, 1.0)), later, later) == [1.0, 2.0, 2.0]


def test_the_declaration_may_stand_before_the_tag(tmp_path: Path) -> None:
    meta = delimited(9, delimited(1, delimited(1, b"scalars")))
    backwards = meta + delimited(8, varint(1, FLOAT) + fixed32(5, 4.0)) + delimited(1, b"loss")
    assert values(tmp_path, backwards) == [4.0]


# --- torn and damaged ---


def small_file(tmp_path: Path) -> tuple[bytes, list[Point], list[int]]:
    """Return a file's bytes, its points, and the offset at which each point's record ends."""
    records = [FIRST]
    for step in range(1, 6):
        records.append(record(event(step, simple("a", float(step)))))
        records.append(record(event(step, tensor("b", FLOAT, fixed32(5, float(-step))))))
    path = write(tmp_path / "whole.tfevents", records[1:])
    points, warnings = read(path)
    assert (len(points), warnings) == (10, [])
    ends = [len(b"".join(records[: count + 2])) for count in range(10)]
    return path.read_bytes(), points, ends


def test_a_file_torn_anywhere_gives_the_whole_records_before_and_no_complaint(tmp_path: Path) -> None:
    data, points, ends = small_file(tmp_path)
    path = tmp_path / "torn.tfevents"
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        assert read(path) == (points[: sum(end <= size for end in ends)], [])


def test_a_flipped_byte_costs_no_good_record_before_it_and_is_told(tmp_path: Path) -> None:
    data, points, ends = small_file(tmp_path)
    path = tmp_path / "flipped.tfevents"
    for offset in range(len(FIRST), len(data)):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 0x41]) + data[offset + 1 :])
        found, warnings = read(path)
        before = sum(end <= offset for end in ends)
        assert found[:before] == points[:before]
        assert set(found) < set(points), f"byte {offset} was believed"
        start = ends[before - 1] if before else len(FIRST)
        assert any(str(path) in warning and f"byte {start}" in warning for warning in warnings)


def test_a_record_with_damaged_data_is_left_out_and_the_next_ones_are_read(tmp_path: Path) -> None:
    good = [record(event(step, simple("a", float(step)))) for step in (1, 3)]
    bad = record(event(2, simple("a", 2.0)), check=False)
    path = write(tmp_path / "tfevents", [good[0], bad, good[1]])
    points, warnings = read(path)
    assert [point.step for point in points] == [1, 3]
    (warning,) = warnings
    assert f"byte {len(FIRST) + len(good[0])}" in warning
    assert "checksum" in warning


def test_a_record_that_is_no_event_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "tfevents", [record(b"\xff" * 20), record(event(1, simple("a", 1.0)))])
    points, warnings = read(path)
    assert len(points) == 1
    assert warnings == [f"{path}: the record at byte {len(FIRST)} is not a TensorBoard event; left out"]


@pytest.mark.parametrize("seed", range(300))
def test_random_bytes_never_break_the_reader(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    noise = chance.randbytes(chance.randrange(60))
    inside = [record(noise), record(event(1, noise)), record(event(1, delimited(1, b"t") + delimited(8, noise)))]
    path = write(tmp_path / "tfevents", [*inside, noise])
    points, _ = read(path)
    assert all(isinstance(point.value, float) for point in points)


def test_an_empty_file_and_a_text_file(tmp_path: Path) -> None:
    empty, text = tmp_path / "a.tfevents", tmp_path / "b.tfevents"
    empty.touch()
    text.write_text("<!doctype html><title>Not found</title>")
    assert read(empty) == ([], [])
    assert read(text) == ([], [f"{text}: damaged at byte 0; what follows is not read"])


def test_what_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    points, warnings = read(tmp_path / "gone.tfevents")
    assert points == []
    assert warnings == [f"{tmp_path / 'gone.tfevents'}: cannot be read: No such file or directory"]


# --- speed ---


def test_histograms_are_stepped_over(tmp_path: Path) -> None:
    """13 MB, as 500 epochs of the reference model with histograms and images make, well under a second."""
    big = tensor("weights", DOUBLE, delimited(4, bytes(1200)), plugin="histograms")
    bulk = record(event(1, *[big] * 20), check=False)
    records = []
    for step in range(500):
        records += [bulk, record(event(step, tensor("loss", FLOAT, fixed32(5, float(step)))))]
    path = write(tmp_path / "tfevents", records)
    assert path.stat().st_size > 12_000_000
    start = time.process_time()
    points, warnings = read(path)
    seconds = time.process_time() - start
    assert [point.value for point in points] == [float(step) for step in range(500)]
    assert warnings == []
    assert seconds < 1.0
