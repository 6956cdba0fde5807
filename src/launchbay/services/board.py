"""TensorBoard over runs: those of one instance, on a board of its own; any others, on the one board for all else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from launchbay.errors import Conflict, NotFound
from launchbay.files import locked, write_json
from launchbay.images.image import Image, list_images
from launchbay.lifecycle.bay import Bay, image_transport
from launchbay.onboard.guard import LOGIN
from launchbay.onboard.links import is_meant
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import INSTANCE_MARK
from launchbay.services.door import form_page
from launchbay.services.standing import Program, ensure_service, reserve
from launchbay.store.records import Run, find_run, list_runs
from launchbay.store.service import Service
from launchbay.transport.onboard import install_onboard

__all__ = ["board_instance", "select_runs", "stand_board"]

Selection = Mapping[str, Sequence[str]]
"""What is meant, by the fields of a run's record; nothing means all runs."""


def board_instance(instances: Sequence[Instance], names: Sequence[str]) -> Instance | None:
    """Return the running instance that was named alone, and so has a board of its own."""
    if len(names) != 1:
        return None
    meant = [item for item in instances if item.state == "running" and names[0] in (item.name, item.id)]
    fleet = [item for item in instances if item.fleet == names[0]]
    if not meant and len(fleet) == 1 and fleet[0].state == "running":
        meant = fleet
    return meant[0] if meant else None


def select_runs(bay: Bay, names: Sequence[str]) -> Selection:
    """Say which runs are meant by names of runs, instances and fleets, gone ones too. Raises NotFound for another name."""
    observed = bay.provider.observe()
    runs = list(list_runs(bay.home))
    fleets = {item.fleet for item in observed} | {run.fleet for run in runs}
    instances = {item.name for item in observed} | {run.instance for run in runs}
    found: dict[str, list[str]] = {"fleets": [], "instances": [], "runs": []}
    for name in names:
        if name in fleets:
            found["fleets"].append(name)
        elif name in instances:
            found["instances"].append(name)
        else:
            found["runs"].append(_find_run(bay, name).id)
    return {kind: chosen for kind, chosen in found.items() if chosen}


def _find_run(bay: Bay, name: str) -> Run:
    try:
        return find_run(bay.home, name)
    except NotFound as error:
        what = f"there is no run, instance or fleet {name!r}"
        raise NotFound(what, hint="`bay runs` and `bay ps` list them; without a name all runs are shown") from error


def stand_board(bay: Bay, names: Sequence[str] = (), *, port: int | None = None) -> Service:
    """Show runs on a board that stands, or is started for it; return once it answers.

    Raises NotFound for a name that means nothing, Conflict without an image that has TensorBoard.
    """
    instance = board_instance(bay.provider.observe(), names)
    if instance is None:
        return _stand(bay, None, select_runs(bay, names), port)
    with locked(bay.home.lock(f"fleet-{instance.fleet}"), shared=True):  # nobody stops or terminates it under us
        return _stand(bay, instance, {"instance_ids": [instance.id]}, port)


def _stand(bay: Bay, instance: Instance | None, selection: Selection, port: int | None) -> Service:
    image = _find_image(bay, [instance.digest] if instance else _digests(bay, selection))
    service = reserve(bay, "board", instance, port=port)
    write_json(service.folder / "selection.json", selection)  # one that stands looks at it again and again
    return ensure_service(bay, service, _program(bay, service, image))


def _digests(bay: Bay, selection: Selection) -> Iterable[str]:
    """Return the images of the runs meant, the newest run's first."""
    return [
        run.digest
        for run in reversed(list(list_runs(bay.home)))
        if is_meant(run.id, {"instance": run.instance, "fleet": run.fleet}, dict(selection))
    ]


def _find_image(bay: Bay, wanted: Iterable[str]) -> Image:
    built = list(list_images(bay.home))
    able = {image.digest: image for image in built if "tensorboard" in image.packages and not image.members}
    if not able:
        raise Conflict(
            "TensorBoard comes with an image, and none that has it is built", hint="bay image build tensorflow"
        )
    parts = {image.digest: [part.digest for part in image.parts] for image in built}
    whole = (part for digest in wanted for part in parts.get(digest, ()))
    return next((able[part] for part in whole if part in able), list(able.values())[-1])


def _program(bay: Bay, service: Service, image: Image) -> Program:
    title = "TensorBoard" if service.instance is None else f"TensorBoard of {service.instance}"
    python = str(image.python_path)
    own = {INSTANCE_MARK: service.instance_id, "LAUNCHBAY_INSTANCE_NAME": service.name} if service.instance_id else {}
    wish = {"port": service.port, "title": title, "runs": str(bay.home.runs)}
    return Program(
        transport=image_transport(bay, image, folder=str(service.folder)),
        python=python,
        argv=[python, str(install_onboard(bay.home)), "board"],
        variables={key: value for key, value in own.items() if value},
        files={
            "board.json": json.dumps(wish),
            "open.html": form_page(f"http://127.0.0.1:{service.port}{LOGIN}", service.token),
        },
    )
