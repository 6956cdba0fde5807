"""A pytest plugin that holds the tiers of checking apart, and in CI lets nothing pass by being skipped.

Loaded by `tests/conftest.py` with ``pytest_plugins = ["tests._noskip"]``.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.reports import BaseReport

__all__ = ["QUICK_IMAGES", "fail_if_skipped", "is_ci", "put_into_tier"]

QUICK_IMAGES = ("tiny", "tensorflow")
"""The images that `make test` builds; a test that needs another one belongs to `make test-all`."""


def is_ci(environ: os._Environ[str] | dict[str, str] = os.environ) -> bool:
    """Say whether this is the run that decides about a merge (``CI=true``)."""
    return environ.get("CI", "").lower() in ("1", "true")


def fail_if_skipped(report: BaseReport) -> None:
    """Turn a skip into a failure that keeps its reason; an expected failure (xfail) stays what it is."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{reason}\nNothing may be skipped where CI=true: install what is missing."


def put_into_tier(items: Iterable[pytest.Item]) -> None:
    """Mark a test that needs an image other than the quick ones as one of the tier ``all``; a campaign stays one."""
    for item in items:
        for mark in item.iter_markers("image"):
            if len(mark.args) != 1 or mark.kwargs:
                raise pytest.UsageError(f"{item.nodeid}: image must name one image, got {mark.args}")
            if mark.args[0] not in QUICK_IMAGES and not item.get_closest_marker("prove"):
                item.add_marker("all")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests into tiers before ``-m`` selects among them."""
    put_into_tier(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look at each phase of a test."""
    report = yield
    if is_ci():
        fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look at each module: one that skips itself as a whole never reaches its tests."""
    report = yield
    if is_ci():
        fail_if_skipped(report)
    return report
