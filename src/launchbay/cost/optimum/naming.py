"""Which copy of which service stands where: from counts of kinds to names. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from launchbay.cost.optimum.problem import Pattern, Problem

__all__ = ["name_services"]


def name_services(problem: Problem, packing: Sequence[Pattern]) -> list[tuple[str, ...]]:
    """Return the services of each instance, no service twice on one.

    Each instance takes those services of a kind of which most copies are still to be placed. That always works out, because
    all services of a kind have equally many (Gale, Pacific Journal of Mathematics 7, 1957; Ryser, Canadian Journal of
    Mathematics 9, 1957).
    """
    left = [dict.fromkeys(kind.services, kind.replicas) for kind in problem.kinds]
    named = []
    for pattern in packing:
        here: list[str] = []
        for kind, count in enumerate(pattern.counts):
            copies = left[kind]
            for _, name in sorted((-copies[name], name) for name in copies)[:count]:
                copies[name] -= 1
                here.append(name)
        named.append(tuple(sorted(here)))
    return named
