"""The twin's state on disk: what moto holds and what the rules remember, in one file, written whole after each change."""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.ssm.models import ssm_backends
from moto.sts.models import sts_backends

from launchbay.errors import StateError
from launchbay.twin.patches import MOTO
from launchbay.twin.truth import Truth

__all__ = ["BucketKeeper", "read_buckets", "read_state", "write_buckets", "write_state"]

_FORMAT = 2
_KEPT = {"ec2": ec2_backends, "iam": iam_backends, "ssm": ssm_backends, "sts": sts_backends}


def write_state(path: Path, truth: Truth) -> None:
    """Write all state to a file, whole or not at all."""
    held = {name: dict(backends[DEFAULT_ACCOUNT_ID]) for name, backends in _KEPT.items()}
    _write(path, {"format": _FORMAT, "moto": MOTO, "truth": truth, "backends": held})


def _write(path: Path, value: object) -> None:
    buffer = io.BytesIO()
    pickle.dump(value, buffer, protocol=5)
    draft = path.with_suffix(".draft")
    try:
        with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(buffer.getbuffer())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)  # on a full disk it would take what is left
        raise


def read_state(path: Path) -> Truth | None:
    """Give moto what it held and return what the rules remembered; None where nothing was ever written.

    The file is ours and nobody else can write it: unpickling it runs what is in it. Raises StateError for one that is damaged
    or of another version.
    """
    held = _read(path)
    if held is None:
        return None
    for name, regions in held["backends"].items():
        account = _KEPT[name][DEFAULT_ACCOUNT_ID]
        for region, backend in regions.items():
            account[region] = backend
    truth: Truth = held["truth"]
    return truth


def _read(path: Path) -> dict[str, Any] | None:
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
    return held


def write_buckets(path: Path) -> None:
    """Write all buckets with what is in them to a file, whole or not at all. Raises RuntimeError when they change meanwhile."""
    _write(path, {"format": _FORMAT, "moto": MOTO, "buckets": dict(s3_backends[DEFAULT_ACCOUNT_ID])})


def read_buckets(path: Path) -> None:
    """Give moto the buckets that it held; nothing where none were written. Raises StateError as `read_state` does."""
    held = _read(path)
    account = s3_backends[DEFAULT_ACCOUNT_ID]
    for partition, backend in (held["buckets"] if held else {}).items():
        account[partition] = backend


class BucketKeeper:
    """Writes the buckets down from time to time, on a thread of its own: they may be large, and S3 waits for nobody.

    What was put within the last second, or within ten times what writing takes, is lost when the process is killed. Where they
    cannot be written, as on a full disk, that stands in `problems`, and it is tried again until it succeeds or `close`.
    """

    def __init__(self, path: Path, problems: MutableMapping[str, str]) -> None:
        self._path = path
        self._problems = problems
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="twin-buckets", daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Say that something was put or removed."""
        self._changed.set()

    def close(self) -> None:
        """Write down what is not yet, and end."""
        self._ended.set()
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        pause = 1.0
        while True:
            self._changed.wait()
            is_last = self._ended.wait(pause)
            self._changed.clear()
            began = time.monotonic()
            try:
                write_buckets(self._path)
            except RuntimeError:  # something was put while it was being written: it is written again
                self._changed.set()
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, this thread is the only one that writes
                self._changed.set()
                self._tell(f"{self._path.name} cannot be written: {type(error).__name__}: {error}")
            else:
                self._problems.pop("buckets", None)
            if is_last:
                return
            pause = max(1.0, 10 * (time.monotonic() - began))

    def _tell(self, problem: str) -> None:
        if self._problems.get("buckets") != problem:
            sys.stderr.write(f"{problem}\n")
            sys.stderr.flush()
        self._problems["buckets"] = problem
