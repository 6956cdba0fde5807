"""A behaviour of EC2: which calls it is about, and what it does before and after moto answers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from launchbay.twin.call import Answer, Call
from launchbay.twin.clock import Due

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["After", "Before", "Happens", "Made", "Rule"]

Before: TypeAlias = "Callable[[Call, World], Call | Mapping[str, Any] | Answer | None]"
"""Looks at a call before moto does.

Gives None to let it go on, a changed call to go on with, what the action gives (in boto3's names) or a whole answer to
answer it. Raises Refused to answer with an error.
"""

After: TypeAlias = "Callable[[Call, World, Answer], Answer | None]"
"""Looks at an answer, errors too; gives another in its place, or None. Whatever it changes in the world must be right even
when nobody gets the answer."""

Happens: TypeAlias = "Callable[[World, Due], None]"
"""Lets happen what was due."""

Made: TypeAlias = "Callable[[Call, World, Sequence[Any]], None]"
"""Looks at instances (moto's objects) that a call has just made, before they are written into its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One behaviour.

    `on` names the calls it is about, as ``ec2:RunInstances``, ``ec2:Describe*`` or ``*``. `source` says where the behaviour is
    known from. `happens` are the kinds of things that it plans, each with what lets it happen.
    """

    name: str
    on: frozenset[str]
    source: str
    before: Before | None = None
    after: After | None = None
    made: Made | None = None
    happens: Mapping[str, Happens] = field(default_factory=dict)

    def is_about(self, name: str) -> bool:
        """Say whether a call by that name is one of those that it is about."""
        return name in self.on or any(item.endswith("*") and name.startswith(item[:-1]) for item in self.on)
