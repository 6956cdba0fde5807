"""The twin's state on disk: what moto holds and what the rules remember, in one file, written whole after each change."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.ssm.models import ssm_backends

from launchbay.errors import StateError
from launchbay.twin.patches import MOTO
from launchbay.twin.truth import Truth

__all__ = ["read_state", "write_state"]

_FORMAT = 1
_KEPT = {"ec2": ec2_backends, "iam": iam_backends, "ssm": ssm_backends}


def write_state(path: Path, truth: Truth) -> None:
    """Write all state to a file, whole or not at all."""
    held = {name: dict(backends[DEFAULT_ACCOUNT_ID]) for name, backends in _KEPT.items()}
    buffer = io.BytesIO()
    pickle.dump({"format": _FORMAT, "moto": MOTO, "truth": truth, "backends": held}, buffer, protocol=5)
    draft = path.with_suffix(".draft")
    with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(buffer.getbuffer())
    draft.replace(path)


def read_state(path: Path) -> Truth | None:
    """Give moto what it held and return what the rules remembered; None where nothing was ever written.

    The file is ours and nobody else can write it: unpickling it runs what is in it. Raises StateError for one that is damaged
    or of another version.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    hint = f"`bay twin stop --forget` begins anew; {path} is then gone"
    try:
        held: dict[str, Any] = pickle.loads(data)  # noqa: S301 - our own file, in a folder that is ours alone
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as error:
        raise StateError("the twin's state is damaged", where=str(path), hint=hint) from error
    if (held.get("format"), held.get("moto")) != (_FORMAT, MOTO):
        raise StateError("the twin's state was written by another version", where=str(path), hint=hint)
    for name, regions in held["backends"].items():
        account = _KEPT[name][DEFAULT_ACCOUNT_ID]
        for region, backend in regions.items():
            account[region] = backend
    truth: Truth = held["truth"]
    return truth
