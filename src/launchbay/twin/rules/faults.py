"""Calls that go wrong on purpose: by name, which call, how often, and with what chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.truth import Fault
from launchbay.twin.world import World

__all__ = ["FAULTS", "RULE"]

FAULTS: Mapping[str, tuple[str, str, int]] = {
    "capacity": (
        "InsufficientInstanceCapacity",
        "We currently do not have sufficient capacity in the Availability Zone you requested.",
        500,
    ),
    "throttling": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "internal-error": ("InternalError", "An internal error has occurred.", 500),
    "unavailable": ("Unavailable", "The service is unavailable. Please try again shortly.", 503),
    "unauthorized": ("UnauthorizedOperation", "You are not authorized to perform this operation.", 403),
    "expired-token": ("RequestExpired", "Request has expired.", 400),
    "expired-credentials": ("ExpiredToken", "The security token included in the request is expired.", 400),
    "auth-failure": ("AuthFailure", "AWS was not able to validate the provided access credentials.", 401),
    "pending-verification": (
        "PendingVerification",
        "Your request for accessing resources in this region is being validated, and you will not be able to launch in it yet.",
        400,
    ),
    "lost-answer": ("", "the call is carried out, and its answer is cut off", 500),
    "truncated-answer": ("", "the call is carried out, and half of its answer arrives", 200),
}
"""Each fault with the code, message and status that it answers with; the last two spoil an answer that was right."""

_SPOILS = ("lost-answer", "truncated-answer")


def _hit(call: Call, world: World, names: tuple[str, ...]) -> Fault | None:
    """Return the fault of some that hits this call, and count it."""
    truth = world.truth
    for armed in list(truth.faults):
        fault = armed.fault
        if fault.name not in names or fault.action not in ("*", call.name):
            continue
        armed.seen += 1
        if armed.seen <= fault.after or (fault.chance < 1 and truth.chance.random() >= fault.chance):
            continue
        armed.hits += 1
        if armed.hits >= fault.count:
            truth.faults.remove(armed)
        return fault
    return None


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    fault = _hit(call, world, tuple(name for name in FAULTS if name not in _SPOILS))
    if fault is not None:
        code, message, status = FAULTS[fault.name]
        raise Refused(code, message, status=int(fault.data.get("status", status)))
    return None


def _after(call: Call, world: World, answer: Answer) -> Answer | None:
    fault = _hit(call, world, _SPOILS)
    if fault is None:
        return None
    if fault.name == "truncated-answer":
        return Answer(status=answer.status, headers=answer.headers, body=answer.body[: len(answer.body) // 2])
    return Answer(status=500, headers=(("Content-Type", "text/plain"),), body=b"")


RULE = Rule(
    name="faults",
    on=frozenset({"*"}),
    source="codes and messages as EC2's API reference has them; which of them are 5xx is remembered",
    before=_before,
    after=_after,
)
