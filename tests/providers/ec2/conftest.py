"""Clients that point at the twin of `tests.twin_process`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.twin_process import TwinProcess

REGION = "us-east-1"


@pytest.fixture
def ssm(twin: TwinProcess) -> Any:
    """Return a client for parameters."""
    return twin.client("ssm")
