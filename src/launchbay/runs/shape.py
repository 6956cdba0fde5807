"""How a noisy series moves: its level, its rise and its fall, against its own noise. Pure.

Losses jitter from step to step (a validation loss around 2.9 with a standard deviation of 0.43 is an
ordinary one), so nothing here looks at single points. A series is cut into about twenty blocks and seen
through the blocks' medians; a change counts when it is large against the noise of such a median *and* large
enough to matter to a person.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from launchbay.runs.events import Scalar

__all__ = [
    "CLEAR_RISE",
    "FALL_SIGMAS",
    "HUGE",
    "LEAST_FALL",
    "LEAST_RISE",
    "MIN_POINTS",
    "RISE_SIGMAS",
    "Shape",
    "find_shape",
]

HUGE = 1e100
"""As good as infinite; the squares of what is below are numbers."""
MIN_POINTS = 12
"""Fewer points than these say nothing about a trend."""
LEAST_RISE = 0.05
"""The least rise over the lowest level that matters, as a share of that level."""
LEAST_FALL = 0.03
"""The least fall over the last third that matters, as a share of the level before it."""
CLEAR_RISE = 1.0
"""From this rise on, a noise that cannot be told from the rise itself does not excuse it."""
RISE_SIGMAS = 3.5
"""The lowest of twenty noisy medians lies about two sigmas too low by chance alone; the rest is evidence."""
FALL_SIGMAS = 2.5
_BLOCKS = 20
_ROUNDING = 2.0**-20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A series seen through the medians of blocks that overlap by half.

    `steps` are the middles of the blocks, `width` their points. `noise` is the standard deviation of a
    block's median near the end, `early_noise` around the lowest block. `span` is what changes are relative
    to where the level itself cannot be it (a loss of both signs); None otherwise. `is_apart` says that every
    point of the last block lies above every point of the lowest.
    """

    width: int
    steps: Sequence[int]
    medians: Sequence[float]
    noise: float
    early_noise: float
    span: float | None
    is_apart: bool

    def relative(self, change: float, level: float) -> float:
        """Express a change as a share of a level (0 where the level is)."""
        size = abs(level) if self.span is None else self.span
        return change / size if size else 0.0

    @property
    def lowest(self) -> int:
        """Find the lowest block."""
        return min(range(len(self.medians)), key=self.medians.__getitem__)

    @property
    def low(self) -> float:
        """Give the median of the lowest block."""
        return self.medians[self.lowest]

    @property
    def end(self) -> float:
        """Give the level at the end."""
        return median(self.medians[-max(1, len(self.medians) // 8) :])

    @property
    def rise(self) -> float:
        """Say how far the end lies above the lowest block."""
        return self.end - self.low

    @property
    def is_beyond_noise(self) -> bool:
        """Tell whether the rise is more than chance."""
        return self.rise > RISE_SIGMAS * max(self.noise, self.early_noise)

    @property
    def is_smooth(self) -> bool:
        """Tell whether the noise is no more than the rounding of numbers that a file holds with 24 bits."""
        recent = self.medians[len(self.medians) // 2 :]  # what the noise was estimated from
        return self.noise <= _ROUNDING * max(map(abs, recent))

    @property
    def has_risen(self) -> bool:
        """Tell whether the rise is more than chance, matters, and still stands."""
        share = self.relative(self.rise, self.low)
        is_clear = share > CLEAR_RISE and self.is_apart
        return share > LEAST_RISE and (self.is_beyond_noise or is_clear) and not self.is_falling

    @property
    def fall(self) -> float:
        """Say how far a robust line (Theil and Sen's) through the last third of the blocks falls."""
        tail = self._tail()
        pairs = itertools.combinations(enumerate(tail), 2)
        return -median((right - left) / (j - i) for (i, left), (j, right) in pairs) * (len(tail) - 1)

    @property
    def is_falling(self) -> bool:
        """Tell whether the fall over the last third is more than chance and matters."""
        count = len(self._tail())
        # The standard error of a slope fitted to `count` points, times the length it spans.
        error = self.noise * (count - 1) / math.sqrt(count * (count * count - 1) / 12)
        matters = self.relative(self.fall, self.end + self.fall) > LEAST_FALL
        return matters and self.fall > FALL_SIGMAS * error

    @property
    def flat_from(self) -> int:
        """Find the first block after which no median leaves the final level by more than chance or 5 %."""
        size = abs(self.end) if self.span is None else self.span
        slack = max(2 * self.noise, LEAST_RISE * size)
        outside = [index for index, level in enumerate(self.medians) if abs(level - self.end) > slack]
        return min(outside[-1] + 1, len(self.medians) - 1) if outside else 0

    def _tail(self) -> Sequence[float]:
        apart = self.medians[::-2][::-1]  # the last block and those before that do not overlap
        return apart[-max(3, len(apart) // 3) :]


def find_shape(scalar: Scalar | None) -> Shape | None:
    """Cut a series into blocks; None where it is missing or too short to have a shape."""
    if scalar is None:
        return None
    points = zip(scalar.steps, scalar.values, strict=True)
    finite = [(step, value) for step, value in points if abs(value) < HUGE]
    if len(finite) < MIN_POINTS:
        return None
    values = [value for _, value in finite]
    width = max(3, len(values) // _BLOCKS)
    starts = range(len(values) - width, -1, -max(1, width // 2))[::-1]
    medians = [median(values[start : start + width]) for start in starts]
    lowest = starts[min(range(len(medians)), key=medians.__getitem__)]
    reach = max(MIN_POINTS, len(values) // 4)
    noise, lasting = _noise(values[-max(8, len(values) // 2) :], width)
    return Shape(
        width=width,
        steps=[finite[start + width // 2][0] for start in starts],
        medians=medians,
        noise=noise,
        early_noise=lasting * _white(values[max(0, lowest - reach) : lowest + width + reach], width),
        span=None if min(values) > 0 else max(medians) - min(medians),
        is_apart=min(values[-width:]) > max(values[lowest : lowest + width]),
    )


# --- noise -----------------------------------------------------------------------------------------


def _noise(values: Sequence[float], width: int) -> tuple[float, float]:
    """Estimate the deviation of a median of `width` values, and its ratio to that of independent values.

    Independence is the least. Noise that lasts for several steps (Adam's oscillations do) is seen twice: in
    the blocks' medians, and in the lag-one correlation of what a parabola through the values leaves over.
    """
    white = _white(values, width)
    blocks = [median(values[start : start + width]) for start in range(0, len(values) - width + 1, width)]
    # A parabola does not follow half a run that still bends; few points do not show their correlation.
    rest = _detrend(values[-2 * len(values) // 3 :] if len(values) >= 50 else values)
    spread = 1.4826 * median(abs(value) for value in rest)
    lasting = min(spread, spread * 1.2533 * math.sqrt(_inertia(rest) / width))
    noise = max(white, lasting, _jitter(blocks) if len(blocks) >= 7 else 0.0)
    # Fully dependent values are sqrt(width) times as bad as independent ones; more is a trend, not noise.
    return noise, min(noise / white, math.sqrt(width)) if white else 1.0


def _white(values: Sequence[float], width: int) -> float:
    """Estimate the same for independent values; sqrt(pi / 2): a median is noisier than a mean."""
    return 1.2533 * _jitter(values) / math.sqrt(width)


def _jitter(values: Sequence[float]) -> float:
    """Estimate the noise of single values from their third differences, whose variance is 20 times theirs.

    Third, because the steep bend of a young loss curve would pass for noise in first and second ones.
    1.4826 makes a median of absolute values a standard deviation.
    """
    bends = [abs(values[i] - 3 * values[i + 1] + 3 * values[i + 2] - values[i + 3]) for i in range(len(values) - 3)]
    return 1.4826 * median(bends) / math.sqrt(20) if bends else 0.0


def _detrend(values: Sequence[float]) -> list[float]:
    """Subtract the least-squares parabola."""
    count = len(values)
    line = [index - (count - 1) / 2 for index in range(count)]
    bend = [x * x - (count * count - 1) / 12 for x in line]  # orthogonal to the line and to a constant
    level = math.fsum(values) / count
    slope = _project(values, line)
    curve = _project(values, bend)
    return [v - level - slope * x - curve * y for v, x, y in zip(values, line, bend, strict=True)]


def _project(values: Sequence[float], onto: Sequence[float]) -> float:
    return math.fsum(x * v for x, v in zip(onto, values, strict=True)) / math.fsum(x * x for x in onto)


def _inertia(rest: Sequence[float]) -> float:
    """Estimate by how much lag-one correlation r multiplies the variance of a mean: (1 + r) / (1 - r).

    A parabola fitted to n values takes about (3 + 7 r) / n off their correlation (found by simulation for n
    of 20 to 200 and r of 0 to 0.8); it is put back.
    """
    power = math.fsum(value * value for value in rest)
    if not power:
        return 1.0
    seen = max(0.0, math.fsum(a * b for a, b in itertools.pairwise(rest)) / power)
    true = min(0.95, seen + (3 + 7 * seen) / len(rest))
    return (1 + true) / (1 - true)
