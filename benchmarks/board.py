"""How soon a board shows what a long training logged, against plain `tensorboard --logdir`, in turn.

The logs are those of Keras' own callback with all that it can write: histograms, images of weights, and embeddings, a
checkpoint of the whole model after each of 500 epochs (193 MB in 1005 files). Each board is started anew every round and
timed from the command to the first page, and to the last point of every scalar; once over these logs, and once over
the same without the checkpoints. TensorBoard gets its faster loader, which is its default.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figures import ratios, spread
from benchmarks._place import Place, make_parser, open_place
from benchmarks._report import Verdict, conclude, describe_machine, format_table, spread_cells
from benchmarks._timing import Sample, take_turns
from launchbay.images.commands import command_environment
from launchbay.images.image import Image
from launchbay.providers.tree import process_memory

IMAGE = "tensorflow-2.15"
PLAIN, OURS = "tensorboard --logdir", "bay board"
WITH, WITHOUT = "with embeddings", "without"
MOST = 1.1
"""How much longer the board may take with the embeddings than without."""

_SCRIPT = """\
import sys
import numpy as np, tensorflow as tf
rows = np.random.default_rng(1).normal(size=(640, 2)).astype("float32")
layers = [tf.keras.layers.Dense(100, activation=tf.nn.leaky_relu) for _ in range(4)]
model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(1)])
model.compile("adam", "mse")
board = tf.keras.callbacks.TensorBoard("logs", histogram_freq=1, write_images=True, embeddings_freq=1)
model.fit(rows[:, 1:], rows[:, 0], batch_size=200, validation_split=0.2, epochs=int(sys.argv[1]), callbacks=[board], verbose=0)
"""
_PATIENCE_S = 120.0
_POLL_S = 0.01
_Standing = tuple[int, str, int]
"""A board's port, its token, and a process of which all others of it come."""
_Start = Callable[[], contextlib.AbstractContextManager[_Standing]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """When a board answered, in seconds from its command, and the memory that its processes then held."""

    page_s: float
    scalars_s: float
    memory_bytes: int


def main() -> int:
    """Measure, print the table, keep the totals."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, help="how often each has its turn (default: 5; with --quick 1)")
    parser.add_argument("--epochs", type=int, help="how long the training logs (default: 500; with --quick 5)")
    given = parser.parse_args()
    rounds, epochs = given.rounds or (1 if given.quick else 5), given.epochs or (5 if given.quick else 500)
    with open_place(given.home) as place:
        machine = describe_machine()
        image = place.image(IMAGE)
        runs = _make_logs(place, epochs)
        sizes = {name: _size(folder / "work" / "logs") for name, folder in runs.items()}
        for name, (files, held) in sizes.items():
            print(f"{name}: {held / 1e6:.1f} MB in {files} files")
        shown: dict[str, list[Shown]] = {}
        contenders = {}
        for name, folder in runs.items():
            for kind, start in ((OURS, _ours), (PLAIN, functools.partial(_plain, image=image))):
                label = f"{kind}, {name}"
                contenders[label] = _timed(shown.setdefault(label, []), functools.partial(start, place, folder), epochs)
        take_turns(contenders, rounds)
        shown = {label: found[1:] for label, found in shown.items()}  # the first of each warmed up
        print(f"\n{_table(shown)}")
    totals = {"machine": machine, "rounds": rounds, "epochs": epochs, "sizes": sizes, "shown": shown, "seeds": None}
    return conclude("board", totals, _judge(shown), quick=given.quick)


def _make_logs(place: Place, epochs: int) -> dict[str, Path]:
    """Train once; return the folders of the run, and of a copy of it without the checkpoints of its embeddings."""
    script = place.scratch / "logs" / "train.py"
    script.parent.mkdir()
    script.write_text(_SCRIPT, encoding="utf-8")
    fleet = place.name("board")
    place.ask("launch", IMAGE, "--name", fleet)
    print(f"training {epochs} epochs, with all that the callback can log: minutes")
    whole = Path(place.ask("train", fleet, script, "--", str(epochs))["folder"])
    bare = whole.with_name(f"{whole.name[:-5]}00000")
    shutil.copytree(whole, bare)
    for path in (bare / "work").rglob("*"):
        if "embedding" in path.name or path.name in ("checkpoint", "projector_config.pbtxt"):
            path.unlink()
    return {WITH: whole, WITHOUT: bare}


def _size(folder: Path) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def _timed(shown: list[Shown], start: _Start, epochs: int) -> Callable[[int], Sample]:
    def measure(_: int) -> Sample:
        began = time.perf_counter()
        with start() as (port, token, pid):
            page = _until(began, lambda: _get(port, token, "/")[0] == 200)
            scalars = _until(began, lambda: _has_all(port, token, epochs - 1))
            memory = process_memory([pid])
            shown.append(Shown(page_s=page, scalars_s=scalars, memory_bytes=sum(memory.values())))
        return Sample(wall_s=scalars, cpu_s=0.0)

    return measure


def _until(began: float, is_there: Callable[[], bool]) -> float:
    while not is_there():
        if time.perf_counter() - began > _PATIENCE_S:
            sys.exit("a board did not show its logs within two minutes")
        time.sleep(_POLL_S)
    return time.perf_counter() - began


def _has_all(port: int, token: str, last: int) -> bool:
    """Say whether every scalar that is logged once an epoch is shown to its last step."""
    tags = json.loads(_get(port, token, "/data/plugin/scalars/tags")[1] or b"{}")
    wanted = [(run, tag) for run, found in tags.items() for tag in found if tag.startswith("epoch_")]
    return len(wanted) > 1 and all(_last_step(port, token, run, tag) == last for run, tag in wanted)


def _last_step(port: int, token: str, run: str, tag: str) -> int | None:
    query = urllib.parse.urlencode({"run": run, "tag": tag})
    status, body = _get(port, token, f"/data/plugin/scalars/scalars?{query}")
    return int(json.loads(body)[-1][1]) if status == 200 else None


def _get(port: int, token: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


@contextlib.contextmanager
def _ours(place: Place, folder: Path) -> Iterator[_Standing]:
    found = place.ask("board", folder.name)
    try:
        yield found["port"], Path(found["token_file"]).read_text(encoding="ascii").strip(), found["pid"]
    finally:
        place.ask("board", "--stop")


@contextlib.contextmanager
def _plain(place: Place, folder: Path, *, image: Image) -> Iterator[_Standing]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environ = {**place.environ, **command_environment(image.folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(image.python_path), "-m", "tensorboard.main", "--logdir", str(folder / "work" / "logs")]
    with subprocess.Popen(
        [*command, "--port", str(port)],
        env=environ,
        cwd=place.scratch,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield port, "", process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def _table(shown: Mapping[str, list[Shown]]) -> str:
    rows = []
    for name, found in shown.items():
        plain = shown[name.replace(OURS, PLAIN)]
        cells = [name]
        for part in ("page_s", "scalars_s"):
            own, others = [getattr(item, part) for item in found], [getattr(item, part) for item in plain]
            cells += [*spread_cells(spread(own), 2)[1:], f"{spread(ratios(own, others)).median:.2f}"]
        memory = spread([item.memory_bytes / 1e6 for item in found]).median
        rows.append([*cells, f"{memory:.0f}"])
    head = ["seconds until", "page min", "median", "max", "x plain", "scalars min", "median", "max", "x plain", "MB"]
    return format_table(head, rows)


def _judge(shown: Mapping[str, list[Shown]]) -> list[Verdict]:
    def ratio(above: str, below: str) -> float:
        pair = [[item.scalars_s for item in shown[name]] for name in (above, below)]
        return spread(ratios(pair[0], pair[1])).median

    heavy = ratio(f"{OURS}, {WITH}", f"{OURS}, {WITHOUT}")
    plain = ratio(f"{OURS}, {WITH}", f"{PLAIN}, {WITH}")
    return [
        Verdict(
            what="all scalars with embeddings, against without",
            got=f"{heavy:.2f} times",
            target=f"at most {MOST} times",
            ok=heavy <= MOST,
        ),
        Verdict(
            what="all scalars with embeddings, against plain TensorBoard",
            got=f"{plain:.2f} times",
            target="at most 1 time",
            ok=plain <= 1,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
