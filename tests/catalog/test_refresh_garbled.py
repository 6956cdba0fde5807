"""Answers of AWS with anything in them: each is used, or refused with an error of ours and no trace."""

from __future__ import annotations

import random
import re

import pytest

import launchbay
from launchbay.catalog.cache import read_cache
from launchbay.errors import LaunchbayError
from launchbay.lifecycle.bay import Bay
from tests.catalog.asking import kept
from tests.catalog.aws_server import AwsServer, Fault
from tests.catalog.world import REGION

OPERATIONS = (
    "DescribeInstanceTypes",
    "DescribeInstanceTypeOfferings",
    "GetProducts",
    "DescribeSpotPriceHistory",
    "DescribeSavingsPlansOfferingRates",
)
OTHERS = (b"null", b"[]", b"{}", b"0", b"-1", b'"x"', b"1e999", b"NaN", b"true", b'""')


def garble(chance: random.Random, body: bytes) -> bytes:
    """Return a body with other bytes, with less or more of them, or with another value in a value's place."""
    changed, place = bytearray(body), chance.randrange(len(body))
    way = chance.randrange(5)
    if way == 0:
        for _ in range(chance.randint(1, 8)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    elif way == 1:
        del changed[place:]
    elif way == 2:
        del changed[place : place + chance.randint(1, 60)]
    elif way == 3:
        changed[place:place] = body[chance.randrange(len(body)) :][: chance.randint(1, 60)]
    else:
        value = chance.choice([*re.finditer(rb'"[^"]{0,40}"|[0-9.]+', body)])
        changed[value.start() : value.end()] = chance.choice(OTHERS)
    return bytes(changed)


def check_garbled(aws: AwsServer, bay: Bay, seed: int, count: int) -> set[str]:
    """Ask so many times with answers of one operation garbled; return what came of it."""
    chance, seen, honest = random.Random(seed), set(), aws.answer

    def answer(target: str) -> object:
        def garbled(*given: object) -> Fault:
            truth = honest(*given)  # type: ignore[arg-type]
            is_meant = aws.asked[-1][0] == target and chance.random() < 0.7
            return Fault(status=truth.status, body=garble(chance, truth.body)) if is_meant else truth

        return garbled

    for _ in range(count):
        aws.answer = answer(chance.choice(OPERATIONS))  # type: ignore[method-assign, assignment]
        before = kept(bay)
        try:
            launchbay.refresh_types(bay, [REGION])
        except LaunchbayError:
            assert kept(bay) == before
            seen.add("refused")
        else:
            (live,) = read_cache(bay.home.catalog, pytest.fail)
            assert all(price.usd_per_hour > 0 for price in live.prices)
            seen.add("used")
    return seen


def test_garbled_answers_are_used_or_refused(aws: AwsServer, noon: Bay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert check_garbled(aws, noon, seed=0, count=12) == {"used", "refused"}


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1, 9))
def test_any_garbled_answer_is_used_or_refused(
    aws: AwsServer, noon: Bay, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert check_garbled(aws, noon, seed=seed, count=200) == {"used", "refused"}
