"""DryRun: whoever may do what he asks for is told so, and nothing is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE"]


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:  # noqa: ARG001 - a rule's form
    if call.get("DryRun"):
        raise Refused("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)
    return None


RULE = Rule(
    name="dry run",
    on=frozenset({"ec2:*"}),
    source="seen in EC2's list of error codes; that it looks at permissions and not at capacity is seen in its user guide",
    before=_before,
)
