"""Try the whole list somewhere, and say what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from launchbay.twin.conformance import disks, images, launching, lifetime, networks, services
from launchbay.twin.conformance.account import FAILURES, Account, Target
from launchbay.twin.conformance.behaviour import Behaviour, all_listed

__all__ = ["BEHAVIOURS", "Outcome", "Trial", "choose", "run_trial"]

_LISTS = tuple(part.__name__ for part in (launching, lifetime, networks, disks, images, services))
BEHAVIOURS: tuple[Behaviour, ...] = tuple(sorted(all_listed(), key=lambda item: _LISTS.index(item.check.__module__)))
"""Every behaviour that is known: importing the parts above has filled the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What trying one behaviour gave: whether it is so, None where it could not be tried; and in words what was found."""

    behaviour: Behaviour
    is_met: bool | None
    found: str = ""

    def as_json(self) -> Mapping[str, Any]:
        """Return what `--json` shows."""
        known = self.behaviour
        return {
            "name": known.name,
            "says": known.says,
            "known": known.known,
            "source": known.source,
            "met": self.is_met,
            "found": self.found,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The outcome of the whole list in one place."""

    place: str
    outcomes: tuple[Outcome, ...]

    @property
    def met(self) -> int:
        """How many behaviours are as they should be."""
        return sum(outcome.is_met is True for outcome in self.outcomes)

    @property
    def missed(self) -> tuple[Outcome, ...]:
        """Those that are not."""
        return tuple(outcome for outcome in self.outcomes if outcome.is_met is False)

    def as_json(self) -> Mapping[str, Any]:
        """Return what `--json` shows."""
        return {
            "place": self.place,
            "behaviours": len(self.outcomes),
            "met": self.met,
            "missed": len(self.missed),
            "not_tried": sum(outcome.is_met is None for outcome in self.outcomes),
            "outcomes": [outcome.as_json() for outcome in self.outcomes],
        }


def choose(names: Iterable[str] = (), *, max_usd: Decimal | None = None) -> tuple[Behaviour, ...]:
    """Return the behaviours of some names, all of them without one, as many as may be tried for a sum. Raises LookupError."""
    asked = list(names)
    known = {item.name: item for item in BEHAVIOURS}
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise LookupError(f"there is no behaviour {unknown[0]!r}")
    chosen, left = [], max_usd
    for item in [known[name] for name in asked] or BEHAVIOURS:
        if left is not None:
            if item.usd > left:
                continue
            left -= item.usd
        chosen.append(item)
    return tuple(chosen)


def run_trial(
    place: str,
    target: Target,
    behaviours: Iterable[Behaviour],
    *,
    before: Callable[[], object] = lambda: None,
    tell: Callable[[Outcome], object] = lambda _: None,
) -> Trial:
    """Try behaviours one after the other, each in an account of its own, as far as that goes; `before` each of them."""
    outcomes = []
    for behaviour in behaviours:
        before()
        outcome = _try(behaviour, target)
        tell(outcome)
        outcomes.append(outcome)
    return Trial(place=place, outcomes=tuple(outcomes))


def _try(behaviour: Behaviour, target: Target) -> Outcome:
    account = Account(target, behaviour.name)
    found, is_met = "", False
    try:
        behaviour.check(account)
        is_met = True
    except AssertionError as error:
        found = str(error)
    except ClientError as error:
        found = f"refused with {error.response['Error'].get('Code')}: {error.response['Error'].get('Message', '')}"[
            :200
        ]
    except (*FAILURES, KeyError, IndexError, StopIteration, OSError) as error:
        found = f"{type(error).__name__}: {error}"[:200]
    except LookupError as error:  # it cannot be provoked here
        return Outcome(behaviour=behaviour, is_met=None, found=str(error))
    finally:
        problems = account.close()
    if problems:
        found = f"{found}; not removed: {problems[0]}" if found else f"not removed: {problems[0]}"
    return Outcome(behaviour=behaviour, is_met=is_met, found=found)
