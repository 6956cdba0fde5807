"""The documentation cannot rot: what is there has its heading, and what is shown works."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from launchbay.cli.parser import build_parser, parse
from launchbay.images.recipe import RECIPE_FIELDS
from launchbay.settings import SETTINGS
from launchbay.spec.project import PROJECT_FIELDS
from launchbay.spec.workload import WORKLOAD_FIELDS
from tools import generate_reference, markdown

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["behaviours.md", "cli.md", "settings.md", "recipes.md", "workload.md"])
def test_the_reference_says_what_the_code_says(page: str) -> None:
    real = generate_reference.pages()[REFERENCE / page]
    is_stale = generate_reference.canonical(read(page)) != generate_reference.canonical(real)
    assert not is_stale, f"docs/reference/{page} is stale: make docs"


def test_every_verb_has_a_heading_and_says_what_it_does() -> None:
    headings = markdown.headings(read("cli.md"))
    for verb in generate_reference.verbs(build_parser()):
        assert f"bay {verb.name}".strip() in headings
        assert verb.parser.description or verb.parser.epilog, f"bay {verb.name} --help says nothing"


@pytest.mark.parametrize("setting", [setting.name for setting in SETTINGS])
def test_every_setting_has_a_heading(setting: str) -> None:
    assert setting in markdown.headings(read("settings.md"))


@pytest.mark.parametrize(
    ("page", "field"),
    [
        *(("settings.md", field) for field in PROJECT_FIELDS),
        *(("recipes.md", field) for field in RECIPE_FIELDS),
        *(("workload.md", field) for field in WORKLOAD_FIELDS),
    ],
)
def test_every_field_has_a_heading(page: str, field: str) -> None:
    assert field in markdown.headings(read(page))


def test_every_page_can_be_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in PAGES if path.is_relative_to(ROOT / "docs")]
    assert [page for page in pages if page != "README.md" and f"({page}" not in index] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_link_is_dead(page: Path) -> None:
    assert markdown.dead_links(page) == []


def refusal(args: tuple[str, ...]) -> str:
    """Return what is said against a command, nothing when it is understood."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            parse(args)
    except SystemExit as end:
        return said.getvalue() if end.code else ""
    return ""


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_shown_is_understood(page: Path) -> None:
    refused = {f"{command.where}: {command.text}": refusal(command.args) for command in markdown.bay_commands(page)}
    assert {command: said for command, said in refused.items() if said} == {}


def test_the_pages_show_commands() -> None:
    shown = {command.args[0] for page in PAGES for command in markdown.bay_commands(page) if command.args}
    assert {"launch", "verify", "train", "curves", "evaluate", "predict", "terminate"} <= shown
