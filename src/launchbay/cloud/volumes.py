"""Mount the volumes of an instance, formatted where nothing is on them. Runs there, as root, at every boot.

The text of this file is in the user data: standard library of Python 3.9 only, and nothing of ours. Its words are the user
whom new volumes belong to, and DEVICE=PLACE for each, DEVICE being what the launch mapped it as.
"""

from __future__ import annotations

import ctypes
import fcntl
import glob
import os
import pwd
import struct
import subprocess
import sys
import time
from uuid import uuid4

__all__ = ["find_disk", "main", "name_in"]

MARK = "x-launchbay"
OPTIONS = "defaults,nofail,x-systemd.device-timeout=10s," + MARK
FSTAB = "/etc/fstab"
PATIENCE_S = 30.0
IDENTIFY = 0xC0484E41  # ioctl of NVMe's admin commands
FIRST_USER = 1000  # whom cloud-init makes later in a first boot


def name_in(page: bytes) -> str:
    """Return what a disk was mapped as: on Nitro, EBS tells it in what is the vendor's of an NVMe controller's page."""
    if page[24:64].rstrip(b" \0") != b"Amazon Elastic Block Store":
        return ""
    name = page[3072:3104].split(b"\0")[0].decode("ascii", "replace").strip()
    return name if not name or name.startswith("/dev/") else "/dev/" + name


def identify(path: str) -> bytes:
    """Ask an NVMe disk for the page of its controller. Raises OSError."""
    page = ctypes.create_string_buffer(4096)
    asked = struct.pack("=BBHIIIQQII6III", 6, 0, 0, 0, 0, 0, 0, ctypes.addressof(page), 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0)
    with open(path, "rb") as disk:
        fcntl.ioctl(disk, IDENTIFY, asked)
    return page.raw


def find_disk(device: str) -> str:
    """Return the disk that was mapped as a device, as /dev/sdf: by that name, by Xen's, or by what NVMe says; or nothing."""
    names = (device, device.replace("/dev/sd", "/dev/xvd"))
    for name in names:
        if os.path.exists(name):
            return os.path.realpath(name)
    for path in sorted(glob.glob("/dev/nvme*n1")):
        try:
            if name_in(identify(path)) in names:
                return path
        except OSError:
            continue
    return ""


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)


def say(text: str) -> None:
    """Write a line into the log of the boot."""
    sys.stderr.write("launchbay: " + text + "\n")


def prepare(device: str, place: str, login: str) -> str:
    """Format a disk if nothing at all is on it, mount it, and return its line for fstab; nothing where that fails."""
    end = time.monotonic() + PATIENCE_S
    disk = find_disk(device)
    while not disk and time.monotonic() < end:
        time.sleep(0.5)
        disk = find_disk(device)
    if not disk:
        say(device + " is not there, so nothing is mounted at " + place)
        return ""
    seen = run("blkid", "-p", "-o", "export", disk)
    is_new = seen.returncode == 2  # nothing that anybody knows is on it
    known = [line[len("UUID=") :] for line in seen.stdout.splitlines() if line.startswith("UUID=")]
    uuid = str(uuid4()) if is_new else "".join(known)
    if is_new and run("mkfs.ext4", "-q", "-U", uuid, disk).returncode != 0:
        say(disk + " could not be formatted")
        return ""
    if not uuid:
        say(disk + " holds something that is no file system, and is left alone")
        return ""
    if not os.path.ismount(place):
        os.makedirs(place, exist_ok=True)
        # the system itself may be mounting it at this moment, by fstab
        if run("mount", disk, place).returncode != 0 and not os.path.ismount(place):
            say(disk + " could not be mounted at " + place)
            return ""
    if is_new:
        try:
            user = pwd.getpwnam(login)
            os.chown(place, user.pw_uid, user.pw_gid)
        except KeyError:
            os.chown(place, FIRST_USER, FIRST_USER)
    shown = place.replace("\\", "\\134").replace(" ", "\\040")
    return f"UUID={uuid} {shown} auto {OPTIONS} 0 2\n"


def write_fstab(lines: list[str]) -> None:
    """Put our lines into fstab, in place of all that were ours."""
    others = []
    if os.path.exists(FSTAB):
        with open(FSTAB, encoding="utf-8") as file:
            others = [line for line in file if MARK not in line]
    if others and not others[-1].endswith("\n"):
        others.append("\n")
    with open(FSTAB + ".new", "w", encoding="utf-8") as file:
        file.writelines(others + lines)
    os.replace(FSTAB + ".new", FSTAB)


def main(argv: list[str]) -> int:
    """Prepare all volumes; one that fails does not keep the others, or the boot."""
    login, volumes = argv[0], [item.split("=", 1) for item in argv[1:]]
    lines = [prepare(device, place, login) for device, place in volumes]
    write_fstab([line for line in lines if line])
    return 0 if all(lines) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
