"""What interruptions do to the time and the price of a job on the spot market. Pure.

Interruptions come at a constant rate, one in `mean_hours`. A run saves its state every so often (a checkpoint), and after an
interruption needs some time to go on. Young (Communications of the ACM 17, 1974) and Daly (Future Generation Computer
Systems 22, 2006) give how long it takes when whatever was done since the last checkpoint is lost::

    E[T] = M e^(R/M) (e^((tau + C)/M) - 1) W / tau

EC2 gives notice two minutes ahead. Where a checkpoint fits into it, nothing is lost but the checkpoint and the restart, unless
the notice is missed: that happens to a share `missed` of them. Lossy interruptions then come at the rate m = missed/M of
productive time, the others at (1 - missed)/M, which gives ::

    E[T] = (e^(m (tau + C)) - 1)/m * (e^(R/M) + (1 - missed) C/M) * W / tau

The first is the second with missed = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

__all__ = [
    "MISSED",
    "NOTICE_HOURS",
    "Interruptions",
    "SpotRun",
    "best_interval",
    "expect",
    "use_notice",
]

NOTICE_HOURS = 120 / 3600
"""EC2 tells an instance two minutes before it takes it back."""

MISSED = 0.1
"""The share of notices that is assumed to be missed or come too late: AWS promises them on a best-effort basis only."""

_HOPELESS = 50.0
"""An attempt of so many mean times between interruptions takes e^50 of them: it does not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruptions:
    """How often a run is interrupted and what that costs, in hours. `missed` is 1 where no use is made of the notice."""

    mean_hours: float
    checkpoint_hours: float
    restart_hours: float
    missed: float = 1.0

    @property
    def lossy_rate(self) -> float:
        """Interruptions with loss in an hour of productive time."""
        return self.missed / self.mean_hours

    @property
    def stretch(self) -> float:
        """Hours that pass for each productive one, by restarts and by last checkpoints."""
        last = (1 - self.missed) * self.checkpoint_hours / self.mean_hours
        return math.exp(self.restart_hours / self.mean_hours) + last


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotRun:
    """What is expected of a run: hours in all, their standard deviation, hours between two checkpoints.

    `factor` is the expected hours over those without interruptions and checkpoints.
    """

    hours: float
    deviation_hours: float
    interval_hours: float
    factor: float

    @property
    def break_even(self) -> float:
        """The spot price over the on-demand price below which spot is the cheaper one."""
        return 1 / self.factor

    def lateness(self, deadline_hours: float) -> float:
        """Return a bound on the probability to pass a deadline: Cantelli's, which holds for any distribution.

        It is far above the probability itself where the deadline is far away, so it errs towards on-demand.
        """
        spare = deadline_hours - self.hours  # minus infinity where the run does not end
        if spare <= 0:
            return 1.0
        return self.deviation_hours**2 / (self.deviation_hours**2 + spare**2)


def use_notice(mean_hours: float, checkpoint_hours: float, restart_hours: float, missed: float) -> Interruptions:
    """Return the interruptions of a run that saves its state on notice, where that fits into the two minutes."""
    fits = checkpoint_hours <= NOTICE_HOURS
    return Interruptions(
        mean_hours=mean_hours,
        checkpoint_hours=checkpoint_hours,
        restart_hours=restart_hours,
        missed=missed if fits else 1.0,
    )


def best_interval(kind: Interruptions) -> float:
    """Return the hours between two checkpoints at which the expected time is least; infinite where nothing is ever lost.

    It is where the derivative is 0: e^(-m (tau + C)) = 1 - m tau, which has one solution between 0 and 1/m.
    """
    rate, cost = kind.lossy_rate, kind.checkpoint_hours
    if not rate:
        return math.inf
    if not cost:
        return 0.0
    low, high = 0.0, 1.0  # of m tau
    for _ in range(60):  # halves the interval each time: below the precision of a float
        middle = (low + high) / 2
        if math.exp(-middle - rate * cost) < 1 - middle:
            low = middle
        else:
            high = middle
    return (low + high) / 2 / rate


@lru_cache(maxsize=65536)
def expect(work_hours: float, kind: Interruptions, interval_hours: float | None = None) -> SpotRun:
    """Return what to expect of a run of so many hours, with checkpoints at the best interval or at a given one.

    Where the state costs nothing to save it is saved all the time.
    """
    interval = min(best_interval(kind) if interval_hours is None else interval_hours, work_hours)
    interval = max(interval, work_hours / 1e6)
    segments = work_hours / interval
    attempt = interval + kind.checkpoint_hours
    if max(attempt * kind.lossy_rate, kind.restart_hours / kind.mean_hours) > _HOPELESS:
        return SpotRun(hours=math.inf, deviation_hours=math.inf, interval_hours=interval, factor=math.inf)
    hours = _productive_hours(attempt, kind.lossy_rate) * kind.stretch * segments
    return SpotRun(
        hours=hours,
        deviation_hours=math.sqrt(max(_segment_variance(attempt, kind) * segments, 0.0)),
        interval_hours=interval,
        factor=hours / work_hours,
    )


def _productive_hours(attempt: float, rate: float) -> float:
    """Return the hours to get through an attempt that starts again with each lossy interruption."""
    return math.expm1(rate * attempt) / rate if rate else attempt


def _segment_variance(attempt: float, kind: Interruptions) -> float:
    """Return the variance of the hours from one checkpoint to the next.

    Given the productive hours P and the lossy interruptions N, the rest is a compound Poisson sum of pauses; then by the
    law of total variance. Both P and N have closed forms; their covariance is the variance of N times the mean length of
    an attempt that failed.
    """
    mean, rate = kind.mean_hours, kind.lossy_rate
    pause, pause_variance = _wait(kind.restart_hours, 1 / mean)
    saved_rate = (1 - kind.missed) / mean
    with_save = pause_variance + (kind.checkpoint_hours + pause) ** 2
    productive, productive_variance = _wait(attempt, rate)
    per_hour = 1 + saved_rate * (kind.checkpoint_hours + pause)
    failures = math.expm1(rate * attempt)
    failure_variance = failures * (1 + failures)
    covariance = failure_variance * (1 / rate - attempt / failures) if failures else 0.0
    given = saved_rate * productive * with_save + failures * pause_variance
    return given + per_hour**2 * productive_variance + pause**2 * failure_variance + 2 * per_hour * pause * covariance


def _wait(length: float, rate: float) -> tuple[float, float]:
    """Return mean and variance of the hours until `length` hours pass without an event of a Poisson process."""
    if not rate or not length:
        return length, 0.0
    grown = math.exp(rate * length)
    return (grown - 1) / rate, (grown * grown - 2 * rate * length * grown - 1) / rate**2
