"""IAM policies, judged as IAM does: what denies wins, what nobody allows is not allowed. Pure.

Modelled are identity policies (of a user, its groups, a role): Action, NotAction, Resource, NotResource, policy variables, and
the condition operators in `OPERATORS` with ``IfExists``, ``ForAllValues`` and ``ForAnyValue``, and ``Null``. Not modelled are
resource policies, permission boundaries, session policies and those of organisations. A condition operator that is not modelled
is refused, never passed over, and so is a condition key of `UNFILLED`; any other key that a request does not have is absent, as
it is for IAM.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = ["OPERATORS", "UNFILLED", "Asked", "Unmodelled", "Verdict", "Wanted", "judge"]

UNFILLED = frozenset(
    name.casefold()
    for name in (
        "aws:PrincipalOrgID",
        "aws:PrincipalOrgPaths",
        "aws:ResourceAccount",
        "aws:ResourceOrgID",
        "aws:ResourceOrgPaths",
        "aws:UserAgent",
        "ec2:AvailabilityZoneId",
        "ec2:EbsOptimized",
        "ec2:ImageType",
        "ec2:InstanceProfile",
        "ec2:KeyPairType",
        "ec2:KmsKeyId",
        "ec2:NetworkInterfaceID",
        "ec2:ParentSnapshot",
        "ec2:ParentVolume",
        "ec2:PlacementGroup",
        "ec2:PlacementGroupName",
        "ec2:PlacementGroupStrategy",
        "ec2:Public",
        "ec2:RootDeviceType",
        "ec2:SecurityGroupID",
        "ec2:SnapshotTime",
        "ec2:SourceInstanceARN",
        "ec2:Tenancy",
        "ec2:VolumeInitializationRate",
        "ec2:VolumeIops",
        "ec2:VolumeThroughput",
    )
)
"""Keys that AWS gives a value for many requests, and the twin for none."""

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DEFAULT = re.compile(r"([^,]+),\s*'(.*)'")
_LITERAL = ("*", "?", "$")
_WITH_VARIABLES = "2012-10-17"
_FIELDS_OF_AN_ARN = 6


class Unmodelled(ValueError):
    """A policy says something that is not modelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One permission that a call needs: an action on a resource, with what conditions can look at, by its key."""

    action: str
    resource: str = "*"
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def find(self, key: str) -> Sequence[str] | None:
        """Return the values of a condition key, whose name knows no case; None where it is absent or has none."""
        return next(
            (values or None for known, values in self.context.items() if known.casefold() == key.casefold()), None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether something is allowed, and why not: ``explicit deny`` or ``no identity-based policy allows`` it."""

    is_allowed: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A text of a policy, its variables replaced: pieces, each with whether it is a literal, in which ``*`` is a letter."""

    pieces: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        """The text, in which ``*`` and ``?`` mean nothing."""
        return "".join(text for text, _ in self.pieces)

    def is_like(self, value: str, *, ignores_case: bool = False, is_arn: bool = False) -> bool:
        """Match ``*`` and ``?``, and nothing else; brackets are letters here. Within an ARN's first fields they pass no colon."""
        found, colons = list[str](), 0
        for text, is_literal in self.pieces:
            for part in (text,) if is_literal else re.split(r"([*?:])", text):
                any_one = "[^:]" if is_arn and colons < _FIELDS_OF_AN_ARN - 1 else "."
                wild = {"*": f"{any_one}*", "?": any_one}
                found.append(re.escape(part) if is_literal else wild.get(part, re.escape(part)))
                colons += part.count(":")
        return re.fullmatch("".join(found), value, re.DOTALL | (re.IGNORECASE if ignores_case else 0)) is not None


def judge(policies: Sequence[Mapping[str, Any]], asked: Asked) -> Verdict:
    """Judge one permission by all policies that somebody has. Raises Unmodelled for a condition that is not known."""
    is_allowed = False
    for policy in policies:
        has_variables = policy.get("Version") == _WITH_VARIABLES
        for statement in _list(policy.get("Statement", [])):
            if not _is_about(statement, asked, has_variables=has_variables):
                continue
            if statement.get("Effect") == "Deny":
                return Verdict(is_allowed=False, why="with an explicit deny in an identity-based policy")
            is_allowed = True
    why = "" if is_allowed else f"because no identity-based policy allows the {asked.action} action"
    return Verdict(is_allowed=is_allowed, why=why)


def _is_about(statement: Mapping[str, Any], asked: Asked, *, has_variables: bool) -> bool:
    actions = [Wanted(((str(item), False),)) for item in _list(statement.get("NotAction", statement.get("Action", [])))]
    if any(item.is_like(asked.action, ignores_case=True) for item in actions) == ("NotAction" in statement):
        return False
    texts = [str(item) for item in _list(statement.get("NotResource", statement.get("Resource", [])))]
    resources = [_resolve(text, asked, has_variables=has_variables) for text in texts]
    # a resource whose variable has no value is none
    is_named = any(item is not None and item.is_like(asked.resource) for item in resources)
    if is_named == ("NotResource" in statement):
        return False
    return all(
        _holds(operator, key, [str(item) for item in _list(wanted)], asked, has_variables=has_variables)
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _resolve(text: str, asked: Asked, *, has_variables: bool) -> Wanted | None:
    """Return a text of a policy with its variables replaced; None where one has no value, or more than one."""
    if not has_variables:
        return Wanted(((text, False),))
    pieces, at = list[tuple[str, bool]](), 0
    for found in _VARIABLE.finditer(text):
        pieces.append((text[at : found.start()], False))
        at = found.end()
        name = found[1].strip()
        if name in _LITERAL:
            pieces.append((name, True))
            continue
        with_default = _DEFAULT.fullmatch(name)
        values = asked.find(with_default[1].strip() if with_default else name)
        if values is not None and len(values) == 1:
            pieces.append((values[0], True))
        elif with_default:
            pieces.append((with_default[2], True))
        else:
            return None
    return Wanted((*pieces, (text[at:], False)))


def _holds(operator: str, key: str, wanted: Sequence[str], asked: Asked, *, has_variables: bool) -> bool:
    quantifier, _, rest = operator.rpartition(":")
    name = rest.removesuffix("IfExists")
    found = asked.find(key)
    if found is None and key.casefold() in UNFILLED:
        raise Unmodelled(f"the condition key {key!r} is not modelled by the twin")
    if name == "Null":
        return any((found is None) == (item.lower() == "true") for item in wanted)
    if name not in OPERATORS or quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise Unmodelled(f"the condition {operator!r} is not modelled by the twin")
    is_negated, test = OPERATORS[name]
    if found is None:
        if quantifier:  # of no values all are right and none is, whatever is asked of them
            return quantifier == "ForAllValues"
        return is_negated or rest.endswith("IfExists")
    takes_variables = has_variables and name.startswith(("Arn", "String"))
    # what has a variable without a value is equal to nothing
    resolved = [_resolve(item, asked, has_variables=takes_variables) for item in wanted]
    known = [item for item in resolved if item is not None]
    matching = [any(_passes(test, item, value) for item in known) for value in found]
    if is_negated:
        return not all(matching) if quantifier == "ForAnyValue" else not any(matching)
    return all(matching) if quantifier == "ForAllValues" else any(matching)


def _passes(test: Callable[[Wanted, str], bool], wanted: Wanted, value: str) -> bool:
    try:
        return test(wanted, value)
    except ValueError:  # a number, a date, an address that is none is like nothing
        return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _like(wanted: Wanted, value: str) -> bool:
    return wanted.is_like(value)


def _like_arn(wanted: Wanted, value: str) -> bool:
    return wanted.is_like(value, is_arn=True)


def _equal(wanted: Wanted, value: str) -> bool:
    return wanted.text == value


def _equal_anyhow(wanted: Wanted, value: str) -> bool:
    return wanted.text.casefold() == value.casefold()


def _within(wanted: Wanted, value: str) -> bool:
    address = ipaddress.ip_address(value)
    return address in ipaddress.ip_network(wanted.text, strict=False)


def _by(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> Callable[[Wanted, str], bool]:
    return lambda wanted, value: compare(read(value), read(wanted.text))


def _moment(text: str) -> float:
    """Return a time as seconds since 1970; it is written as in ISO 8601, or as those seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text) and len(text) > len("2012"):
        return float(text)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


_COMPARISONS: Mapping[str, tuple[bool, Callable[[float, float], bool]]] = {
    "Equals": (False, lambda value, wanted: value == wanted),
    "NotEquals": (True, lambda value, wanted: value == wanted),
    "LessThan": (False, lambda value, wanted: value < wanted),
    "LessThanEquals": (False, lambda value, wanted: value <= wanted),
    "GreaterThan": (False, lambda value, wanted: value > wanted),
    "GreaterThanEquals": (False, lambda value, wanted: value >= wanted),
}

OPERATORS: Mapping[str, tuple[bool, Callable[[Wanted, str], bool]]] = {
    "ArnEquals": (False, _like_arn),
    "ArnLike": (False, _like_arn),
    "ArnNotEquals": (True, _like_arn),
    "ArnNotLike": (True, _like_arn),
    "Bool": (False, _equal_anyhow),
    "IpAddress": (False, _within),
    "NotIpAddress": (True, _within),
    "StringEquals": (False, _equal),
    "StringEqualsIgnoreCase": (False, _equal_anyhow),
    "StringLike": (False, _like),
    "StringNotEquals": (True, _equal),
    "StringNotEqualsIgnoreCase": (True, _equal_anyhow),
    "StringNotLike": (True, _like),
    **{f"Numeric{name}": (negated, _by(float, compare)) for name, (negated, compare) in _COMPARISONS.items()},
    **{f"Date{name}": (negated, _by(_moment, compare)) for name, (negated, compare) in _COMPARISONS.items()},
}
"""Each condition operator with whether it is a negation, and how a value is compared with what the policy wants."""
