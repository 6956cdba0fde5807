"""What the notebook that lies ready is told, and the notebook itself."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from launchbay.onboard.cells import notebook
from launchbay.onboard.start import newest_model, read_data


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAUNCHBAY_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LAUNCHBAY_INSTANCE", "i-1")
    monkeypatch.setenv("LAUNCHBAY_FLEET", "exp")
    return tmp_path / "runs"


def make_run(runs: Path, name: str, *, instance: str = "i-1", fleet: str = "exp", **models: str) -> Path:
    work = runs / name / "work"
    (work / "data").mkdir(parents=True)
    artifacts: list[dict[str, Any]] = []
    for stem, kind in models.items():
        path = f"{stem}.json" if kind == "file" else f"{stem}.{kind}"
        (work / path).write_bytes(stem.encode())
        digest = hashlib.sha256(stem.encode()).hexdigest()
        artifacts.append({"path": path, "format": kind, "sha256": digest, "bytes": 1})
    (runs / name / "record.json").write_text(json.dumps({"instance_id": instance, "fleet": fleet}), encoding="utf-8")
    (runs / name / "result.json").write_text(json.dumps({"artifacts": artifacts}), encoding="utf-8")
    return work


def test_no_run_yet(runs: Path) -> None:
    assert newest_model() is None
    make_run(runs, "run-1")
    assert newest_model() is None


def test_the_best_model_of_the_newest_run_of_instance_or_fleet(runs: Path) -> None:
    work = make_run(runs, "run-1", best="keras", last="keras")
    make_run(runs, "run-2")
    make_run(runs, "run-3", instance="i-2", fleet="other", best="keras")
    found = newest_model()
    assert found is not None
    assert (found.run, found.path, found.format) == ("run-1", str(work / "best.keras"), "keras")
    assert repr(found) == "run-1: best.keras (keras)"
    make_run(runs, "run-4", instance="i-2", best="keras")
    again = newest_model()
    assert again is not None
    assert again.run == "run-4"


def test_one_that_is_not_what_the_run_wrote_is_passed_over(runs: Path) -> None:
    work = make_run(runs, "run-1", best="keras", last="keras")
    (work / "best.keras").write_bytes(b"evil")
    found = newest_model()
    assert found is not None
    assert found.path == str(work / "last.keras")


def test_what_gluon_exports_is_a_model(runs: Path) -> None:
    work = make_run(runs, "run-1", **{"net-symbol": "file"})
    assert newest_model() is None  # a symbol alone
    (work / "net-0007.params").write_bytes(b"")
    found = newest_model()
    assert found is not None
    assert found.format == "mxnet"


def test_records_that_cannot_be_read_are_passed_over(runs: Path) -> None:
    make_run(runs, "run-1", best="keras")
    for name, text in (("run-2", "{"), ("run-3", '{"artifacts": [{"path": "x"}]}')):
        make_run(runs, name, best="keras")
        (runs / name / "result.json").write_text(text, encoding="utf-8")
    (runs / "file").write_text("", encoding="utf-8")
    found = newest_model()
    assert found is not None
    assert found.run == "run-1"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"test.csv": "1,2\n", "val.csv": "3,4\n"}, "test.csv"),
        ({"train.csv": "1,2\n", "val_a.csv": "3,4\n"}, "val_a.csv"),
        ({"rows.csv": "1,2\n"}, "rows.csv"),
        ({"test.csv": "a;b;\n", "val.csv": "3,4\n"}, "val.csv"),
        ({"notes.txt": "1,2\n"}, None),
    ],
)
def test_the_data_to_test_on(runs: Path, files: dict[str, str], expected: str | None) -> None:
    work = make_run(runs, "run-1", best="keras")
    for name, text in files.items():
        (work / "data" / name).write_text(text, encoding="utf-8")
    found = newest_model()
    assert found is not None
    table = read_data(found)
    assert (None if table is None else Path(table.path).name) == expected


def test_the_notebook_is_one() -> None:
    made = notebook()
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    cells = made["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        if cell["cell_type"] == "code":
            ast.parse("".join(cell["source"]).replace("%matplotlib inline", ""), feature_version=(3, 9))
            assert cell["outputs"] == []
    assert json.loads(json.dumps(made)) == made
    assert "keras" not in sys.modules
