"""Runs as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.cli.texts.runs import fetched_text, proposal_text, run_text, runs_text
from launchbay.runs.fit import Choice
from launchbay.runs.propose import Proposal
from launchbay.store.fetch import Fetched
from launchbay.store.records import Artifact, Attempt, Run
from tests.cli.texts.values import DONE, RUN


def test_what_was_fetched() -> None:
    fetched = Fetched(
        path=Path("data/a.bin"),
        sha256="ab",
        bytes=2_000_000,
        rows=None,
        columns=None,
        nan_cells=None,
        empty_cells=None,
        inf_cells=None,
        text_columns=(),
        source="x",
        resumed_from=0,
        is_new=True,
        notes=(),
    )
    assert fetched_text(fetched) == "data/a.bin: 2.0 MB\n  sha256  ab"
    assert "2.0 MB, 1 row x 1 column\n" in fetched_text(replace(fetched, rows=1, columns=1))
    table = replace(fetched, rows=0, columns=2, resumed_from=1_000_000, is_new=False, notes=("a note",))
    assert fetched_text(table).splitlines() == [
        "data/a.bin: 2.0 MB, 0 rows x 2 columns, resumed after 1.0 MB (was there already)",
        "  sha256  ab",
        "  note    a note",
    ]


@pytest.mark.parametrize(
    ("run", "first"),
    [
        (RUN, "r-1: running"),
        (replace(RUN, state="lost"), "r-1: lost"),
        (replace(RUN, state="failed", exit_code=3), "r-1: failed with exit code 3"),
        (replace(RUN, state="failed", exit_code=137, signal="SIGKILL"), "r-1: killed by SIGKILL"),
        (replace(RUN, state="failed", signal="SIGTERM", timed_out=True), "r-1: stopped at its time limit"),
        (replace(RUN, state="stopped", signal="SIGTERM"), "r-1: stopped"),
        (DONE, "r-1: done after 65.2 s (2m 00s CPU, peak memory 250.0 MB)"),
        (replace(DONE, peak_memory_bytes=None), "r-1: done after 65.2 s (2m 00s CPU)"),
    ],
)
def test_how_a_run_ended(run: Run, first: str) -> None:
    lines = run_text(run).splitlines()
    assert lines[0] == first
    assert "None" not in "\n".join(lines)


def test_a_resumed_run_shows_its_earlier_attempts_and_not_too_many() -> None:
    lost = Attempt(instance="exp-1", created_at=1.0, state="lost")
    killed = replace(lost, state="failed", signal="SIGKILL", seconds=3.0)
    late = replace(lost, state="failed", exit_code=143, timed_out=True, instance="exp-2", seconds=60.0)
    lines = run_text(replace(DONE, earlier=(lost, killed, late))).splitlines()
    assert lines[0].startswith("r-1: done in attempt 4 after 65.2 s")
    assert lines[1:4] == [
        "  before  attempt 1: lost, in exp-1",
        "  before  attempt 2: killed by SIGKILL after 3.0 s, in exp-1",
        "  before  attempt 3: stopped at its time limit after 60.0 s, in exp-2",
    ]
    many = run_text(replace(DONE, earlier=(lost,) * 9))
    assert [line.split()[2] for line in many.splitlines() if "before" in line] == ["5:", "6:", "7:", "8:", "9:"]


def test_what_comes_next_after_a_run() -> None:
    assert run_text(RUN).endswith("  next    bay logs r-1 -f    bay stop r-1")
    failed = run_text(replace(RUN, state="failed", exit_code=1), "the disk is full")
    assert failed.endswith("  hint    the disk is full\n  next    bay logs r-1")
    assert "next" not in run_text(DONE)
    model = Artifact(path=Path("/w/model.keras"), format="keras", sha256="ab", bytes=1000)
    other = replace(model, path=Path("/w/notes.txt"), format="file")
    text = run_text(replace(DONE, artifacts=(model, other), logdirs=(Path("/w/logs"),)))
    assert "  model   /w/model.keras (keras, 1.0 kB)\n  logs    /w/logs\n" in text
    assert text.endswith("  next    bay curves r-1    bay evaluate r-1 --data CSV")
    assert "notes.txt" not in text
    assert "  files" not in text
    text = run_text(replace(DONE, artifacts=(other, replace(other, path=Path("/w/out/fig.png")))))
    assert text.endswith("\n  files   /runs/r-1/work (2 files: notes.txt, fig.png)")
    assert "(4 files: notes.txt, notes.txt, notes.txt, ...)" in run_text(replace(DONE, artifacts=(other,) * 4))


def test_a_run_shorter_than_a_sample_of_the_gpu_says_so() -> None:
    unknown = {"mean_percent": None, "max_percent": None, "peak_memory_bytes": 0, "samples": 0}
    known = {
        "name": "NVIDIA H200",
        "mean_percent": 81.5,
        "max_percent": 99,
        "peak_memory_bytes": 3_000_000_000,
        "samples": 9,
    }
    lines = run_text(replace(DONE, gpu={"gpus": [unknown, known]})).splitlines()
    assert lines[1:] == ["  gpu 0    use unknown", "  gpu 1    NVIDIA H200: 81.5 % on average, peak memory 3.0 GB"]


def test_a_list_of_runs() -> None:
    _, going, done = runs_text([RUN, DONE], 1120.0).splitlines()
    assert going.split() == ["r-1", "running", "exp-1", "train.py", "tensorflow", "-", "0", "2m", "00s"]
    assert done.split() == ["r-1", "done", "exp-1", "train.py", "tensorflow", "65.2", "0", "2m", "00s"]
    assert runs_text([], 0.0).startswith("No runs.")


def test_a_proposal() -> None:
    fits = Choice(image="pytorch", built=False, retired="", missing=(), problems=(), unneeded=())
    proposal = Proposal(
        script=Path("train.py"),
        image="pytorch",
        name="train",
        why="train.py imports torch",
        choices=(fits, replace(fits, image="keras", built=True), replace(fits, image="jax", missing=("torch",))),
    )
    assert proposal_text(proposal) == (
        "train.py imports torch: image pytorch (not built yet)\n  keras would do as well"
    )
    old = replace(proposal, choices=(replace(fits, built=True, retired="it gets no fixes"),))
    assert proposal_text(old) == "train.py imports torch: image pytorch (built; it gets no fixes)"
