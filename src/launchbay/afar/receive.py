"""What takes a bundle in on another machine: sent there as text and run by its Python, before anything of ours is there.

Standard library only. Its standard input is a line of JSON and then the bundle, its answer a line of JSON: a result, or
an error's ``what`` and ``hint``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tarfile
from typing import Any

__all__ = ["Refused", "find_uv", "main", "take"]

_KEPT = 2


class Refused(Exception):
    """Something is not as it must be; says what, and what to do about it."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


def main() -> int:
    """Do what the first line of standard input asks for; the rest of it is the bundle."""
    request = json.loads(sys.stdin.buffer.readline())
    try:
        answer: dict[str, Any] = {"ok": True, "result": take(request, sys.stdin.buffer.read())}
    except Refused as refused:
        answer = {"ok": False, "error": {"what": refused.what, "hint": refused.hint}}
    except OSError as error:
        what = f"{error.strerror or error} while Launchbay was put there ({error.filename or request['home']})"
        answer = {"ok": False, "error": {"what": what, "hint": "see who owns the folder, and what is free on its disk"}}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def take(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    """Make sure that a bundle is there and can be run; return where, or that its bytes are still `wanted`."""
    home, sha256 = request["home"], request["sha256"]
    programs = os.path.join(home, "programs")
    folder = os.path.join(programs, sha256[:32])
    is_new = not os.path.exists(folder)
    if is_new and not data:
        return {"wanted": True}
    os.makedirs(programs, exist_ok=True)
    with open(os.path.join(programs, ".lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_new and not os.path.exists(folder):
            if hashlib.sha256(data).hexdigest() != sha256:
                raise Refused("the bundle was cut off or altered on its way", "the same command again")
            _unpack(data, folder)
        uv = request.get("uv") or find_uv(home)
        command = os.path.join(folder, "bay")
        _write_if_new(command, _command(home, folder, uv))
        _point(os.path.join(home, "bin"), command)
        removed = _remove_old(programs, folder)
    return {
        "wanted": False,
        "new": is_new,
        "program": folder,
        "command": command,
        "python": sys.executable,
        "python_version": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine().lower()}",
        "uv": uv,
        "removed": removed,
    }


def _unpack(data: bytes, folder: str) -> None:
    """Unpack beside and rename, so that the folder is there whole or not at all."""
    half = f"{folder}.half"
    shutil.rmtree(half, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            if not member.isfile() or member.name.startswith("/") or ".." in member.name.split("/"):
                raise Refused(f"the bundle holds {member.name!r}, which is no plain file of its own")
            path = os.path.join(half, member.name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            source = archive.extractfile(member)
            with open(path, "wb") as file:
                file.write(source.read() if source else b"")
    os.replace(half, folder)


def find_uv(home: str) -> str:
    """Return uv: the machine's own, else one of ours, got with the machine's pip. Raises Refused where there is neither."""
    own = os.path.join(home, "uv")
    places = [shutil.which("uv") or "", os.path.expanduser("~/.local/bin/uv"), os.path.join(own, "bin", "uv")]
    for place in places:
        if place and os.access(place, os.X_OK):
            return place
    # an environment first: many a machine's own Python refuses to be installed into
    attempts = (
        ([sys.executable, "-m", "venv", own], [os.path.join(own, "bin", "python"), "-m", "pip", "install", "-q", "uv"]),
        ([sys.executable, "-m", "pip", "install", "-q", "--user", "uv"],),
    )
    words = ""
    for attempt in attempts:
        for command in attempt:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                words = (done.stderr or done.stdout).strip().splitlines()[-1:][0] if done.stderr or done.stdout else ""
                break
        for place in places[1:]:
            if os.access(place, os.X_OK):
                return place
    shutil.rmtree(own, ignore_errors=True)
    raise Refused(f"the machine has no uv, and pip could not bring it: {words}", "install uv there, or python3-venv")


def _command(home: str, folder: str, uv: str) -> str:
    """Return the command `bay` of a machine: it knows its home, its Python, and where uv is."""
    return (
        "#!/bin/sh\n"
        f"LAUNCHBAY_HOME={shlex.quote(home)}\n"
        f'PATH={shlex.quote(os.path.dirname(uv))}:"$PATH"\n'
        "export LAUNCHBAY_HOME PATH\n"
        f'exec {shlex.quote(sys.executable)} -I {shlex.quote(folder)} "$@"\n'
    )


def _write_if_new(path: str, text: str) -> None:
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        if file.read() == text:
            return
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with open(os.open(f"{path}.tmp", flags, 0o755), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.tmp", path)


def _point(folder: str, command: str) -> None:
    """Let HOME/bin/bay be the newest: it is what a person there types."""
    os.makedirs(folder, exist_ok=True)
    link = os.path.join(folder, "bay")
    if not (os.path.islink(link) and os.readlink(link) == command):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{link}.tmp")
        os.symlink(command, f"{link}.tmp")
        os.replace(f"{link}.tmp", link)


def _remove_old(programs: str, current: str) -> list[str]:
    """Remove all but the last two programs, less those that something runs: whoever does holds their lock."""
    os.utime(current)  # the last that was used, whenever it came
    paths = [os.path.join(programs, name) for name in os.listdir(programs) if len(name) == 32]
    removed = []
    for path in sorted(paths, key=os.path.getmtime)[:-_KEPT]:
        with open(f"{path}.lock", "ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(path)
            os.unlink(f"{path}.lock")
        removed.append(os.path.basename(path))
    return removed


if __name__ == "__main__":
    sys.exit(main())
