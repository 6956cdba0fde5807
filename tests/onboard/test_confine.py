from __future__ import annotations

import os
import signal
import time

import pytest

from launchbay.onboard.confine import confined
from launchbay.onboard.refused import Refused


def test_gives_back_what_the_work_gives() -> None:
    assert confined(lambda: {"pid": os.getpid(), "big": "x" * 1_000_000}, name="f")["pid"] != os.getpid()


def test_passes_a_refusal_on() -> None:
    def refuse() -> None:
        raise Refused("what", "where", "hint")

    with pytest.raises(Refused) as caught:
        confined(refuse, name="f")
    assert (caught.value.what, caught.value.where, caught.value.hint) == ("what", "where", "hint")


def test_ends_what_does_not_end() -> None:
    began = time.monotonic()
    with pytest.raises(Refused, match="more than 1 s") as caught:
        confined(lambda: time.sleep(60), name="model.keras", seconds=1)
    assert time.monotonic() - began < 10
    assert caught.value.where == "model.keras"


def test_ends_what_runs_in_circles() -> None:
    def circle() -> None:
        while True:
            pass

    with pytest.raises(Refused, match="more than 1 s"):
        confined(circle, name="f", seconds=1)


def test_survives_a_crash() -> None:
    with pytest.raises(Refused, match=f"signal {signal.SIGUSR1.value}"):
        confined(lambda: os.kill(os.getpid(), signal.SIGUSR1), name="f")


def test_bounds_the_memory() -> None:
    def swell() -> int:
        return len(bytearray(3 << 30))

    with pytest.raises(Refused, match="damaged or hostile"):
        confined(swell, name="f", memory=2 << 30)


def test_leaves_no_child_behind() -> None:
    child = confined(os.getpid, name="f")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
