from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import launchbay
from launchbay.lifecycle.bay import Bay
from tests.cli.conftest import Said
from tests.cost.reports import row, write_report

Says = Callable[..., Said]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "small-team"
pytestmark = pytest.mark.usefixtures("bay")
ONE, SPLIT, SPOT = (str(EXAMPLES / f"{name}.yaml") for name in ("one-gpu", "split", "spot"))


@pytest.mark.parametrize(
    ("example", "usd"),
    [("one-gpu", "648.00"), ("eight-gpus", "5184.00"), ("split", "112.32"), ("spot", "86.40")],
)
def test_the_four_figures(says: Says, bay: Bay, example: str, usd: str) -> None:
    path = str(EXAMPLES / f"{example}.yaml")
    said = says("cost", path, "--compute-only", "--json")
    assert (said.code, said.err) == (0, "")
    assert (said.value["monthly_usd"], said.value["complete"], said.value["month_hours"]) == (usd, True, "720")
    assert said.value == launchbay.to_json(launchbay.bill(bay, path, compute_only=True))
    assert launchbay.to_json(launchbay.bill(bay, path))["monthly_usd"] != usd  # the full view adds disks and addresses


def test_a_bill_as_a_person_sees_it(says: Says) -> None:
    said = says("cost", SPOT)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "spot: us-west-2, a month of 720 hours"
    assert lines[2].split() == ["NAME", "FOR", "WHAT", "QUANTITY", "UNIT", "PRICE", "USD", "AGE", "SOURCE"]
    trainer = next(line for line in lines if line.startswith("trainer  compute"))
    assert "2 × p2.xlarge, spot" in trainer
    assert ", assumed" in trainer
    assert "total     93.17 USD a month" in lines
    assert "assumed   spot 60 % below on demand, as the workload says, for p2.xlarge: no market price is known" in lines
    bars = {line.split()[0]: line.count("█") for line in lines if "█" in line}
    assert bars == {"compute": 30, "disk": 1, "address": 1}


def test_what_is_not_known_is_named_below_a_lower_bound(says: Says, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("region: us-west-2\nmonth: 720h\ninstances: [{name: box, type: m6i.large}]\n")
    lines = says("cost", str(path)).out.splitlines()
    assert "total     at least 69.12 USD a month: 1 line unknown" in lines
    assert "unknown   disk of box (gp3, size not said)" in lines
    path.write_text("region: us-west-2\njobs: [{name: a, hours: 1, runs: 1 a day}]\n")
    said = says("cost", str(path))
    assert "total     unknown: no price of it is known" in said.out.splitlines()
    assert says("cost", str(path), "--json").value["monthly_usd"] is None


def test_a_workload_against_another(says: Says) -> None:
    lines = says("cost", SPLIT, "--against", ONE).out.splitlines()
    assert lines[-1].split() == ["total", "119.09", "659.60", "-540.51"]
    against = says("cost", SPLIT, "--against", ONE, "--compute-only", "--json").value["against"]
    assert (against["workload"], against["monthly_usd"], against["difference_usd"]) == ("one-gpu", "648.00", "-535.68")


def test_a_bill_held_against_a_report(says: Says, tmp_path: Path) -> None:
    rows = [row("USW2-BoxUsage:p2.xlarge", "721", "648.9"), row("", "", "50", kind="Tax")]
    report = write_report(tmp_path / "cur.csv.gz", rows)
    said = says("cost", ONE, "--reconcile", str(report))
    lines = said.out.splitlines()
    assert f"held against {report}, 2026-11-01 to 2026-12-01:" in lines
    rows_of = {line.split()[0]: line for line in lines if line}
    assert "+0.90" in rows_of["p2.xlarge"]
    assert rows_of["gp3"].endswith("-8.00  did not occur")
    assert lines[-3:] == ["used      648.90 USD; forecast: 659.60", "besides   50.00 USD: Tax", "billed    698.90 USD"]
    value = says("cost", ONE, "--reconcile", str(report), "--json").value["reconciled"]
    assert (value["usage_usd"], value["billed_usd"]) == ("648.90", "698.90")


def test_errors_name_file_line_and_what_to_do(says: Says, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("region: us-west-2\nmonth: 900h\n")
    said = says("cost", str(path))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(
        f"bay: month must be 672h to 744h (28 to 31 days), got 900h ({path}:2)\n  Try: month: 720h"
    )
    path.write_text("region: us-wset-2\ndisks: [{size: 8GiB}]\n")
    said = says("cost", str(path))
    assert said.code == 1
    assert said.err.startswith("bay: there is no region named 'us-wset-2'; did you mean ")
    assert f"({path}:1)\n" in said.err
    assert says("cost", str(tmp_path / "none.yaml")).err == f"bay: there is no such file ({tmp_path / 'none.yaml'})\n"
    assert says("cost", ONE, "--reconcile", str(path)).code == 2
