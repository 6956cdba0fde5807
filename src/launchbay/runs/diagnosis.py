"""What a pair of learning curves says, in one sentence, and by which rule. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from launchbay.runs.events import Scalar
from launchbay.runs.shape import (
    CLEAR_RISE,
    FALL_SIGMAS,
    HUGE,
    LEAST_FALL,
    LEAST_RISE,
    MIN_POINTS,
    RISE_SIGMAS,
    Shape,
    find_shape,
)

__all__ = ["Diagnosis", "Verdict", "diagnose", "format_value"]

Verdict: TypeAlias = Literal["falling", "flat", "overfitting", "rising", "diverged", "short", "unknown"]

_DIVERGED = 0.5
"""From this rise of the training loss over its lowest on, it is called divergence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the loss curves of one run say.

    `verdict` is one of: falling (more steps may help), flat, overfitting (the validation loss rises, the
    training loss does not), rising (the training loss itself), diverged (NaN, infinite, or far above its
    best), short (too few points), unknown (no loss at all). `rule` says how it was found, with its numbers.
    `since_step` is where it began. `best_step` and `best_value` are the lowest single point of the
    validation loss, or of the training loss where there is no other. What is not known is None.
    """

    verdict: Verdict
    sentence: str
    rule: str
    since_step: int | None = None
    best_step: int | None = None
    best_value: float | None = None


def diagnose(*, training: Scalar | None, validation: Scalar | None) -> Diagnosis:
    """Say what the loss curves show. Either may be missing."""
    lead = validation if validation is not None and validation.steps else training
    if lead is None or not lead.steps:
        return Diagnosis(
            verdict="unknown",
            sentence="There is no loss among the scalars, so there is nothing to judge.",
            rule="unknown: neither a training nor a validation loss was found",
        )
    found = _find_break("training", training) or _find_break("validation", validation)
    found = found or _judge(_Seen.of("training", training), _Seen.of("validation", validation))
    points = zip(lead.values, lead.steps, strict=True)
    value, step = min(((value, step) for value, step in points if abs(value) < HUGE), default=(None, None))
    return replace(found, best_step=step, best_value=value)


def format_value(value: float, digits: int = 3) -> str:
    """Write a loss with three digits (or more): ``2.53``, ``0.0125``, ``1,230``, ``3.1e-06``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if not 1000 <= abs(value) < 1e6:
        return f"{value:.{digits}g}"
    return f"{value:,.{max(0, digits - len(str(int(abs(value)))))}f}"


def _find_break(name: str, scalar: Scalar | None) -> Diagnosis | None:
    """Say from where on the values are lost: the last is no number or huge, and so are most before it.

    A single infinite value that training recovered from (loss scaling finds its factor that way) is no break.
    """
    lost = [] if scalar is None else [not abs(value) < HUGE for value in scalar.values]
    if scalar is None or not lost or not lost[-1]:
        return None
    first = lost.index(True)
    tail = len(lost) - next((back for back, is_lost in enumerate(reversed(lost)) if not is_lost), len(lost))
    index = first if 2 * sum(lost[first:]) > len(lost) - first else tail
    step, value = scalar.steps[index], format_value(scalar.values[index])
    before = f" (the last good value was {format_value(scalar.values[index - 1])})" if index else ""
    return Diagnosis(
        verdict="diverged",
        sentence=f"Diverged: the {name} loss is {value} from step {step} on{before}; a lower learning rate may help.",
        rule=f"diverged: the last {name} loss, and most since step {step}, are NaN, infinite or beyond {HUGE:g}",
        since_step=step,
    )


# --- judging --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One of the two losses as far as it can be judged: `shape` is None for one with too few finite points."""

    name: str
    points: int  # that are finite; 0 where there is no such loss
    lost: int  # that are not
    shape: Shape | None

    @classmethod
    def of(cls, name: str, scalar: Scalar | None) -> _Seen:
        """Look at a series, which may be missing."""
        values = () if scalar is None else scalar.values
        points = sum(abs(value) < HUGE for value in values)
        return cls(name=name, points=points, lost=len(values) - points, shape=find_shape(scalar))


def _judge(training: _Seen, validation: _Seen) -> Diagnosis:
    lead = validation if validation.shape is not None else training
    shape = lead.shape
    if shape is None:
        longer = max(training, validation, key=lambda seen: seen.points)
        kind = f"{'finite ' if longer.lost else ''}{'point' if longer.points == 1 else 'points'}"
        counted = f"{longer.points} {kind}"
        return Diagnosis(
            verdict="short",
            sentence=f"Too short to say: {counted}.",
            rule=f"short: {counted}, at least {MIN_POINTS} are needed",
        )
    if training.shape is not None and training.shape.has_risen:
        return _say_risen(training.shape)
    if validation.shape is not None and validation.shape.has_risen:
        return _say_overfitting(validation.shape, training)
    if shape.is_falling:
        return _say_falling(shape, lead.name, _say_blind(validation))
    is_learning = validation.shape is not None and training.shape is not None and training.shape.is_falling
    return _say_flat(shape, lead.name, "; the training loss still falls" if is_learning else _say_blind(validation))


def _say_blind(validation: _Seen) -> str:
    """Say why overfitting cannot be seen, where it cannot."""
    if validation.shape is not None:
        return ""
    if not validation.points:
        return "; there is no validation loss, so overfitting cannot be seen"
    return f"; overfitting cannot be seen, as the validation loss has fewer than {MIN_POINTS} finite points"


def _say_risen(training: Shape) -> Diagnosis:
    step = training.steps[training.lowest]
    low, end = _apart(training.low, training.end)
    verdict: Verdict = "diverged" if training.relative(training.rise, training.low) > _DIVERGED else "rising"
    least = _DIVERGED if verdict == "diverged" else LEAST_RISE
    return Diagnosis(
        verdict=verdict,
        sentence=f"{verdict.capitalize()} since about step {step}: the training loss itself rose from "
        f"{low} to {end}; a lower learning rate may help.",
        rule=f"{verdict}: {_measure(training, 'training')} {_rise(training, least)}",
        since_step=step,
    )


def _say_overfitting(validation: Shape, training: _Seen) -> Diagnosis:
    step = validation.steps[validation.lowest]
    low, end = _apart(validation.low, validation.end)
    share = _percent(validation.relative(validation.rise, validation.low), digits=0)
    if training.shape is not None:
        beside = f", while the training loss is at {format_value(training.shape.end)}"
        compared = ", and the training loss did not rise"
    else:
        beside = ""
        compared = f"; there is {'too little of a' if training.points else 'no'} training loss to compare with"
    return Diagnosis(
        verdict="overfitting",
        sentence=f"Overfitting since about step {step}: the validation loss rose from {low} to {end} "
        f"(+{share}{_of_range(validation, 'its')}){beside}; keep the model of about step {step}.",
        rule=f"overfitting: {_measure(validation, 'validation')} {_rise(validation, LEAST_RISE)}{compared}",
        since_step=step,
    )


def _say_falling(lead: Shape, name: str, aside: str) -> Diagnosis:
    share = lead.relative(lead.fall, lead.end + lead.fall)
    return Diagnosis(
        verdict="falling",
        sentence=f"Still falling: the {name} loss fell by {_percent(share, digits=0)}{_of_range(lead, 'its')} over "
        f"the last third of the steps, to {format_value(lead.end)}; more steps may help{aside}.",
        rule=f"falling: {_measure(lead, name)} fall by {_percent(share, over=LEAST_FALL)}{_of_range(lead, 'their')} "
        f"over their last third, more than {LEAST_FALL:.0%}{_and(lead, f'{FALL_SIGMAS:g} standard errors')}",
    )


def _say_flat(lead: Shape, name: str, aside: str) -> Diagnosis:
    first = lead.flat_from
    step = lead.steps[first] if first else None
    where = "from the start, as if nothing were learned" if step is None else f"since about step {step}"
    # What is smaller than its own noise is not seen: say so rather than deny it.
    is_noisy = not lead.is_smooth and lead.relative(RISE_SIGMAS * lead.noise, lead.end) > LEAST_RISE
    within = f", within its noise of ±{format_value(lead.noise)}" if is_noisy else ""
    fell, rose = f"fell by {LEAST_FALL:.0%}", f"end {LEAST_RISE:.0%} above their lowest"
    if lead.span is not None:
        fell, rose = f"{fell} of their range", f"end above their lowest by {LEAST_RISE:.0%} of it"
    return Diagnosis(
        verdict="flat",
        sentence=f"Flat {where}: the {name} loss stays near {format_value(lead.end)}{within}{aside}.",
        rule=f"flat: {_measure(lead, name)} neither {fell} over their last third nor {rose}, beyond their noise",
        since_step=step,
    )


# --- words ----------------------------------------------------------------------------------------


def _measure(shape: Shape, name: str) -> str:
    noise = "no noise" if shape.is_smooth else f"noise ±{format_value(shape.noise)}"
    return f"medians of the {name} loss over {shape.width} points ({noise})"


def _rise(shape: Shape, least: float) -> str:
    """Say how far the end lies above the lowest block, of what that is a share, and why it counts."""
    least = least if shape.is_beyond_noise else CLEAR_RISE
    share = _percent(shape.relative(shape.rise, shape.low), over=least)
    above = f"{share} above their lowest" if shape.span is None else f"above their lowest by {share} of their range"
    why = _and(shape, f"{RISE_SIGMAS:g} times the noise")
    if not shape.is_beyond_noise:
        why = ", with every point of the last block above every point of the lowest"
    return f"end {above}, more than {least:.0%}{why}"


def _and(shape: Shape, chance: str) -> str:
    """Name the second condition, where there is a noise for it."""
    return "" if shape.is_smooth else f" and {chance}"


def _of_range(shape: Shape, whose: str) -> str:
    """Say of what a share is one, where it is not of the level itself."""
    return "" if shape.span is None else f" of {whose} range"


_MOST = 10_000
"""A share of more than this (a million percent) tells nobody anything."""


def _percent(share: float, *, digits: int = 1, over: float = -1.0) -> str:
    """Write a share; one that lies over a limit is not rounded down to it."""
    if share > _MOST:
        return f"over {_MOST:,.0%}"
    while round(share, digits + 2) <= over and digits < 9:
        digits += 1
    return f"{share:,.{digits}%}"


def _apart(one: float, other: float) -> tuple[str, str]:
    """Write two losses with as many digits as it takes to tell them apart."""
    for digits in range(3, 17):
        texts = format_value(one, digits), format_value(other, digits)
        if texts[0] != texts[1]:
            break
    return texts
