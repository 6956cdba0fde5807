"""``python -m launchbay.cloud.keeper FOLDER INSTANCE KIND``: hold the tunnel of a service, wherever its instance comes up again.

While the instance does not answer, EC2 is asked where it is: after a stop and a start it has another address. Once it answers
again, the service is started there again if it does not stand. Ends when its folder or the instance is gone.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launchbay.afar.bundle import find_bundle
from launchbay.cloud.fleet import door_of
from launchbay.cloud.reach import ports_of
from launchbay.cloud.services import PROBLEM, TUNNEL, stand_afar, write_way
from launchbay.cloud.standing import find_far, machine_of, observe_fleets
from launchbay.errors import LaunchbayError
from launchbay.files import write_atomic
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.twin import find_twin
from launchbay.store.service import read_service
from launchbay.transport.ssh import SshTransport
from launchbay.transport.tunnel import Tunnel
from launchbay.transport.tunnelrecord import Wanted, read_tunnels, write_tunnels

__all__ = ["main"]

_LOOK_S = 0.25
_FIRST_S, _LAST_S = 2.0, 60.0
"""Between two questions to EC2 while the instance does not answer: doubled from the first up to the last."""
_SURE = 2
"""So many answers in a row without the instance mean that it is gone: one may come from a server that lags behind."""


def main(argv: Sequence[str] | None = None) -> int:
    """Hold the tunnel until nobody wants it any more."""
    folder, name, kind = sys.argv[1:] if argv is None else argv
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    keeper = _Keeper(open_bay(), Path(folder), name, kind)
    try:
        while keeper.step() and not ended.wait(_LOOK_S):
            pass
    finally:
        keeper.close()
    return 0


class _Keeper:
    """One tunnel, and what is known of its instance."""

    def __init__(self, bay: Bay, folder: Path, name: str, kind: str) -> None:
        self._bay, self._folder, self._name, self._kind = bay, folder, name, kind
        self._wanted: Wanted | None = None
        self._tunnel: Tunnel | None = None
        self._mark = (0, 0)
        self._pause = _FIRST_S
        self._next = 0.0
        self._missed = 0
        self._was_lost = False
        self._told: str | None = None  # what the one before left is not known

    def step(self) -> bool:
        """Look once at everything; say whether the tunnel is wanted still."""
        try:
            tunnel = self._follow()
        except FileNotFoundError:
            return False
        tunnel.check()
        self._tell(tunnel.problem)
        now = time.monotonic()
        if tunnel.problem:
            if not self._was_lost:
                self._say(tunnel.problem)
                self._was_lost, self._pause, self._next = True, _FIRST_S, now + _FIRST_S
            elif now >= self._next:
                self._pause = min(2 * self._pause, _LAST_S)
                self._next = now + self._pause
                return self._find()
        elif self._was_lost and now >= self._next:
            try:
                self._stand_again(tunnel)
            except (LaunchbayError, OSError) as error:
                self._say(f"it answers, and the {self._kind} does not stand: {error}")
                self._next = now + _FIRST_S
        return True

    def _follow(self) -> Tunnel:
        """Hold the tunnel that the record says. Raises FileNotFoundError when it was removed."""
        path = self._folder / TUNNEL
        status = path.stat()
        mark = (status.st_ino, status.st_mtime_ns)
        if self._tunnel is None or mark != self._mark:
            (wanted,) = read_tunnels(path)
            self._mark = mark
            self._turn(wanted)
        assert self._tunnel is not None
        return self._tunnel

    def _turn(self, wanted: Wanted) -> None:
        before, self._wanted = self._wanted, wanted
        if self._tunnel is not None and before is not None and before.remote_port == wanted.remote_port:
            if before.door != wanted.door:
                self._tunnel.door = wanted.door
            return
        if self._tunnel is not None:
            self._tunnel.close()
        self._tunnel = Tunnel(wanted.door, wanted.local_port, wanted.remote_port)

    def _find(self) -> bool:
        """Ask EC2 where the instance is; say whether there is one still. An EC2 that does not answer has said nothing."""
        found = find_far(self._bay, self._name)
        if len(found) != 1:
            return False  # what was kept of its fleet is gone, and so is the fleet
        fleet = found[0].fleet
        if fleet.provider == "twin" and find_twin(self._bay.home) is None:
            return self._bay.home.twin.exists()  # asking would start it
        try:
            row = observe_fleets(self._bay, [fleet]).get(self._name)
            port = ports_of(self._bay, fleet)(row) if row is not None else 0
        except (LaunchbayError, OSError) as error:
            self._say(f"EC2 does not say where it is: {error}")
            return True
        if row is None or row.id != read_service(self._folder).instance_id:
            self._missed += 1
            return self._missed < _SURE
        self._missed = 0
        assert self._wanted is not None
        if row.state == "running" and (row.public_address or row.private_address):
            door = door_of(self._bay.home, fleet, row, port)
            if door != self._wanted.door:
                self._say(f"it is at {door.place} now")
                write_tunnels(self._folder / TUNNEL, [replace(self._wanted, door=door)])
        return True

    def _stand_again(self, tunnel: Tunnel) -> None:
        """Let the service stand there, after what may have been a reboot."""
        (far,) = find_far(self._bay, self._name)
        transport = SshTransport(door=tunnel.door, variables={}, folder=f"/home/{far.fleet.login}")
        with contextlib.closing(transport):
            there = stand_afar(machine_of(far, transport).install(find_bundle(self._bay.home)), self._name, self._kind)
        service = read_service(self._folder)
        if there.token != service.token:
            write_atomic(service.token_file, f"{there.token}\n".encode(), private=True)
        write_way(service, there, tunnel.door)
        self._was_lost = False
        self._say("connected again")

    def _tell(self, problem: str) -> None:
        """Leave word of whether the tunnel is connected, for whoever asks for the service again."""
        if problem == self._told:
            return
        path, self._told = self._folder / PROBLEM, problem
        with contextlib.suppress(OSError):  # a folder that was removed shows at the next look
            if problem:
                path.write_text(f"{problem}\n", encoding="utf-8")
            else:
                path.unlink()

    def _say(self, text: str) -> None:
        sys.stdout.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {self._name}: {text}\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Let go of the tunnel."""
        if self._tunnel is not None:
            self._tunnel.close()


if __name__ == "__main__":
    sys.exit(main())
