"""The folder of one host: its private root as a fresh instance has it, its host key, and what the twin remembers of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from launchbay.errors import StateError
from launchbay.twin.hosts import tree
from launchbay.twin.hosts.box import FROM_ETC, OWN, UNITS_UNTIL_STOP, Bind, links, mountpoints
from launchbay.twin.hosts.copying import copy_tree
from launchbay.twin.hosts.host import GROUP, USER, Host
from launchbay.twin.hosts.tree import Owner

__all__ = ["HOST_KEY", "Files"]

HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
"""Where the host key is, in the host's root as on an instance: a boot script may put another in its place."""

_FOLDERS = {
    "etc/ssh": 0o755,
    "etc/ssl": 0o755,
    "etc/pki/ca-trust": 0o755,
    "etc/pki/tls": 0o755,
    "etc/systemd/system": 0o755,
    "home": 0o755,
    "media": 0o755,
    "mnt": 0o755,
    "opt": 0o755,
    "root": 0o700,
    "srv": 0o755,
    "tmp": 0o1777,
    "var/cache": 0o755,
    "var/lib/cloud/data": 0o755,
    "var/lib/cloud/instance/scripts": 0o755,
    "var/log": 0o755,
    "var/spool": 0o755,
    "var/tmp": 0o1777,
}
_LARGEST_KEYS = 1 << 18

_NOT_BAKED = ("etc/ssh/ssh_host_*", "etc/machine-id", "tmp", "var/lib/cloud/data", "var/lib/cloud/instance")
"""What of a host is not in one that is launched from an image of it: what says which one it is, and what goes at a start."""
_OF_EACH = ("etc/hostname", "etc/hosts", "etc/machine-id", "etc/resolv.conf")
"""The small files that every host has its own of, whatever image it is launched from."""


class Files:
    """One host's folder below the twin's, `root` in it being the only part that its box sees.

    Only the twin may enter the folder; what is in `root` belongs to `owner`, the user that boxes run as. Everything in
    there is reached by `tree`, never by its path. `baked` is the folder that `bake` has filled, for a host that is launched
    from such an image.
    """

    def __init__(self, folder: Path, owner: Owner, *, baked: Path | None = None) -> None:
        self.folder = folder
        self.root = folder / "root"
        self._owner = owner
        self._baked = baked

    def prepare(self, host: Host) -> None:
        """Fill the folder for a first start. Idempotent; raises OSError."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.folder.chmod(0o700)
        if not self.state().get("is_filled"):
            with self._opened(self.folder) as base:
                tree.remove(base, "root")  # of a start that was cut off
                tree.make_folder(base, "root", owner=self._owner)
            with self._opened(self.root) as base:
                if self._baked is not None:
                    with self._opened(self._baked) as image:
                        copy_tree(image, base, owner=self._owner)
                self._fill(base, host, is_baked=self._baked is not None)
            self.note(is_filled=True)

    def bake(self, folder: Path) -> None:
        """Fill a folder with what a host has that is launched from an image of this one; nothing, if it never started.

        Raises OSError. What runs in the host meanwhile may change files while they are read.
        """
        folder.mkdir(mode=0o700)
        if self.root.is_dir():
            with self._opened(self.root) as base, self._opened(folder) as image:
                copy_tree(base, image, owner=self._owner, without=_NOT_BAKED)

    def make_ready(self, binds: tuple[Bind, ...]) -> None:
        """Make what a box's folders are mounted on. Only while no box of this host runs. Raises OSError for a link there."""
        with self._opened(self.root) as base:
            for path, is_folder in mountpoints(binds):
                tree.make_mountpoint(base, path, is_folder=is_folder, owner=self._owner)
            for name, target in links().items():
                tree.link(base, name, target)

    def state(self) -> dict[str, Any]:
        """Return what the twin remembers of this host: is_filled, is_booted, is_up, port. Raises StateError if it is damaged.

        `is_booted` is that it was started before, `is_up` that it was since it was last stopped.
        """
        path = self.folder / "state.json"
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StateError(f"what is known of a host cannot be read: {error}", where=str(path)) from None
        if not isinstance(found, dict):
            raise StateError("what is known of a host is no JSON object", where=str(path))
        return found

    def note(self, **what: Any) -> None:
        """Remember something of this host, for this process and later ones."""
        with self._opened(self.folder) as base:
            tree.write(base, "state.json", json.dumps({**self.state(), **what}).encode(), mode=0o600)

    def host_key(self) -> bytes | None:
        """Return the private host key as it is in the host's /etc/ssh now, or None."""
        return self._read(HOST_KEY)

    def put_host_key(self, private: bytes, public: bytes) -> None:
        """Put a host key in place. Only while no box of this host runs. Raises OSError."""
        with self._opened(self.root) as base:
            tree.make_folder(base, "etc/ssh", owner=self._owner)
            tree.write(base, HOST_KEY, private, mode=0o600, owner=self._owner)
            tree.write(base, f"{HOST_KEY}.pub", public, owner=self._owner)

    def authorized_keys(self, user: str) -> list[str]:
        """Return the lines of the user's authorized_keys as they are now."""
        data = self._read(f"home/{user}/.ssh/authorized_keys", most=_LARGEST_KEYS) or b""
        return data.decode("utf-8", "replace").splitlines()

    def has_services(self) -> bool:
        """Return whether a service or a timer is to start with the host."""
        return any(self._listed(f"etc/systemd/system/{name}.target.wants") for name in ("multi-user", "timers"))

    def forget_run(self) -> None:
        """Forget what lasts until a host stops. Only while no box of this host runs."""
        above, _, name = UNITS_UNTIL_STOP.rpartition("/")
        with (
            contextlib.suppress(OSError),
            self._opened(self.root) as base,
        ):  # the person may have made something else of it
            tree.make_folder(base, above, owner=self._owner)
            with tree.folder(base, above.split("/")) as parent:
                tree.remove(parent, name)
            tree.make_folder(base, UNITS_UNTIL_STOP, owner=self._owner)

    def _listed(self, path: str) -> list[str]:
        try:
            with self._opened(self.root) as base, tree.folder(base, path.split("/")) as found:
                return os.listdir(found)
        except OSError:
            return []

    def _read(self, path: str, *, most: int = 1 << 16) -> bytes | None:
        try:
            with self._opened(self.root) as base:
                return tree.read(base, path, most=most)
        except OSError:
            return None

    def _fill(self, base: int, host: Host, *, is_baked: bool) -> None:
        home = f"home/{host.user}"
        for path, mode in {**_FOLDERS, home: 0o750, f"{home}/.ssh": 0o700}.items():
            tree.make_folder(base, path, mode=mode, owner=self._owner)
        for path, text in _texts(host).items():
            if not is_baked or path in _OF_EACH:
                tree.write(base, path, text.encode(), owner=self._owner)
        before = (self._read(f"{home}/.ssh/authorized_keys", most=_LARGEST_KEYS) or b"").decode("utf-8", "replace")
        known = [line for line in before.splitlines() if line.strip()]
        keys = "".join(f"{key}\n" for key in dict.fromkeys([*known, *(key.strip() for key in host.public_keys)]))
        tree.write(base, f"{home}/.ssh/authorized_keys", keys.encode(), mode=0o600, owner=self._owner)
        if not host.user_data:
            tree.write(base, "var/lib/cloud/instance/boot-finished", b"", owner=self._owner)
        tree.link(base, "etc/os-release", "../usr/lib/os-release")
        tree.link(base, "etc/mtab", "/proc/self/mounts")
        tree.link(base, "var/run", "/run")
        tree.link(base, "var/lock", "/run/lock")
        for name in FROM_ETC:
            if os.path.exists(f"/etc/{name}"):
                tree.link(base, f"etc/{name}", f"{OWN}/etc/{name}")

    @contextlib.contextmanager
    def _opened(self, folder: Path) -> Iterator[int]:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _texts(host: Host) -> dict[str, str]:
    """Return the small files of a fresh host: path -> text."""
    shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    user = f"{host.user}:x:{USER}:{GROUP}:{host.user}:/home/{host.user}:{shell}\n"
    # Whatever is the laptop's has no name of its own here; it is shown as nobody's.
    nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    return {
        "etc/environment": 'PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"\n',
        "etc/group": f"root:x:0:\n{host.user}:x:{GROUP}:\nnogroup:x:65534:\n",
        "etc/hostname": f"{host.instance}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{host.private_ip} {host.instance}\n::1 localhost\n",
        "etc/machine-id": hashlib.md5(host.instance.encode(), usedforsecurity=False).hexdigest() + "\n",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "etc/passwd": f"root:x:0:0:root:/root:{shell}\n{user}{nobody}",
        "etc/profile": "[ -d /etc/profile.d ] && for f in /etc/profile.d/*.sh; do [ -r $f ] && . $f; done\n",
        "etc/resolv.conf": "# there is no network behind this host\n",
        "etc/shells": "/bin/sh\n/bin/bash\n",
        f"home/{host.user}/.profile": '[ -n "$BASH_VERSION" ] && [ -f ~/.bashrc ] && . ~/.bashrc\n',
        f"home/{host.user}/.bashrc": "",
    }
