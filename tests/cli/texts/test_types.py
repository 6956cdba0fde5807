"""Instance types as text: columns that tell them apart, and what has to be known besides."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from decimal import Decimal

import pytest

from launchbay.api.types import Answer
from launchbay.catalog.query import compare_types, find_types
from launchbay.catalog.question import Question
from launchbay.catalog.ranges import Range
from launchbay.catalog.snapshot import load_snapshot
from launchbay.cli.texts.types import choose_columns, compare_text, csv_text, left_out_text, types_text
from launchbay.errors import NotFound

HERE = "us-west-2"
KNOWN = load_snapshot([HERE, "us-east-1"])
ONE_GPU = Question(regions=(HERE,), gpus=Range(low=1), limit=3)


def answer(question: Question, needs: str = "") -> Answer:
    return Answer(question=question, found=find_types(KNOWN, question), needs=needs)


def shown(question: Question, width: int | None = None) -> list[str]:
    found = answer(question)
    return types_text(found, choose_columns(None, found), width).splitlines()


def test_columns_are_those_that_tell_the_offers_apart() -> None:
    assert list(choose_columns(None, answer(ONE_GPU)))[:3] == ["type", "gpus", "gpu"]
    chips = Question(regions=(HERE,), accelerator="neuron")
    assert list(choose_columns(None, answer(chips)))[:2] == ["type", "accelerators"]
    plain = Question(regions=(HERE,), families=("m5",))
    assert "arch" in choose_columns(None, answer(plain))
    assert choose_columns(None, answer(replace(plain, regions=(HERE, "us-east-1"))))[1] == "region"
    assert "spot" in choose_columns(None, answer(replace(plain, market="spot")))
    assert "network" in choose_columns(None, answer(replace(ONE_GPU, sort="network")))


@pytest.mark.parametrize("typed", ["gpu-memori", "type,nothing", "", ","])
def test_a_column_that_there_is_not_is_answered_with_the_nearest(typed: str) -> None:
    with pytest.raises(NotFound, match="column"):
        choose_columns(typed, answer(ONE_GPU))
    assert list(choose_columns(" type , vcpus,", answer(ONE_GPU))) == ["type", "vcpus"]


def test_a_list_says_how_many_there_are_and_from_when_its_prices_are() -> None:
    lines = shown(ONE_GPU)
    assert len(lines[:4]) == 4
    assert lines[4] == ""
    assert " of which 3 are shown (--limit " in lines[5]
    assert any(line.startswith("Prices: US dollars an hour for Linux, known as of ") for line in lines)
    assert all(len(line) <= 60 for line in shown(ONE_GPU, 60))


def test_a_price_that_is_not_known_is_not_a_number() -> None:
    unpriced = replace(ONE_GPU, families=("p6-b200",), limit=None)
    lines = shown(unpriced)
    assert "unknown" in lines[1]
    assert any("No price of them is known." in line for line in lines)
    under = shown(replace(unpriced, max_usd_per_hour=1))  # type: ignore[arg-type]
    assert under[0] == "No instance type matches."
    assert "they may or may not cost less than the ceiling" in under[1]


def test_what_nobody_knows_whether_it_matches_is_said_of() -> None:
    priced = answer(replace(ONE_GPU, families=("g4dn",)))
    assert left_out_text(priced) == ""
    found = replace(priced.found, unpriced=2, unrated=3)
    rated = "Of 3 more the compute capability is not known."
    assert left_out_text(replace(priced, found=found)) == rated
    under = replace(priced.question, max_usd_per_hour=Decimal(1))
    assert left_out_text(replace(priced, question=under, found=found)) == (
        f"Of 2 more no price is known, so they may or may not cost less than the ceiling. {rated}"
    )
    lines = types_text(replace(priced, found=found), ["type"]).splitlines()
    assert lines[-2].endswith(f" shows all). Of 2 no price is known. {rated}")


def test_types_side_by_side() -> None:
    offers = compare_types(KNOWN, ["g5.xlarge", "m5.large"], HERE)
    lines = compare_text(offers).splitlines()
    assert lines[0].split() == ["g5.xlarge", "m5.large"]
    rows = {line[: lines[0].index("g5.xlarge")].strip(): line.split()[-2:] for line in lines[1:]}
    assert rows["VCPUS"] == ["4", "2"]
    assert rows[f"IN {HERE}"] == ["yes", "yes"]
    assert "EFA" not in rows  # what none of them has is no row
    retired = compare_text(compare_types(KNOWN, ["p2.xlarge", "m5.large"], HERE))
    assert "no" in next(line for line in retired.splitlines() if line.startswith(f"IN {HERE}")).split()


def test_csv_has_a_head_and_leaves_unknown_empty() -> None:
    offers = answer(replace(ONE_GPU, limit=None)).found.offers
    rows = list(csv.DictReader(io.StringIO(csv_text(offers))))
    assert [row["type"] for row in rows] == [offer.type.name for offer in offers]
    assert [row["usd_per_hour"] == "" for row in rows] == [offer.price is None for offer in offers]
    assert csv_text([]) == ",".join(rows[0])
    (f1,) = csv.DictReader(io.StringIO(csv_text(compare_types(KNOWN, ["f1.2xlarge", "m5.large"], HERE)[:1])))
    assert f1["accelerators"] == "fpga:Virtex-UltraScale-(VU9P):1:65536"
