from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks._figures import compare_medians, ratios, spread
from benchmarks._report import Verdict, conclude, format_table, read_totals, save
from benchmarks._timing import CommandFailed, Sample, Unavailable, clean_environ, measure, take_turns
from benchmarks.jax_against_tensorflow import find_error, parse_seeds
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.store.records import list_runs
from tools import prove

ROOT = Path(__file__).resolve().parents[1]
BUSY = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"
TRAINS = """\
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--seed", type=int)
given = parser.parse_args()
assert sorted(path.name for path in pathlib.Path("data").iterdir()) == ["test.csv", "train.csv", "validation.csv"]
print(f"test_mse={2 + given.seed / 10}")
"""


@pytest.fixture
def totals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAUNCHBAY_PROVE", str(tmp_path / "prove"))
    return tmp_path / "prove"


# --- figures --------------------------------------------------------------------------------------------------------


def test_a_spread_is_five_numbers() -> None:
    found = spread([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.low, found.lower_quartile, found.median, found.upper_quartile, found.high) == (1, 2, 3, 4, 5)
    assert found.count == 5
    assert spread([7.0]).low == spread([7.0]).median == spread([7.0]).high == 7


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="argument 2"):
        ratios([1.0, 2.0], [1.0])


def test_equal_samples_do_not_differ_and_distant_ones_do() -> None:
    chance = random.Random(1)
    sample = [chance.gauss(3, 0.2) for _ in range(20)]
    same = compare_medians(sample, sample, seed=0)
    assert same.difference == same.relative == 0
    assert same.interval[0] < 0 < same.interval[1]
    apart = compare_medians([value * 1.5 for value in sample], sample, seed=0)
    assert apart.relative == pytest.approx(0.5)
    assert 0 < apart.relative_interval[0] < 0.5 < apart.relative_interval[1]
    assert apart.difference == pytest.approx(0.5 * median(sample))


def test_the_bootstrap_is_decided_by_its_seed() -> None:
    first, second = [1.0, 2.0, 4.0, 8.0, 9.0], [1.0, 3.0, 5.0, 6.0, 7.0]
    assert compare_medians(first, second, seed=3, draws=500) == compare_medians(first, second, seed=3, draws=500)
    wide = compare_medians(first, second, seed=3, confidence=0.99).interval
    narrow = compare_medians(first, second, seed=3, confidence=0.5).interval
    assert wide[0] <= narrow[0] < narrow[1] <= wide[1]


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance = random.Random(7)
    hits = 0
    for number in range(150):
        first = [chance.gauss(3.3, 0.3) for _ in range(20)]
        second = [chance.gauss(3.0, 0.3) for _ in range(20)]
        low, high = compare_medians(first, second, seed=number, draws=300).interval
        hits += low <= 0.3 <= high
    assert 0.88 <= hits / 150 < 1


# --- timing ---------------------------------------------------------------------------------------------------------


def test_contenders_take_turns_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []

    def contender(name: str) -> Callable[[int], Sample]:
        def run(number: int) -> Sample:
            order.append(f"{name}{number}")
            return Sample(wall_s=number, cpu_s=0)

        return run

    samples = take_turns({"a": contender("a"), "b": contender("b")}, 2, tell=lambda _: None)
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert [sample.wall_s for sample in samples["a"]] == [1, 2]


def test_a_contender_that_cannot_run_here_is_named_and_left_out() -> None:
    told: list[str] = []

    def refuse(_: int) -> Sample:
        raise Unavailable("no such thing here")

    samples = take_turns({"ours": lambda _: Sample(wall_s=1, cpu_s=1), "other": refuse}, 2, tell=told.append)
    assert list(samples) == ["ours"]
    assert [line for line in told if "other" in line] == ["  other: not measured: no such thing here"]


def test_the_time_of_a_process_holds_that_of_its_children() -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY.format(seconds=0.3)!r}])"
    took = measure([sys.executable, "-c", code], environ=clean_environ())
    assert took.cpu_s >= 0.3
    assert took.wall_s >= 0.3
    assert (took + took.scaled(2)).cpu_s == pytest.approx(3 * took.cpu_s)


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(CommandFailed, match=r"code 3: .*out of order"):
        measure([sys.executable, "-c", "import sys; print('out of order'); sys.exit(3)"], environ=clean_environ())


def test_children_do_not_get_what_would_slow_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "JAX_COMPILATION_CACHE_DIR", "KERAS_BACKEND"):
        monkeypatch.setenv(name, "1")
    environ = clean_environ(LAUNCHBAY_HOME="here")
    assert environ["PATH"] == os.environ["PATH"]
    assert environ["LAUNCHBAY_HOME"] == "here"
    assert not [name for name in environ if name.startswith(("PYTHON", "JAX", "KERAS"))]


@pytest.mark.skipif(sys.platform != "linux", reason="orphans can be adopted on Linux only")
def test_an_orphan_is_adopted_and_its_time_is_known() -> None:
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BUSY.format(seconds=0.3)!r}])"
    code = (
        "import sys\n"
        "from benchmarks._timing import adopt_orphans, clean_environ, measure\n"
        "with adopt_orphans() as wait:\n"
        f"    parent = measure([sys.executable, '-c', {child!r}], environ=clean_environ())\n"
        "    print(parent.cpu_s, wait().cpu_s)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    parent, orphan = map(float, done.stdout.split())
    assert orphan >= 0.3 > parent


# --- report ---------------------------------------------------------------------------------------------------------


def test_a_table_is_aligned() -> None:
    assert format_table(["what", "s"], [["a", "1.5"], ["longer", "10.25"]]).splitlines() == [
        "what        s",
        "------  -----",
        "a         1.5",
        "longer  10.25",
    ]


def test_a_missed_target_is_a_failure_unless_it_was_a_quick_look(
    totals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = Verdict(what="launch", got="2 s", target="under 1 s", ok=False)
    assert conclude("x", {"seeds": [1]}, [missed], quick=False) == 1
    assert "launch: 2 s (target: under 1 s) MISSED" in capsys.readouterr().out
    assert conclude("x", {"seeds": [2]}, [missed], quick=True) == 0
    assert "MISSED" not in capsys.readouterr().out
    assert json.loads((totals / "x.json").read_text())["seeds"] == [1]
    assert json.loads((totals / "x.quick.json").read_text())["seeds"] == [2]


def test_totals_hold_values_of_ours_and_are_read_again(totals: Path) -> None:
    save("y", {"samples": {"a": [Sample(wall_s=1.5, cpu_s=0.5)]}}, quick=False)
    assert read_totals("y", quick=False)["samples"] == {"a": [{"wall_s": 1.5, "cpu_s": 0.5}]}
    assert read_totals("y", quick=True) == {}
    (totals / "y.json").write_text("{cut off", encoding="utf-8")
    assert read_totals("y", quick=False) == {}


def test_prove_runs_every_benchmark_without_arguments() -> None:
    names = set(prove.steps()) - {"campaigns"}
    assert names == {
        "board",
        "drift",
        "instance_types",
        "jax_against_tensorflow",
        "launch_on_twin",
        "optimize",
        "startup",
        "train_overhead",
        "twenty_instances",
        "update",
    }


def test_seeds_are_a_range() -> None:
    assert parse_seeds("3:6") == [3, 4, 5]
    for text in ("3", "6:3", "a:b", "-1:3"):
        with pytest.raises(SystemExit, match="--seeds"):
            parse_seeds(text)


def test_the_last_error_that_was_printed_counts() -> None:
    assert find_error("test_mse=9\nepoch\ntest_mse=2.75\n") == 2.75
    with pytest.raises(SystemExit, match="printed no line"):
        find_error("the test_mse=1 stands in a sentence\n")


# --- the scripts ----------------------------------------------------------------------------------------------------


def run_quick(name: str, home: Home, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--quick", "--home", str(home.root)]
    done = subprocess.run([*command, *arguments], cwd=home.root.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not home.root.with_name(f"{home.root.name}.scratch").exists()
    assert list(list_runs(home)) == []
    return done.stdout


def names_of(home: Home) -> list[str]:
    return [json.loads((path / "record.json").read_text())["name"] for path in home.instances.iterdir()]


def launch(home: Home, image: str, name: str) -> None:
    command = [sys.executable, "-m", "launchbay", "launch", image, "--name", name]
    subprocess.run(command, env={**os.environ, "LAUNCHBAY_HOME": str(home.root)}, capture_output=True, check=True)


@pytest.mark.image("tiny")
def test_twenty_instances_runs_and_leaves_only_what_is_not_its_own(home: Home, tiny: str, totals: Path) -> None:
    launch(home, tiny, "mine")
    launch(home, tiny, "bench-killed")  # as a benchmark that was killed leaves it
    printed = run_quick("twenty_instances", home, "--image", tiny, "--count", "3")
    assert names_of(home) == ["mine-1"]
    kept = json.loads((totals / "twenty_instances.quick.json").read_text())
    ours, venv = kept["samples"]["bay launch"], kept["samples"]["venv --system-site-packages, one process, no pip"]
    assert len(ours) == len(venv) == 2
    assert all(sample["cpu_s"] > 0 for sample in ours + venv)
    assert "overlay mounts: not measured: " in printed or len(kept["samples"]["overlay mounts"]) == 2
    (uv,) = [row for row in kept["rows"] if row["method"].startswith("uv ")]
    single = kept["samples"][uv["method"]][0]["wall_s"]
    assert uv["extrapolated"] == "extrapolated from 1"
    assert uv["wall_s"]["median"] == pytest.approx(3 * single)


@pytest.mark.image("tiny")
def test_drift_is_timed_against_the_other_ways_to_tell(home: Home, tiny: str, totals: Path) -> None:
    printed = run_quick("drift", home, "--image", tiny, "--count", "2")
    assert names_of(home) == []
    kept = json.loads((totals / "drift.quick.json").read_text())
    assert len(kept["samples"]) == 3
    assert 0 < kept["fingerprints_s"][0] < kept["samples"]["bay verify, with the image"][0]["wall_s"]
    assert "2 instances of tiny, 0.9 MB of data in each" in printed


@pytest.mark.image("tiny")
def test_update_moves_a_fleet_and_launches_another(
    home: Home, tiny: str, with_image: Callable[[str], Image], totals: Path
) -> None:
    with_image("older")
    other = str(Path(tiny).with_name("older.yaml"))
    run_quick("update", home, "--before", tiny, "--after", other, "--count", "2")
    assert names_of(home) == []
    kept = json.loads((totals / "update.quick.json").read_text())
    assert {name: len(found) for name, found in kept["samples"].items()} == {"bay update": 1, "bay launch, fresh": 1}
    assert kept["ratio"]["median"] > 0
    assert {"stage", "switch", "replay", "verify"} <= kept["clock"].keys()


def test_the_cheapest_plan_is_timed_beside_the_plain_formulation(totals: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "optimize.py"), "--quick"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    kept = json.loads((totals / "optimize.quick.json").read_text())
    assert [item["case"] for item in kept["measured"]] == ["6 services, GPUs", "10 services, GPUs"]
    for item in kept["measured"]:
        assert item["gap"] == 0
        assert item["plain"]["usd"] >= item["usd"] * (1 - 1e-6)
        assert item["first_fit"] >= item["best_first_fit"] >= 0


@pytest.mark.image("tiny")
def test_startup_runs_with_twenty_instances_in_its_home(home: Home, tiny: str, totals: Path) -> None:
    printed = run_quick("startup", home, "--image", tiny)
    assert "listed 20 instances" in printed
    assert names_of(home) == []
    samples: dict[str, Any] = json.loads((totals / "startup.quick.json").read_text())["samples"]
    assert {"bay --help", "bay ps (0 instances)", "bay ps (20 instances)", "pip --version", "uv --version"} <= set(
        samples
    )


@pytest.mark.image("tiny")
def test_the_two_accounts_of_our_own_cpu_agree(home: Home, tiny: str, totals: Path) -> None:
    run_quick("train_overhead", home, "--image", tiny, "--seconds", "1")
    assert names_of(home) == []
    (account,) = json.loads((totals / "train_overhead.quick.json").read_text())["accounts"]["chatty"]
    assert account["script_s"] > 0.5
    assert 0 < account["client_s"] < account["ours_by_record"]
    if sys.platform == "linux":  # what the record cannot hold is the supervisor's own end
        assert account["ours_by_record"] - 0.02 <= account["ours_by_kernel"] <= account["ours_by_record"] + 0.2


@pytest.mark.image("tiny")
def test_seeds_that_are_done_are_not_done_again(home: Home, tiny: str, totals: Path, tmp_path: Path) -> None:
    script = tmp_path / "script" / "train.py"
    script.parent.mkdir()
    script.write_text(TRAINS, encoding="utf-8")
    given = ["--script", str(script), "--jax", tiny, "--tensorflow", tiny]
    first = run_quick("jax_against_tensorflow", home, *given, "--seeds", "0:3")
    assert first.count(" CPU s, test MSE ") == 6
    assert "2.2000 (seed 2)" in first
    second = run_quick("jax_against_tensorflow", home, *given, "--seeds", "0:4")
    assert second.count(" CPU s, test MSE ") == 2
    kept = json.loads((totals / "jax_against_tensorflow.quick.json").read_text())
    assert kept["seeds"]["training"] == [0, 1, 2, 3]
    assert [kept["results"][f"jax {seed}"]["test_mse"] for seed in range(4)] == [2, 2.1, 2.2, 2.3]
    assert kept["results"]["jax 0"]["alone"]
    script.write_text(TRAINS + "\n", encoding="utf-8")
    third = run_quick("jax_against_tensorflow", home, *given, "--seeds", "0:1")
    assert "earlier results do not count" in third
    assert third.count(" CPU s, test MSE ") == 2
    assert names_of(home) == []


@pytest.mark.image("jax")
def test_the_scaffold_trains_in_both_images(home: Home, with_image: Callable[[str], Image], totals: Path) -> None:
    with_image("jax")
    with_image("tensorflow")
    run_quick("jax_against_tensorflow", home, "--seeds", "0:1")
    results = json.loads((totals / "jax_against_tensorflow.quick.json").read_text())["results"]
    assert [result["logged"] for result in results.values()] == [True, True]


@pytest.mark.image("tensorflow-2.15")
def test_a_board_is_timed_beside_tensorboard(home: Home, with_image: Callable[[str], Image], totals: Path) -> None:
    with_image("tensorflow-2.15")
    printed = run_quick("board", home)
    assert names_of(home) == []
    kept = json.loads((totals / "board.quick.json").read_text())
    assert kept["sizes"]["with embeddings"][0] > kept["sizes"]["without"][0] + 5
    assert len(kept["shown"]) == 4
    for found in kept["shown"].values():
        assert all(0 < one["page_s"] <= one["scalars_s"] for one in found)
    assert "all scalars with embeddings" in printed


def test_types_are_timed_in_the_library_and_as_a_process(home: Home, totals: Path) -> None:
    printed = run_quick("instance_types", home)
    kept = json.loads((totals / "instance_types.quick.json").read_text())
    assert {"bay types --gpus 1+ --sort price", "python -c pass"} <= kept["samples"].keys()
    assert (
        0
        < kept["queries"]["with a GPU, by price"]["median"]
        < kept["queries"]["loading the catalogue of a region"]["median"]
    )
    assert ("SkyPilot's list of GPUs" in kept["samples"]) != ("SkyPilot was not measured" in printed)


def test_types_are_timed_beside_skypilot_where_it_is(home: Home, totals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = home.root.parent / "bin" / "sky"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/bin/sh\n[ \"$*\" = 'show-gpus --all --cloud aws' ] || [ \"$*\" = 'show-gpus --help' ]\n", encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    printed = run_quick("instance_types", home)
    assert "SkyPilot was not measured" not in printed
    kept = json.loads((totals / "instance_types.quick.json").read_text())
    assert len(kept["samples"]["SkyPilot's list of GPUs"]) == 3
