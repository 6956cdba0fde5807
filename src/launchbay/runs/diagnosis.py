"""What a pair of learning curves says, in one sentence, and by which rule. Pure.

Losses jitter from step to step (a validation loss around 2.9 with a standard deviation of 0.43 is an ordinary one), so
no rule looks at single points. A series is cut into about twenty blocks and seen through the blocks' medians; a
change counts when it is large against the noise of such a median *and* large enough to matter to a person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, TypeAlias

from launchbay.runs.events import Scalar

__all__ = ["Diagnosis", "Verdict", "diagnose", "format_value"]

Verdict: TypeAlias = Literal["falling", "flat", "overfitting", "rising", "diverged", "short", "unknown"]

MIN_POINTS = 12
"""Fewer points than these say nothing about a trend."""
BLOCKS = 20
RISE_SIGMAS = 3.5
"""The lowest of twenty noisy medians lies about two sigmas too low by chance alone; two more are evidence."""
FALL_SIGMAS = 2.5
LEAST_RISE = 0.05
LEAST_FALL = 0.03
DIVERGED = 0.5
"""From here on a rise of the training loss is called divergence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the loss curves of one run say.

    `verdict` is one of: falling (more steps may help), flat, overfitting (validation rises, training does not),
    rising (the training loss itself), diverged (NaN, infinite, or far above its best), short (too few points),
    unknown (no loss at all). `since_step` is where that began. `best_step` and `best_value` are the lowest single
    point of the validation loss, or of the training loss where there is no other. What is not known is None.
    """

    verdict: Verdict
    sentence: str
    rule: str
    since_step: int | None = None
    best_step: int | None = None
    best_value: float | None = None


def diagnose(*, training: Scalar | None, validation: Scalar | None) -> Diagnosis:
    """Say what the loss curves show. Either may be missing; the rules stand in `Diagnosis.rule`, with their numbers."""
    lead = validation if validation is not None and validation.steps else training
    if lead is None or not lead.steps:
        return Diagnosis(
            verdict="unknown",
            sentence="There is no loss among the scalars, so there is nothing to judge.",
            rule="unknown: neither a training nor a validation loss was found",
        )
    best_step, best_value = _best(lead)
    for name, scalar in (("training", training), ("validation", validation)):
        broken = None if scalar is None else _find_break(scalar)
        if broken is not None and scalar is not None:
            return _say_broken(name, scalar, broken, best_step, best_value)
    verdict, sentence, rule, since = _judge(_shape(training), _shape(validation), len(lead.steps))
    return Diagnosis(
        verdict=verdict,
        sentence=sentence,
        rule=rule,
        since_step=since,
        best_step=best_step,
        best_value=best_value,
    )


def format_value(value: float) -> str:
    """Write a loss with three digits: ``2.53``, ``0.0125``, ``1,230``, ``3.1e-06``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _best(scalar: Scalar) -> tuple[int | None, float | None]:
    finite = [(value, step) for step, value in zip(scalar.steps, scalar.values, strict=True) if math.isfinite(value)]
    return (min(finite)[1], min(finite)[0]) if finite else (None, None)


# --- not a number ---------------------------------------------------------------------------------------------------


def _find_break(scalar: Scalar) -> int | None:
    """Find the point from which the values are lost: the last is not finite, nor are most of those before it.

    A single infinite value that training recovered from (loss scaling finds its factor that way) is no break.
    """
    lost = [not math.isfinite(value) for value in scalar.values]
    if not lost[-1]:
        return None
    first = lost.index(True)
    return first if 2 * sum(lost[first:]) > len(lost) - first else len(lost) - 1


def _say_broken(
    name: str, scalar: Scalar, index: int, best_step: int | None, best_value: float | None
) -> Diagnosis:
    step, value = scalar.steps[index], format_value(scalar.values[index])
    before = f"; the last good value was {format_value(scalar.values[index - 1])}" if index else ""
    return Diagnosis(
        verdict="diverged",
        sentence=f"Diverged: the {name} loss is {value} from step {step} on{before}; a lower learning rate may help.",
        rule=f"diverged: the last {name} loss, and most since step {step}, are not finite numbers",
        since_step=step,
        best_step=best_step,
        best_value=best_value,
    )


# --- shapes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """A series seen through overlapping blocks: every second one starts where the one before the last ended."""

    width: int  # points in a block
    steps: Sequence[int]  # the middle of each block
    medians: Sequence[float]
    noise: float  # standard deviation of a block's median, near the end
    early_noise: float  # the same, around the lowest block
    span: float | None  # what changes are relative to, where the level itself cannot be (values of both signs)

    def relative(self, change: float, level: float) -> float:
        size = abs(level) if self.span is None else self.span
        return change / size if size else 0.0

    @property
    def lowest(self) -> int:
        return min(range(len(self.medians)), key=self.medians.__getitem__)

    @property
    def end(self) -> float:
        return median(self.medians[-max(1, len(self.medians) // 8) :])

    @property
    def rise(self) -> float:
        return self.end - self.medians[self.lowest]

    @property
    def has_risen(self) -> bool:
        enough = self.relative(self.rise, self.medians[self.lowest]) > LEAST_RISE
        return enough and self.rise > RISE_SIGMAS * max(self.noise, self.early_noise) and not self.is_falling

    @property
    def fall(self) -> float:
        """How far a robust line (Theil and Sen) through the last third of the blocks falls."""
        tail = self._tail()
        pairs = [(j - i, tail[j] - tail[i]) for i in range(len(tail)) for j in range(i + 1, len(tail))]
        return -median(rise / run for run, rise in pairs) * (len(tail) - 1)

    @property
    def is_falling(self) -> bool:
        count = len(self._tail())
        # The standard error of a fitted slope over `count` points, times the points it spans.
        error = self.noise * (count - 1) / math.sqrt(count * (count * count - 1) / 12)
        enough = self.relative(self.fall, self.end + self.fall) > LEAST_FALL
        return enough and self.fall > FALL_SIGMAS * error

    @property
    def flat_from(self) -> int:
        """The first block after which no median leaves the final level by more than chance or five per cent."""
        slack = max(2 * self.noise, LEAST_RISE * (abs(self.end) if self.span is None else self.span))
        outside = [index for index, level in enumerate(self.medians) if abs(level - self.end) > slack]
        return min(outside[-1] + 1, len(self.medians) - 1) if outside else 0

    def _tail(self) -> Sequence[float]:
        apart = self.medians[::-2][::-1]  # the last block and those that do not overlap
        return apart[-max(3, len(apart) // 3) :]


def _shape(scalar: Scalar | None) -> _Shape | None:
    """Cut a series into blocks; None where it is missing or too short to have a shape."""
    if scalar is None:
        return None
    finite = [(step, value) for step, value in zip(scalar.steps, scalar.values, strict=True) if math.isfinite(value)]
    if len(finite) < MIN_POINTS:
        return None
    values = [value for _, value in finite]
    width = max(3, len(values) // BLOCKS)
    hop = max(1, width // 2)
    starts = range(len(values) - width, -1, -hop)[::-1]
    medians = [median(values[start : start + width]) for start in starts]
    lowest = starts[min(range(len(medians)), key=medians.__getitem__)]
    reach = max(MIN_POINTS, len(values) // 4)
    noise, lasting = _noise(values[-max(8, len(values) // 2) :], width)
    return _Shape(
        width=width,
        steps=[finite[start + width // 2][0] for start in starts],
        medians=medians,
        noise=noise,
        early_noise=lasting * _white(values[max(0, lowest - reach) : lowest + width + reach], width),
        span=None if min(values) > 0 else max(medians) - min(medians),
    )


def _noise(values: Sequence[float], width: int) -> tuple[float, float]:
    """Estimate the standard deviation of the median of `width` values, and its ratio to that of independent ones.

    Independence is the least. Noise that lasts for several steps (Adam's oscillations do) is seen twice: in the
    blocks' medians, and in the lag-one correlation of what a parabola through the values leaves over.
    """
    white = _white(values, width)
    blocks = [median(values[start : start + width]) for start in range(0, len(values) - width + 1, width)]
    # A parabola does not follow half a run that is still bending, and few points do not show their correlation.
    rest = _detrend(values[-2 * len(values) // 3 :] if len(values) >= 50 else values)
    spread = 1.4826 * median(abs(value) for value in rest)
    lasting = min(spread, spread * 1.2533 * math.sqrt(_inertia(rest) / width))
    noise = max(white, lasting, _jitter(blocks) if len(blocks) >= 7 else 0.0)
    return noise, noise / white if white else 1.0


def _white(values: Sequence[float], width: int) -> float:
    """Estimate the same as if the values were independent; sqrt(pi / 2): a median is noisier than a mean."""
    return 1.2533 * _jitter(values) / math.sqrt(width)


def _jitter(values: Sequence[float]) -> float:
    """Estimate the noise of single values from their third differences, whose variance is 20 times theirs.

    Third, because the steep bend of a young loss curve would pass for noise in first and second ones.
    """
    fours = zip(values, values[1:], values[2:], values[3:], strict=False)
    bends = [abs(a - 3 * b + 3 * c - d) for a, b, c, d in fours]
    return 1.4826 * median(bends) / math.sqrt(20) if bends else 0.0


def _detrend(values: Sequence[float]) -> list[float]:
    """Subtract the least-squares parabola."""
    count = len(values)
    line = [index - (count - 1) / 2 for index in range(count)]
    bend = [x * x - (count * count - 1) / 12 for x in line]  # orthogonal to the line and to a constant
    level = sum(values) / count
    slope = sum(x * v for x, v in zip(line, values, strict=True)) / sum(x * x for x in line)
    curve = sum(x * v for x, v in zip(bend, values, strict=True)) / sum(x * x for x in bend)
    return [v - level - slope * x - curve * y for v, x, y in zip(values, line, bend, strict=True)]


def _inertia(rest: Sequence[float]) -> float:
    """Estimate by how much lag-one correlation multiplies the variance of a mean: (1 + r) / (1 - r), at least 1.

    Detrending takes about (3 + 4 r) / n off the correlation of n values (Marriott and Pope 1954, for a parabola
    about twice that of a mean); it is put back.
    """
    power = sum(value * value for value in rest)
    if not power:
        return 1.0
    seen = sum(a * b for a, b in zip(rest, rest[1:], strict=False)) / power
    true = min(0.95, max(0.0, seen + (3 + 4 * max(0.0, seen)) / len(rest)))
    return (1 + true) / (1 - true)


# --- verdicts -------------------------------------------------------------------------------------------------------

_Words: TypeAlias = tuple[Verdict, str, str, int | None]


def _judge(training: _Shape | None, validation: _Shape | None, points: int) -> _Words:
    lead, name = (validation, "validation") if validation is not None else (training, "training")
    if lead is None:
        rule = f"short: {points} points, at least {MIN_POINTS} are needed"
        return "short", f"Too short to say: {points} {'point' if points == 1 else 'points'}.", rule, None
    alone = "" if validation is not None else "; without enough of a validation loss, overfitting cannot be seen"
    if training is not None and training.has_risen:
        return _say_risen(training)
    if validation is not None and validation.has_risen:
        return _say_overfitting(validation, training)
    if lead.is_falling:
        start = lead.end + lead.fall
        share = lead.relative(lead.fall, start)
        return (
            "falling",
            f"Still falling: the {name} loss fell by {share:.0%} over the last third of the steps, to "
            f"{format_value(lead.end)}; more steps may help{alone}.",
            f"falling: {_measure(lead, name)} fall by {share:.1%} over their last third, more than {LEAST_FALL:.0%} "
            f"and {FALL_SIGMAS:g} standard errors",
            None,
        )
    return _say_flat(lead, name, training, alone)


def _measure(shape: _Shape, name: str) -> str:
    return f"medians of the {name} loss over {shape.width} points (noise ±{format_value(shape.noise)})"


def _say_risen(shape: _Shape) -> _Words:
    lowest = shape.medians[shape.lowest]
    share, step = shape.relative(shape.rise, lowest), shape.steps[shape.lowest]
    verdict: Verdict = "diverged" if share > DIVERGED else "rising"
    return (
        verdict,
        f"{'Diverged' if verdict == 'diverged' else 'Rising'} since about step {step}: the training loss itself rose "
        f"from {format_value(lowest)} to {format_value(shape.end)}; a lower learning rate may help.",
        f"{verdict}: {_measure(shape, 'training')} end {share:.1%} above their lowest, more than "
        f"{DIVERGED if verdict == 'diverged' else LEAST_RISE:.0%} and {RISE_SIGMAS:g} times the noise",
        step,
    )


def _say_overfitting(validation: _Shape, training: _Shape | None) -> _Words:
    lowest, step = validation.medians[validation.lowest], validation.steps[validation.lowest]
    share = validation.relative(validation.rise, lowest)
    beside = "" if training is None else f", while the training loss is at {format_value(training.end)}"
    return (
        "overfitting",
        f"Overfitting since about step {step}: the validation loss rose from {format_value(lowest)} to "
        f"{format_value(validation.end)} (+{share:.0%}){beside}; keep the model of about step {step}.",
        f"overfitting: {_measure(validation, 'validation')} end {share:.1%} above their lowest, more than "
        f"{LEAST_RISE:.0%} and {RISE_SIGMAS:g} times the noise"
        + ("; there is no training loss to compare with" if training is None else ", and the training loss did not rise"),
        step,
    )


def _say_flat(lead: _Shape, name: str, training: _Shape | None, alone: str) -> _Words:
    first = lead.flat_from
    step = lead.steps[first] if first else None
    where = "from the start, as if nothing were learned" if step is None else f"since about step {step}"
    # What is smaller than its own noise is not seen: say so rather than deny it.
    blind = RISE_SIGMAS * lead.noise > LEAST_RISE * abs(lead.end)
    within = f" within its noise of ±{format_value(lead.noise)}" if blind else ""
    gap = "; the training loss still falls" if name == "validation" and training and training.is_falling else ""
    return (
        "flat",
        f"Flat {where}: the {name} loss stays near {format_value(lead.end)}{within}{gap}{alone}.",
        f"flat: {_measure(lead, name)} neither fell by {LEAST_FALL:.0%} over their last third nor end "
        f"{LEAST_RISE:.0%} above their lowest",
        step,
    )
