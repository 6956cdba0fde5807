"""Values as text: unknown is said as unknown, and nothing that may be None breaks a line."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.api.images import Exported, Imported
from launchbay.api.listing import Row
from launchbay.cli import render
from launchbay.images.image import Image
from launchbay.lifecycle.doctor import Check
from launchbay.lifecycle.end import Ended
from launchbay.lifecycle.identity import Difference
from launchbay.lifecycle.images import ImageCheck, ImageRow
from launchbay.lifecycle.launch import Launch
from launchbay.lifecycle.verify import Verification
from launchbay.models.card import Evaluation, Finding, Layer, ModelCard, Optimizer, Predictions, Tensor
from launchbay.planning.fleet import Instance
from launchbay.runs.propose import Choice, Proposal
from launchbay.store.fetch import Fetched
from launchbay.store.records import Artifact, Attempt, Run
from launchbay.store.service import Service

DIGEST = "0123456789abcdef" * 4

IMAGE = Image(
    name="tensorflow",
    kind="recipe",
    digest=DIGEST,
    content="c" * 64,
    folder=Path("/images/x"),
    python="3.13",
    python_version="3.13.1",
    platform="x86_64",
    accelerator="cpu",
    frameworks={"tensorflow": "2.21.0", "keras": "3.15.0"},
    packages={},
    env={},
    size_bytes=1_000_000,
    files=10,
    downloaded_bytes=0,
    built="2026-01-02T03:04:05Z",
    build_seconds={"install": 2.5},
    first_import_s=None,
)

RUN = Run(
    id="r-1",
    folder=Path("/runs/r-1"),
    instance="exp-1",
    fleet="exp",
    image="tensorflow",
    digest=DIGEST,
    script="/home/me/train.py",
    args=(),
    data=None,
    data_files={},
    created_at=1000.0,
    state="running",
)

DONE = replace(RUN, state="done", exit_code=0, seconds=65.2, cpu_seconds=120.0, peak_memory_bytes=250_000_000)

CARD = ModelCard(
    format="keras",
    framework="keras",
    framework_version=None,
    saved=None,
    sha256="ab",
    bytes=10,
    parameters=None,
    trainable_parameters=None,
    layers=(),
    inputs=(),
    outputs=(),
    loss=None,
    metrics=(),
    optimizer=None,
    safe=None,
    findings=(),
)

PROOF = Verification(
    identical=True,
    gpu_proven=None,
    fingerprints=({}, {}, {}),
    differences=(),
    image_problems=(),
    content=None,
    seconds={"fingerprints": 0.12, "per_instance": 0.04, "images": 0.0},
)


def instance(number: int) -> Instance:
    return Instance(
        id=f"i-{number}",
        name=f"exp-{number}",
        fleet="exp",
        count=3,
        image="tensorflow",
        digest=DIGEST,
        token="t",
        provider="local",
        layer="layer",
        state="running",
        created_at=0.0,
        root=Path("/i"),
    )


def test_every_text_is_tried_here() -> None:
    """A new function of `render` must come with a test of its own."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(__file__).parent.glob("test_render*.py")]
    used = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(render.__all__) <= used


# --- images ---------------------------------------------------------------------------------------------------------


def test_images() -> None:
    recipe = ImageRow(
        name="jax",
        kind="recipe",
        description="",
        frameworks={},
        python="3.13",
        accelerator=None,
        digest=None,
        size_bytes=None,
        built=None,
        support_ends=None,
        instances=0,
    )
    built = replace(
        recipe, frameworks={"jax": "0.7"}, digest=DIGEST, size_bytes=812_000_000, built="2026-01-02T03", instances=3
    )
    head, first, second = render.images_text([recipe, built]).splitlines()
    assert head.split() == ["NAME", "KIND", "FRAMEWORKS", "PYTHON", "SIZE", "BUILT", "INSTANCES", "DIGEST"]
    assert first.split() == ["jax", "recipe", "-", "3.13", "-", "not", "yet", "0", "-"]
    assert second.split() == ["jax", "recipe", "jax", "0.7", "3.13", "812.0", "MB", "2026-01-02", "3", DIGEST[:12]]
    assert render.images_text([]) == "No image matches."


def test_a_cuda_image_is_told_apart() -> None:
    row = ImageRow(
        name="jax",
        kind="framework",
        description="",
        frameworks={"jax": "0.7"},
        python="3.13",
        accelerator="cuda13",
        digest=DIGEST,
        size_bytes=1,
        built="2026-01-02T03",
        support_ends=None,
        instances=0,
    )
    assert "framework cuda13" in render.images_text([row])
    assert "framework  " in render.images_text([replace(row, accelerator="cpu"), row]).splitlines()[1]


def test_an_image_that_went_out() -> None:
    exported = Exported(
        name="jax", digest=DIGEST, path=Path("/mnt/my disk/a b.tar.gz"), bytes=1_500_000, sha256="f" * 64
    )
    text = render.exported_text(exported)
    assert text.startswith(f"/mnt/my disk/a b.tar.gz: jax {DIGEST[:12]}, 1.5 MB\n")
    assert "f" * 64 in text
    assert text.endswith("bay image import 'a b.tar.gz'")


def test_an_image_that_came_in() -> None:
    imported = Imported(image=IMAGE, sha256="f" * 64, is_new=True)
    assert render.imported_text(imported).splitlines() == [
        f"tensorflow {DIGEST[:12]}: 1.0 MB in 10 files, all as exported",
        f"  sha256  {'f' * 64}",
        "  next    bay launch tensorflow",
    ]
    assert render.imported_text(replace(imported, is_new=False)) == f"tensorflow {DIGEST[:12]} was there already."


def test_an_image_that_was_built() -> None:
    shown = {
        "name": "tensorflow",
        "description": "for training",
        "digest": DIGEST,
        "built": "2026-01-02",
        "size_bytes": 1_500_000,
        "files": 12,
        "build_seconds": {"compile": 10.0, "import": 3.0, "install": 2.5, "verify": 1.0},
        "python_version": "3.11.7",
        "first_import_s": 3.21,
        "env": {"A": "1", "B": "2"},
        "packages": {"b": "2", "a": "1"},
    }
    text = render.image_text(shown)
    assert text.startswith("tensorflow  for training\n")
    assert "1.5 MB in 12 files" in text
    assert "install 2.5 s, compile 10.0 s, verify 1.0 s, import 3.0 s" in text
    assert "python version  3.11.7" in text
    assert "A=1 B=2" in text
    assert "first import    3.2 s" in text
    assert "not built" not in text
    assert text.endswith("2 packages:\n  a 1\n  b 2")


def test_an_image_that_is_only_a_recipe() -> None:
    text = render.image_text(
        {"name": "jax", "digest": None, "built": None, "size_bytes": None, "env": {}, "packages": {}}
    )
    assert text.splitlines() == ["jax", "  not built yet   bay image build jax", "", "0 packages:"]


def test_what_hashing_an_image_found() -> None:
    good = ImageCheck(name="jax", digest=DIGEST, content="c", ok=True, files=7, problems=())
    assert render.image_check_text(good).startswith(f"jax {DIGEST[:12]}: 7 files are what their packages say")
    bad = replace(good, ok=False, problems=[f"file {number}: missing" for number in range(25)])
    lines = render.image_check_text(bad).splitlines()
    assert lines[0] == f"jax {DIGEST[:12]}: 25 problems"
    assert (len(lines), lines[-1]) == (22, "  ... and 5 more")


# --- instances ------------------------------------------------------------------------------------------------------


def test_where_a_launchs_time_went() -> None:
    clock = {"image": 161.0, "plan": 0.01, "create": 0.2, "verify": None, "first_import": 4.2, "other": 1.0}
    words = "image built 2m 41s, plan 10 ms, create 200 ms, first import 4.2 s (measured when the image was built)"
    assert render.clock_text(clock) == words
    assert render.clock_text({"plan": 0.5, "first_import": None}) == "plan 500 ms"


def test_a_launch() -> None:
    launch = Launch(
        fleet="exp",
        image=IMAGE,
        instances=[instance(1), instance(2), instance(3)],
        created=("exp-3",),
        identical=True,
        clock={"plan": 0.001, "first_import": None},
        built_now=False,
    )
    text = render.launch_text(launch)
    assert text.startswith("1 of 3 launched: exp-3\n")
    assert "(tensorflow 2.21.0, keras 3.15.0, Python 3.13.1)" in text
    assert "3 fingerprints, identical" in text
    assert "bay train exp-1 train.py" in text
    again = render.launch_text(
        replace(launch, created=(), instances=[instance(1)], image=replace(IMAGE, frameworks={}))
    )
    assert again.startswith("exp stands already: exp-1; nothing to launch.\n")
    assert "(no framework, Python 3.13.1)" in again
    odd = render.launch_text(replace(launch, identical=False))
    assert "NOT identical; `bay verify exp` says what differs" in odd
    assert "  next    bay train    bay shell exp-1" in render.launch_text(launch, has_project=True)
    assert "1 fingerprint, " in render.launch_text(replace(launch, instances=[instance(1)]))


def test_a_list_of_instances_says_which_cost_is_unknown() -> None:
    row = Row(
        name="exp-1",
        fleet="exp",
        state="running",
        image="jax",
        provider="local",
        usd_per_hour=None,
        cost_so_far=None,
        age_s=3725.0,
        id="i-1",
        digest=DIGEST,
        running=(),
    )
    free = replace(row, usd_per_hour="0.00", cost_so_far="0.00", running=("r-1", "r-2"))
    _, unknown, known = render.ps_text([row, free]).splitlines()
    assert unknown.split() == ["exp-1", "exp", "running", "jax", "local", "unknown", "unknown", "1h", "02m", "-"]
    assert known.split() == ["exp-1", "exp", "running", "jax", "local", "0.00", "0.00", "1h", "02m", "r-1", "r-2"]
    assert render.ps_text([]).startswith("No instances.")


def test_a_proof() -> None:
    text = render.verification_text("exp", PROOF)
    assert text.startswith("exp: 3 instances, identical")
    assert "fingerprints 120 ms (40 ms an instance), image 0 ms" in text
    assert "gpu" not in text
    assert "content" not in text
    assert "content abc" in render.verification_text("exp", replace(PROOF, content="abc"))
    assert "the framework can use every GPU" in render.verification_text("exp", replace(PROOF, gpu_proven=True))


def test_a_proof_that_failed_names_the_odd_one() -> None:
    odd = [Difference(instance="exp-2", kind="package", what="six 1.16.0, others 1.17.0")] * 2
    text = render.verification_text("exp", replace(PROOF, identical=False, differences=odd))
    assert text.startswith("exp: NOT identical. 1 of 3 instances differs.\n  exp-2: six 1.16.0, others 1.17.0\n")
    text = render.verification_text("exp", replace(PROOF, identical=False, image_problems=["six.py of six: missing"]))
    assert text.startswith("exp: the image was changed.\n")
    assert "the image below all 3 of them was changed:\n  six.py of six: missing\n" in text


def test_a_gpu_that_nobody_can_use_does_not_set_instances_apart() -> None:
    odd = [Difference(instance="exp-1", kind="gpu", what="the driver shows 1 GPU, jax sees 0")]
    text = render.verification_text("exp", replace(PROOF, gpu_proven=False, differences=odd))
    assert text.startswith("exp: 3 instances, identical")
    assert "NOT every GPU can be used by the framework\n  exp-1: the driver shows 1 GPU, jax sees 0" in text


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (Ended(verb="terminate", names=()), "Nothing of it is left: it was terminated before."),
        (Ended(verb="stop", names=("a",)), "a stopped."),
        (Ended(verb="start", names=("a-1", "a-2")), "a-1 to a-2 (2) started."),
        (
            Ended(verb="terminate", names=("a-1", "a-2", "a-3"), processes_ended=4),
            (
                "a-1 to a-3 (3) terminated, 4 processes ended; runs, logs and models stay (`bay runs`)."
                " What still costs: $0.00 a day."
            ),
        ),
        (Ended(verb="reboot", names=("a",), usd_per_day="1.20"), "a restarted. What still costs: $1.20 a day."),
    ],
)
def test_an_end(ended: Ended, text: str) -> None:
    assert render.ended_text(ended) == text


# --- runs -----------------------------------------------------------------------------------------------------------


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
    assert render.fetched_text(fetched) == "data/a.bin: 2.0 MB\n  sha256  ab"
    assert "2.0 MB, 1 row x 1 column\n" in render.fetched_text(replace(fetched, rows=1, columns=1))
    table = replace(fetched, rows=0, columns=2, resumed_from=1_000_000, is_new=False, notes=("a note",))
    assert render.fetched_text(table).splitlines() == [
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
    lines = render.run_text(run).splitlines()
    assert lines[0] == first
    assert "None" not in "\n".join(lines)


def test_a_resumed_run_shows_its_earlier_attempts_and_not_too_many() -> None:
    lost = Attempt(instance="exp-1", created_at=1.0, state="lost")
    killed = replace(lost, state="failed", signal="SIGKILL", seconds=3.0)
    late = replace(lost, state="failed", exit_code=143, timed_out=True, instance="exp-2", seconds=60.0)
    lines = render.run_text(replace(DONE, earlier=(lost, killed, late))).splitlines()
    assert lines[0].startswith("r-1: done in attempt 4 after 65.2 s")
    assert lines[1:4] == [
        "  before  attempt 1: lost, in exp-1",
        "  before  attempt 2: killed by SIGKILL after 3.0 s, in exp-1",
        "  before  attempt 3: stopped at its time limit after 60.0 s, in exp-2",
    ]
    many = render.run_text(replace(DONE, earlier=(lost,) * 9))
    assert [line.split()[2] for line in many.splitlines() if "before" in line] == ["5:", "6:", "7:", "8:", "9:"]


def test_what_comes_next_after_a_run() -> None:
    assert render.run_text(RUN).endswith("  next    bay logs r-1 -f    bay stop r-1")
    failed = render.run_text(replace(RUN, state="failed", exit_code=1), "the disk is full")
    assert failed.endswith("  hint    the disk is full\n  next    bay logs r-1")
    assert "next" not in render.run_text(DONE)
    model = Artifact(path=Path("/w/model.keras"), format="keras", sha256="ab", bytes=1000)
    other = replace(model, path=Path("/w/notes.txt"), format="file")
    text = render.run_text(replace(DONE, artifacts=(model, other), logdirs=(Path("/w/logs"),)))
    assert "  model   /w/model.keras (keras, 1.0 kB)\n  logs    /w/logs\n" in text
    assert text.endswith("  next    bay curves r-1    bay evaluate r-1 --data CSV")
    assert "notes.txt" not in text
    assert "  files" not in text
    text = render.run_text(replace(DONE, artifacts=(other, replace(other, path=Path("/w/out/fig.png")))))
    assert text.endswith("\n  files   /runs/r-1/work (2 files: notes.txt, fig.png)")
    assert "(4 files: notes.txt, notes.txt, notes.txt, ...)" in render.run_text(replace(DONE, artifacts=(other,) * 4))


def test_a_run_shorter_than_a_sample_of_the_gpu_says_so() -> None:
    unknown = {"mean_percent": None, "max_percent": None, "peak_memory_bytes": 0, "samples": 0}
    known = {"mean_percent": 81.5, "max_percent": 99, "peak_memory_bytes": 3_000_000_000, "samples": 9}
    lines = render.run_text(replace(DONE, gpu={"gpus": [unknown, known]})).splitlines()
    assert lines[1:] == ["  gpu 0    use unknown", "  gpu 1    81.5 % on average, peak memory 3.0 GB"]


def test_a_list_of_runs() -> None:
    _, going, done = render.runs_text([RUN, DONE], 1120.0).splitlines()
    assert going.split() == ["r-1", "running", "exp-1", "train.py", "tensorflow", "-", "0", "2m", "00s"]
    assert done.split() == ["r-1", "done", "exp-1", "train.py", "tensorflow", "65.2", "0", "2m", "00s"]
    assert render.runs_text([], 0.0).startswith("No runs.")


# --- models ---------------------------------------------------------------------------------------------------------


def test_a_model_of_which_nothing_is_known() -> None:
    lines = render.model_text(CARD).splitlines()
    assert lines == ["parameters  unknown", "format      keras", "framework   keras", "sha256      ab"]


def test_a_model_of_tensors_alone() -> None:
    weights = (Tensor(name="0.weight", shape=(1, 3), dtype="float32"), Tensor(name=None, shape=None))
    lines = render.model_text(replace(CARD, tensors=weights, framework_version="2.13.0")).splitlines()
    assert lines[0].split() == ["TENSOR", "SHAPE", "TYPE"]
    assert lines[1].split() == ["0.weight", "(1,", "3)", "float32"]
    assert lines[2].split() == ["-", "unknown", "-"]
    assert "framework   keras 2.13.0" in lines


def test_what_a_model_takes_and_gives() -> None:
    given = (Tensor(name="x", shape=(None, 3), dtype="float32"), Tensor(name="y", shape=None))
    lines = render.model_text(replace(CARD, inputs=given, outputs=given[1:])).splitlines()
    assert lines[:3] == ["input       x (None, 3) float32", "input       y unknown", "output      y unknown"]


def test_a_model() -> None:
    layers = (
        Layer(name="dense", kind="Dense", output_shape=(None, 64), parameters=1280, trainable_parameters=1280),
        Layer(name="own", kind="Own", output_shape=None, parameters=None, trainable_parameters=None),
    )
    card = replace(
        CARD,
        layers=layers,
        parameters=1280,
        trainable_parameters=0,
        loss="mse",
        optimizer=Optimizer(name="adam", settings={"learning_rate": 0.001, "amsgrad": False}),
        findings=(Finding(level="warning", what="a Lambda layer", where="own"),),
    )
    lines = render.model_text(card).splitlines()
    assert lines[1].split() == ["dense", "Dense", "(None,", "64)", "1,280"]
    assert lines[2].split() == ["own", "Own", "unknown", "-"]
    assert lines[4:] == [
        "parameters  1,280",
        "trainable   0",
        "loss        mse",
        "optimizer   adam(learning_rate=0.001)",
        "format      keras",
        "framework   keras",
        "sha256      ab",
        "finding     a Lambda layer (own)",
    ]


def test_an_evaluation() -> None:
    result = Evaluation(rows=200, loss=None, mse=0.25, rmse=0.5, mae=0.4, r2=None, notes=("all targets are equal",))
    assert render.evaluation_text(result).splitlines() == [
        "200 rows",
        "  mse    0.2500",
        "  rmse   0.5000",
        "  mae    0.4000",
        "  r2     unknown",
        "  loss   unknown",
        "  note   all targets are equal",
    ]


def test_a_model_that_is_far_off_can_still_be_read() -> None:
    result = Evaluation(rows=1, loss=None, mse=5.2295905e59, rmse=7.2e29, mae=1.0, r2=-1e58, notes=())
    lines = render.evaluation_text(result).splitlines()
    assert lines[:3] == ["1 row", "  mse    5.2296e+59", "  rmse   7.2000e+29"]


def test_predictions() -> None:
    beside = Predictions(first_row=9, predictions=(0.5, 1.25), targets=(0.0, 2.0))
    assert render.predictions_text(beside).splitlines() == [
        "ROW  PREDICTION  TARGET",
        "  9      0.5000  0.0000",
        " 10      1.2500  2.0000",
    ]
    alone = Predictions(first_row=0, predictions=((0.5, 0.25),), targets=None, notes=("no header",))
    assert render.predictions_text(alone).splitlines() == [
        "ROW      PREDICTION",
        "  0  0.5000, 0.2500",
        "note  no header",
    ]


def test_checks() -> None:
    checks = [
        Check(name="uv", state="ok", found="0.8.1"),
        Check(name="disk", state="warning", found="2 GB free", mend="bay images"),
        Check(name="home", state="broken", found="read-only", mend="chmod u+w"),
    ]
    text = render.checks_text(checks)
    assert [line.split()[0] for line in text.splitlines()] == ["ok", "warn", "->", "BROKEN", "->"]
    assert "-> chmod u+w" in text


def test_a_proposal() -> None:
    fits = Choice(image="pytorch", built=False, retired="", missing=(), problems=(), unneeded=())
    proposal = Proposal(
        script=Path("train.py"),
        image="pytorch",
        name="train",
        why="train.py imports torch",
        choices=(fits, replace(fits, image="keras", built=True), replace(fits, image="jax", missing=("torch",))),
    )
    assert render.proposal_text(proposal) == (
        "train.py imports torch: image pytorch (not built yet)\n  keras would do as well"
    )
    old = replace(proposal, choices=(replace(fits, built=True, retired="it gets no fixes"),))
    assert render.proposal_text(old) == "train.py imports torch: image pytorch (built; it gets no fixes)"


# --- services -------------------------------------------------------------------------------------------------------

NOTEBOOK = Service(
    kind="notebook",
    name="exp-1",
    folder=Path("home/services/notebook-i-1"),
    port=8888,
    created_at=0.0,
    instance="exp-1",
    instance_id="i-1",
    pid=7,
    memory_bytes=210_000_000,
)
BOARD = replace(NOTEBOOK, kind="board", name="runs", port=6006, instance=None, instance_id=None)


def test_where_it_is_and_how_to_get_in() -> None:
    text = render.service_text(NOTEBOOK)
    assert text.splitlines()[0] == "The notebook of exp-1: http://127.0.0.1:8888/lab/tree/start.ipynb"
    assert "210.0 MB" in text
    assert "home/services/notebook-i-1/open.html in a browser" in text
    assert "home/services/notebook-i-1/token" in text
    assert "bay notebook exp-1 --stop" in text
    assert "in your browser, signed in" in render.service_text(NOTEBOOK, is_open=True)
    assert "bay board --stop" in render.service_text(BOARD)


def test_one_that_is_ended() -> None:
    text = render.service_text(replace(BOARD, pid=None, memory_bytes=None))
    assert text == "The board of runs is ended. `bay board` starts it again, with the same port and token."


def test_ps_shows_ports_and_memory() -> None:
    row = Row(
        name="exp-1",
        fleet="exp",
        state="running",
        image="tensorflow",
        provider="local",
        usd_per_hour="0.00",
        cost_so_far="0.00",
        age_s=1.0,
        id="i-1",
        digest="d",
        running=["run-1"],
        services=[NOTEBOOK, replace(BOARD, memory_bytes=None)],
    )
    assert render.ps_text([row]).endswith("run-1 notebook:8888 210.0 MB board:6006")
