from __future__ import annotations

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.planning.quota import QUOTAS, quota_of, vcpus_short
from launchbay.twin import quotas as rehearsed

TYPES = load_snapshot(["us-west-2"]).types


@pytest.mark.parametrize(
    ("name", "on_demand", "spot"),
    [
        ("m5.large", "L-1216C47A", "L-34B43A08"),
        ("t3.micro", "L-1216C47A", "L-34B43A08"),
        ("g5.xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("gr6.4xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("p3.2xlarge", "L-417A185B", "L-7212CCBC"),
        ("p4de.24xlarge", "L-417A185B", "L-7212CCBC"),
        ("p5en.48xlarge", "L-417A185B", "L-C4BD4855"),
        ("inf2.xlarge", "L-1945791B", "L-B5D1601B"),
        ("trn1.2xlarge", "L-2C3B7624", "L-6B0D517C"),
        ("dl1.24xlarge", "L-6E869C2A", "L-85EED4F7"),
    ],
)
def test_the_codes_of_awss_table(name: str, on_demand: str, spot: str) -> None:
    for market, code in (("on-demand", on_demand), ("spot", spot)):
        quota = quota_of(name, market)
        assert quota is not None
        assert quota.code == code
        assert QUOTAS[code] is quota
        assert quota.default_vcpus == (5 if code in ("L-1216C47A", "L-34B43A08") else 0)
        assert not quota.is_assumed


def test_that_p6_on_spot_is_counted_with_p5_is_said_to_be_assumed() -> None:
    quota = quota_of("p6-b200.48xlarge", "spot")
    assert quota is not None
    assert (quota.code, quota.is_assumed) == ("L-C4BD4855", True)
    assert not QUOTAS["L-C4BD4855"].is_assumed


def test_what_has_no_quota_has_none() -> None:
    assert quota_of("mac2.metal", "on-demand") is None
    assert quota_of("hpc7g.4xlarge", "spot") is None
    assert quota_of("u-6tb1.metal", "spot") is None


def test_the_twin_counts_every_type_against_the_same_quota() -> None:
    assert len(TYPES) > 1000
    for name in TYPES:
        for market in ("on-demand", "spot"):
            quota = quota_of(name, market)
            assert (quota.code if quota else "") == rehearsed.quota_code(name, market), (name, market)


def test_the_twin_gives_a_new_account_as_much() -> None:
    ours = {code: quota.default_vcpus for code, quota in QUOTAS.items()}
    theirs = {code: int(quota.new) for code, quota in rehearsed.QUOTAS.items() if code != rehearsed.ADDRESSES}
    assert ours == theirs
    assert {code: quota.name for code, quota in QUOTAS.items()} == {
        code: rehearsed.QUOTAS[code].name for code in QUOTAS
    }


@pytest.mark.parametrize(
    ("count", "limit", "used", "short"),
    [
        (1, 8, 0, 0),
        (1, 7.0, 0, 1),
        (1, 8, 1, 1),
        (20, 96, 0, 64),
        (1, 0, 0, 8),
        (1, None, 0, None),
        (1, 96, None, None),
    ],
)
def test_what_a_quota_lacks(count: int, limit: float | None, used: int | None, short: int | None) -> None:
    assert vcpus_short(TYPES["p3.2xlarge"], count, limit=limit, used=used) == short
