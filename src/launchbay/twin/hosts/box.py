"""The box of a host: the command line of bubblewrap that makes it, and what of the laptop is seen in it.

A box has users, processes, network, hostname and shared memory of its own, no rights, and one writable root: the
host's. Read-only from the laptop come ``/usr`` (its programs behind stand-ins, see `farm`), a few files of ``/etc`` that
programs cannot do without, and what the host's `binds` name. The arguments go through a descriptor: the command line of
a box's first process can be read in it.

Not limited: CPU, memory, the sum of all files, and sockets of virtual machines (AF_VSOCK), which have no namespace on
most kernels. The laptop's paths can still be read in ``/proc/self/mountinfo``; nothing can be reached by them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.twin.hosts.host import GROUP, USER, Host

__all__ = [
    "AGENT",
    "FROM_ETC",
    "INSIDE",
    "OWN",
    "PYTHON",
    "UNITS_UNTIL_STOP",
    "Bind",
    "arguments",
    "binds_of",
    "links",
    "mountpoints",
]

OWN = "/run/twin"
"""Where a box has what the twin brings: the real programs, the agent and the stand-ins, files of the laptop's /etc."""

INSIDE = f"{OWN}/inside"
PYTHON = f"{OWN}/usr/bin/python3"
AGENT = (PYTHON, "-I", "-S", f"{INSIDE}/agent.py")

FROM_ETC = (
    "alternatives",
    "ca-certificates.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
)
"""What programs of /usr need of /etc: no passwords, no private keys, nothing of the laptop's own set-up."""

UNITS_UNTIL_STOP = "var/lib/twin/units"
"""What /run/systemd/system is in a host: a box ends while nobody uses it, and what is in /run stays until the host stops."""

_HARMFUL = ("acpi", "asound", "bus", "fs", "irq", "scsi", "sys", "sysrq-trigger")
"""Below /proc: what changes the kernel. Started as root, a box could open some of it for writing, since the kernel
compares the real user with the laptop's root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A file or folder of the laptop and where the box shows it; `is_own` ones lie in folders only the twin may enter."""

    source: Path
    at: str
    is_writable: bool = False
    is_own: bool = False


def binds_of(host: Host, root: Path, shared: Path) -> tuple[Bind, ...]:
    """Return what a box shows, in the order of mounting: its root first. `shared` is what all hosts' boxes have."""
    found = [
        Bind(source=root, at="/", is_writable=True, is_own=True),
        Bind(source=Path("/usr"), at="/usr"),
        *_programs(shared),
        *(Bind(source=path, at=str(path)) for path in _TOP if path.is_dir() and not path.is_symlink()),
    ]
    under_run = [
        Bind(source=Path("/usr"), at=f"{OWN}/usr"),
        Bind(source=shared / "inside", at=INSIDE, is_own=True),
        *(
            Bind(source=Path("/etc", name), at=f"{OWN}/etc/{name}")
            for name in FROM_ETC
            if os.path.exists(f"/etc/{name}")
        ),
    ]
    # The laptop's own links are resolved here: a link shown in the box would lead nowhere.
    given = [Bind(source=path.resolve(), at=at.rstrip("/"), is_own=True) for path, at in host.binds]
    return (*found, *under_run, *given)


_TOP = tuple(Path(f"/{name}") for name in ("lib", "lib32", "lib64", "libx32"))
"""Links into /usr on most systems, folders of their own on some."""


def _programs(shared: Path) -> list[Bind]:
    farms = [name for name in ("bin", "sbin") if Path("/usr", name).is_dir() and not Path("/usr", name).is_symlink()]
    # A Python looks beside itself for its library, behind links as well: the real file stands in its place.
    pythons = [
        path
        for path in sorted(Path("/usr/bin").glob("python3.*"))
        if path.is_file() and not path.is_symlink() and path.name.removeprefix("python3.").isdigit()
    ]
    return [
        *(Bind(source=shared / name, at=f"/usr/{name}", is_own=True) for name in farms),
        *(Bind(source=path, at=str(path)) for path in pythons),
    ]


def links() -> dict[str, str]:
    """Return the links at the top of a host's root, as the laptop has them: name -> target."""
    names = ("bin", "sbin", *(path.name for path in _TOP))
    return {name: os.readlink(f"/{name}") for name in names if os.path.islink(f"/{name}")}


def mountpoints(binds: Sequence[Bind]) -> list[tuple[str, bool]]:
    """Return (path in the host's root, whether it is a folder) of what must be there before a box starts."""
    fixed = [(name, True) for name in ("dev", "proc", "run")]
    inner = [
        (bind.at.strip("/"), bind.source.is_dir())
        for bind in binds
        if bind.at != "/" and not bind.at.startswith(("/usr/", f"{OWN}/"))
    ]
    return [*fixed, *inner]


def arguments(host: Host, binds: Sequence[Bind], sources: Sequence[str], environment: dict[str, str]) -> list[str]:
    """Return bubblewrap's arguments. `sources` are the binds' paths as bubblewrap is to find them."""
    kinds = ["user", "pid", "ipc", "uts", "cgroup-try"]
    made = [f"--unshare-{kind}" for kind in kinds]  # the network is the launcher's
    made += ["--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    made += ["--uid", str(USER), "--gid", str(GROUP), "--hostname", host.instance]
    for name, value in environment.items():
        made += ["--setenv", name, value]
    mounts = list(zip(binds, sources, strict=True))
    for bind, source in mounts:
        if not bind.at.startswith(f"{OWN}/"):
            made += ["--bind" if bind.is_writable else "--ro-bind", source, bind.at]
    made += ["--proc", "/proc"]
    for name in _HARMFUL:
        made += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    made += ["--dev", "/dev", "--perms", "0755", "--tmpfs", "/run"]
    for bind, source in mounts:
        if bind.at.startswith(f"{OWN}/"):
            made += ["--ro-bind", source, bind.at]
    for name in ("lock", "shm", "user"):
        made += ["--perms", "1777", "--dir", f"/run/{name}"]
    made += ["--dir", "/run/systemd", "--symlink", f"/{UNITS_UNTIL_STOP}", "/run/systemd/system"]
    return [*made, "--chdir", "/"]
