"""Services: what answers on a port of this machine, a board or a notebook. A folder each, which outlives the process.

A folder holds `record.json` (what it is and its port) and `token`, both written once and before anything is started,
and `process.json` (who watches over it), written by the supervisor. Whether it runs is observed, never stored.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launchbay.errors import StateError
from launchbay.fields import INTEGER, NUMBER, TEXT, check_fields, optional
from launchbay.files import read_json, remove_tree, write_atomic, write_json
from launchbay.home import Home
from launchbay.jsonable import fields_of
from launchbay.onboard.process import process_alive

__all__ = [
    "Service",
    "drop_sockets",
    "forget_services",
    "list_services",
    "read_service",
    "service_folder",
    "write_service",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A board or a notebook. `name` is its instance's, or "runs"; `pid` is its supervisor's while it runs.

    `memory_bytes` is what its processes hold while it runs, kernels included; None where nobody has looked. `through` is
    ``tunnel`` for one on EC2: what runs here is the tunnel to it.
    """

    kind: str
    name: str
    folder: Path
    port: int
    created_at: float
    instance: str | None = None
    instance_id: str | None = None
    pid: int | None = None
    memory_bytes: int | None = None
    through: str | None = None

    @property
    def is_running(self) -> bool:
        """Say whether its supervisor lives."""
        return self.pid is not None

    @property
    def url(self) -> str:
        """Where it answers; without the token."""
        return f"http://127.0.0.1:{self.port}/{'lab/tree/start.ipynb' if self.kind == 'notebook' else ''}"

    @property
    def token_file(self) -> Path:
        """The file that holds its token; only its owner can read it."""
        return self.folder / "token"

    @property
    def door(self) -> Path:
        """A page that signs in whoever opens it in a browser; as private as the token."""
        return self.folder / "open.html"

    @property
    def log(self) -> Path:
        """Everything it printed."""
        return self.folder / "output.log"

    @property
    def token(self) -> str:
        """Read the token. Raises StateError when somebody removed it."""
        try:
            return self.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            what, hint = "the token cannot be read", "end it with --stop, remove its folder, start it again"
            raise StateError(what, where=str(self.token_file), hint=hint) from error

    def as_json(self) -> Mapping[str, Any]:
        """Return its fields, with address and files; never the token."""
        hidden = ("folder", "created_at")
        shown = {name: value for name, value in fields_of(self).items() if name not in hidden}
        return {**shown, "running": self.is_running, "url": self.url, "token_file": self.token_file, "log": self.log}


_RECORD = {
    **dict.fromkeys(("kind", "name"), TEXT),
    **dict.fromkeys(("instance", "instance_id"), optional(TEXT)),
    "port": INTEGER,
    "created_at": NUMBER,
}


def service_folder(home: Home, kind: str, instance_id: str | None) -> Path:
    """Return where a service lies: one board and one notebook an instance, and one board for all else."""
    return home.services / (f"{kind}-{instance_id}" if instance_id else kind)


def write_service(service: Service, token: str) -> None:
    """Write the token, then the record: a service is there once its record is."""
    service.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    service.folder.chmod(0o700)
    write_atomic(service.token_file, token.encode() + b"\n", durable=True, private=True)
    write_json(service.folder / "record.json", {key: getattr(service, key) for key in _RECORD}, durable=True)


def read_service(folder: Path) -> Service:
    """Read a service as it stands now. Raises FileNotFoundError when there is none, StateError when damaged."""
    record = read_json(folder / "record.json")
    check_fields(record, _RECORD, where=folder / "record.json")
    process: Mapping[str, Any] | None = None
    with contextlib.suppress(FileNotFoundError):
        process = read_json(folder / "process.json")
    pid = int(process["pid"]) if process is not None and process_alive(process) else None
    return Service(folder=folder, pid=pid, **{key: record.get(key) for key in _RECORD})  # type: ignore[arg-type]


def list_services(home: Home) -> Iterator[Service]:
    """Yield all services, in order of their names; a folder without a readable record is none."""
    for name in sorted(os.listdir(home.services)) if home.services.is_dir() else []:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, StateError):
            yield read_service(home.services / name)


def forget_services(home: Home, instance_ids: Collection[str]) -> None:
    """Remove what is written down of the services of instances, and of any whose instance is gone. Ends no process."""
    for service in list(list_services(home)):
        identity = service.instance_id
        if identity is not None and (identity in instance_ids or not (home.instances / identity).exists()):
            drop_sockets(service)
            remove_tree(service.folder)


def drop_sockets(service: Service) -> None:
    """Remove the folder of a notebook's sockets, which lies elsewhere because their names have to be short."""
    with contextlib.suppress(OSError):
        remove_tree(Path(os.readlink(service.folder / "runtime")))
