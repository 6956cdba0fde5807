from __future__ import annotations

import argparse
import os

import pytest

from tools import generate_reference, markdown
from tools.generate_reference import canonical


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="bay", description="Do it.")
    inner = top.add_subparsers()
    launch = inner.add_parser("launch", help="launch", aliases=["up"], description="Launch.")
    launch.add_argument("-n", "--number", metavar="N", help="how many")
    image = inner.add_parser("image").add_subparsers()
    image.add_parser("build")
    image.add_parser("verify")
    return top


def test_every_verb_and_sub_verb_comes_once() -> None:
    found = [verb.name for verb in generate_reference.verbs(parser())]
    assert found == ["", "launch", "image", "image build", "image verify"]


def test_the_page_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    narrow = generate_reference.render(parser())
    monkeypatch.delenv("COLUMNS")
    assert generate_reference.render(parser()) == narrow
    assert "COLUMNS" not in os.environ
    assert "\n### `bay image build`\n" in narrow
    assert "\x1b" not in narrow


def test_a_page_means_the_same_on_every_python() -> None:
    old = "  -n N, --number N  how\n  many\n -o FILE, --out FILE\n -x {a,b}, --xx {a,b}"
    new = "  -n, --number N    how many\n -o, --out FILE\n -x, --xx {a,b}"
    assert canonical(old) == canonical(new)
    assert canonical(old) != canonical(new.replace("many", "few"))
    assert canonical("-n N, --name M") == "-n N, --name M"


def test_a_list_is_written_between_its_markers_and_nothing_else_is_touched() -> None:
    page = generate_reference.fill("# Recipes\n\nBefore.\n", "recipe", [("python", "Which.")])
    assert page.startswith("# Recipes\n\nBefore.\n\n<!-- begin recipe")
    page += "\nAfter.\n"
    again = generate_reference.fill(page, "recipe", [("python", "Which."), ("env", "What.")])
    assert again.startswith("# Recipes\n\nBefore.\n\n<!-- begin recipe")
    assert again.endswith("<!-- end recipe -->\n\nAfter.\n")
    assert markdown.headings(again) == ["Recipes", "python", "env"]
    assert generate_reference.fill(again, "recipe", [("python", "Which.")]) == page
