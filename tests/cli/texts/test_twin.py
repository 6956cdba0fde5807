"""The twin as text."""

from __future__ import annotations

from typing import Any

from launchbay.api.twin import TwinStopped
from launchbay.cli.texts.twin import bill_text, conformance_text, stopped_text, twin_text
from launchbay.lifecycle.twin import Twin, twin_environment


def twin(**more: Any) -> Twin:
    known = {
        "url": "http://127.0.0.1:5",
        "region": "us-east-1",
        "clock": "virtual",
        "now": "2026-11-27T09:12:35.1+00:00",
    }
    counts: dict[str, Any] = {
        "seed": 0,
        "running": 2,
        "instances": {"running": 2, "stopped": 1},
        "calls": 7,
        "faults": 0,
    }
    return Twin(**{**known, **counts, **more})


def line(
    resource: str, item: str, *, usd: str | None, unit: str | None = "3.06", end: str | None = None
) -> dict[str, Any]:
    return {"resource": resource, "item": item, "usd_per_unit": unit, "usd": usd, "seconds": 3600.0, "end": end}


def test_a_twin_says_how_others_find_it() -> None:
    found = twin()
    shown = twin_text(found, twin_environment(found))
    assert "2 running, 1 stopped" in shown
    assert "virtual: 2026-11-27 09:12:35 UTC" in shown
    assert "      export AWS_ENDPOINT_URL=http://127.0.0.1:5" in shown
    assert "fault" not in shown
    assert "1 fault waiting" in twin_text(twin(faults=1), {})
    assert "none yet" in twin_text(twin(instances={}), {})


def test_an_end_says_what_became_of_what_was_in_it() -> None:
    assert "goes on with `bay twin start`" in stopped_text(TwinStopped(stopped=True, forgotten=False))
    assert stopped_text(TwinStopped(stopped=False, forgotten=True)) == "No twin ran, and nothing of it is left."


def test_a_bill_adds_up_by_kind() -> None:
    lines = [
        line("i-1", "p3.2xlarge on-demand", usd="3.06"),
        line("i-2", "p3.2xlarge on-demand", usd="3.06", end="2026-11-27T10:00:00+00:00"),
        line("v-1", "io9 disk", usd=None, unit=None),
    ]
    bill = {"lines": lines, "usd": "6.12", "complete": False, "usd_per_hour": "3.06", "running": 2}
    rows = [row.split() for row in bill_text(bill).splitlines()]
    assert ["p3.2xlarge", "on-demand", "2", "2h", "00m", "3.06", "6.12", "1"] in rows
    assert ["io9", "disk", "1", "1h", "00m", "unknown", "unknown", "1"] in rows
    assert "total     at least 6.12 USD: a price is not known" in bill_text(bill)
    assert "now       2 things that cost 3.06 USD an hour" in bill_text(bill)
    nothing = bill_text({"lines": [], "usd": "0.00", "complete": True, "usd_per_hour": "0", "running": 0})
    assert "Nothing has cost anything yet." in nothing
    assert "now       nothing costs" in nothing
    assert "what is in buckets is not on it: `bay store show --provider twin` says that" in nothing


def test_a_trial_names_what_is_not_as_ec2s() -> None:
    def outcome(name: str, *, met: bool | None, found: str = "") -> dict[str, Any]:
        return {"name": name, "says": "It is so.", "known": "seen", "met": met, "found": found}

    outcomes = [
        outcome("a", met=True),
        outcome("b", met=False, found="two\nlaunches"),
        outcome("c", met=None, found="no"),
    ]
    found = {"place": "moto", "met": 1, "behaviours": 3, "missed": 1, "outcomes": outcomes}
    shown = conformance_text(found)
    assert shown.startswith("moto: 1 of 3 behaviours are as EC2's.")
    assert "  missed     b: It is so. Found: two launches" in shown
    assert "  not tried  c: no" in shown
    assert "not tried on AWS by us" in shown
    assert "not tried on AWS" not in conformance_text({**found, "place": "EC2"})


def test_what_the_twin_could_not_do_is_shown() -> None:
    shown = twin_text(twin(problems=["buckets.pickle cannot be written: no space"]), {})
    assert shown.splitlines()[-1] == "  problem    buckets.pickle cannot be written: no space"
