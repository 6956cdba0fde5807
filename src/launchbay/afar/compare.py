"""Are these machines the same? Each has compared its instance with an untouched one; here they are compared with each other.

Pure: it takes the values that `bay --json verify` gave on each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launchbay.errors import LaunchbayError
from launchbay.lifecycle.identity import Base, Difference, find_differences

__all__ = ["Comparison", "compare_machines"]

_UUID = re.compile(r" \(UUID: [^)]*\)")
_OF_EACH = ("layer", "packages")
"""What a machine has compared itself, with what its image says; what it found is among its differences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The outcome for all machines together. `gpu_proven` is None where no driver shows a GPU, or not on all.

    `declared` names the machines whose GPUs somebody says are there, and that have none: those of a twin.
    """

    identical: bool
    gpu_proven: bool | None
    fingerprints: Sequence[Mapping[str, Any]]
    differences: Sequence[Difference]
    image_problems: Sequence[str]
    declared: Sequence[str] = ()


def compare_machines(verified: Mapping[str, Mapping[str, Any]], *, declared: Sequence[str] = ()) -> Comparison:
    """Compare machines by instance name, each with what verifying said there; the odd one is named.

    The name is ours: over there the instance may go by another. What a machine says of its GPUs counts for nothing on
    those that are `declared`. Raises LaunchbayError for a value that is none of `bay --json verify`.
    """
    prints = {name: _only_print(name, value) for name, value in verified.items()}
    differences: list[Difference] = []
    problems: list[str] = []
    for name, value in verified.items():
        differences += [
            Difference(instance=name, kind=item["kind"], what=item["what"])
            for item in value["differences"]
            if not (name in declared and item["kind"] == "gpu")
        ]
        problems += [f"{name}: {problem}" for problem in value["image_problems"]]
    whole = {name: print_ for name, print_ in prints.items() if "broken" not in print_}
    bare = {name: {**_model(print_), **{key: {} for key in _OF_EACH}} for name, print_ in whole.items()}
    differences += find_differences(bare, pristine={}, bases={"": Base({}, ())})
    differences += _odd_images(prints)
    proven = [value["gpu_proven"] for name, value in verified.items() if name not in declared]
    return Comparison(
        identical=not [item for item in differences if item.kind != "gpu"] and not problems,
        gpu_proven=None if None in proven or not proven else all(proven),
        fingerprints=[{**print_, "instance": name} for name, print_ in prints.items()],
        differences=differences,
        image_problems=problems,
        declared=tuple(declared),
    )


def _model(print_: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a fingerprint whose GPUs are told by model: the number that each has of its own is another on every machine."""
    return {**print_, "gpus": [_UUID.sub("", gpu) for gpu in print_["gpus"]]} if print_.get("gpus") else print_


def _only_print(name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        (found,) = value["fingerprints"]
        if {"differences", "image_problems", "gpu_proven"} <= value.keys():
            return dict(found)
    except (KeyError, TypeError, ValueError):
        pass
    raise LaunchbayError(f"verifying {name} gave something else than one fingerprint")


def _odd_images(prints: Mapping[str, Mapping[str, Any]]) -> list[Difference]:
    usual = Counter(print_["digest"] for print_ in prints.values()).most_common(1)[0][0]
    return [
        Difference(
            instance=name, kind="image", what=f"stands on image {print_['digest'][:12]}, the others on {usual[:12]}"
        )
        for name, print_ in prints.items()
        if print_["digest"] != usual
    ]
