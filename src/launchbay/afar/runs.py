"""Train on a machine elsewhere: the script's folder and data go there, what it prints comes at once, and the run comes home."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from launchbay.afar.bring import begin_run, sync_run
from launchbay.afar.machine import FarMachine
from launchbay.afar.origin import Origin, as_here, write_origin
from launchbay.afar.sending import Sent, Tree, read_tree, send_tree
from launchbay.errors import LaunchbayError, NotFound
from launchbay.lifecycle.bay import Bay
from launchbay.runs.start import check_time_limit
from launchbay.runs.train import RunSpec, find_script
from launchbay.runs.work import copy_work
from launchbay.store.records import Run

__all__ = ["follow_afar", "resume_afar", "submit_afar", "train_afar"]

_SYNC_S = 10.0
_MOST_BYTES = 1 << 30


def train_afar(
    bay: Bay,
    machine: FarMachine,
    instance: str,
    spec: RunSpec,
    *,
    fleet: str = "",
    machine_id: str = "",
    write: Callable[[bytes], None] = lambda _: None,
    on_interrupt: Callable[[], str] = lambda: "stop",
    on_start: Callable[[Run], None] | None = None,
    detach: bool = False,
) -> Run:
    """Run a script as it is on another machine's instance, and (unless `detach`) follow it until it is home.

    As `train` does here, with the same errors and the same result: a run in this home, with this machine's paths.
    """
    run = submit_afar(bay, machine, instance, spec, fleet=fleet, machine_id=machine_id)
    if on_start is not None:
        on_start(run)
    return run if detach else follow_afar(bay, machine, run.id, write, on_interrupt=on_interrupt)


def submit_afar(
    bay: Bay,
    machine: FarMachine,
    instance: str,
    spec: RunSpec,
    *,
    fleet: str = "",
    machine_id: str = "",
    placed: Sent | None = None,
) -> Run:
    """Send a script's folder and data, start it there, and return once it runs; it goes on whatever happens to us.

    What was sent before, by anybody from here, is not sent again. `fleet` is what the machine's fleet is called here,
    `machine_id` tells it from another of its name. `placed` is where its data is there already. Raises
    NotFound (no script, no data), UserError (a folder too large), WillFail (it is certain to fail there).
    """
    script = find_script(spec.script)
    check_time_limit(spec.timeout_s)
    if spec.data is not None and not spec.data.is_dir():
        raise NotFound(f"there is no data folder {spec.data}", hint="bay fetch URL -o DIR")
    data = spec.data.expanduser().resolve() if spec.data else None
    with tempfile.TemporaryDirectory(prefix="launchbay-work-") as folder:
        tree = _read_work(bay, script, data, Path(folder) / "copy" / "work")
        work = send_tree(machine, tree, reporter=bay.reporter, task=f"send {script.parent.name}")
        sent_data = placed
        if data and sent_data is None:
            sent_data = send_tree(machine, read_tree(data), reporter=bay.reporter, task="send data")
        called = spec.source or str(data)
        words = ["train", instance, f"{work.folder}/{script.name}", "--detach"]
        words += ["--data", sent_data.folder] if sent_data else []
        words += ["--timeout", f"{spec.timeout_s:g}s"] if spec.timeout_s is not None else []
        words += ["--env", spec.env] if spec.env else []
        words += ["--force"] if spec.force else []
        words += ["--", *spec.args] if spec.args else []
        there = {work.folder: str(script.parent), **({sent_data.folder: called} if sent_data else {})}
        with as_here(there):
            started = machine.call(words)
        origin = Origin(
            machine=machine.name or instance,
            machine_id=machine_id,
            home=machine.home,
            instance=instance,
            fleet=fleet or instance,
            script=str(script),
            script_there=f"{work.folder}/{script.name}",
            data=called if sent_data else None,
            data_there=sent_data.folder if sent_data else None,
        )
        run = begin_run(bay, machine, str(started["run"]), origin)
        _keep_work(tree, run)
    return run


def _read_work(bay: Bay, script: Path, data: Path | None, work: Path) -> Tree:
    """Copy what a run here would copy, and nothing else: neither environments, caches nor what earlier runs wrote."""
    copy_work(script, work, data=data, home=bay.home.root)
    return read_tree(work, without=("data",) if data else (), most_bytes=_MOST_BYTES)


def _keep_work(tree: Tree, run: Run) -> None:
    """Keep what was sent in the run's folder here: a run whose machine is lost can then begin again on another one."""
    for name in tree.files:
        place = run.work / name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree.folder / name, place)


def resume_afar(
    bay: Bay, machine: FarMachine, identity: str, instance: str, origin: Origin, *, timeout_s: float | None = None
) -> Run:
    """Start another attempt of a run that is on a machine elsewhere, and return once it runs.

    Raises Conflict where it goes on, or is done, NotFound where what it needs is gone there.
    """
    words = ["train", instance, "--resume", identity, "--detach"]
    words += ["--timeout", f"{timeout_s:g}s"] if timeout_s is not None else []
    folder = bay.home.runs / identity
    with as_here(origin.places(identity, folder)):
        machine.call(words)
    write_origin(folder, origin, state="running", seen_at=bay.clock.now())
    return sync_run(bay, machine, identity)


def follow_afar(
    bay: Bay,
    machine: FarMachine,
    identity: str,
    write: Callable[[bytes], None],
    *,
    on_interrupt: Callable[[], str] = lambda: "stop",
    skip: int = 0,
    sync_every_s: float = _SYNC_S,
    also: Callable[[], object] = lambda: None,
) -> Run:
    """Pass on what a run elsewhere prints until it is over, and bring it home; return the run as it ended.

    Meanwhile its log and event files are brought every `sync_every_s`, so that curves can be followed here. `skip` leaves
    out as many bytes of the log. `on_interrupt` is asked at Ctrl-C: "stop" ends the script, "detach" leaves it running,
    anything else goes on. `also` is done at each of those times. A connection that breaks is raised; the run goes
    on, and the same call follows it again.
    """
    seen = 0

    def pass_on(chunk: bytes) -> None:
        nonlocal seen
        begin, seen = max(skip - seen, 0), seen + len(chunk)
        if chunk[begin:]:
            write(chunk[begin:])

    with _Syncing(bay, machine, identity, sync_every_s, also):
        while True:
            try:
                machine.stream(["logs", identity, "-f"], out=pass_on)
                break
            except KeyboardInterrupt:
                answer = on_interrupt()
                if answer == "stop":
                    machine.call(["stop", identity])
                    break
                if answer == "detach":
                    break
                skip, seen = max(skip, seen), 0
    return sync_run(bay, machine, identity)


class _Syncing:
    """Bring what is new of a run, again and again, on a thread of its own, until the block is left."""

    def __init__(
        self, bay: Bay, machine: FarMachine, identity: str, every_s: float, also: Callable[[], object]
    ) -> None:
        self._what = (bay, machine, identity)
        self._also = also
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sync {identity}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                sync_run(*self._what)
                self._also()
            except LaunchbayError:  # whoever follows will be told by the last sync
                continue
