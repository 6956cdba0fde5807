"""The twin does what EC2 does, behaviour by behaviour; and the list can fail: moto alone misses most of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from launchbay.twin.conformance.account import Target
from launchbay.twin.conformance.behaviour import REMEMBERED, SEEN, VERIFIED, Behaviour
from launchbay.twin.conformance.trial import BEHAVIOURS, choose, run_trial
from tests.twin_process import TwinProcess


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda item: item.name)
def test_the_twin_does_what_ec2_does(twin: TwinProcess, behaviour: Behaviour) -> None:
    target = Target(region="us-east-1", endpoint=twin.url, keys=("twin", "twin"), admin=twin.token, poll_s=0.0)
    (outcome,) = run_trial("twin", target, [behaviour]).outcomes
    assert outcome.is_met, outcome.found
    assert not outcome.found  # all that was made could be removed


def test_every_behaviour_says_where_it_is_known_from() -> None:
    assert len(BEHAVIOURS) >= 66
    assert len({item.name for item in BEHAVIOURS}) == len(BEHAVIOURS)
    assert {item.known for item in BEHAVIOURS} == {SEEN, VERIFIED, REMEMBERED}
    assert all(item.source and item.says.endswith(".") for item in BEHAVIOURS)


def test_what_may_be_spent_bounds_what_is_tried() -> None:
    free = choose(max_usd=BEHAVIOURS[0].usd * 0)
    assert 0 < len(free) < len(BEHAVIOURS)
    assert all(item.usd == 0 for item in free)
    assert sum(item.usd for item in BEHAVIOURS) <= 1  # the whole list for a dollar
    with pytest.raises(LookupError, match="there is no behaviour 'nonsense'"):
        choose(["nonsense"])


@pytest.mark.all
def test_moto_alone_misses_most_of_it() -> None:
    command = [sys.executable, "-m", "launchbay.twin.conformance", "--moto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["missed"] >= 45
    assert found["met"] >= 10  # and it is not that nothing works
