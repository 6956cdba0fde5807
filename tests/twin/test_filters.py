"""Filters and pages, as EC2 has them."""

from __future__ import annotations

import pytest

from launchbay.twin.call import Refused
from launchbay.twin.filters import is_like, keep
from launchbay.twin.paging import cut_page


@pytest.mark.parametrize(
    ("text", "wanted", "fits"),
    [
        ("g5.xlarge", "g5.*", True),
        ("g5n.xlarge", "g5.*", False),
        ("g5.xlarge", "g?.xlarge", True),
        ("G5.xlarge", "g5.*", False),
        ("a*b", r"a\*b", True),
        ("aXb", r"a\*b", False),
        ("Deep Learning (Ubuntu 22.04) [x]", "Deep Learning (Ubuntu 22.04) [?]", True),
        ("two\nlines", "two*lines", True),
        ("back\\slash", "back\\\\slash", True),
    ],
)
def test_values_have_stars_and_question_marks(text: str, wanted: str, *, fits: bool) -> None:
    assert is_like(text, wanted) is fits


def test_all_filters_and_any_of_their_values() -> None:
    rows = [{"a": "1", "b": "x"}, {"a": "2", "b": "x"}, {"a": "2", "b": "y"}]

    def values(row: dict[str, str], name: str) -> list[str] | None:
        return [row[name]] if name in row else None

    assert keep(rows, [{"Name": "a", "Values": ["2", "3"]}, {"Name": "b", "Values": ["y"]}], values) == [rows[2]]
    with pytest.raises(Refused, match="The filter 'c' is invalid"):
        keep(rows, [{"Name": "c", "Values": ["1"]}], values)


def test_pages_hold_everything_once() -> None:
    items, token, pages = list(range(23)), None, 0
    seen: list[int] = []
    while True:
        page, token = cut_page(items, token, 5)
        seen += page
        pages += 1
        if token is None:
            break
    assert (seen, pages) == (items, 5)
    assert cut_page(items, None, None) == (items, None)


@pytest.mark.parametrize("token", ["x", "dHdpbjo=", "dHdpbjotMQ==", "MTA="])
def test_a_token_that_was_never_given_is_refused(token: str) -> None:
    with pytest.raises(Refused) as caught:
        cut_page([1, 2], token, 1, refusal="InvalidNextTokenException")
    assert caught.value.code == "InvalidNextTokenException"
