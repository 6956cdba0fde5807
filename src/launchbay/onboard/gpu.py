"""GPU use while a script runs, read from the driver's own library (NVML); nothing where there is no NVIDIA driver."""

from __future__ import annotations

import ctypes
import os
import time

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["GpuWatch"]

EVERY_S = 2.0
"""Seconds between samples; a call costs some 50 microseconds a GPU."""

_NAME_BYTES = 96
"""NVML's own limit for the name of a GPU, NVML_DEVICE_NAME_V2_BUFFER_SIZE."""


class _Utilization(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class GpuWatch:
    """Samples of every GPU: percent of time in which a kernel ran, and bytes of memory in use (whole GPU, all programs).

    The driver itself keeps some of that (645 MB of an H200), so what was in use before the script is kept beside the peak.
    """

    def __init__(self) -> None:
        self.next_at: float | None = None
        self.samples: list[list[int]] = []
        self.peaks: list[int | None] = []
        self.before: list[_Memory | None] = []
        self.names: list[str | None] = []
        self.handles: list[Any] = []
        if not os.path.isdir("/proc/driver/nvidia"):
            return
        try:
            self.library = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            return
        count = ctypes.c_uint()
        if self.library.nvmlInit_v2() or self.library.nvmlDeviceGetCount_v2(ctypes.byref(count)):
            return
        for index in range(count.value):
            handle = ctypes.c_void_p()
            if self.library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) == 0:
                self.handles.append(handle)
        self.samples = [[] for _ in self.handles]
        self.peaks = [None for _ in self.handles]
        self.before = [self._memory(handle) for handle in self.handles]
        self.names = [self._name(handle) for handle in self.handles]
        if self.handles:
            self.next_at = time.monotonic() + EVERY_S / 4

    def sample(self) -> None:
        """Take a sample when one is due."""
        if self.next_at is None or time.monotonic() < self.next_at:
            return
        self.next_at = time.monotonic() + EVERY_S
        for index, handle in enumerate(self.handles):
            use, memory = _Utilization(), self._memory(handle)
            if self.library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)) == 0:
                self.samples[index].append(use.gpu)
            if memory is not None:
                self.peaks[index] = max(self.peaks[index] or 0, memory.used)

    def _memory(self, handle: Any) -> _Memory | None:
        memory = _Memory()
        return memory if self.library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0 else None

    def _name(self, handle: Any) -> str | None:
        name = ctypes.create_string_buffer(_NAME_BYTES)
        if self.library.nvmlDeviceGetName(handle, name, _NAME_BYTES):
            return None
        return name.value.decode("utf-8", "replace")

    def result(self) -> dict[str, Any] | None:
        """Return, per GPU, its name, mean and highest use in percent, and memory in bytes: before, at the peak, and in all.

        None without a GPU.
        """
        if not self.handles:
            return None
        rows = []
        for name, taken, peak, before in zip(self.names, self.samples, self.peaks, self.before):
            mean = round(sum(taken) / len(taken), 1) if taken else None
            rows.append(
                {
                    "name": name,
                    "mean_percent": mean,
                    "max_percent": max(taken, default=None),
                    "peak_memory_bytes": peak,
                    "memory_before_bytes": before.used if before is not None else None,
                    "memory_bytes": before.total if before is not None else None,
                    "samples": len(taken),
                }
            )
        return {"gpus": rows, "every_s": EVERY_S}
