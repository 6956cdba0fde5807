"""What an operation has asked EC2 for, as the journal has it: each request with its token, and what is known to have come of it.

A request is written down before it is asked, whole but for its user data: that holds a key, so its sha256 stands there. Whoever
goes on with the operation has the same bytes again; anything else is refused, for it would be another request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from launchbay.errors import Conflict
from launchbay.planning.ladder import Rung
from launchbay.planning.request import digest_request, read_request, token_of, write_request
from launchbay.store.journal import Journal, Operation

__all__ = ["Attempt", "Outcome", "begin_attempt", "read_attempts", "restore_request"]

_SHA256 = "$sha256"
"""How user data stands in the journal; no parameter of RunInstances has such a name."""
_GONE = "IdempotentInstanceTerminated"


class Outcome(Enum):
    """What is known of what a token made."""

    OPEN = "open"
    """It was asked, and nobody knows."""
    MADE = "made"
    NOTHING = "nothing"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request at one rung, with its token. `request` is its written form, `at` when it was last asked, `ids` what it made."""

    region: str
    zone: str
    type: str
    market: str
    attempt: int
    token: str
    request: str
    at: float = 0.0
    outcome: Outcome = Outcome.OPEN
    ids: tuple[str, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it can stand."""
        return self.outcome in (Outcome.NOTHING, Outcome.GONE)

    @property
    def count(self) -> int:
        """How many instances it makes, or none."""
        return int(read_request(self.request)["MaxCount"])

    @property
    def intent(self) -> Mapping[str, Any]:
        """What is written down before it is asked."""
        names = ("region", "zone", "type", "market", "attempt", "token", "request")
        return {name: getattr(self, name) for name in names}


def begin_attempt(
    operation: Operation, rung: Rung, request: Mapping[str, Any], *, region: str, attempt: int
) -> Attempt:
    """Return a request as it is about to be asked. Its token is that of the whole request, with its user data."""
    token = token_of(
        operation.id,
        digest_request(request),
        region=region,
        zone=rung.zone,
        type_name=rung.type,
        market=rung.market,
        attempt=attempt,
    )
    kept = dict(request)
    if "UserData" in request:
        kept["UserData"] = {_SHA256: hashlib.sha256(request["UserData"]).hexdigest()}
    return Attempt(
        region=region,
        zone=rung.zone,
        type=rung.type,
        market=rung.market,
        attempt=attempt,
        token=token,
        request=write_request(kept),
    )


def restore_request(operation: Operation, attempt: Attempt, user_data: bytes) -> Mapping[str, Any]:
    """Return the request as it was asked, given the user data whose sha256 stands in it.

    Raises Conflict for other user data, and where the request is not the one that its token was made of.
    """
    request = read_request(attempt.request)
    if "UserData" in request:
        request["UserData"] = user_data
    token = token_of(
        operation.id,
        digest_request(request),
        region=attempt.region,
        zone=attempt.zone,
        type_name=attempt.type,
        market=attempt.market,
        attempt=attempt.attempt,
    )
    if token != attempt.token:
        what = f"a launch of {operation.subject} was cut off in {attempt.zone}, and what its instances boot with is not as it was"
        hint = f"`bay terminate {operation.subject}` ends what it may have made; then launch again"
        raise Conflict(what, where=attempt.region, hint=hint)
    return request


def read_attempts(journal: Journal, operation: Operation) -> Sequence[Attempt]:
    """Return what an operation has asked for, one for each token, the one that was asked last at the end."""
    found: dict[str, Attempt] = {}
    asked = ""
    for at, kind, step, detail in journal.steps(operation):
        if step == "launch" and kind == "intent":
            asked = str(detail["token"])
            before = found.pop(asked, None)
            found[asked] = Attempt(**detail, at=at, ids=before.ids if before else ())
        elif step == "launch" and kind == "result":
            ids, refused = tuple(detail.get("ids", ())), detail.get("refused")
            outcome = Outcome.GONE if refused == _GONE else Outcome.NOTHING if refused else Outcome.MADE
            found[asked] = replace(found[asked], outcome=outcome, ids=ids or found[asked].ids)
        elif step == "undo" and kind == "result":
            for token in detail.get("tokens", ()):
                found[token] = replace(found[token], outcome=Outcome.GONE)
    return tuple(found.values())
