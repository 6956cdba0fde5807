"""Put a run that is over on a machine elsewhere, with all that it left, so that it can be resumed there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from launchbay.afar.machine import FarMachine
from launchbay.afar.origin import Origin, as_here
from launchbay.afar.sending import Sent, Tree, read_tree, send_tree
from launchbay.errors import NotFound
from launchbay.files import read_json
from launchbay.lifecycle.bay import Bay
from launchbay.store.records import AFAR_NOTE, Run

__all__ = ["send_run"]

_STAYS = (AFAR_NOTE, "record.json", "process.json", "result.reserve", ".bringing")
"""What of a run, or of an attempt, is of the machine that it was on; records are sent apart, with what they say there."""


def send_run(
    bay: Bay,
    machine: FarMachine,
    run: Run,
    instance: str,
    *,
    fleet: str = "",
    machine_id: str = "",
    placed: Sent | None = None,
) -> Origin:
    """Send a run with its work, checkpoints and data; return what is to be written down of it once it goes on there.

    What is there already is not sent again; `placed` is where its data is already. Raises NotFound where its data
    is gone here, Conflict where it goes on there.
    """
    data = Path(run.data) if run.data and placed is None else None
    if data is not None and not data.is_dir():
        raise NotFound(f"the data of {run.id} is gone", where=str(data), hint="put it back, or train anew")
    tree = _read_run_tree(run)
    sent = send_tree(machine, tree, reporter=bay.reporter, task=f"send {run.id}")
    sent_data = send_tree(machine, read_tree(data), reporter=bay.reporter, task="send data") if data else placed
    script = Path(run.script)
    origin = Origin(
        machine=machine.name or instance,
        machine_id=machine_id,
        home=machine.home,
        instance=instance,
        fleet=fleet or instance,
        script=run.script,
        script_there=f"{sent.folder}/work/{script.name}",
        data=run.data,
        data_there=sent_data.folder if sent_data else None,
    )
    request = {
        "do": "take run",
        "run": run.id,
        "tree": tree.name,
        "records": _records(run, origin),
        "times": {name: (run.folder / name).stat().st_mtime_ns for name in tree.files},
        "data": origin.data_there,
    }
    with as_here({sent.folder: str(run.folder)}):
        machine.there(request)
    return origin


def _read_run_tree(run: Run) -> Tree:
    """Hash what is sent of a run: all but the link to its data, and what is of the machine that it was on."""
    top = read_tree(run.folder, without=("work", *_STAYS))
    work = read_tree(run.work, without=("data",) if run.data else ())
    files = {name: file for name, file in top.files.items() if PurePosixPath(name).name not in _STAYS}
    return Tree(
        folder=run.folder,
        files={**files, **{f"work/{name}": file for name, file in work.files.items()}},
        links={**top.links, **{f"work/{name}": target for name, target in work.links.items()}},
    )


def _records(run: Run, origin: Origin) -> Mapping[str, Any]:
    """Return the records of a run and its attempts as they stand there; who started them is a process of another machine."""
    places = [run.folder, *(run.folder / "attempts" / str(number) for number in range(2, run.attempt + 1))]
    found = {}
    for place in places:
        record = read_json(place / "record.json")
        record.pop("client", None)
        if place == run.folder:
            record |= {"script": origin.script_there, "data": origin.data_there}
        found[(place / "record.json").relative_to(run.folder).as_posix()] = json.loads(json.dumps(record))
    return found
