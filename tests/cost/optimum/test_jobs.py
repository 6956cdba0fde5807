"""Jobs by themselves: the least of a list, and a reason for everything that is not on it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from launchbay.cost.optimum.jobs import choose_option, list_options, why_no_option
from launchbay.cost.optimum.machine import Machine
from launchbay.cost.optimum.needs import Job, Needs
from launchbay.errors import UserError
from tests.cost.optimum.workloads import job, machine

PLAIN = machine("m6i.large", 2, 8, "0.096")
DEARER = machine("m5.large", 2, 8, "0.10")
GPU = machine("p2.xlarge", 4, 61, "0.90", gpus=1, gpu_memory_gib=12)
SPOT = replace(PLAIN, spot_usd=Decimal("0.04"), spot_mean_hours=10.0)


def interruptible(**more: object) -> Job:
    return job("train", 2, 4, 10, 2, can_be_interrupted=True, checkpoint_hours=0.01, restart_hours=0.1, **more)


def test_two_days_of_a_gpu_cost_their_hours() -> None:
    wanted = Job(name="train", needs=Needs(vcpus=4, memory_gib=32, gpus=1), hours_per_run=24)
    (option,) = list_options(wanted, [GPU, PLAIN])
    assert (option.usd, option.hours, option.market) == (Decimal("21.60"), Decimal(24), "on-demand")
    (double,) = list_options(replace(wanted, instances=2), [GPU])
    assert double.usd == Decimal("43.20")


def test_the_cheapest_comes_first_and_equals_come_by_name() -> None:
    same = replace(DEARER, hourly_usd=PLAIN.hourly_usd)
    options = choose_option(job("train", 2, 4, 10), [DEARER, PLAIN, replace(same, region="a-first")])
    assert [option.machine.name for option in options] == [
        "m5.large in a-first",
        "m6i.large in us-west-2",
        "m5.large in us-west-2",
    ]


def test_spot_costs_what_interruptions_add() -> None:
    best, second = list_options(interruptible(), [SPOT])
    assert (best.market, second.market) == ("spot", "on-demand")
    assert best.spot is not None
    assert 1.0 < best.spot.factor < 1.1
    assert best.usd == Decimal("0.04") * best.hours
    assert float(best.hours) == pytest.approx(20 * best.spot.factor)


def test_spot_that_is_interrupted_too_often_is_dearer_than_on_demand() -> None:
    rough = replace(SPOT, spot_mean_hours=0.08)
    assert list_options(interruptible(), [rough])[0].market == "on-demand"


def test_planning_without_the_notice_costs_more() -> None:
    with_notice, without = (list_options(interruptible(), [SPOT], missed=missed)[0] for missed in (0.1, 1.0))
    assert with_notice.usd < without.usd


def test_a_measured_speed_shortens_the_job() -> None:
    wanted = job("train", 2, 4, 10, speeds={"m5.large": 2.0})
    best = list_options(wanted, [DEARER, PLAIN])[0]
    assert (best.machine.type, best.hours, best.usd) == ("m5.large", Decimal(5), Decimal("0.500"))


def test_a_burstable_type_pays_its_surplus() -> None:
    burstable = machine("t3.medium", 2, 4, "0.0416", traits=("x86_64",))
    charged = replace(burstable, surplus_usd=Decimal("0.10"))
    options = list_options(job("train", 2, 4, 10), [charged, PLAIN])
    assert [option.machine.type for option in options] == ["m6i.large", "t3.medium"]
    assert options[1].usd == Decimal("1.416")


@pytest.mark.parametrize(
    ("there", "wanted", "market", "why"),
    [
        (PLAIN, interruptible(), "spot", "its spot price is unknown"),
        (replace(SPOT, spot_mean_hours=None), interruptible(), "spot", "how often it is interrupted is unknown"),
        (SPOT, job("train", 2, 4, 10), "spot", "the job must not be interrupted"),
        (SPOT, interruptible(deadline_hours=10.5), "spot", "a run may miss its deadline (up to"),
        (
            replace(SPOT, spot_mean_hours=0.001),
            interruptible(),
            "spot",
            "a run would be interrupted again and again",
        ),
        (replace(PLAIN, hourly_usd=None), job("train", 2, 4, 10), "on-demand", "its price is unknown"),
        (PLAIN, job("train", 2, 4, 10, deadline_hours=9), "on-demand", "takes 10 h, the deadline is 9 h"),
        (PLAIN, job("train", 4, 4, 10), "on-demand", "has 2 vCPUs, 4 needed"),
        (PLAIN, job("train", 2, 8.1, 10), "on-demand", "has 8 GiB of memory, 8.5 needed"),
        (SPOT, interruptible(deadline_hours=100), "spot", ""),
        (PLAIN, job("train", 2, 4, 10), "on-demand", ""),
    ],
)
def test_every_refusal_has_its_reason(there: Machine, wanted: Job, market: str, why: str) -> None:
    said = why_no_option(wanted, there, market)
    assert said.startswith(why)
    assert bool(said) is bool(why)
    assert any(option.market == market for option in list_options(wanted, [there])) is not bool(why)


def test_a_job_that_fits_nowhere_says_what_is_in_the_way() -> None:
    wanted = Job(name="train", needs=Needs(vcpus=4, memory_gib=32, gpus=1, gpu_memory_gib=16), hours_per_run=24)
    with pytest.raises(UserError) as refused:
        choose_option(wanted, [GPU, PLAIN, DEARER])
    assert str(refused.value) == (
        "none of 3 machines can run the job 'train'\n  Try: 2 of them: has no GPU; 1 of them: has 12 GiB a GPU, 16 needed"
    )
