"""Stands in for cloud-init: carries out user data at a boot, and says whether that is done.

The twin's process has read the user data (see `boot`), and gives it as JSON on standard input: `instance`, `user`, `first`,
`config` (a cloud-config's keys), `scripts` (each in base64), `notes` and `errors` for the log. Modules are those of a
cloud-config that Launchbay's own boot and most people's need, in cloud-init's order: bootcmd at every boot, write_files and
ssh_authorized_keys at the first; then the SSH server lets people in; then services, scripts and runcmd, at the first.
ssh_keys were put in place by the twin's process before.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from typing import Any

from .asking import ask, say
from .systemctl import start_enabled

__all__ = ["main"]

_LOG = "/var/log/cloud-init-output.log"
_HERE = "/var/lib/cloud/instance"
_FINISHED = _HERE + "/boot-finished"
_DATA = "/var/lib/cloud/data"
_RESULT = _DATA + "/twin-result"
_LARGEST = 64 << 20

_CARRIED_OUT = {"bootcmd", "runcmd", "ssh_authorized_keys", "ssh_keys", "write_files"}
_WITHOUT_EFFECT = {"disable_root", "output", "preserve_hostname", "ssh_deletekeys", "ssh_genkeytypes", "ssh_pwauth"}
_WITHOUT_EFFECT |= {"ssh_quiet_keygen"}
_PACKED = {"gz", "gzip", "gz+base64", "gz+b64", "gzip+base64", "gzip+b64"}
_IN_BASE64 = {"b64", "base64", "gz+base64", "gz+b64", "gzip+base64", "gzip+b64"}


def main(name: str, arguments: list[str]) -> int:
    """Answer `status` and `status --wait` as cloud-init does: 0 for done or running, 1 for an error. `twin-boot` boots."""
    if arguments[:1] == ["twin-boot"]:
        return _Boot(json.load(sys.stdin)).go()
    if arguments[:1] != ["status"]:
        say("twin: {} {} is not modelled, only status".format(name, " ".join(arguments)))
        return 1
    while "--wait" in arguments and not os.path.exists(_FINISHED):
        time.sleep(0.1)
    status = _status()
    sys.stdout.write(f"status: {status}\n")
    return 1 if status == "error" else 0


def _status() -> str:
    if not os.path.exists(_FINISHED):
        return "running"
    try:
        with open(_RESULT, encoding="ascii") as file:
            return "done" if file.read().strip() == "0" else "error"
    except OSError:
        return "done"


class _Boot:
    """One boot of a host."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.config: dict[str, Any] = told["config"]
        self.has_failed = False

    def go(self) -> int:
        """Do all stages; whatever fails, the next one comes."""
        for folder in (_HERE + "/scripts", _DATA, os.path.dirname(_LOG)):
            os.makedirs(folder, exist_ok=True)
        with contextlib.suppress(OSError):
            os.unlink(_FINISHED)
        for line in self.told["notes"]:
            _log(line)
        for line in self.told["errors"]:
            self.fail(line)
        _show_disks()
        self.early()
        with contextlib.suppress(OSError):
            ask("PUT", "booted")
        start_enabled()
        if self.told["first"]:
            self.late()
        _write(_RESULT, b"1\n" if self.has_failed else b"0\n", 0o644)
        _write(_FINISHED, b"", 0o644)
        return 0

    def early(self) -> None:
        """Do what comes before the SSH server."""
        self.commands("bootcmd", _DATA + "/bootcmd")
        if not self.told["first"]:
            return
        for key in sorted(set(self.config) - _CARRIED_OUT - _WITHOUT_EFFECT):
            _log(f"twin: {key} of the cloud-config is not modelled, and left out")
        for item in self.listed("write_files"):
            try:
                _put(item)
            except (OSError, ValueError, TypeError, KeyError, zlib.error) as error:
                self.fail(f"twin: write_files: {_path(item)}: {error}")
                break  # as there: what fails ends its module
        keys = [str(key).strip() for key in self.listed("ssh_authorized_keys")]
        if keys:
            path = "/home/{}/.ssh/authorized_keys".format(self.told["user"])
            with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:
                file.write("".join(f"{key}\n" for key in keys))

    def late(self) -> None:
        """Do what comes last at a first boot."""
        for number, script in enumerate(self.told["scripts"], 1):
            path = f"{_HERE}/scripts/part-{number:03}"
            _write(path, base64.b64decode(script), 0o700)
            self.run([path], "the boot script")
        self.commands("runcmd", _HERE + "/scripts/runcmd")

    def commands(self, key: str, path: str) -> None:
        """Run the commands of a module as one shell script; where one fails, those after it run nevertheless."""
        commands = self.listed(key)
        if not commands:
            return
        lines = ["#!/bin/sh"]
        for command in commands:
            is_list = isinstance(command, list)
            lines.append(" ".join(shlex.quote(str(word)) for word in command) if is_list else str(command))
        _write(path, "\n".join([*lines, ""]).encode(), 0o700)
        self.run(["/bin/sh", path], key)

    def run(self, argv: Sequence[str], what: str) -> None:
        """Run a program; its output goes through a pipe, so that it may open /dev/stderr anew without emptying the log."""
        environment = {**os.environ, "INSTANCE_ID": self.told["instance"]}
        with open(_LOG, "ab") as log:
            cat = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=log, start_new_session=True)
        try:
            code = subprocess.call(
                argv, stdin=subprocess.DEVNULL, stdout=cat.stdin, stderr=subprocess.STDOUT, env=environment
            )
        except OSError as error:
            _log(f"{argv[0]}: {error.strerror}")
            code = 127
        assert cat.stdin
        cat.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # what was left behind may go on to write
            cat.wait(timeout=1)
        if code != 0:
            self.fail(f"twin: {what} ended with {code}")

    def listed(self, key: str) -> list[Any]:
        """Return what stands under a key, which has to be a list."""
        found = self.config.get(key) or []
        if isinstance(found, list):
            return found
        self.fail(f"twin: {key} must be a list")
        return []

    def fail(self, line: str) -> None:
        """Note that something went wrong."""
        self.has_failed = True
        _log(line)


def _show_disks() -> None:
    """Show attached volumes in /dev, as files: they are there to be found, and stood in for (see `disks`)."""
    with contextlib.suppress(OSError, ValueError):
        for disk in json.loads(ask("GET", "disks")):
            with contextlib.suppress(FileExistsError), open(str(disk["device"]), "x", encoding="ascii") as file:
                file.write(str(disk["volume"]))


def _put(item: dict[str, Any]) -> None:
    """Write a file of write_files. A path that is not absolute counts from the host's root, as there."""
    encoding = str(item.get("encoding", "text/plain")).lower()
    content = item.get("content", "")
    data = content.encode() if isinstance(content, str) else str(content).encode()
    if encoding in _IN_BASE64:
        try:
            data = base64.b64decode(data)
        except binascii.Error as error:
            raise ValueError(f"not base64: {error}") from None
    if encoding in _PACKED:
        data = zlib.decompressobj(wbits=31).decompress(data, _LARGEST)
    path, mode = _path(item), item.get("permissions", 0o644)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    _write(path, data, int(mode, 8) if isinstance(mode, str) else int(mode), how="ab" if item.get("append") else "wb")


def _path(item: Any) -> str:
    return os.path.abspath(os.path.join("/", str(item["path"]) if isinstance(item, dict) and "path" in item else ""))


def _write(path: str, data: bytes, mode: int, *, how: str = "wb") -> None:
    with open(path, how) as file:
        file.write(data)
    os.chmod(path, mode)


def _log(line: str) -> None:
    with contextlib.suppress(OSError), open(_LOG, "a", encoding="utf-8") as file:
        file.write(line + "\n")
