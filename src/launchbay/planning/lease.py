"""How long a fleet may live for a budget: until the dearest that it can come to has used it up. Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

from launchbay.errors import UsageError
from launchbay.planning.cloudwish import LEAST_TTL_S
from launchbay.planning.worstcase import WorstCase
from launchbay.units import format_usd

__all__ = ["lease_within"]


def lease_within(budget: Decimal | None, ttl_s: int, worst_of: Callable[[int], WorstCase]) -> int:
    """Return the seconds after which a lease ends: `ttl_s`, or less where the worst case passes the budget before.

    `worst_of` says the worst case of so many seconds; it grows evenly. Raises UsageError for a budget of which nobody can say
    how long it lasts, since a price is not known, and for one that does not last a minute.
    """
    if budget is None:
        return ttl_s
    whole = worst_of(ttl_s)
    if whole.usd is None:
        what = f"nobody knows how long {format_usd(budget)} USD last: {whole.unknown[0]}"
        raise UsageError(what, hint="without --budget, with a shorter --ttl; or `bay types refresh` for prices")
    if whole.usd <= budget:
        return ttl_s
    least = worst_of(LEAST_TTL_S).usd or Decimal(0)
    if least > budget:
        used = f"used up by a boot, a minute and a shutdown, which cost up to {format_usd(least)} USD"
        what = f"a budget of {format_usd(budget)} USD is {used}"
        raise UsageError(
            what, hint=f"--budget {format_usd(whole.usd)}usd lasts for all of it; or fewer, or a smaller --type"
        )
    slope = (whole.usd - least) / (ttl_s - LEAST_TTL_S)
    return LEAST_TTL_S + int(((budget - least) / slope).to_integral_value(rounding=ROUND_DOWN))
