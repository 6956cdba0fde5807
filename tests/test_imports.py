"""What starting costs: which packages are loaded, and how many modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FRAMEWORKS = {"jax", "keras", "mxnet", "onnxruntime", "tensorboard", "tensorflow", "torch"}
WEB = {"fastapi", "flask", "jinja2", "starlette", "uvicorn"}
CLOUD = {"asyncssh", "boto3", "botocore", "moto", "paramiko"}
SCIENCE = {"IPython", "highspy", "jupyterlab", "matplotlib", "numpy", "pandas", "pyarrow", "scipy"}
NEVER = FRAMEWORKS | WEB | CLOUD | SCIENCE
ONLY_TO_DRAW = {"plotext", "rich"}
SLOW = {"asyncio", "sqlite3.dbapi2", "unittest", "urllib.request", "yaml"}
"""Cost 10 ms and more each; a list of nothing needs sqlite, `--help` needs none."""

BAY = """
import sys
sys.argv = ["bay", *sys.argv[1:]]
from launchbay.cli.main import main
try:
    code = main()
except SystemExit as end:
    code = end.code
if code:
    sys.exit(code)
"""
REPORT = "\nimport json; print('\\n' + json.dumps(sorted(sys.modules)))"

MODULES = {"--help": 30, "ps": 125}
"""Most modules that are loaded on top of those of `import launchbay`: one costs up to a millisecond of each start.

The time itself is measured by `benchmarks/startup.py`, beside commands of others: seconds are no test, for they depend on
the machine.
"""


def start(code: str, *args: str, home: Path) -> str:
    environ = {**os.environ, "LAUNCHBAY_HOME": str(home), "COLUMNS": "100"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env=environ,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(code: str, *args: str, home: Path) -> set[str]:
    output = start(code + REPORT, *args, home=home)
    modules: list[str] = json.loads(output.splitlines()[-1])
    return {*modules, *(name.partition(".")[0] for name in modules)}


@pytest.mark.parametrize("args", [(), ("--help",), ("--version",), ("launch", "--help"), ("ps",), ("ps", "--json")])
def test_the_command_loads_nothing_heavy(args: tuple[str, ...], tmp_path: Path) -> None:
    modules = loaded(BAY, *args, home=tmp_path) if args else loaded("import sys, launchbay", home=tmp_path)
    assert modules & NEVER == set()
    if args[:1] != ("ps",):
        assert modules & (ONLY_TO_DRAW | SLOW) == set()


def test_the_test_would_see_a_heavy_import(tmp_path: Path) -> None:
    assert {"yaml", "unittest"} <= loaded("import sys, yaml, unittest.mock", home=tmp_path)


def test_training_in_a_standing_instance_loads_no_recipes_and_locks(tmp_path: Path) -> None:
    modules = loaded("import sys, launchbay.api.runs", home=tmp_path)
    assert "launchbay.runs.preview" in modules
    assert modules & {"launchbay.images.lock", "launchbay.images.recipe", "launchbay.lifecycle.build"} == set()


@pytest.mark.parametrize("verb", ["--help", "ps"])
def test_the_command_loads_few_modules(verb: str, tmp_path: Path) -> None:
    more = loaded(BAY, verb, home=tmp_path) - loaded("import sys, launchbay", home=tmp_path)
    assert len(more) <= MODULES[verb], sorted(more)


PUBLIC = """
import launchbay, json, types
seen = {name: type(getattr(launchbay, name)).__name__ for name in launchbay.__all__}
namespace = {}
exec("from launchbay import *", namespace)
left_out = [name for name in launchbay.__all__ if name not in namespace]
extra = [
    name for name, value in vars(launchbay).items()
    if name[0] != "_" and name not in launchbay.__all__
    and not isinstance(value, types.ModuleType)
    and str(getattr(value, "__module__", "")).startswith("launchbay")
]
unlisted = sorted(set(launchbay.__all__) - set(dir(launchbay)))
print(json.dumps([sorted(seen), left_out, extra, unlisted, launchbay.__version__]))
"""


def test_the_public_names_are_those_that_can_be_imported(tmp_path: Path) -> None:
    names, left_out, extra, unlisted, version = json.loads(start(PUBLIC, home=tmp_path))
    assert names
    assert left_out == []
    assert extra == []
    assert unlisted == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert version == project["version"]


def test_a_name_that_does_not_exist_is_an_attribute_error(tmp_path: Path) -> None:
    code = "import launchbay\ntry: launchbay.lunch\nexcept AttributeError as error: print(error)"
    assert "lunch" in start(code, home=tmp_path)
