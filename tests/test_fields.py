from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.errors import StateError
from launchbay.fields import FLAG, INTEGER, MAPPING, NUMBER, TEXT, check_fields, fields, list_of, optional

WANTED = {
    "name": TEXT,
    "count": INTEGER,
    "at": NUMBER,
    "more": MAPPING,
    "parts": list_of(fields({"path": TEXT})),
    "done": optional(FLAG),
}
GOOD = {"name": "a", "count": 1, "at": 1.5, "more": {}, "parts": [{"path": "p", "other": 1}]}


@pytest.mark.parametrize(
    "change", [{}, {"done": None}, {"done": True}, {"at": 1}, {"parts": []}, {"unknown": object()}]
)
def test_a_whole_record_passes(change: dict[str, object]) -> None:
    check_fields(GOOD | change, WANTED, where=Path("r.json"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": 3}, "name must be a text, got '3'"),
        ({"name": None}, "name must be a text, got 'None'"),
        ({"count": True}, "count must be a whole number, got 'True'"),
        ({"count": 1.5}, "count must be a whole number, got '1.5'"),
        ({"at": "now"}, "at must be a number, got 'now'"),
        ({"more": []}, "more must be an object, got '[]'"),
        ({"parts": {"path": "p"}}, "parts must be a list, each an object with path"),
        ({"parts": [{}]}, "parts must be a list, each an object with path"),
        ({"parts": [{"path": 1}]}, "parts must be a list, each an object with path"),
        ({"done": 0}, "done must be true or false, got '0'"),
    ],
)
def test_another_kind_of_value_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(StateError, match="record is damaged: ") as caught:
        check_fields(GOOD | change, WANTED, where=Path("r.json"))
    assert says in caught.value.what
    assert caught.value.where == "r.json"


def test_all_that_is_lacking_is_named() -> None:
    with pytest.raises(StateError, match="it lacks count, at, more, parts; name must be a text"):
        check_fields({"name": 1}, WANTED, where=Path("r.json"))
