from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tools.prove import prove, source_digest, steps


def step(path: Path, text: str) -> list[str]:
    path.write_text(text)
    return [sys.executable, str(path)]


def test_what_passed_is_not_run_again_and_what_failed_is(tmp_path: Path) -> None:
    counter = "import os, sys; open(os.environ['LAUNCHBAY_PROVE'] + '/{0}', 'a').write('x'); sys.exit({1})"
    commands = {
        "good": step(tmp_path / "good.py", counter.format("good", 0)),
        "bad": step(tmp_path / "bad.py", counter.format("bad", 3)),
    }
    folder = tmp_path / "out"
    assert not prove(commands, folder, "source")
    assert not prove(commands, folder, "source")
    assert (folder / "good").read_text() == "x"
    assert (folder / "bad").read_text() == "xx"
    record = json.loads((folder / "steps.json").read_text())
    assert record["bad"]["exit_code"] == 3
    assert not prove(commands, folder, "another source")
    assert (folder / "good").read_text() == "xx"
    assert not prove(commands, folder, "another source", again=True)
    assert (folder / "good").read_text() == "xxx"


def test_the_output_is_shown_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = {"talk": step(tmp_path / "talk.py", "print('seed 7')")}
    assert prove(commands, tmp_path / "out", "source")
    assert "seed 7" in capsys.readouterr().out
    assert (tmp_path / "out/talk.log").read_text() == "seed 7\n"


def test_a_changed_source_has_another_digest(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("1")
    before = source_digest(tmp_path)
    assert source_digest(tmp_path) == before
    (tmp_path / "src/a.py").write_text("2")
    assert source_digest(tmp_path) != before


def test_every_benchmark_is_a_step(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    for name in ("launch.py", "_measure.py"):
        (tmp_path / "benchmarks" / name).touch()
    assert list(steps(tmp_path)) == ["campaigns", "launch"]
