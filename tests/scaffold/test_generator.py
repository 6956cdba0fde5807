from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from statistics import fmean

import pytest

from launchbay.onboard.table import read_table
from launchbay.scaffold import generate_rows
from launchbay.scaffold.generator import NOISE, SPLITS, generate_tables

# Of the files as they must come out on every machine; another number means other data for everybody.
SHA256 = {
    "train": "c439fc5bc5cbc4f971fb3957c7f1129d7e536f9836cf54364a707b3eaaaacb9f",
    "validation": "f06819860a1b049ac0bcf2820d10d48ee979b7116b2ff7645ca1e8202f7daa98",
    "test": "a0819ec32fe0756ce4565e7759c4ec8c6673765743391ea6cfdc6bacf99cb090",
}


@pytest.mark.parametrize("split", SPLITS)
def test_the_data_are_the_same_everywhere(split: str) -> None:
    assert hashlib.sha256(generate_tables()[split].encode()).hexdigest() == SHA256[split]


def test_another_seed_gives_other_data() -> None:
    assert generate_rows(10, seed=1) == generate_rows(10, seed=1)
    assert generate_rows(10, seed=1) != generate_rows(10, seed=2)


def test_the_files_are_tables_with_the_target_first(tmp_path: Path) -> None:
    for split, text in generate_tables().items():
        path = tmp_path / f"{split}.csv"
        path.write_text(text, encoding="utf-8")
        table = read_table(str(path))
        assert (table.columns, table.width, len(table.rows)) == (None, 2, SPLITS[split])
        assert all(-50 <= value <= 50 for _, value in table.rows)


def test_the_noise_is_what_it_says() -> None:
    """Neighbours on the curve differ by little else than noise: half the mean squared step is its variance."""
    rows = sorted(generate_rows(20_000), key=lambda row: row[1])
    steps = [(after[0] - before[0]) ** 2 / 2 for before, after in itertools.pairwise(rows)]
    assert fmean(steps) == pytest.approx(NOISE**2, rel=0.03)


def test_the_curve_is_not_a_line() -> None:
    """A straight line leaves far more than the noise, so a model that learns nothing is seen."""
    rows = generate_rows(5000)
    targets, values = [row[0] for row in rows], [row[1] for row in rows]
    mean_target, mean_value = fmean(targets), fmean(values)
    products = [(value - mean_value) * (target - mean_target) for target, value in rows]
    slope = fmean(products) / fmean([(value - mean_value) ** 2 for value in values])
    left = fmean([(target - mean_target - slope * (value - mean_value)) ** 2 for target, value in rows])
    assert left > 10 * NOISE**2
