"""Rows under a head, whole where nobody says how wide, else what fits."""

from __future__ import annotations

import pytest

from launchbay.cli.table import table

HEAD = ("NAME", "FLEET", "N", "SCRIPT")
ROWS = [("run-20261123", "exp", "7", "a-long-name-of-a-script.py"), ("b", "exp", "100", "train.py")]


def test_it_is_aligned_and_has_no_blanks_at_the_end() -> None:
    text = table(("NAME", "N"), [("a", "1"), ("longer", "100")], right=(1,))
    assert text == "NAME      N\na         1\nlonger  100"
    assert table(("A", "B"), [("x", "")]) == "A  B\nx"


def test_what_fits_stays_as_it_is() -> None:
    whole = table(HEAD, ROWS)
    assert table(HEAD, ROWS, width=max(map(len, whole.splitlines())), least=("N", "FLEET")) == whole


@pytest.mark.parametrize(
    ("width", "first"),
    [
        (49, "run-20261123  exp    a-long-name-of-a-script.py"),
        (44, "run-20261123  a-long-name-of-a-script.py"),
        (30, "run-20261123  a-long-name-of-…"),
        (5, "run-20261123  a-l…"),
    ],
)
def test_the_least_columns_go_first_and_then_the_widest_cells_are_cut(width: int, first: str) -> None:
    assert table(HEAD, ROWS, right=(2,), width=width, least=("N", "FLEET")).splitlines()[1] == first
