"""Do one thing on many instances at once."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from launchbay.errors import LaunchbayError
from launchbay.transport.base import Transport

__all__ = ["AT_ONCE", "Gathered", "gather"]

_T = TypeVar("_T", bound=Transport)
_R = TypeVar("_R")

AT_ONCE = 20
"""Instances that are worked on at a time, if nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered(Generic[_R]):
    """What came of it, by name: a result or an error for each, in the order that was asked."""

    results: dict[str, _R] = field(default_factory=dict)
    errors: dict[str, LaunchbayError] = field(default_factory=dict)


def gather(transports: Mapping[str, _T], work: Callable[[_T], _R], *, at_once: int = AT_ONCE) -> Gathered[_R]:
    """Run a function on each transport in threads, so many at a time; one that fails does not keep the others.

    Known errors are returned. Others are bugs: the first of them is raised, once all have ended. An interrupt closes the
    transports, which ends what runs over them, begins no more, and is raised.
    """
    gathered: Gathered[_R] = Gathered()
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, min(at_once, len(transports)))) as pool:
        futures = {name: pool.submit(work, transport) for name, transport in transports.items()}
        try:
            concurrent.futures.wait(futures.values())
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            with concurrent.futures.ThreadPoolExecutor(max_workers=AT_ONCE) as closing:
                for transport in transports.values():
                    closing.submit(transport.close)
            raise
    for name, future in futures.items():
        error = future.exception()
        if isinstance(error, LaunchbayError):
            gathered.errors[name] = error
        else:
            gathered.results[name] = future.result()
    return gathered
