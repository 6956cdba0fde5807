"""Stands in for blkid, mkfs, mount and umount where they are about an attached volume; it is a folder of this host.

The twin says which volumes are attached; that one was given a file system, and where its folder is, is written down in the
host. A volume takes part in the host's own disk: it is not limited to its size, and is nowhere else than in this host.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid

from .asking import ask, say

__all__ = ["main"]

_REAL = ("/run/twin/usr/sbin", "/run/twin/usr/bin")
_KNOWN = "/var/lib/twin/disks.json"
_WITH_VALUE = {"blkid": "sotcLULn", "mkfs": "UtLEOb", "mount": "otLU", "umount": "tO"}
_MAKES = re.compile(r"mkfs(?:\.(ext[234]|xfs))?")

_Disk = dict[str, str]


def main(name: str, arguments: list[str]) -> int:
    """Do what is asked with an attached volume; become the real program for anything else. Returns an exit code."""
    try:
        disks = {str(item["device"]): str(item["volume"]) for item in json.loads(ask("GET", "disks"))}
    except (OSError, ValueError):
        disks = {}
    known = _read()
    options, words = _split(name.partition(".")[0], arguments)
    makes = _MAKES.fullmatch(name)
    if makes:
        words = words[-1:]  # what stands before are options' values
    volume = _volume(words[0] if words else "", disks, known)
    if makes and volume:
        return _make(volume, makes.group(1) or options.get("t", "ext2"), options.get("U") or str(uuid.uuid4()), known)
    if name == "blkid" and volume:
        return _tell(words[0], known.get(volume, {}), options)
    if name == "mount" and volume and len(words) == 2:
        return _mount(volume, words[1], known)
    if name == "umount":
        places = {item.get("at"): key for key, item in known.items()}
        volume = volume or places.get(os.path.normpath(words[0]) if words else None, "")
        if volume:
            return _unmount(volume, known)
    return _become(name, arguments)


def _split(name: str, arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    words: list[str] = []
    rest = list(arguments)
    while rest:
        item = rest.pop(0)
        if not item.startswith("-"):
            words.append(item)
        elif not item.startswith("--") and len(item) > 1:
            takes = item[-1] in _WITH_VALUE.get(name, "") and rest
            options[item[-1]] = rest.pop(0) if takes else ""
    return options, words


def _volume(word: str, disks: dict[str, str], known: dict[str, _Disk]) -> str:
    """Return the attached volume that a word means: its device, or the UUID of its file system."""
    if word.startswith("UUID="):
        wanted = word[len("UUID=") :].strip('"')
        return next((key for key, item in known.items() if item["uuid"] == wanted and key in disks.values()), "")
    return disks.get(word.replace("/dev/xvd", "/dev/sd"), "")


def _make(volume: str, kind: str, identity: str, known: dict[str, _Disk]) -> int:
    if known.get(volume, {}).get("at"):
        say("mkfs: the volume is mounted; will not make a filesystem here!")
        return 1
    known[volume] = {"type": kind, "uuid": identity}
    _write(known)
    return 0


def _tell(device: str, disk: _Disk, options: dict[str, str]) -> int:
    if not disk:
        return 2  # nothing is on it
    fields = {"UUID": disk["uuid"], "TYPE": disk["type"]}
    wanted = options.get("s")
    shown = {name: value for name, value in fields.items() if wanted in (None, name)}
    if options.get("o") == "value":
        sys.stdout.write("\n".join(shown.values()) + "\n")
    elif options.get("o") == "export":
        sys.stdout.write("".join(f"{name}={value}\n" for name, value in {"DEVNAME": device, **shown}.items()))
    else:
        fields_shown = " ".join(f'{name}="{value}"' for name, value in shown.items())
        sys.stdout.write(f"{device}: {fields_shown}\n")
    return 0


def _mount(volume: str, place: str, known: dict[str, _Disk]) -> int:
    disk = known.get(volume)
    if not disk:
        say("mount: wrong fs type, bad option, bad superblock: there is no file system on it")
        return 32
    place = os.path.normpath(os.path.abspath(place))
    if not os.path.isdir(place):
        say(f"mount: {place}: mount point does not exist.")
        return 32
    disk["at"] = place
    _write(known)
    say(f"twin: {place} is a folder of this host, which stands for {volume}")
    return 0


def _unmount(volume: str, known: dict[str, _Disk]) -> int:
    if not known[volume].pop("at", ""):
        say("umount: not mounted.")
        return 32
    _write(known)
    return 0


def _become(name: str, arguments: list[str]) -> int:
    for folder in _REAL:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            os.execv(path, [name, *arguments])
    say(f"{name}: command not found")
    return 127


def _read() -> dict[str, _Disk]:
    try:
        with open(_KNOWN, encoding="utf-8") as file:
            found: dict[str, _Disk] = json.load(file)
    except (OSError, ValueError):
        return {}
    return found


def _write(known: dict[str, _Disk]) -> None:
    os.makedirs(os.path.dirname(_KNOWN), exist_ok=True)
    with open(_KNOWN + ".draft", "w", encoding="utf-8") as file:
        json.dump(known, file)
    os.replace(_KNOWN + ".draft", _KNOWN)
