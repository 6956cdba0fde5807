"""Fixtures: types and prices to be made, and a small AWS that answers on loopback."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import botocore.loaders
import botocore.session
import pytest

from launchbay.catalog.price import Catalogue, Price
from launchbay.catalog.type import Accelerator, InstanceType
from launchbay.lifecycle.bay import Bay
from launchbay.testing import VirtualClock
from tests.catalog.aws_server import AwsServer, serving
from tests.catalog.world import NOW, make_world

PLAIN = InstanceType(
    name="m1.large",
    vcpus=2,
    memory_mib=8192,
    architectures=("x86_64",),
    processor="Intel",
    accelerators=(),
    is_burstable=False,
    is_bare_metal=False,
    is_current=True,
    is_retired=False,
    local_disk_gb=0,
    local_disk_kind="",
    ebs_baseline_mbps=650,
    ebs_maximum_mbps=4750,
    network="Up to 10 Gigabit",
    network_baseline_gbps=0.75,
    network_peak_gbps=10.0,
    efa_interfaces=0,
    usage_classes=("on-demand", "spot"),
    regions=frozenset({"us-east-1"}),
    source="somebody",
)


@pytest.fixture
def make_type() -> Callable[..., InstanceType]:
    """Return a function that makes a type; `gpu` is its GPU's maker, name and MiB, and how many of them."""

    def make(name: str, *, gpu: tuple[str, str, int, int] | None = None, **fields: Any) -> InstanceType:
        if gpu is not None:
            maker, model, mib, count = gpu
            fields["accelerators"] = (Accelerator(kind="gpu", maker=maker, name=model, count=count, memory_mib=mib),)
        return replace(PLAIN, name=name, **fields)

    return make


@pytest.fixture
def make_price() -> Callable[..., Price]:
    """Return a function that makes a price in us-east-1."""

    def make(name: str, usd: str, **fields: Any) -> Price:
        price = Price(
            type=name,
            region="us-east-1",
            market="on-demand",
            usd_per_hour=Decimal(usd),
            as_of=date(2025, 3, 2),
            source="somebody",
            method="scraped",
        )
        return replace(price, **fields)

    return make


@pytest.fixture
def make_catalogue() -> Callable[..., Catalogue]:
    """Return a function that makes a catalogue of types and prices."""

    def make(types: Iterable[InstanceType], prices: Iterable[Price] = ()) -> Catalogue:
        return Catalogue(
            types={item.name: item for item in types},
            prices={(item.type, item.region, item.market): item for item in prices},
            side={},
            regions=("eu-west-1", "us-east-1"),
        )

    return make


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
