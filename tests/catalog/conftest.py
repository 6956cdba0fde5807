"""Fixtures: a small AWS that answers on loopback, and nothing of the person's own settings for the real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import botocore.loaders
import botocore.session
import pytest

from launchbay.lifecycle.bay import Bay
from launchbay.testing import VirtualClock
from tests.catalog.aws_server import AwsServer, serving
from tests.catalog.world import NOW, make_world


@pytest.fixture(scope="session")
def loader() -> botocore.loaders.Loader:
    """Return what reads botocore's descriptions of services, each once for all tests: EC2's takes half a second."""
    return botocore.loaders.create_loader()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, loader: botocore.loaders.Loader) -> Iterator[AwsServer]:
    """Return an AWS to be changed before it is asked; boto3 finds it through AWS's own variables."""
    monkeypatch.setattr(botocore.session, "create_loader", lambda _=None: loader)
    for name in [*os.environ]:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with serving(make_world()) as server:
        settings = {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "2",  # the wait before the second is under a second
            "AWS_RETRY_MODE": "standard",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def noon(bay: Bay, aws: AwsServer) -> Bay:
    """Return a bay that asks the small AWS, and whose clock stands at noon of the day that the small AWS is about."""
    assert aws.url
    return replace(bay, clock=VirtualClock(NOW.timestamp()))
