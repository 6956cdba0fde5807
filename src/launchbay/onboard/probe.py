"""Import the frameworks of an image for real: do they import, how fast, which devices do they see."""

from __future__ import annotations

import importlib
import os
import time
from typing import Any, Dict, List

from .refused import Refused

__all__ = ["run"]


def run(request: Dict[str, Any]) -> Dict[str, Any]:
    """Import each module named in `modules`; return seconds, versions and the GPUs they can use."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    began = time.perf_counter()
    versions, gpus = {}, {}
    for name in request["modules"]:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # whatever a foreign package raises when imported is the finding
            raise Refused("`import {}` fails: {}: {}".format(name, type(error).__name__, str(error)[:300])) from error
        versions[name] = str(getattr(module, "__version__", ""))
    seconds = time.perf_counter() - began
    for name in request["modules"]:
        seen = _gpus(name)
        if seen is not None:
            gpus[name] = seen
    return {"seconds": round(seconds, 3), "versions": versions, "gpus": gpus}


def _gpus(name: str) -> List[str] | None:
    """Return the GPUs that a framework can use, None for a module that has no say in it."""
    if name == "tensorflow":
        import tensorflow as tf  # type: ignore[import-not-found,unused-ignore]

        return [device.name for device in tf.config.list_physical_devices("GPU")]
    if name == "torch":
        import torch  # type: ignore[import-not-found,unused-ignore]

        return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if name == "jax":
        import jax  # type: ignore[import-not-found,unused-ignore]

        return [str(device) for device in jax.devices() if device.platform in ("gpu", "cuda", "rocm")]
    return None
