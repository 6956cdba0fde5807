"""The hosts that stand behind instances: one for each that runs, known to the world by the instance's id."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.twin.backend import ec2, find_instance, instances, login_of
from launchbay.twin.call import Refused
from launchbay.twin.hosts.host import Gpu, Host, Listening
from launchbay.twin.hosts.hosts import Hosts
from launchbay.twin.instancedata import instance_data
from launchbay.twin.rules.groups import allows
from launchbay.twin.rules.states import shut_down

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["SSH_PORT", "Standing"]

_FIRST, _LAST = 77, 126
"""Hosts listen at addresses of loopback, 127.77.1.1 and up, which EC2 would call public; every twin has a network of its own."""

SSH_PORT, _HIGH_PORT = 22, 2222
"""Where SSH listens, and where it does if that port is not to be had."""


class Standing:
    """Lets hosts stand for what runs, and hears of what they do. `lock` is the twin's; `changed` is called under it."""

    def __init__(
        self,
        world: World,
        folder: Path,
        lock: threading.RLock,
        *,
        binds: Sequence[tuple[str, str]],
        changed: Callable[[], None],
    ) -> None:
        self._world = world
        self._lock = lock
        self._changed = changed
        self._binds = tuple((Path(source), at) for source, at in binds)
        truth = world.truth
        before = truth.network
        truth.network, self._port, self._holder = _claim(before)
        if before != truth.network:
            _move(before, truth.network)
        self._open: dict[str, Listening] = {}
        self._known: set[str] = set()
        self._failed: dict[str, str] = {}
        self._rules = ""
        self._hosts = Hosts(folder, allows=self._lets_in, metadata=self._look_up, power=self._power)

    def follow(self, world: World) -> None:
        """Open a host for each instance that runs, shut those of the others, and forget those of the terminated."""
        self._failed = {name: why for name, why in self._failed.items() if name in self._known}
        running = {item.id: item for item in instances() if item.state == "running"}
        for name in [name for name in self._open if name not in running]:
            self._hosts.shut(name)
            del self._open[name]
        for name, item in running.items():
            if name not in self._open and name not in self._failed:
                self._stand_up(world, item)
        living = {item.id for item in instances() if item.state != "terminated"}
        for name in sorted(self._known - living):
            self._hosts.forget(name)
            self._known.discard(name)
        rules = _rules_now()
        if rules != self._rules:
            self._rules = rules
            self._hosts.rules_changed()

    def _stand_up(self, world: World, item: Any) -> None:
        """Open a host. Where it cannot stand its instance runs nevertheless, and nobody gets in: so it can be on EC2 too."""
        self._known.add(item.id)
        try:
            self._open[item.id] = self._hosts.open(self._host(world, item))
        except (LaunchbayError, OSError) as error:
            self._failed[item.id] = str(error)

    def authorize(self, instance: str, user: str, public_key: str, *, seconds: float) -> None:
        """Let a key in for so long. Raises Refused for a host that does not stand, or what is no key."""
        try:
            self._hosts.authorize(instance, user, public_key, seconds=seconds)
        except NotFound as error:
            raise Refused("EC2InstanceUnavailableException", error.what, status=503) from error
        except UsageError as error:
            raise Refused("InvalidArgsException", error.what) from error

    def reboot(self, instance: str) -> None:
        """End all that runs in a host, and let it come up again."""
        if instance in self._open:
            item = find_instance(instance)
            self._hosts.shut(instance)
            del self._open[instance]
            if item is not None and item.state == "running":
                self._stand_up(self._world, item)

    def shown(self) -> Mapping[str, Any]:
        """Return where each host listens, with its host key, and who knocked: the peer, and whether a banner was sent."""
        return {
            "hosts": {name: dataclasses.asdict(found) for name, found in self._open.items()},
            "failed": dict(self._failed),
            "knocks": [dataclasses.asdict(knock) for knock in self._hosts.knocks()],
        }

    def close(self) -> None:
        """End everything that runs in hosts; their files stay."""
        self._hosts.close()
        self._holder.close()

    def _host(self, world: World, item: Any) -> Host:
        image = ec2(item.region_name).amis.get(item.image_id)
        pair = ec2(item.region_name).key_pairs.get(item.key_name or "")
        kind = world.catalogue.types.get(item.instance_type)
        gpus = (
            ()
            if kind is None or kind.gpu is None
            else (Gpu(name=kind.gpu.name, memory_mib=kind.gpu.memory_mib),) * kind.gpus
        )
        return Host(
            instance=item.id,
            user=login_of(image),
            address=str(item.public_ip or _private(item)),
            port=self._port,
            private_ip=str(item.private_ip),
            user_data=_user_data(item),
            public_keys=(pair.public_key.strip(),) if pair else (),
            gpus=gpus,
            binds=self._binds,
        )

    def _lets_in(self, instance: str, peer: str, port: int) -> bool:
        """Say whether somebody may come in: to what has a public address, as its security groups say."""
        with self._lock:
            item = find_instance(instance)
            return item is not None and bool(item.public_ip) and allows(self._world, instance, peer, port)

    def _look_up(self, instance: str, path: str) -> bytes | None:
        with self._lock:
            item = find_instance(instance)
            return None if item is None else instance_data(self._world, item, path)

    def _power(self, instance: str, how: str) -> None:
        """Do what a host asks for that shuts itself down, as EC2 does with its instance."""
        with self._lock:
            item = find_instance(instance)
            if item is None or item.state != "running":
                return
            if how == "reboot":
                self.reboot(instance)
                return
            shut_down(self._world, item)
            self._changed()


def _move(before: str, after: str) -> None:
    """Give instances addresses in another network, as another twin has theirs now."""
    for item in instances():
        for nic in item.nics.values():
            if str(nic.public_ip or "").startswith(f"{before}."):
                nic.public_ip = after + str(nic.public_ip).removeprefix(before)


def _rules_now() -> str:
    """Return a mark that changes whenever the rules of a security group do, or who is in it."""
    marks = []
    for item in instances():
        if item.state == "running":
            groups = [
                (group.id, len(group.ingress_rules), [rule.id for rule in group.ingress_rules])
                for group in item.security_groups
            ]
            marks.append((item.id, groups))
    return repr(marks)


def _private(item: Any) -> str:
    """Return an address of loopback for an instance that has no public one: nobody is let in there."""
    return "127.78." + ".".join(str(item.private_ip).split(".")[2:])


def _user_data(item: Any) -> bytes:
    if not item.user_data:
        return b""
    try:
        return base64.b64decode(str(item.user_data), validate=True)
    except (binascii.Error, ValueError):
        return str(item.user_data).encode()


def _claim(wanted: str) -> tuple[str, int, socket.socket]:
    """Return a network of loopback that no other twin of this machine has, the port for SSH in it, and what holds it.

    Port 22 is had where we may listen there and this machine's own server does not; else 2222, which anybody may have. The
    network that was had before is taken if it is free. Raises Conflict when there are as many twins as networks.
    """
    names = [f"127.{number}" for number in range(_FIRST, _LAST + 1)]
    for port in (SSH_PORT, _HIGH_PORT):
        for name in sorted(names, key=lambda name: name != wanted):
            holder = socket.socket()
            try:
                holder.bind((f"{name}.0.1", port))
                holder.listen(1)
            except PermissionError:
                holder.close()
                break
            except OSError:
                holder.close()
                continue
            return name, port, holder
    raise Conflict("no network of loopback is free for hosts", hint="`bay twin stop` in another home")
