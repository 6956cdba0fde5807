"""Stands in for nvidia-smi: shows the GPUs that the twin declares, and says that there is none behind them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from .asking import ask, say

__all__ = ["main"]

_NOTE = "twin: declared by the twin, there is no GPU behind it"
_DRIVER = "declared by the twin"

_Gpu = dict[str, str]
_FIELDS: dict[str, Callable[[_Gpu], str]] = {
    "compute_mode": lambda _: "Default",
    "count": lambda gpu: gpu["count"],
    "driver_version": lambda _: _DRIVER,
    "gpu_name": lambda gpu: gpu["name"],
    "gpu_uuid": lambda gpu: gpu["uuid"],
    "index": lambda gpu: gpu["index"],
    "memory.free": lambda gpu: gpu["memory"] + " MiB",
    "memory.total": lambda gpu: gpu["memory"] + " MiB",
    "memory.used": lambda _: "0 MiB",
    "name": lambda gpu: gpu["name"],
    "pci.bus_id": lambda gpu: "00000000:00:{:02X}.0".format(30 - int(gpu["index"])),
    "temperature.gpu": lambda _: "[N/A]",
    "utilization.gpu": lambda _: "0 %",
    "utilization.memory": lambda _: "0 %",
    "uuid": lambda gpu: gpu["uuid"],
}


def main(name: str, arguments: list[str]) -> int:
    """Print what is asked for as nvidia-smi would; 9 where the host has no GPU, 2 for a field that it does not know."""
    del name
    try:
        gpus = json.loads(ask("GET", "gpus"))
    except OSError as error:
        say(f"twin: {error}")
        return 9
    if not gpus:
        _out("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
        return 9
    say(_NOTE)
    if "-L" in arguments or "--list-gpus" in arguments:
        for gpu in gpus:
            _out("GPU {index}: {name} (UUID: {uuid})".format(**gpu))
        return 0
    query = [item.partition("=")[2] for item in arguments if item.startswith("--query-gpu=")]
    form = "".join(item.partition("=")[2] for item in arguments if item.startswith("--format="))
    if query:
        return _table(_chosen(gpus, arguments), query[0].split(","), form.split(","))
    _summary(gpus)
    return 0


def _chosen(gpus: list[_Gpu], arguments: list[str]) -> list[_Gpu]:
    wanted = [item.partition("=")[2] for item in arguments if item.startswith(("--id=", "-i="))]
    wanted += [arguments[number + 1] for number, item in enumerate(arguments[:-1]) if item in ("-i", "--id")]
    return [gpu for gpu in gpus if not wanted or gpu["index"] in wanted[0].split(",") or gpu["uuid"] in wanted]


def _table(gpus: list[_Gpu], fields: list[str], form: list[str]) -> int:
    fields = [field.strip() for field in fields]
    for field in fields:
        if field not in _FIELDS:
            _out(f'Field "{field}" is not a valid field to query.')
            return 2
    units = {"memory": " [MiB]", "utilization": " [%]"}
    if "noheader" not in form:
        _out(", ".join(field + units.get(field.partition(".")[0], "") for field in fields))
    for gpu in gpus:
        values = [_FIELDS[field](gpu) for field in fields]
        if "nounits" in form:
            values = [value.removesuffix(" MiB").removesuffix(" %") for value in values]
        _out(", ".join(values))
    return 0


def _summary(gpus: list[_Gpu]) -> None:
    line = "+" + "-" * 77 + "+"
    _out(line)
    _out("| {:<75} |".format("NVIDIA-SMI: " + _DRIVER))
    _out(line)
    for gpu in gpus:
        _out("| {:>3}  {:<45} {:>23} |".format(gpu["index"], gpu["name"], "0MiB / {memory}MiB".format(**gpu)))
    _out(line)


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")
