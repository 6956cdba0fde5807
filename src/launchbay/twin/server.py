"""The twin's process: it takes its state up where it was, listens on loopback, and ends when it is told to."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import resource
import secrets
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.http import http_date
from werkzeug.serving import BaseWSGIServer, make_server

from launchbay.catalog.snapshot import load_snapshot
from launchbay.errors import Conflict, LaunchbayError
from launchbay.twin import patches
from launchbay.twin.admin import Admin
from launchbay.twin.app import Kept, TwinApp
from launchbay.twin.images import fill
from launchbay.twin.keeping import BucketKeeper, read_buckets, read_state, write_state
from launchbay.twin.rules.table import RULES
from launchbay.twin.storedoor import StoreDoor
from launchbay.twin.truth import Settings, new_truth
from launchbay.twin.world import World

__all__ = ["main", "open_world", "serve"]

STATE, BUCKETS, TOKEN, RECORD, LOCK = "state.pickle", "buckets.pickle", "token", "twin.json", "lock"
"""The files in a twin's folder: its state, the token of its own addresses, where it listens now, and what its process holds."""

_ENDING_S = 5.0
"""For how long a twin waits for one before it that is about to end."""


class _Handler(MotoRequestHandler):  # type: ignore[misc]  # moto is read as Any
    """moto's, which keeps the metadata headers of S3, without a line on the terminal for each request."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug calls it so
        """Write nothing; the twin counts calls itself."""

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002 - the standard library's
        """Date an answer by the twin's clock: a client sees what time it is there, as it does on EC2."""
        return http_date(self.server.app.world.now())


def open_world(path: Path, settings: Settings) -> World:
    """Return the twin whose state is in a file, as it was; a new one where there is none. Raises StateError."""
    world: World | None = None

    def now() -> datetime:
        return world.now() if world else datetime.now(UTC)

    def made(instances: Sequence[Any]) -> None:
        if world:
            world.made(instances)

    def address() -> str:
        return world.truth.next_address() if world else ""

    patches.install(patches.Hooks(now=now, made=made, images=fill, address=address))
    truth = read_state(path)
    if truth is None:
        truth = new_truth(settings)
    world = World(truth, load_snapshot(), RULES)
    return world


def serve(
    folder: Path, settings: Settings, *, port: int = 0, binds: Sequence[tuple[str, str]] = (), has_hosts: bool = True
) -> None:
    """Be the twin of a folder until it is told to stop.

    `binds` are folders of this machine that each host sees, read-only, each with where. Without hosts, instances are answers
    only. Raises Conflict where another twin has the folder, StateError for a damaged state, OSError for a taken port,
    LaunchbayError where hosts cannot stand.
    """
    held = _hold(folder)  # before anything is read: two that write to one folder would each undo what the other did
    try:
        _serve(folder, settings, port=port, binds=binds, has_hosts=has_hosts)
    finally:
        os.close(held)


def _serve(folder: Path, settings: Settings, *, port: int, binds: Sequence[tuple[str, str]], has_hosts: bool) -> None:
    world = open_world(folder / STATE, settings)
    token = _token(folder / TOKEN)
    server: BaseWSGIServer

    def save() -> None:
        write_state(folder / STATE, world.truth)

    def ended() -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    read_buckets(folder / BUCKETS)
    keeper = BucketKeeper(folder / BUCKETS, world.problems)
    app = TwinApp(world, Kept(save=save, put=keeper.changed, admin=Admin(world, token, ended=ended)))

    def changed() -> None:
        world.settle()
        save()
        app.alarm.moved()

    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Handler)
    door = make_server("127.0.0.1", 0, StoreDoor(app), threaded=True, request_handler=_Handler)
    threading.Thread(target=door.serve_forever, name="twin-store-door", daemon=True).start()
    if has_hosts:
        from launchbay.twin.hosts.relay import Store
        from launchbay.twin.standing import Standing  # it brings an SSH server, which a twin of answers need not load

        store = Store(port=server.server_port, door=door.server_port)
        world.hosts = Standing(world, folder / "hosts", app.lock, binds=binds, changed=changed, store=store)
        with app.lock:
            world.settle()
    signal.signal(signal.SIGTERM, lambda *_: ended())
    record = {
        "pid": os.getpid(),
        "url": f"http://127.0.0.1:{server.server_port}",
        "region": world.truth.settings.region,
    }
    draft = folder / f"{RECORD}.draft"
    draft.write_text(json.dumps(record))
    draft.replace(folder / RECORD)
    app.alarm.start()
    try:
        server.serve_forever(poll_interval=0.05)
    finally:
        app.alarm.close()
        with app.lock:
            save()
        door.shutdown()
        keeper.close()
        world.hosts.close()
        (folder / RECORD).unlink(missing_ok=True)


def _hold(folder: Path) -> int:
    """Return what keeps the folder this process's own for as long as it lives. Raises Conflict where another twin has it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + _ENDING_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(descriptor)
                raise Conflict(
                    "another twin runs on this folder", where=str(folder), hint="`bay twin stop` ends it"
                ) from None
            time.sleep(0.05)
        else:
            return descriptor


def _raise_file_limit() -> None:
    """Let as many files be open as the system lets anybody have: a host that listens takes one, and 1,024 is a common limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _token(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        token = secrets.token_urlsafe(32)
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(token)
        return token


def main(argv: Sequence[str] | None = None) -> int:
    """Run the twin of a folder: ``python -m launchbay.twin.server FOLDER``. Its settings are JSON, and for a new twin only."""
    parser = argparse.ArgumentParser(prog="launchbay.twin")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--settings", type=json.loads, default={})
    parser.add_argument("--binds", type=json.loads, default=[])
    parser.add_argument("--no-hosts", action="store_true")
    asked = parser.parse_args(argv)
    _raise_file_limit()
    asked.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        try:
            settings = Settings(**asked.settings)
        except (TypeError, ValueError) as error:
            parser.error(f"--settings: {error}")
        serve(asked.folder, settings, port=asked.port, binds=asked.binds, has_hosts=not asked.no_hosts)
    except (LaunchbayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
