"""Where things lie on disk. One value, computed on access, so that a test or a second home redirects everything."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import UsageError

__all__ = ["Home", "find_home", "new_id", "new_ids", "random_letters"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: 32 letters, none like another


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds all of Launchbay's state (`$LAUNCHBAY_HOME`)."""

    root: Path

    @property
    def images(self) -> Path:
        """Built images, one folder a digest."""
        return self.root / "images"

    @property
    def instances(self) -> Path:
        """Local instances, one folder an id."""
        return self.root / "instances"

    @property
    def runs(self) -> Path:
        """Runs, one folder an id; they outlive their instances."""
        return self.root / "runs"

    @property
    def services(self) -> Path:
        """Boards and notebooks, one folder each; only their owner can look inside."""
        return self.root / "services"

    @property
    def shares(self) -> Path:
        """What was revoked, one file a fleet; it outlives the fleet."""
        return self.root / "shares"

    @property
    def tmp(self) -> Path:
        """Half-made things; nothing here is ever used, all of it may be removed."""
        return self.root / "tmp"

    @property
    def trash(self) -> Path:
        """Things already gone for every reader, whose files are still being removed."""
        return self.root / "tmp" / "trash"

    @property
    def journal(self) -> Path:
        """The journal and index."""
        return self.root / "state.db"

    @property
    def catalog(self) -> Path:
        """What `bay types refresh` brought: instance types and prices of regions."""
        return self.root / "catalog.db"

    @property
    def elsewhere(self) -> Path:
        """What instances on this machine would cost on EC2, one file an answer; asked again when the catalogue changes."""
        return self.root / "elsewhere"

    @property
    def spent(self) -> Path:
        """What instances cost that are gone, one file a fleet."""
        return self.root / "spent"

    @property
    def cloud(self) -> Path:
        """What opens fleets on EC2, one folder each; only its owner can look inside."""
        return self.root / "cloud"

    @property
    def twin(self) -> Path:
        """The offline EC2: its state, its hosts, where it listens; only its owner can look inside."""
        return self.root / "twin"

    @property
    def probes(self) -> Path:
        """What frameworks could use of the GPUs, one file an image; asked again when the driver or the GPUs change."""
        return self.root / "probes"

    @property
    def onboard(self) -> Path:
        """The onboard programs, by hash."""
        return self.root / "onboard"

    def lock(self, name: str) -> Path:
        """Return the lock file for `name`; it holds nothing and is never removed."""
        return self.root / "locks" / f"{name}.lock"


def find_home(environ: Mapping[str, str]) -> Home:
    """Return `$LAUNCHBAY_HOME`, else `$XDG_DATA_HOME/launchbay`, else `~/.local/share/launchbay`.

    Raises UsageError for a path that cannot be a home.
    """
    if chosen := environ.get("LAUNCHBAY_HOME"):
        root = Path(chosen).expanduser().absolute()
    else:
        data = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME") or "~", ".local", "share")
        root = Path(data).expanduser().absolute() / "launchbay"
    if any(letter.isspace() for letter in str(root)):
        # pip and uv take a constraint file's path as a list, split at spaces: every install would fail
        raise UsageError(
            "the home must be a path without spaces", where=str(root), hint="set LAUNCHBAY_HOME to another folder"
        )
    if os.pathsep in str(root):
        # PATH would be split there: the commands of an instance would be the machine's own
        raise UsageError(
            f"the home must be a path without {os.pathsep!r}",
            where=str(root),
            hint="set LAUNCHBAY_HOME to another folder",
        )
    if root.exists() and not root.is_dir():
        raise UsageError(
            "the home must be a folder, and there is a file", where=str(root), hint="set LAUNCHBAY_HOME to a folder"
        )
    return Home(root)


def new_id(prefix: str, now: float) -> str:
    """Return a fresh id that sorts by time, to the millisecond, and can be read: ``i-20261123-104501-k3f9x``."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    fraction = int(now % 1 * 1024)
    return f"{prefix}-{stamp}-{_ALPHABET[fraction >> 5]}{_ALPHABET[fraction & 31]}{random_letters(3)}"


def new_ids(prefix: str, now: float, count: int) -> tuple[str, ...]:
    """Return that many fresh ids, no two alike: of hundreds drawn in one millisecond, two often would be."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[new_id(prefix, now)] = None
    return tuple(found)


def random_letters(count: int) -> str:
    """Return letters and digits that nobody can guess and nobody misreads."""
    return "".join(_ALPHABET[byte & 31] for byte in os.urandom(count))
