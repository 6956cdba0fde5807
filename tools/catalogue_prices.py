"""The repair rule: what an hour costs, from tables that are clean and tables in which many figures are wrong. Pure.

Releases of apache-libcloud before 3.6 hold on-demand prices as they were. In those from 3.6 on a figure may be 0, or the
rate of dedicated tenancy, which is mostly 6 to 10 % higher (their scraper filters neither tenancy nor capacity status).
It is never too low, and this is what the rule stands on.

1. A price in a clean table counts, the newest first.
2. Else it must lie on its family's line: within a region the sizes of a family cost the same for each unit of size, and
   those with accelerators, whose sizes do not, are as much dearer than in the United States as each other. The line is the
   lowest one on which two types agree. What no table says right is computed from it, but not for accelerators.
3. A type without others of its family in a region has a price where two tables, or two of the regions with equal prices,
   say the same and none less.

Anything else stays unknown.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

__all__ = ["EQUAL_REGIONS", "Known", "Shape", "Table", "choose_prices", "size_factor"]

EQUAL_REGIONS = ("us-east-1", "us-west-2")
"""All 491 types that both have in the clean table of 2022 cost the same in both."""
NEARLY_EQUAL_REGIONS = (*EQUAL_REGIONS, "us-east-2")
"""So do all in us-east-2; but newer Arm families are 0.3 % cheaper there: it counts for accelerators, and alone."""

_FACTORS = {"nano": "0.25", "micro": "0.5", "small": "1", "medium": "2", "large": "4", "xlarge": "8"}
_TOLERANCE = Decimal("0.006")
_ROUNDING = Decimal("0.00006")
"""Prices are rounded to 4 or 5 decimals, which a small one shows."""

Table = Mapping[tuple[str, str], Decimal]
"""Prices by type and region, as one release of the package has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the rule has to know of a type."""

    name: str
    vcpus: int
    is_accelerated: bool

    @property
    def family(self) -> str:
        """What stands before the dot."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A price with the newest release that says so.

    `how` is ``clean``, ``confirmed`` (a clean figure that a later release repeats), ``line`` (a figure on the family's
    line), ``elsewhere`` (that of a region with equal prices) or ``computed`` (read off the line).
    """

    usd: Decimal
    release: str
    how: str
    clean_release: str = ""


def size_factor(name: str) -> Decimal | None:
    """Return how many small instances a size is worth, as AWS counts them (an xlarge is 8); None for plain ``metal``."""
    size = name.partition(".")[2]
    if size in _FACTORS:
        return Decimal(_FACTORS[size])
    found = re.fullmatch(r"(?:metal-)?(\d+)xl(?:arge)?", size)
    return Decimal(8 * int(found[1])) if found else None


def choose_prices(
    clean: Mapping[str, Table], doubtful: Mapping[str, Table], shapes: Mapping[str, Shape]
) -> dict[tuple[str, str], Known]:
    """Return the price of every type and region that can be known; releases are given oldest first."""
    chosen: dict[tuple[str, str], Known] = {}
    for release, table in clean.items():
        for key, usd in table.items():
            if usd > 0 and key[0] in shapes:
                chosen[key] = Known(usd=usd, release=release, how="clean", clean_release=release)
    for release, table in doubtful.items():
        for key, known in chosen.items():
            if table.get(key) == known.usd:
                chosen[key] = Known(usd=known.usd, release=release, how="confirmed", clean_release=known.clean_release)
    known_clean = {key: known.usd for key, known in chosen.items()}
    return chosen | _Repair(known_clean, doubtful, shapes).choose()


@dataclass(frozen=True, slots=True)
class _Said:
    """What a release has for a type in a region; 0 where it knows only that there is a price."""

    usd: Decimal
    release: str
    age: int
    region: str


class _Repair:
    """The rule at work on the pairs that no clean table has."""

    def __init__(self, clean: Table, doubtful: Mapping[str, Table], shapes: Mapping[str, Shape]) -> None:
        self._clean, self._shapes = clean, shapes
        self._said: dict[tuple[str, str], list[_Said]] = defaultdict(list)
        for age, (release, table) in enumerate(doubtful.items()):
            for (name, region), usd in table.items():
                if name in shapes:
                    self._said[name, region].append(_Said(usd, release, age, region))
        self._families: dict[str, list[Shape]] = defaultdict(list)
        for shape in shapes.values():
            self._families[shape.family].append(shape)
        self._yardsticks = {name: self._yardstick(shape) for name, shape in shapes.items()}

    def choose(self) -> dict[tuple[str, str], Known]:
        """Return what can be known of each pair that some doubtful table has and no clean one."""
        found = {}
        lines: dict[tuple[str, str], tuple[Decimal, int] | None] = {}
        for name, region in sorted(self._said):
            if (name, region) in self._clean:
                continue
            place = (self._shapes[name].family, region)
            if place not in lines:
                lines[place] = self._line(*place)
            line, unit = lines[place], self._yardsticks[name]
            known = self._on_line(name, region, line, unit) if line and unit else self._alone(name, region)
            if known is not None:
                found[name, region] = known
        return found

    def _yardstick(self, shape: Shape) -> Decimal | None:
        """Return what a type's price is proportional to within its family and region; None where nothing is known to be."""
        if shape.is_accelerated:
            said = [usd for region in NEARLY_EQUAL_REGIONS for usd in self._figures(shape.name, region)]
            return min(said, default=None)
        factor = size_factor(shape.name)
        if factor is None:
            twins = [size_factor(other.name) for other in self._families[shape.family] if other.vcpus == shape.vcpus]
            factor = next((item for item in twins if item is not None), None)
        return factor

    def _figures(self, name: str, region: str) -> Iterator[Decimal]:
        """Yield every figure above 0 for a type in a region; the clean one alone where there is one."""
        if (name, region) in self._clean:
            yield self._clean[name, region]
        else:
            yield from (said.usd for said in self._evidence(name, region))

    def _evidence(self, name: str, region: str, equal: Sequence[str] = ()) -> list[_Said]:
        """Return the figures above 0 for a type in a region, or in those with equal prices."""
        equal = equal or (NEARLY_EQUAL_REGIONS if self._shapes[name].is_accelerated else EQUAL_REGIONS)
        regions = equal if region in equal else (region,)
        return [said for other in regions for said in self._said.get((name, other), ()) if said.usd > 0]

    def _line(self, family: str, region: str) -> tuple[Decimal, int] | None:
        """Return the lowest price of a unit of size on which two types agree, and the decimals that its prices have."""
        rates: list[tuple[Decimal, str, Decimal]] = []
        for shape in self._families[family]:
            unit = self._yardsticks[shape.name]
            if unit:
                rates += [(usd / unit, shape.name, usd) for usd in self._figures(shape.name, region)]
        rates.sort()
        for rate, _, _ in rates:
            near = [item for item in rates if rate <= item[0] <= rate * (1 + _TOLERANCE)]
            if len({name for _, name, _ in near}) > 1:
                best = max(near, key=lambda item: item[2])  # the dearest is rounded least
                decimals = max(-int(usd.normalize().as_tuple().exponent) for _, _, usd in near)
                return best[0], max(4, decimals)
        return None

    def _on_line(self, name: str, region: str, line: tuple[Decimal, int], unit: Decimal) -> Known | None:
        right = line[0] * unit
        slack = max(right * _TOLERANCE, _ROUNDING)
        near = [said for said in self._evidence(name, region) if abs(said.usd - right) <= slack]
        if near:
            return self._newest(near, region)
        if self._shapes[name].is_accelerated:
            return None
        release = max(self._said[name, region], key=lambda item: item.age).release
        usd = right.quantize(Decimal(1).scaleb(-line[1]), rounding=ROUND_HALF_UP).normalize()
        return Known(usd=usd, release=release, how="computed")

    def _alone(self, name: str, region: str) -> Known | None:
        """Return the lowest figure of a type without others to compare, if two releases or two equal regions say it."""
        others = (other.name for other in self._families[self._shapes[name].family] if other.name != name)
        if any(True for other in others for _ in self._figures(other, region)):
            return None
        said = self._evidence(name, region, NEARLY_EQUAL_REGIONS)
        lowest = min((item.usd for item in said), default=None)
        agreeing = [item for item in said if item.usd == lowest]
        return self._newest(agreeing, region) if len(agreeing) > 1 else None

    def _newest(self, said: Iterable[_Said], region: str) -> Known:
        """Return the newest figure, that of the region itself before that of another."""
        here = [item for item in said if item.region == region]
        best = max(here or said, key=lambda item: item.age)
        return Known(usd=best.usd, release=best.release, how="line" if here else "elsewhere")
