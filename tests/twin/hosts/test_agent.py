"""The agent outside of a box, where it must not do what it may do inside."""

from __future__ import annotations

import os
import socket

import pytest

from launchbay.twin.hosts.inside.agent import Agent


def test_everything_is_ended_only_in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of one, everything would be the laptop's; nothing is really signalled here, whatever the agent does."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(os, "waitpid", lambda *_: (0, 0))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        agent = Agent(theirs)
        agent._do({"do": "end"})  # noqa: SLF001 - what it does with a message, without its endless loop
        assert sent == []
        monkeypatch.setattr(os, "getpid", lambda: 2)
        agent._do({"do": "end"})  # noqa: SLF001
    assert sent == [(-1, 15)]
