"""What a pair of learning curves says, in one sentence, and by which rule. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from launchbay.runs.events import Scalar
from launchbay.runs.shape import (
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
    found = found or _judge(find_shape(training), find_shape(validation), len(lead.steps))
    points = zip(lead.values, lead.steps, strict=True)
    value, step = min(((value, step) for value, step in points if abs(value) < HUGE), default=(None, None))
    return replace(found, best_step=step, best_value=value)


def format_value(value: float) -> str:
    """Write a loss with three digits: ``2.53``, ``0.0125``, ``1,230``, ``3.1e-06``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _find_break(name: str, scalar: Scalar | None) -> Diagnosis | None:
    """Say from where on the values are lost: the last is no number or huge, and so are most before it.

    A single infinite value that training recovered from (loss scaling finds its factor that way) is no break.
    """
    lost = [] if scalar is None else [not abs(value) < HUGE for value in scalar.values]
    if scalar is None or not lost or not lost[-1]:
        return None
    first = lost.index(True)
    index = first if 2 * sum(lost[first:]) > len(lost) - first else len(lost) - 1
    step, value = scalar.steps[index], format_value(scalar.values[index])
    before = f" (the last good value was {format_value(scalar.values[index - 1])})" if index else ""
    return Diagnosis(
        verdict="diverged",
        sentence=f"Diverged: the {name} loss is {value} from step {step} on{before}; a lower learning rate may help.",
        rule=f"diverged: the last {name} loss, and most since step {step}, are NaN or infinite",
        since_step=step,
    )


def _judge(training: Shape | None, validation: Shape | None, points: int) -> Diagnosis:
    lead, name = (validation, "validation") if validation is not None else (training, "training")
    if lead is None:
        return Diagnosis(
            verdict="short",
            sentence=f"Too short to say: {points} {'point' if points == 1 else 'points'}.",
            rule=f"short: {points} points, at least {MIN_POINTS} are needed",
        )
    if training is not None and training.has_risen:
        return _say_risen(training)
    if validation is not None and validation.has_risen:
        return _say_overfitting(validation, training)
    blind = "; without enough of a validation loss, overfitting cannot be seen"
    aside = blind if validation is None else ""
    if lead.is_falling:
        return _say_falling(lead, name, aside)
    if validation is not None and training is not None and training.is_falling:
        aside = "; the training loss still falls"
    return _say_flat(lead, name, aside)


def _measure(shape: Shape, name: str) -> str:
    return f"medians of the {name} loss over {shape.width} points (noise ±{format_value(shape.noise)})"


def _say_risen(training: Shape) -> Diagnosis:
    share, step = training.relative(training.rise, training.low), training.steps[training.lowest]
    verdict: Verdict = "diverged" if share > _DIVERGED else "rising"
    least = _DIVERGED if verdict == "diverged" else LEAST_RISE
    return Diagnosis(
        verdict=verdict,
        sentence=f"{verdict.capitalize()} since about step {step}: the training loss itself rose from "
        f"{format_value(training.low)} to {format_value(training.end)}; a lower learning rate may help.",
        rule=f"{verdict}: {_measure(training, 'training')} end {share:.1%} above their lowest, more than "
        f"{least:.0%} and {RISE_SIGMAS:g} times the noise",
        since_step=step,
    )


def _say_overfitting(validation: Shape, training: Shape | None) -> Diagnosis:
    share, step = validation.relative(validation.rise, validation.low), validation.steps[validation.lowest]
    if training is None:
        beside, compared = "", "; there is no training loss to compare with"
    else:
        beside = f", while the training loss is at {format_value(training.end)}"
        compared = ", and the training loss did not rise"
    return Diagnosis(
        verdict="overfitting",
        sentence=f"Overfitting since about step {step}: the validation loss rose from "
        f"{format_value(validation.low)} to {format_value(validation.end)} (+{share:.0%}){beside}; "
        f"keep the model of about step {step}.",
        rule=f"overfitting: {_measure(validation, 'validation')} end {share:.1%} above their lowest, more "
        f"than {LEAST_RISE:.0%} and {RISE_SIGMAS:g} times the noise{compared}",
        since_step=step,
    )


def _say_falling(lead: Shape, name: str, aside: str) -> Diagnosis:
    share = lead.relative(lead.fall, lead.end + lead.fall)
    return Diagnosis(
        verdict="falling",
        sentence=f"Still falling: the {name} loss fell by {share:.0%} over the last third of the steps, to "
        f"{format_value(lead.end)}; more steps may help{aside}.",
        rule=f"falling: {_measure(lead, name)} fall by {share:.1%} over their last third, more than "
        f"{LEAST_FALL:.0%} and {FALL_SIGMAS:g} standard errors",
    )


def _say_flat(lead: Shape, name: str, aside: str) -> Diagnosis:
    first = lead.flat_from
    step = lead.steps[first] if first else None
    where = "from the start, as if nothing were learned" if step is None else f"since about step {step}"
    # What is smaller than its own noise is not seen: say so rather than deny it.
    is_noisy = lead.relative(RISE_SIGMAS * lead.noise, lead.end) > LEAST_RISE
    within = f", within its noise of ±{format_value(lead.noise)}" if is_noisy else ""
    return Diagnosis(
        verdict="flat",
        sentence=f"Flat {where}: the {name} loss stays near {format_value(lead.end)}{within}{aside}.",
        rule=f"flat: {_measure(lead, name)} neither fell by {LEAST_FALL:.0%} over their last third nor end "
        f"{LEAST_RISE:.0%} above their lowest, beyond their noise",
        since_step=step,
    )
