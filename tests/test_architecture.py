from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tools import architecture, house_rules
from tools.source import Module, parse, read_package

ROOT = Path(__file__).resolve().parents[1]
MODULES = read_package(ROOT / "src")
SCRIPTS = [
    path for folder in ("tests", "tools", "benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))
]

Check = Callable[[Sequence[Module]], list[str]]


def modules(files: Mapping[str, str]) -> list[Module]:
    return [parse(f"launchbay/{path}", text) for path, text in files.items()]


# --- the package as it is ---


@pytest.mark.parametrize("check", architecture.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_package_keeps_its_shape(check: Check) -> None:
    found = check(MODULES)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("module", [item for item in MODULES if not item.is_program], ids=lambda item: item.name)
def test_what_a_module_lists_can_be_imported(module: Module) -> None:
    loaded = importlib.import_module(module.name)
    missing = [name for name in loaded.__all__ if not hasattr(loaded, name)]
    assert missing == []
    assert len(loaded.__all__) == len(set(loaded.__all__))


def test_scripts_and_tests_are_short_enough_to_read() -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SCRIPTS}
    assert {path: size for path, size in sizes.items() if size > house_rules.MAX_LINES} == {}


def test_the_checks_see_the_package() -> None:
    names = {module.name for module in MODULES}
    assert {"launchbay", "launchbay.errors", "launchbay.onboard.content"} <= names
    assert len(names) > 10


# --- the checks themselves: each complains about the bad, and leaves the good alone ---

GOOD: dict[Check, list[dict[str, str]]] = {
    architecture.check_layers: [
        {"units.py": "from launchbay.errors import UsageError"},
        {"images/build.py": "from launchbay.spec import names\nfrom launchbay.images import lock"},
        {"lifecycle/fleet.py": "from launchbay.store import journal\nfrom launchbay.providers import local"},
        {"experiment.py": "from launchbay import api", "api.py": ""},
        {"cli/main.py": "from launchbay import __version__, api", "__init__.py": "", "api.py": ""},
        {"testing/fake.py": "from launchbay import api"},
        {"twin/__init__.py": "from launchbay.catalog import offer"},
        {"__main__.py": "from launchbay.cli.main import main"},
        {"images/build.py": "from launchbay.onboard import content"},
    ],
    architecture.check_cycles: [
        {"units.py": "import launchbay.errors", "errors.py": ""},
        {
            "runs/a.py": "from launchbay.runs import b",
            "runs/b.py": "import typing\nif typing.TYPE_CHECKING:\n    from launchbay.runs import a",
        },
    ],
    architecture.check_dependencies: [
        {"spec/document.py": "import yaml, json"},
        {"onboard/probe.py": "from . import content\ndef probe():\n    import keras"},
        {"runs/picture.py": "def draw():\n    import matplotlib.pyplot"},
        {"catalog/aws.py": "def ask():\n    import boto3\n    from botocore import exceptions"},
        {"cost/solver.py": "def solve():\n    import highspy, numpy"},
    ],
    architecture.check_purity: [
        {"spec/names.py": "import re, datetime"},
        {"store/journal.py": "import sqlite3, time"},
    ],
    house_rules.check_packages: [{"__init__.py": "", "runs/__init__.py": "", "runs/a.py": "", "api.py": ""}],
    house_rules.check_size: [{"runs/a.py": "x = 1\n" * 500}],
    house_rules.check_exports: [
        {"runs/a.py": "__all__ = ['f']"},
        {"runs/a.py": "__all__: list[str] = []"},
        {"__init__.py": "__all__ = sorted(_TABLE)"},
        {"__main__.py": ""},
    ],
    house_rules.check_docstrings: [
        {"runs/a.py": "'''A.'''\nclass C:\n    '''C.'''\n    def _f(self): ...\n    def __eq__(self): ..."},
        {"runs/a.py": "'''A.'''\ndef f():\n    '''F.'''\n    def inner(): ..."},
    ],
    house_rules.check_annotations: [
        {"runs/a.py": "class C:\n    def __init__(self, a: int, *b: int, **c: int) -> None: ..."},
        {"runs/a.py": "def _private(a): ..."},
    ],
    house_rules.check_prints: [{"cli/render.py": "print(1)"}, {"runs/a.py": "render.print(1)"}],
    house_rules.check_handlers: [
        {"cli/main.py": "try: pass\nexcept Exception: pass"},
        {"files.py": "try: pass\nexcept BaseException:\n    clean()\n    raise"},
        {"files.py": "try: pass\nexcept (OSError, ValueError): pass"},
        {"onboard/probe.py": "try: pass\nexcept Exception as error:\n    raise Refused() from error"},
    ],
    house_rules.check_old_python: [
        {"onboard/a.py": "from __future__ import annotations\ndef f(a: int | None): ..."},
        {"runs/a.py": "match x:\n    case 1: ..."},
    ],
}

BAD: dict[Check, list[dict[str, str]]] = {
    architecture.check_layers: [
        {"errors.py": "from launchbay.units import format_bytes"},
        {"spec/names.py": "from launchbay.store import journal"},
        {"images/build.py": "from launchbay import cost", "cost/__init__.py": ""},
        {"providers/local.py": "def f():\n    import launchbay.store.journal"},
        {"runs/a.py": "from launchbay.models import show"},
        {"api.py": "from launchbay.cli import render"},
        {"lifecycle/a.py": "from launchbay.testing import fake"},
        {"testing/fake.py": "from launchbay.web import console"},
        {"onboard/probe.py": "from launchbay import errors", "errors.py": ""},
        {"onboard/probe.py": "from .. import errors", "errors.py": ""},
        {"twin/__init__.py": "from launchbay.store import journal"},
        {"runs/a.py": "from launchbay import launch", "__init__.py": ""},
        {"cli/main.py": "from launchbay import launch", "__init__.py": ""},
        {"utils.py": ""},
    ],
    architecture.check_cycles: [
        {"runs/a.py": "from launchbay.runs import b", "runs/b.py": "def f():\n    from . import a"},
        {
            "runs/a.py": "from .b import x",
            "runs/b.py": "from .c import x",
            "runs/c.py": "import launchbay.runs.a",
        },
    ],
    architecture.check_dependencies: [
        {"models/show.py": "def f():\n    import numpy"},
        {"api.py": "import boto3"},
        {"files.py": "def f():\n    import boto3"},
        {"onboard/probe.py": "def f():\n    import boto3"},
        {"runs/a.py": "def f():\n    import highspy"},
        {"cost/solver.py": "import highspy"},
        {"catalog/aws.py": "import boto3"},
        {"onboard/probe.py": "import keras"},
        {"onboard/probe.py": "def f():\n    import yaml"},
        {"units.py": "import yaml"},
    ],
    architecture.check_purity: [
        {"spec/names.py": "import time"},
        {"planning/plan.py": "from urllib.request import urlopen"},
        {"cost/bill.py": "from datetime import datetime\nx = datetime.now()"},
    ],
    house_rules.check_packages: [{"__init__.py": "", "runs/a.py": ""}],
    house_rules.check_size: [{"runs/a.py": "x = 1\n" * 501}],
    house_rules.check_exports: [{"runs/a.py": ""}, {"runs/a.py": "__all__ = [f]"}, {"runs/a.py": "all = []"}],
    house_rules.check_docstrings: [
        {"runs/a.py": ""},
        {"runs/a.py": "'''A.'''\ndef f(): ..."},
        {"runs/a.py": "'''A.'''\nclass C: ..."},
        {"runs/a.py": "'''A.'''\nclass C:\n    '''C.'''\n    @property\n    def size(self): ..."},
    ],
    house_rules.check_annotations: [
        {"runs/a.py": "def f(a) -> None: ..."},
        {"runs/a.py": "def f(a: int): ..."},
        {"runs/a.py": "def f(*, a) -> None: ..."},
        {"runs/a.py": "class C:\n    def __init__(self, **kwargs) -> None: ..."},
    ],
    house_rules.check_prints: [{"runs/a.py": "def f():\n    print(1)"}],
    house_rules.check_handlers: [
        {"runs/a.py": "try: pass\nexcept Exception: pass"},
        {"runs/a.py": "try: pass\nexcept: pass"},
        {"runs/a.py": "try: pass\nexcept (OSError, Exception): pass"},
        {"runs/a.py": "try: pass\nexcept BaseException:\n    clean()"},
        {"runs/a.py": "try: pass\nexcept Exception as error:\n    raise Refused() from error"},
        {"onboard/a.py": "try: pass\nexcept Exception: pass"},
        {"runs/a.py": "with contextlib.suppress(Exception): pass"},
    ],
    house_rules.check_old_python: [
        {"onboard/a.py": "match x:\n    case 1: ..."},
        {"onboard/a.py": "@dataclass(slots=True)\nclass C: ..."},
        {"onboard/a.py": "zip(a, b, strict=True)"},
        {"onboard/a.py": "hashlib.file_digest(f, 'sha256')"},
        {"onboard/a.py": "import tomllib"},
    ],
}


def cases(table: dict[Check, list[dict[str, str]]]) -> list[object]:
    return [
        pytest.param(check, files, id=f"{check.__name__.removeprefix('check_')}-{index}")
        for check, several in table.items()
        for index, files in enumerate(several)
    ]


@pytest.mark.parametrize(("check", "files"), cases(BAD))
def test_a_check_complains_about_the_bad(check: Check, files: dict[str, str]) -> None:
    assert len(check(modules(files))) == 1


@pytest.mark.parametrize(("check", "files"), cases(GOOD))
def test_a_check_leaves_the_good_alone(check: Check, files: dict[str, str]) -> None:
    assert check(modules(files)) == []


def test_every_check_is_tried_both_ways() -> None:
    assert set(BAD) == set(GOOD) == set(architecture.CHECKS)


def test_a_complaint_names_file_and_line() -> None:
    [complaint] = house_rules.check_prints(modules({"runs/a.py": "\n\nprint(1)"}))
    assert complaint == "launchbay/runs/a.py:3: print() outside cli; tell the Reporter"


def test_newer_syntax_than_the_oldest_python_is_refused() -> None:
    with pytest.raises(SyntaxError):
        parse("launchbay/a.py", "type Names = list[str]")


def test_files_of_the_scaffold_are_not_ours_to_check(tmp_path: Path) -> None:
    for name in ("scaffold/files/train.py", "scaffold/copy.py"):
        path = tmp_path / "launchbay" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("print(1)")
    assert [module.path for module in read_package(tmp_path)] == ["launchbay/scaffold/copy.py"]
    for path in (ROOT / "src/launchbay/scaffold/files").rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
