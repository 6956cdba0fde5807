"""Boards and notebooks: stand them, show them, end them."""

from __future__ import annotations

from collections.abc import Sequence

from launchbay.errors import NotFound
from launchbay.lifecycle.bay import Bay
from launchbay.planning.decide import select_one
from launchbay.services.board import board_instance, stand_board
from launchbay.services.door import is_there_a_browser, open_page
from launchbay.services.notebook import stand_notebook
from launchbay.services.standing import end_service, find_service
from launchbay.store.service import Service

__all__ = ["board", "end_board", "end_notebook", "notebook", "open_in_browser"]


def board(bay: Bay, names: Sequence[str] = (), *, port: int | None = None) -> Service:
    """Show runs in TensorBoard: those named, those of instances or fleets named, or all. Needs an image, not an instance.

    One running instance that is named alone has a board of its own, which ends with it. There is one board for all
    else; it shows what was asked for last. One that stands already comes back.
    """
    return stand_board(bay, names, port=port)


def notebook(bay: Bay, instance: str, *, port: int | None = None) -> Service:
    """Open JupyterLab in an instance, with a notebook that lies ready. One that stands already comes back."""
    return stand_notebook(bay, select_one(bay.provider.observe(), instance), port=port)


def end_board(bay: Bay, names: Sequence[str] = ()) -> Service:
    """End the board of an instance, or the one for all else. It keeps its port and token. Idempotent."""
    instance = board_instance(bay.provider.observe(), names)
    service = find_service(bay, "board", instance)
    if service is None:
        raise NotFound("there is no board" + (f" of {instance.name}" if instance else ""), hint="bay board")
    return end_service(bay, service)


def end_notebook(bay: Bay, instance: str) -> Service:
    """End the notebook of an instance with its kernels. It keeps its port and token. Idempotent."""
    found = select_one(bay.provider.observe(), instance)
    service = find_service(bay, "notebook", found)
    if service is None:
        raise NotFound(f"{found.name} has no notebook", hint=f"bay notebook {found.name}")
    return end_service(bay, service)


def open_in_browser(bay: Bay, service: Service) -> bool:
    """Open a service in the person's browser, signed in; say whether there was one."""
    return is_there_a_browser(bay.environ) and open_page(service.door)
