from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar.machine import FarMachine
from launchbay.afar.services import end_board_afar, page_text, stand_board_afar, stand_notebook_afar
from launchbay.errors import LaunchbayError, UsageError, UserError
from launchbay.home import Home
from launchbay.jsonable import to_json
from launchbay.store.service import Service, write_service
from launchbay.transport.base import Completed
from tests.afar.wire import Wire, fake_machine

TOKEN = "secret-of-the-notebook"


@dataclass(slots=True)
class Verbs(Wire):
    """Answers verbs, too, with one value."""

    value: dict[str, Any] = field(default_factory=dict)

    def run(self, argv: Sequence[str], *, data: bytes = b"", timeout: float | None = None) -> Completed:
        """Answer a verb with its value, and a question about files as it is."""
        if "--json" in argv:
            self.commands.append(tuple(argv))
            return Completed(code=0, stdout=json.dumps(self.value).encode(), stderr=b"")
        return Wire.run(self, argv, data=data, timeout=timeout)


def machine_with(far: Path, service_kind: str, **changed: Any) -> tuple[FarMachine, Verbs]:
    """Return a machine on which a service stands."""
    home = Home(far)
    service = Service(
        kind=service_kind, name="exp-1", folder=home.services / f"{service_kind}-i-1", port=8890, created_at=1.0
    )
    write_service(service, TOKEN)
    verbs = Verbs(home=far, value=to_json(service) | changed)
    return replace(fake_machine(far)[0], transport=verbs), verbs


def test_a_notebook_there_is_reached_through_a_port_of_ours(tmp_path: Path) -> None:
    machine, verbs = machine_with(tmp_path / "far", "notebook")
    service = stand_notebook_afar(machine, "exp-1")
    assert (service.port, service.url(40001)) == (8890, "http://127.0.0.1:40001/lab/tree/start.ipynb")
    assert f"http://127.0.0.1:40001/lab/tree/start.ipynb?token={TOKEN}" in page_text(service, 40001)
    assert verbs.commands[0][3:] == ("--json", "-y", "notebook", "exp-1", "--no-browser")
    assert TOKEN not in repr(service)
    assert TOKEN not in str(verbs.commands)


def test_a_board_there_takes_the_token_in_a_form(tmp_path: Path) -> None:
    machine, verbs = machine_with(tmp_path / "far", "board")
    service = stand_board_afar(machine, ["exp-1"])
    text = page_text(service, 40002)
    assert f'value="{TOKEN}"' in text
    assert "token=" not in text
    end_board_afar(machine, ["exp-1"])
    assert verbs.commands[-2][-1] == "--stop"


@pytest.mark.parametrize("changed", [{"port": 0}, {"port": "8890"}, {"port": 99999}, {"kind": "shell"}])
def test_a_service_that_cannot_be_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    machine, _ = machine_with(tmp_path / "far", "board", **changed)
    with pytest.raises(LaunchbayError, match="describes a service in a way that cannot be"):
        stand_board_afar(machine)


def test_nothing_but_tokens_of_services_is_told(tmp_path: Path) -> None:
    machine, _ = machine_with(tmp_path / "far", "board")
    (tmp_path / "far" / "token").write_text("x", encoding="utf-8")
    for file in (f"{tmp_path}/far/token", "/etc/passwd", f"{tmp_path}/far/services/../../far/services/a/token"):
        with pytest.raises(UsageError, match="no token of a service"):
            machine.there({"do": "token", "file": file})
    with pytest.raises(UserError):
        machine.there({"do": "token", "file": f"{tmp_path}/far/services/none/token"})
