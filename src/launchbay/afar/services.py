"""Notebooks and boards on another machine: they answer on its loopback alone, and a tunnel leads there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from launchbay.afar.machine import FarMachine
from launchbay.errors import LaunchbayError
from launchbay.onboard.guard import LOGIN
from launchbay.services.door import form_page, leading_page

__all__ = ["FarService", "end_board_afar", "end_notebook_afar", "page_text", "stand_board_afar", "stand_notebook_afar"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FarService:
    """A service that answers on `port` of the other machine's loopback. The token is shown nowhere, and not in `repr`."""

    kind: str
    machine: str
    name: str
    port: int
    path: str
    token_file: str
    is_running: bool
    token: str = field(repr=False)

    def url(self, local_port: int) -> str:
        """Return where it answers here, once a tunnel leads from that port of ours to its own; without the token."""
        return f"http://127.0.0.1:{local_port}/{self.path}"


def stand_notebook_afar(machine: FarMachine, instance: str) -> FarService:
    """Open JupyterLab in an instance there; one that stands already comes back. Blocks until it answers there."""
    return _service(machine, machine.call(["notebook", instance, "--no-browser"]))


def stand_board_afar(machine: FarMachine, names: Sequence[str] = ()) -> FarService:
    """Show runs of that machine in TensorBoard, on it. Those that were brought home have a board here."""
    return _service(machine, machine.call(["board", *names, "--no-browser"]))


def end_notebook_afar(machine: FarMachine, instance: str) -> FarService:
    """End the notebook of an instance there, with its kernels. Idempotent."""
    return _service(machine, machine.call(["notebook", instance, "--stop"]))


def end_board_afar(machine: FarMachine, names: Sequence[str] = ()) -> FarService:
    """End a board there. Idempotent."""
    return _service(machine, machine.call(["board", *names, "--stop"]))


def _service(machine: FarMachine, value: dict[str, Any]) -> FarService:
    token = json.loads(machine.there({"do": "token", "file": value["token_file"]}))["token"]
    port = value["port"]
    if not isinstance(port, int) or not 1 <= port <= 65535 or value["kind"] not in ("board", "notebook"):
        raise LaunchbayError(f"{machine.called} describes a service in a way that cannot be")
    return FarService(
        kind=value["kind"],
        machine=machine.called,
        name=value["name"],
        port=port,
        path="lab/tree/start.ipynb" if value["kind"] == "notebook" else "",
        token_file=value["token_file"],
        is_running=bool(value["running"]),
        token=str(token),
    )


def page_text(service: FarService, local_port: int) -> str:
    """Return a page that signs in whoever opens it, through a tunnel at that port of ours; as private as the token."""
    if service.kind == "notebook":
        return leading_page(service.url(local_port), service.token)
    return form_page(f"http://127.0.0.1:{local_port}{LOGIN}", service.token)
