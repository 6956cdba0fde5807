"""The hosts that stand behind instances: one for each that runs, known to the world by the instance's id."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import re
import socket
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError
from launchbay.twin.backend import ec2, find_instance, instances, login_of
from launchbay.twin.call import Refused
from launchbay.twin.hosts.host import Gpu, Host, Listening
from launchbay.twin.hosts.hosts import Hosts
from launchbay.twin.hosts.relay import Store
from launchbay.twin.instancedata import instance_data
from launchbay.twin.rules.groups import allows
from launchbay.twin.rules.images import baked_files, files_of
from launchbay.twin.rules.states import shut_down
from launchbay.twin.timers import drop_timers, set_timer, timers_of

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
        store: Store | None = None,
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
        self._kept: frozenset[str] | None = None
        self._is_following = False
        self._hosts = Hosts(
            folder,
            allows=self._lets_in,
            metadata=self._look_up,
            power=self._power,
            answer=self._answer,
            now=lambda: (
                self._world.now().timestamp()
            ),  # keys and tokens that are good for a while are so by the twin's clock
            store=store,
        )

    def follow(self, world: World) -> None:
        """Open a host for each instance that runs, shut those of the others, and forget those of the terminated."""
        self._is_following = True
        try:
            self._follow(world)
        finally:
            self._is_following = False

    def _follow(self, world: World) -> None:
        self._failed = {name: why for name, why in self._failed.items() if name in self._known}
        running = {item.id: item for item in instances() if item.state == "running"}
        ended = [name for name in self._open if name not in running]
        _for_each(self._hosts.shut, ended)
        for name in ended:
            del self._open[name]
        for name, item in running.items():
            if name not in self._open and name not in self._failed:
                self._stand_up(world, item)
        living = {item.id for item in instances() if item.state != "terminated"}
        _for_each(self._hosts.forget, sorted(self._known - living))
        self._known &= living
        kept = baked_files(world)
        if kept != self._kept:
            self._kept = kept
            self._hosts.keep_baked(kept)
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

    def reach(self, instance: str, peer: str) -> socket.socket | None:
        """Return a connection to a host's SSH server, as if from an address that may come in; None where none stands."""
        return self._hosts.reach(instance, peer)

    def reboot(self, instance: str) -> None:
        """End all that runs in a host, and let it come up again."""
        if instance in self._open:
            item = find_instance(instance)
            self._hosts.shut(instance)
            drop_timers(self._world, instance)
            del self._open[instance]
            if item is not None and item.state == "running":
                self._stand_up(self._world, item)

    def bake(self, instance: str, name: str, *, is_whole: bool) -> bool:
        """Keep a host's files under the id of a snapshot; with `is_whole` it is down meanwhile, and comes up again.

        Says whether there was anything. Raises Refused where they cannot be kept.
        """
        if instance not in self._known:
            return False
        is_up = is_whole and instance in self._open
        if is_up:
            self._hosts.shut(instance)
        try:
            self._hosts.bake(instance, name)
        except OSError as error:
            raise Refused("InternalError", f"the files of {instance} could not be kept: {error}", status=500) from error
        finally:
            if is_up:
                self.reboot(instance)
        return True

    def start_unit(self, instance: str, unit: str) -> None:
        """Start a unit of systemd's in a host, and do not wait for it."""
        self._hosts.start_unit(instance, unit)

    def wait_for_boots(self) -> None:
        """Let hosts come up that are about to, for up to a minute. Called with the lock, once; it is let go meanwhile."""
        self._lock.release()
        try:
            self._hosts.wait_for_boots(seconds=_BOOTING_S)
        finally:
            self._lock.acquire()

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
            address=str(item.public_ip or _private(item, world.truth.network)),
            port=self._port,
            private_ip=str(item.private_ip),
            user_data=_user_data(item),
            public_keys=(pair.public_key.strip(),) if pair else (),
            gpus=gpus,
            binds=self._binds,
            baked=files_of(world, image),
        )

    def _lets_in(self, instance: str, peer: str, port: int) -> bool:
        """Say whether somebody may come in: to what has a public address, as its security groups say."""
        with self._lock:
            self._catch_up()
            item = find_instance(instance)
            return item is not None and bool(item.public_ip) and allows(self._world, instance, peer, port)

    def _look_up(self, instance: str, path: str) -> bytes | None:
        with self._lock:
            self._catch_up()
            item = find_instance(instance)
            return None if item is None else instance_data(self._world, item, path)

    def _catch_up(self) -> None:
        """Let happen what is due before a host is answered, unless it is asked while hosts are opened and shut."""
        if not self._is_following and self._world.catch_up():
            self._changed()

    def _answer(self, instance: str, method: str, path: str) -> bytes | None:
        """Answer a program in a host that stands in for another: what time it is, its volumes, its timers."""
        if (method, path) == ("GET", "now"):
            return f"{self._world.now().timestamp():.6f}".encode()
        with self._lock:
            self._catch_up()
            item = find_instance(instance)
            if item is None:
                return None
            if (method, path) == ("GET", "disks"):
                return json.dumps(_disks(item)).encode()
            if (method, path) == ("GET", "timers"):
                return json.dumps(timers_of(self._world, instance)).encode()
            match = _TIMER.fullmatch(path)
            if match is None or item.state != "running" or (method == "PUT") != bool(match["what"]):
                return None
            at = float(match["at"]) if method == "PUT" else None
            if method not in ("PUT", "DELETE") or not set_timer(
                self._world, instance, match["name"], at, match["what"] or ""
            ):
                return None
            self._changed()
            return b""

    def _power(self, instance: str, how: str) -> None:
        """Do what a host asks for that shuts itself down, as EC2 does with its instance."""
        with self._lock:
            self._catch_up()
            item = find_instance(instance)
            if item is None or item.state != "running":
                return
            if how == "reboot":
                self.reboot(instance)
                return
            shut_down(self._world, item)
            self._changed()


_UNIT = r"[A-Za-z0-9:_.@\\-]{1,200}"
_TIMER = re.compile(
    rf"timers/(?P<name>{_UNIT})(/(?P<at>\d{{1,11}}(\.\d+)?)/(?P<what>stop|reboot|start:{_UNIT}))?", re.ASCII
)
_BOOTING_S = 60.0
_AT_ONCE = 16


def _disks(item: Any) -> list[Mapping[str, str]]:
    """Return the volumes of an instance besides its root, as its host finds them."""
    image = ec2(item.region_name).amis.get(item.image_id)
    root = getattr(image, "root_device_name", "/dev/sda1")
    return [
        {"device": device, "volume": str(disk.volume_id)}
        for device, disk in sorted(item.block_device_mapping.items())
        if device != root
    ]


def _for_each(do: Callable[[str], None], names: Sequence[str]) -> None:
    """Do something with some hosts at once: it is waiting, for programs that end and for the disk."""
    if names:
        with ThreadPoolExecutor(min(len(names), _AT_ONCE)) as pool:
            list(pool.map(do, names))


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


def _private(item: Any, network: str) -> str:
    """Return an address of loopback for an instance that has no public one: nobody is let in there.

    It differs by the twin, by its network, and by the instance's own, where others may have the same private address.
    """
    number = zlib.crc32(f"{network} {item.vpc_id}".encode()) % (255 - _LAST) + _LAST + 1
    return f"127.{number}." + ".".join(str(item.private_ip).split(".")[2:])


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
