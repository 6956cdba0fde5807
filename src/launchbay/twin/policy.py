"""IAM policies, judged as IAM does: what denies wins, what nobody allows is not allowed. Pure.

Modelled are identity policies (of a user, its groups, a role): Action, NotAction, Resource, NotResource, and the condition
operators in `OPERATORS` with ``IfExists``, ``ForAllValues`` and ``ForAnyValue``. Not modelled are resource policies, permission
boundaries, session policies and those of organisations; a condition operator that is not modelled is refused, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["OPERATORS", "Asked", "Unmodelled", "Verdict", "judge"]


class Unmodelled(ValueError):
    """A policy says something that is not modelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One permission that a call needs: an action on a resource, with what conditions can look at, by its key."""

    action: str
    resource: str = "*"
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether something is allowed, and why not: ``explicit deny`` or ``no identity-based policy allows`` it."""

    is_allowed: bool
    why: str = ""


def judge(policies: Sequence[Mapping[str, Any]], asked: Asked) -> Verdict:
    """Judge one permission by all policies that somebody has. Raises Unmodelled for a condition that is not known."""
    is_allowed = False
    for policy in policies:
        for statement in _list(policy.get("Statement", [])):
            if not _is_about(statement, asked):
                continue
            if statement.get("Effect") == "Deny":
                return Verdict(is_allowed=False, why="with an explicit deny in an identity-based policy")
            is_allowed = True
    why = "" if is_allowed else f"because no identity-based policy allows the {asked.action} action"
    return Verdict(is_allowed=is_allowed, why=why)


def _is_about(statement: Mapping[str, Any], asked: Asked) -> bool:
    if not _named(statement, "Action", asked.action, ignores_case=True):
        return False
    if not _named(statement, "Resource", asked.resource, ignores_case=False):
        return False
    return all(
        _holds(operator, key, [str(item) for item in _list(wanted)], asked.context)
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _named(statement: Mapping[str, Any], field_name: str, value: str, *, ignores_case: bool) -> bool:
    if f"Not{field_name}" in statement:
        patterns = _list(statement[f"Not{field_name}"])
        return not any(_like(str(pattern), value, ignores_case=ignores_case) for pattern in patterns)
    patterns = _list(statement.get(field_name, []))
    return any(_like(str(pattern), value, ignores_case=ignores_case) for pattern in patterns)


def _holds(operator: str, key: str, wanted: Sequence[str], context: Mapping[str, Sequence[str]]) -> bool:
    quantifier, _, rest = operator.rpartition(":")
    is_optional = rest.endswith("IfExists")
    name = rest.removesuffix("IfExists")
    found = next((values for known, values in context.items() if known.casefold() == key.casefold()), None)
    if name == "Null":
        return (found is None) == (wanted[0].lower() == "true")
    if name not in OPERATORS:
        raise Unmodelled(f"the condition {operator!r} is not modelled by the twin")
    is_negated, test = OPERATORS[name]
    if found is None:
        return is_optional or is_negated or quantifier == "ForAllValues"
    if quantifier == "ForAllValues":
        return all(_one(value, wanted, test, is_negated=is_negated) for value in found)
    return any(_one(value, wanted, test, is_negated=is_negated) for value in found)


def _one(value: str, wanted: Sequence[str], test: Callable[[str, str], bool], *, is_negated: bool) -> bool:
    return is_negated != any(test(pattern, value) for pattern in wanted)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _like(pattern: str, value: str, *, ignores_case: bool = False) -> bool:
    """Match ``*`` and ``?``, and nothing else; brackets are letters here."""
    parts = re.split(r"([*?])", pattern)
    text = "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(text, value, re.DOTALL | (re.IGNORECASE if ignores_case else 0)) is not None


def _equal(pattern: str, value: str) -> bool:
    return pattern == value


def _equal_anyhow(pattern: str, value: str) -> bool:
    return pattern.casefold() == value.casefold()


def _is_most(pattern: str, value: str) -> bool:
    return float(value) <= float(pattern)


def _is_below(pattern: str, value: str) -> bool:
    return float(value) < float(pattern)


def _is_least(pattern: str, value: str) -> bool:
    return float(value) >= float(pattern)


def _same_number(pattern: str, value: str) -> bool:
    return float(value) == float(pattern)


OPERATORS: Mapping[str, tuple[bool, Callable[[str, str], bool]]] = {
    "ArnEquals": (False, _like),
    "ArnLike": (False, _like),
    "ArnNotLike": (True, _like),
    "Bool": (False, _equal_anyhow),
    "NumericEquals": (False, _same_number),
    "NumericGreaterThanEquals": (False, _is_least),
    "NumericLessThan": (False, _is_below),
    "NumericLessThanEquals": (False, _is_most),
    "StringEquals": (False, _equal),
    "StringEqualsIgnoreCase": (False, _equal_anyhow),
    "StringLike": (False, _like),
    "StringNotEquals": (True, _equal),
    "StringNotLike": (True, _like),
}
"""Each condition operator with whether it is a negation, and how a value is compared with what the policy wants."""
