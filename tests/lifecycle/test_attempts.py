"""What the journal holds of what EC2 was asked, and what is known of it, entry by entry."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import Conflict, UserError
from launchbay.lifecycle.attempts import Attempt, Outcome, begin_attempt, read_attempts, restore_request
from launchbay.planning.ladder import Rung
from launchbay.planning.request import digest_request, token_of
from launchbay.store.journal import Journal, open_journal
from launchbay.testing import VirtualClock

RUNG = Rung(zone="us-east-1a", type="g5.xlarge", market="spot", usd_per_hour=Decimal(1), why="")
REQUEST = {"ImageId": "ami-1", "MaxCount": 3, "UserData": b"#!/bin/sh\n\xff"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with open_journal(tmp_path / "state.db", VirtualClock(), lambda _: None) as journal:
        yield journal


def begun(journal: Journal, request: dict[str, Any] | None = None) -> tuple[Any, Attempt]:
    operation = journal.begin("launch", "exp", {})
    return operation, begin_attempt(operation, RUNG, request or REQUEST, region="us-east-1", attempt=0)


def test_a_request_comes_back_whole_with_the_bytes_that_are_not_written(journal: Journal) -> None:
    operation, attempt = begun(journal)
    whole = token_of(
        operation.id,
        digest_request(REQUEST),
        region="us-east-1",
        zone="us-east-1a",
        type_name="g5.xlarge",
        market="spot",
        attempt=0,
    )
    assert attempt.token == whole
    assert base64.b64encode(b"#!/bin/sh\n\xff").decode() not in attempt.request
    assert "/bin/sh" not in attempt.request
    journal.write(operation, "intent", "launch", attempt.intent)
    (read,) = read_attempts(journal, operation)
    assert read == Attempt(**attempt.intent, at=journal.clock.now())
    assert restore_request(operation, read, b"#!/bin/sh\n\xff") == REQUEST
    for other in (b"", b"#!/bin/sh\n"):
        with pytest.raises(Conflict, match="is not as it was") as caught:
            restore_request(operation, read, other)
        assert "bay terminate exp" in caught.value.hint


def test_a_request_without_user_data_needs_none(journal: Journal) -> None:
    operation, attempt = begun(journal, {"ImageId": "ami-1", "MaxCount": 1})
    assert restore_request(operation, attempt, b"whatever") == {"ImageId": "ami-1", "MaxCount": 1}


def outcome(journal: Journal, operation: Any) -> tuple[Outcome, tuple[str, ...]]:
    (found,) = read_attempts(journal, operation)
    return found.outcome, found.ids


def test_what_is_known_of_a_token_follows_its_entries(journal: Journal) -> None:
    operation, attempt = begun(journal)
    journal.write(operation, "intent", "launch", attempt.intent)
    assert outcome(journal, operation) == (Outcome.OPEN, ())
    journal.write(operation, "result", "launch", {"refused": "InsufficientInstanceCapacity"})
    assert outcome(journal, operation) == (Outcome.NOTHING, ())
    with pytest.raises(UserError), journal.step(operation, "launch", **attempt.intent):
        raise UserError("no answer")
    assert outcome(journal, operation) == (Outcome.OPEN, ())
    journal.write(operation, "intent", "launch", attempt.intent)
    journal.write(operation, "result", "launch", {"ids": ["i-1", "i-2", "i-3"]})
    assert outcome(journal, operation) == (Outcome.MADE, ("i-1", "i-2", "i-3"))
    journal.write(operation, "intent", "undo", {"ids": ["i-1"]})
    assert outcome(journal, operation)[0] is Outcome.MADE  # killed while it was ended: it is not known to be gone
    journal.write(operation, "result", "undo", {})  # of something else of the operation
    assert outcome(journal, operation)[0] is Outcome.MADE
    journal.write(operation, "result", "undo", {"tokens": [attempt.token]})
    assert outcome(journal, operation)[0] is Outcome.GONE
    journal.write(operation, "intent", "launch", attempt.intent)
    journal.write(operation, "result", "launch", {"refused": "IdempotentInstanceTerminated"})
    assert outcome(journal, operation)[0] is Outcome.GONE


def test_the_token_that_was_asked_last_comes_last(journal: Journal) -> None:
    operation, first = begun(journal)
    second = begin_attempt(operation, RUNG, REQUEST, region="us-east-1", attempt=1)
    for attempt in (first, second, first):
        journal.write(operation, "intent", "launch", attempt.intent)
    assert [item.token for item in read_attempts(journal, operation)] == [second.token, first.token]
    assert read_attempts(journal, journal.begin("launch", "exp", {})) == ()
