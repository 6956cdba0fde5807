"""What starting costs: which packages are loaded, and how many modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
