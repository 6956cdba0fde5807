"""SIGTERM and SIGHUP where things have to be cleaned up."""

from __future__ import annotations

import os
import signal

import pytest

from launchbay.cli.ending import ended_like_interrupted


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP])
def test_only_the_first_interrupts(sign: signal.Signals) -> None:
    before = signal.getsignal(sign)
    with ended_like_interrupted():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), sign)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(sign) == before


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_like_interrupted():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
