"""Boards and notebooks: stand them, show them, end them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from launchbay.afar.origin import read_origin
from launchbay.cloud.services import end_far_service, stand_far_service
from launchbay.cloud.standing import FarInstance, find_far, find_one_far
from launchbay.errors import NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.planning.decide import select_one
from launchbay.services.board import board_instance, stand_board
from launchbay.services.door import is_there_a_browser, open_page
from launchbay.services.notebook import stand_notebook
from launchbay.services.standing import end_service, find_service
from launchbay.store.records import find_run
from launchbay.store.service import Service

__all__ = ["board", "end_board", "end_notebook", "notebook", "open_in_browser"]


def board(bay: Bay, names: Sequence[str] = (), *, port: int | None = None) -> Service:
    """Show runs in TensorBoard: those named, those of instances or fleets named, or all. Needs an image, not an instance.

    One running instance that is named alone has a board of its own, which ends with it. There is one board for all
    else; it shows what was asked for last. One that stands already comes back. An instance on EC2 has its board there, with
    a tunnel to it; so has a run that goes on there.
    """
    far = _find_board_afar(bay, names)
    if far is not None:
        return stand_far_service(bay, far, "board", port=port)
    try:
        return stand_board(bay, names, port=port)
    except NotFound as error:
        if several := find_far(bay, names[0]) if len(names) == 1 else ():
            hint = f"bay board {several[0].name} for the board of one of them"
            raise NotFound(f"no run of {names[0]} has come home yet", hint=hint) from error
        raise


def notebook(bay: Bay, instance: str, *, port: int | None = None) -> Service:
    """Open JupyterLab in an instance, with a notebook that lies ready. One that stands already comes back.

    To one on EC2 a tunnel is opened, which goes on until it is ended; `port` is ours then.
    """
    far = find_one_far(bay, instance)
    if far is not None:
        return stand_far_service(bay, far, "notebook", port=port)
    return stand_notebook(bay, select_one(bay.provider.observe(), instance), port=port)


def end_board(bay: Bay, names: Sequence[str] = ()) -> Service:
    """End the board of an instance, or the one for all else. It keeps its port and token. Idempotent."""
    far = _find_board_afar(bay, names)
    if far is not None:
        return end_far_service(bay, far, "board")
    instance = board_instance(bay.provider.observe(), names)
    service = find_service(bay, "board", instance)
    if service is None:
        raise NotFound("there is no board" + (f" of {instance.name}" if instance else ""), hint="bay board")
    return end_service(bay, service)


def end_notebook(bay: Bay, instance: str) -> Service:
    """End the notebook of an instance with its kernels. It keeps its port and token. Idempotent."""
    far = find_one_far(bay, instance)
    if far is not None:
        return end_far_service(bay, far, "notebook")
    found = select_one(bay.provider.observe(), instance)
    service = find_service(bay, "notebook", found)
    if service is None:
        raise NotFound(f"{found.name} has no notebook", hint=f"bay notebook {found.name}")
    return end_service(bay, service)


def _find_board_afar(bay: Bay, names: Sequence[str]) -> FarInstance | None:
    """Return the instance on EC2 whose own board is meant: it was named alone, or a run that goes on in it."""
    if len(names) != 1:
        return None
    found = find_far(bay, names[0])
    if not found:
        with contextlib.suppress(NotFound, UsageError, FileNotFoundError):
            run = find_run(bay.home, names[0])
            found = () if run.is_over else find_far(bay, read_origin(run.folder).instance)
    return found[0] if len(found) == 1 else None  # runs of several are shown here, once they are brought


def open_in_browser(bay: Bay, service: Service) -> bool:
    """Open a service in the person's browser, signed in; say whether there was one."""
    return is_there_a_browser(bay.environ) and open_page(service.door)
