from __future__ import annotations

import pytest

from launchbay.afar.names import hash_tree, is_inside, link_inside


@pytest.mark.parametrize("name", ["a", "a/b.txt", "..a", "a..", "a b/ü", ".hidden", "a\\b", "\udce9"])
def test_plain_names_stay(name: str) -> None:
    assert is_inside(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../a",
        "a/../b",
        "a/..",
        ".",
        "./a",
        "a//b",
        "a/",
        "a\0b",
        None,
        3,
        "a/" * 3000 + "a",
    ],
)
def test_names_that_could_lead_elsewhere_do_not(name: object) -> None:
    assert not is_inside(name)


@pytest.mark.parametrize(
    ("link", "target"), [("best", "model"), ("a/best", "../model"), ("a/b/c", "../../d"), ("a", "b/../c")]
)
def test_links_inside(link: str, target: str) -> None:
    assert link_inside(link, target)


@pytest.mark.parametrize(
    ("link", "target"),
    [("best", "/etc"), ("best", ".."), ("a/best", "../../x"), ("a", "b/../../c"), ("a", ""), ("a", "b\0")],
)
def test_links_that_leave(link: str, target: str) -> None:
    assert not link_inside(link, target)


def test_a_tree_is_named_by_all_that_is_in_it() -> None:
    file = [3, "abc", False]
    names = {
        hash_tree({"a": file}, {}),
        hash_tree({"b": file}, {}),
        hash_tree({"a": [3, "abd", False]}, {}),
        hash_tree({"a": [3, "abc", True]}, {}),
        hash_tree({"a": file}, {"l": "a"}),
        hash_tree({}, {"a": "l"}),
    }
    assert len(names) == 6
    assert hash_tree({"a": file, "b": file}, {}) == hash_tree({"b": file, "a": file}, {})
