"""What a run took as needs: what is reckoned with, what is said of it, and which runs are no measure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from launchbay.errors import UsageError
from launchbay.runs.measured import measure_run
from launchbay.spec.needs import Measured
from launchbay.store.records import Attempt, Run
from tests.cli.texts.values import DONE

GIB = 1 << 30
HERE: dict[str, Any] = {"processors": 2, "processor": "AMD EPYC 7R13", "type": None}
BARE = 645_000_000
"""What the driver of an H200 keeps by itself."""


def run(*gpus: dict[str, Any], **more: Any) -> Run:
    return replace(DONE, machine=HERE, gpu={"gpus": list(gpus), "every_s": 2.0} if gpus else None, **more)


def gpu(
    mean: float | None,
    peak: int | None,
    *,
    most: int | None = None,
    before: int | None = BARE,
    name: str = "NVIDIA H200",
) -> dict[str, Any]:
    most = most if most is not None or mean is None else round(mean * 2)
    return {
        "name": name,
        "mean_percent": mean,
        "max_percent": most,
        "peak_memory_bytes": peak,
        "memory_before_bytes": before,
        "memory_bytes": 100 * GIB,
        "samples": 0 if mean is None else 9,
    }


def words(taken: Measured) -> str:
    return "; ".join(taken.said)


def test_processors_are_the_mean_rounded_up_and_memory_has_room() -> None:
    taken = measure_run(run(seconds=50.0, cpu_seconds=70.0, peak_memory_bytes=2 * GIB), "w.yaml:3")
    assert (taken.vcpus, taken.memory_mib, taken.gpus, taken.seconds) == (Decimal(2), 2560, 0, Decimal(50))
    assert words(taken).startswith(
        "r-1 took 50.0 s on 2 × AMD EPYC 7R13: 1.40 processors on average, for which 2 are reckoned with, and 2.1 GB"
    )
    assert taken.said[-1] == "another machine is taken to be as fast as 2 × AMD EPYC 7R13"


@pytest.mark.parametrize(("cpu_seconds", "vcpus"), [(0.1, 1), (50.0, 1), (50.2, 1), (51.0, 2), (400.0, 8)])
def test_a_run_on_one_processor_needs_one(cpu_seconds: float, vcpus: int) -> None:
    assert measure_run(run(seconds=50.0, cpu_seconds=cpu_seconds), "").vcpus == vcpus


STOPPED = Attempt(
    instance="e",
    created_at=0.0,
    state="stopped",
    seconds=30.0,
    cpu_seconds=20.0,
    peak_memory_bytes=GIB,
    machine={**HERE, "type": "g5.xlarge"},
)


def test_attempts_count_together() -> None:
    taken = measure_run(run(seconds=10.0, cpu_seconds=10.0, earlier=(STOPPED,), peak_memory_bytes=1 << 20), "")
    assert (taken.seconds, taken.vcpus, taken.memory_mib) == (Decimal(40), Decimal(1), 1280)
    assert taken.said[-1] == "another machine is taken to be as fast as g5.xlarge and 2 × AMD EPYC 7R13"


def test_an_attempt_that_was_lost_leaves_no_measure() -> None:
    lost = Attempt(instance="e", created_at=0.0, state="lost")
    with pytest.raises(UsageError, match=r"what attempt 1 of r-1 took was not written down \(lost\) \(w.yaml:3\)"):
        measure_run(run(earlier=(lost,)), "w.yaml:3")
    with pytest.raises(UsageError, match=r"what r-1 took was not written down \(done\)"):
        measure_run(run(cpu_seconds=None), "w.yaml:3")


def test_a_gpu_that_an_earlier_attempt_used_was_used() -> None:
    busy = replace(STOPPED, gpu={"gpus": [gpu(90.0, 10 * GIB)], "every_s": 2.0})
    taken = measure_run(run(gpu(0.0, BARE), earlier=(busy,)), "")
    assert (taken.gpus, taken.gpu_memory_mib) == (1, 10240)
    taken = measure_run(run(earlier=(busy,)), "")
    assert taken.gpus == 1
    assert measure_run(run(gpu(0.0, BARE), earlier=(STOPPED,)), "").gpus == 0


@pytest.mark.parametrize("state", ["failed", "stopped", "lost", "running", "starting"])
def test_a_run_that_did_not_end_well_is_no_measure(state: str) -> None:
    with pytest.raises(UsageError, match=rf"r-1 is {state}.*w.yaml:3"):
        measure_run(run(state=state), "w.yaml:3")


def test_an_idle_gpu_is_none() -> None:
    taken = measure_run(run(gpu(0.0, BARE)), "")
    assert (taken.gpus, taken.gpu_memory_mib) == (0, None)
    assert "the GPU was idle, so none is reckoned with" in taken.said


def test_a_gpu_whose_memory_was_taken_was_used_although_no_kernel_was_seen() -> None:
    taken = measure_run(run(gpu(0.0, 1_300_000_000)), "")  # as measured: a script with small kernels, on an H200
    assert (taken.gpus, taken.gpu_memory_mib) == (1, 1240)
    assert "the GPU was busy 0 % of the time: a run without it" in words(taken)


def test_a_busy_gpu_needs_its_peak_and_nothing_is_said_of_it() -> None:
    taken = measure_run(run(gpu(61.0, 1_935_540_224)), "")
    assert (taken.gpus, taken.gpu_memory_mib, len(taken.said)) == (1, 1846, 3)


def test_the_gpus_that_were_used_are_part_of_the_speed_that_is_assumed() -> None:
    fast, idle, other = gpu(61.0, 10 * GIB), gpu(0.0, BARE), gpu(61.0, 10 * GIB, name="Tesla K80")
    with_one = "another machine is taken to be as fast as 2 × AMD EPYC 7R13 with NVIDIA H200"
    assert measure_run(run(fast, fast), "").said[-1] == with_one
    assert measure_run(run(fast, other), "").said[-1] == f"{with_one} and Tesla K80"
    assert "with" not in measure_run(run(idle), "").said[-1]
    del fast["name"]  # as in a record of before
    assert measure_run(run(fast), "").said[-1].endswith("7R13 with a GPU that was not written down")


def test_of_two_gpus_one_of_which_was_idle_one_is_needed() -> None:
    taken = measure_run(run(gpu(61.0, 10 * GIB), gpu(0.0, BARE)), "")
    assert (taken.gpus, taken.gpu_memory_mib) == (1, 10240)
    assert "1 of 2 GPUs were used, the others were idle" in taken.said


@pytest.mark.parametrize("seen", [gpu(None, None), gpu(0.0, BARE, before=None), {"mean_percent": None}])
def test_a_gpu_of_which_nothing_was_seen_is_taken_to_be_needed(seen: dict[str, Any]) -> None:
    taken = measure_run(run(seen), "")
    assert taken.gpus == 1


def test_of_a_gpu_whose_use_was_not_seen_all_memory_is_needed() -> None:
    assert measure_run(run(gpu(None, None)), "").gpu_memory_mib == 102400


def test_memory_that_a_framework_takes_at_once_is_said_to_be_more_than_was_needed() -> None:
    assert "TensorFlow and JAX take most of a GPU at once" in words(measure_run(run(gpu(90.0, 80 * GIB)), ""))


def test_an_instance_of_ec2_is_named_by_its_type_and_an_old_record_by_nothing() -> None:
    assert "on g5.xlarge:" in words(measure_run(replace(run(), machine={**HERE, "type": "g5.xlarge"}), ""))
    assert "on a machine that was not written down:" in words(measure_run(replace(run(), machine=None), ""))
