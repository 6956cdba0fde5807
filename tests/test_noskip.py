from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULE = """
import pytest

def test_passes() -> None: pass
def test_skips() -> None: pytest.skip("no overlay here")
@pytest.mark.skipif(True, reason="no GPU here")
def test_is_skipped() -> None: pass
@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail() -> None: assert False
@pytest.mark.image("tiny")
def test_of_tiny() -> None: pass
@pytest.mark.image("jax")
def test_of_jax() -> None: pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "__init__.py").touch()
    (tests / "_noskip.py").write_text((ROOT / "tests/_noskip.py").read_text())
    (tests / "conftest.py").write_text('pytest_plugins = ["tests._noskip"]')
    (tests / "test_it.py").write_text(MODULE)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return tmp_path


def run(folder: Path, *args: str, ci: str = "") -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args]
    environ = {**os.environ, "CI": ci}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_skip_passes_by_name_where_a_person_works(folder: Path) -> None:
    code, output = run(folder)
    assert code == 0, output
    assert "no overlay here" in output
    assert "2 passed, 2 skipped, 1 deselected, 1 xfailed" in output


def test_a_skip_fails_in_ci_and_keeps_its_reason(folder: Path) -> None:
    code, output = run(folder, ci="true")
    assert code == 1, output
    assert "1 failed, 2 passed, 1 deselected, 1 xfailed, 1 error" in output
    assert "no overlay here" in output
    assert "no GPU here" in output


def test_a_module_that_skips_itself_fails_in_ci(folder: Path) -> None:
    (folder / "tests/test_it.py").write_text('import pytest\npytest.importorskip("nowhere_to_be_found")\n')
    assert run(folder)[0] == 5  # nothing collected
    code, output = run(folder, ci="true")
    assert code == 2, output
    assert "could not import 'nowhere_to_be_found'" in output


def test_another_image_than_the_quick_ones_is_for_test_all(folder: Path) -> None:
    code, output = run(folder, "-m", "all")
    assert code == 0, output
    assert "1 passed, 5 deselected" in output


def test_an_image_mark_without_a_name_is_an_error(folder: Path) -> None:
    (folder / "tests/test_it.py").write_text("import pytest\n@pytest.mark.image\ndef test_it() -> None: pass\n")
    code, output = run(folder)
    assert code == 4
    assert "image must name one image" in output
