"""What an instance does when it comes up: take the host key that who launched it knows, its lease, and its volumes.

It is a document for cloud-init. Its host key is in place before the SSH server starts, so the first answer is the right one.
The lease is set by the first module of all (bootcmd), at each boot: whatever hangs or fails later, it ends the instance. All in
it can be read by everything on the instance, so the host key is replaced, over the channel that it has secured, by one that the
instance makes itself, before anything else is sent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launchbay.cloud.lease import SCRIPT
from launchbay.errors import LaunchbayError, UsageError
from launchbay.planning.cloudwish import Volume
from launchbay.transport.base import Transport
from launchbay.transport.keypair import KeyPair

__all__ = ["boot_config", "make_host_key", "take_host_key", "worthless"]

_PATIENCE_S = 60.0
_PLACE = "/etc/ssh/ssh_host_ed25519_key"
_VOLUMES = Path(__file__).with_name("volumes.py")


def boot_config(
    host_key: KeyPair, *, ttl_s: int, login: str = "ubuntu", volumes: Sequence[tuple[str, Volume]] = ()
) -> bytes:
    """Return the user data of a launch: the same for all its instances, and for every retry of it.

    The instance ends itself `ttl_s` seconds after its first boot. `volumes` are its added ones by the device that each is mapped
    under (`planning.cloudwish.devices_of`): each is formatted if nothing is on it, mounted at its place, and `login`'s own.
    Raises UsageError for one below a home: those are made later, and one that is there already would stay root's.
    """
    for _, volume in volumes:
        if volume.mount.startswith("/home/"):
            raise UsageError(f"a volume cannot be mounted below a home, got {volume.mount}", hint="/data")
    commands: list[list[str]] = [["/bin/sh", "-c", SCRIPT, "launchbay-lease", "boot", str(ttl_s)]]
    if volumes:
        places = [f"{device}={volume.mount}" for device, volume in volumes]
        commands.append(["/usr/bin/python3", "-c", _VOLUMES.read_text(encoding="utf-8"), login, *places])
    config: dict[str, Any] = {
        "ssh_deletekeys": True,
        "ssh_genkeytypes": ["ed25519"],
        "ssh_keys": {"ed25519_private": _with_end(host_key.private), "ed25519_public": _with_end(host_key.public)},
        "bootcmd": commands,
    }
    return (
        b"#cloud-config\n" + json.dumps(config, ensure_ascii=False).encode()
    )  # JSON is YAML, but where it escapes letters


def worthless(host_key: KeyPair) -> tuple[str, ...]:
    """Return the secret in a boot's user data as it stands there; it opens nothing once the instance was reached."""
    return (json.dumps(_with_end(host_key.private))[1:-1],)


def _with_end(key: str) -> str:
    return key.strip() + "\n"


def make_host_key(transport: Transport) -> str:
    """Let an instance make a host key of its own, beside the one that it uses; return its public half. Idempotent."""
    script = f"""set -eu
sudo test -f {_PLACE}.own.pub || {{ sudo rm -f {_PLACE}.own; sudo ssh-keygen -q -t ed25519 -N '' -C launchbay -f {_PLACE}.own; }}
sudo cat {_PLACE}.own.pub
"""
    words = _run(transport, script).split()
    if len(words) < 2:
        raise LaunchbayError("the instance made no host key of its own")
    return f"{words[0]} {words[1]}"


def take_host_key(transport: Transport) -> None:
    """Let an instance use the host key that it has made. Connections that stand go on. Idempotent."""
    script = f"""set -eu
sudo test ! -f {_PLACE}.own || sudo mv {_PLACE}.own {_PLACE}
sudo test ! -f {_PLACE}.own.pub || sudo mv {_PLACE}.own.pub {_PLACE}.pub
sudo systemctl restart ssh 2>/dev/null || sudo systemctl restart sshd
"""
    _run(transport, script)


def _run(transport: Transport, script: str) -> str:
    done = transport.run(["/bin/sh", "-c", script], timeout=_PATIENCE_S)
    if done.code != 0:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise LaunchbayError(f"the instance could not change its host key: {why[0]}")
    return done.stdout.decode(errors="replace")
