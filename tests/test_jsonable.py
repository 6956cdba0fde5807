from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from launchbay.errors import NotFound, WillFail
from launchbay.jsonable import HasJson, error_line, fields_of, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    type: str
    usd_per_hour: Decimal | None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    offer: Offer
    secret: str

    def as_json(self) -> Mapping[str, Any]:
        return {"offer": self.offer}


def test_values_become_plain_json() -> None:
    offer = Offer(type="m5.large", usd_per_hour=Decimal("0.1000"), files=(Path("/a/b"),))
    expected = {"type": "m5.large", "usd_per_hour": "0.1000", "files": ["/a/b"]}
    assert to_json(offer) == expected
    assert to_json({"offers": [offer], 3: (1, 2.5, True)}) == {"offers": [expected], "3": [1, 2.5, True]}


def test_days_and_times_are_text() -> None:
    at = datetime(2026, 11, 27, 9, 12, 35, tzinfo=UTC)
    assert to_json({"day": date(2026, 11, 27), "at": [at]}) == {
        "day": "2026-11-27",
        "at": ["2026-11-27T09:12:35+00:00"],
    }


def test_the_unknown_is_null_and_never_zero() -> None:
    assert (
        json.dumps(to_json(Offer(type="p5", usd_per_hour=None))) == '{"type": "p5", "usd_per_hour": null, "files": []}'
    )


def test_a_value_may_say_itself_what_is_shown_of_it() -> None:
    hidden = Hidden(offer=Offer(type="t", usd_per_hour=None), secret="s")
    assert isinstance(hidden, HasJson)
    assert to_json([hidden]) == [{"offer": {"type": "t", "usd_per_hour": None, "files": []}}]


def test_fields_are_given_untouched() -> None:
    offer = Offer(type="t", usd_per_hour=Decimal(1), files=(Path("x"),))
    assert fields_of(offer) == {"type": "t", "usd_per_hour": Decimal(1), "files": (Path("x"),)}


@pytest.mark.parametrize(
    "value", [OrderedDict(a=[Path("x")]), MappingProxyType({"a": (Path("x"),)}), {"a": [Path("x")]}]
)
def test_any_mapping_and_sequence_will_do(value: Mapping[str, Any]) -> None:
    assert to_json(value) == {"a": ["x"]}


@pytest.mark.parametrize("value", [None, True, 0, 2.5, "text", ""])
def test_plain_values_stay(value: object) -> None:
    assert to_json(value) is value


def test_a_class_is_not_taken_for_its_instance() -> None:
    assert to_json(Offer) is Offer


def test_an_error_is_one_line_with_its_nearest_public_class() -> None:
    class Inner(NotFound):
        """One that another Launchbay need not know."""

    line = error_line(Inner("no\nrun", where="here", hint="bay runs"))
    assert "\n" not in line
    assert json.loads(line) == {"error": {"class": "NotFound", "what": "no\nrun", "where": "here", "hint": "bay runs"}}


def test_what_would_fail_says_where() -> None:
    offer = Offer(type="m5.large", usd_per_hour=None)
    assert json.loads(error_line(WillFail("no", problems=[offer])))["error"]["problems"] == [to_json(offer)]
