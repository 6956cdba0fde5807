"""A twin without machines, on a virtual clock, begun anew for each test, and clients that point at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.twin.conftest import TwinProcess

REGION = "us-east-1"


@pytest.fixture(scope="session")
def _process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinProcess]:
    process = TwinProcess(tmp_path_factory.mktemp("twin"), is_virtual=True, seed=1)
    yield process
    process.end()


@pytest.fixture
def twin(_process: TwinProcess) -> TwinProcess:
    """Return a twin in which nothing has happened yet."""
    _process.ask("reset")
    return _process


@pytest.fixture
def ec2(twin: TwinProcess) -> Any:
    """Return a client that asks once and does not try again."""
    return twin.client("ec2")


@pytest.fixture
def ssm(twin: TwinProcess) -> Any:
    """Return a client for parameters."""
    return twin.client("ssm")
