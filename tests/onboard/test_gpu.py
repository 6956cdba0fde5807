"""A GPU's use, from a stand-in for NVIDIA's library that says what it said of an H200: there is no GPU here.

Checked against the real one by hand: a script of large products, one of small ones, and one that leaves the GPU alone.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

import pytest

from launchbay.onboard.gpu import GpuWatch

ALL, BARE = 150_754_820_096, 644_939_776


class Library:
    """Answers as NVML does: 0 and a filled structure, or an error and nothing."""

    def __init__(self, *, uses: list[int], memory: list[int], count: int = 1, failing: str = "") -> None:
        self.uses, self.memory, self.count, self.failing = uses, memory, count, failing

    def __getattr__(self, name: str) -> Any:
        answers: dict[str, Callable[..., None]] = {
            "nvmlInit_v2": lambda: None,
            "nvmlDeviceGetCount_v2": lambda count: setattr(_behind(count), "value", self.count),
            "nvmlDeviceGetHandleByIndex_v2": lambda *_: None,
            "nvmlDeviceGetName": lambda _, name, room: setattr(name, "value", b"NVIDIA H200"[:room]),
            "nvmlDeviceGetUtilizationRates": lambda _, use: setattr(_behind(use), "gpu", self.uses.pop(0)),
            "nvmlDeviceGetMemoryInfo": lambda _, memory: self._tell(_behind(memory)),
        }

        def call(*arguments: Any) -> int:
            if name == self.failing:
                return 999
            answers[name](*arguments)
            return 0

        return call

    def _tell(self, memory: Any) -> None:
        memory.total, memory.used = ALL, self.memory.pop(0)
        memory.free = ALL - memory.used


def _behind(reference: Any) -> Any:
    """Return what a reference of `ctypes.byref` leads to."""
    return reference._obj  # noqa: SLF001


def watch(monkeypatch: pytest.MonkeyPatch, library: Library, samples: int = 0) -> dict[str, Any] | None:
    monkeypatch.setattr(os.path, "isdir", lambda _: True)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    found = GpuWatch()
    for _ in range(samples):
        found.next_at = 0.0
        found.sample()
    return found.result()


def test_use_and_memory_before_and_at_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(uses=[0, 100, 80], memory=[BARE, BARE, 1_935_540_224, 1_304_297_472])
    assert watch(monkeypatch, library, samples=3) == {
        "every_s": 2.0,
        "gpus": [
            {
                "name": "NVIDIA H200",
                "mean_percent": 60.0,
                "max_percent": 100,
                "peak_memory_bytes": 1_935_540_224,
                "memory_before_bytes": BARE,
                "memory_bytes": ALL,
                "samples": 3,
            }
        ],
    }


def test_a_run_that_is_over_before_the_first_sample_has_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    found = watch(monkeypatch, Library(uses=[], memory=[BARE]))
    assert found is not None
    assert (found["gpus"][0]["mean_percent"], found["gpus"][0]["peak_memory_bytes"]) == (None, None)
    assert found["gpus"][0]["memory_before_bytes"] == BARE


@pytest.mark.parametrize("failing", ["nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"])
def test_a_driver_that_does_not_answer_is_none(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    assert watch(monkeypatch, Library(uses=[], memory=[], failing=failing)) is None


@pytest.mark.parametrize("failing", ["nvmlDeviceGetName", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo"])
def test_what_a_gpu_does_not_say_is_not_zero(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    found = watch(monkeypatch, Library(uses=[5], memory=[BARE, BARE], failing=failing), samples=1)
    assert found is not None
    row = found["gpus"][0]
    silent = {
        "nvmlDeviceGetName": {"name"},
        "nvmlDeviceGetUtilizationRates": {"mean_percent", "max_percent"},
        "nvmlDeviceGetMemoryInfo": {"peak_memory_bytes", "memory_before_bytes", "memory_bytes"},
    }
    assert {name for name, value in row.items() if value is None} == silent[failing]


def test_without_a_driver_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "isdir", lambda _: False)
    assert GpuWatch().result() is None
