"""What all boxes of a twin have in common: the laptop's programs with the stand-ins among them, and the agent.

A bind over a single program fails where the program is not there or is a link, as `shutdown` mostly is. So a box has,
over /usr/bin and /usr/sbin, a folder with one link per program to where the real one is shown, and the stand-ins as files
in it; a boot script that calls /sbin/shutdown gets ours. About 1,100 links, made once for a twin.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from launchbay.twin.hosts.box import OWN, PYTHON

__all__ = ["STAND_INS", "build_shared"]

STAND_INS = {
    "apt": "packages",
    "apt-get": "packages",
    "blkid": "disks",
    "cloud-init": "cloud_init",
    "date": "clock",
    "dnf": "packages",
    "halt": "power",
    "mkfs": "disks",
    "mkfs.ext4": "disks",
    "mkfs.xfs": "disks",
    "mount": "disks",
    "nvidia-smi": "gpus",
    "poweroff": "power",
    "reboot": "power",
    "shutdown": "power",
    "sudo": "sudo",
    "systemctl": "systemctl",
    "systemd-run": "systemd_run",
    "umount": "disks",
    "yum": "packages",
}
"""Program -> module of `inside` that stands in for it."""

_TEXT = """#!{python} -IS
import os, sys
sys.path.insert(0, {own!r})
from inside.{module} import main
sys.exit(main(os.path.basename(sys.argv[0]), sys.argv[1:]))
"""


def build_shared(folder: Path) -> None:
    """Fill an empty folder with `bin`, `sbin` and `inside`, readable by everybody."""
    folder.chmod(0o755)
    for name in ("bin", "sbin"):
        _make(folder / name)
        _link_programs(Path("/usr") / name, folder / name)
        for program, module in STAND_INS.items():
            place = folder / name / program
            place.write_text(_TEXT.format(python=PYTHON, own=OWN, module=module), encoding="ascii")
            place.chmod(0o755)
    target = folder / "inside"
    _make(target)
    for source in sorted(Path(__file__).with_name("inside").glob("*.py")):
        copied = target / source.name
        shutil.copyfile(source, copied)
        copied.chmod(0o644)


def _make(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)  # whatever this process takes away from new files


def _link_programs(source: Path, target: Path) -> None:
    if not source.is_dir():
        return
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name in STAND_INS:
                continue
            place = target / entry.name
            if entry.is_symlink() and "/" not in (aim := os.readlink(entry.path)):
                place.symlink_to(aim)  # one name of a program that stands beside it
            elif entry.is_file(follow_symlinks=False) and entry.name.removeprefix("python3.").isdigit():
                place.touch()  # the real one is bound over it, see box
            else:
                place.symlink_to(f"{OWN}{source}/{entry.name}")
