"""Store files of a run as objects, in pieces, so that what a list names is there whole whenever somebody is cut off.

A file that is added to has its pieces in one place, each sent again while it is the last. Any other has two places: a new
version goes to the one that the last list does not name. What was sent is written down beside the run.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import secrets
import time
import urllib.error
import urllib.request

from .result import write_json
from .rundir import is_of_set

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .rundir import Look

__all__ = ["Parcels", "PostFailed", "PostOver"]

_PIECE = 8 << 20
_GROWING_PIECE = 1 << 20
_SMALL = 4 << 20
"""Up to how many bytes a file is sent although it is being written: as much of it as a kill would have left."""

_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
_NOBODYS = (-1, -1, -1)
"""The mark of no file here: what another machine sent is named by a list until this one has sent it too."""

_SILENT_S = 60.0
_TRIES = 3


class PostFailed(Exception):
    """Nobody took what was sent; later somebody may."""


class PostOver(Exception):
    """What was sent is not taken, and will not be with this form: its time is over, or it is for something else."""


class Parcels:
    """What is in the store of one run, and what goes there."""

    def __init__(self, post: dict[str, Any], folder: str, stored: dict[str, dict[str, Any]]) -> None:
        """Go on where this machine was, else with what the last list in the store says: `stored`, of another machine."""
        self._post = post
        self._path = os.path.join(folder, "sent.json")
        self._listed = {name: {**entry, "mark": list(_NOBODYS)} for name, entry in stored.items()}
        self._list = b""
        self._hashes: dict[str, tuple[int, Any]] = {}
        self._halves: dict[str, tuple[tuple[int, int, int], int, Any]] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}
        self.bytes = 0
        self.objects = 0
        self.listed_at: float | None = None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(self._path, encoding="utf-8") as file:
            self._listed = dict(json.load(file)["files"])

    def known(self, name: str) -> dict[str, Any] | None:
        """Return what the last list says of a file, None for one that is not in it."""
        return self._listed.get(name)

    def is_sent(self, look: Look) -> bool:
        """Say whether the last list names a file as it is now."""
        known = self._listed.get(look.name)
        return known is not None and known["mark"] == list(look.mark) and known["growing"] == look.is_growing

    def known_set(self) -> dict[str, dict[str, Any]]:
        """Return what the last list says of the files that belong together."""
        return {name: entry for name, entry in self._listed.items() if is_of_set(name)}

    def is_at_rest(self, look: Look) -> bool:
        """Say whether a file may be sent: it is small, or it is what it was when this was asked last."""
        before, self._seen[look.name] = self._seen.get(look.name), look.mark
        return look.mark[0] <= _SMALL or before == look.mark

    def send(self, look: Look) -> dict[str, Any] | None:
        """Send what is new of a file; return how a list names it. One that changed meanwhile is named as before, or not."""
        known = self._listed.get(look.name)
        if self.is_sent(look):
            return known
        try:
            if look.is_growing:
                return self._send_growing(look, known)
            return self._send_whole(look, known)
        except FileNotFoundError:
            return known

    def _send_growing(self, look: Look, known: dict[str, Any] | None) -> dict[str, Any]:
        size = look.mark[0]
        goes_on = bool(known and known["growing"] and known["mark"][2] == look.mark[2] and known["size"] <= size)
        slot = known["slot"] if known and goes_on else _other(known)
        done = known["size"] if known and goes_on else 0
        at, digest = self._hashes.get(look.name, (-1, hashlib.sha256()))
        with open(look.path, "rb") as file:
            digest = (
                digest.copy() if goes_on and at == done else _hash_of(file, done)
            )  # of its own: this may be cut off
            start = done - done % _GROWING_PIECE
            while start < size:
                file.seek(start)
                data = file.read(min(_GROWING_PIECE, size - start))
                if start + len(data) < min(start + _GROWING_PIECE, size):
                    size = start + len(data)  # it has become shorter: the next round sees that
                self._put(look.name, slot, start // _GROWING_PIECE, data)
                digest.update(data[max(done - start, 0) :])
                start += _GROWING_PIECE
        self._hashes[look.name] = (size, digest)
        return _entry(look, size, digest.hexdigest(), slot, _GROWING_PIECE)

    def _send_whole(self, look: Look, known: dict[str, Any] | None) -> dict[str, Any] | None:
        size = look.mark[0]
        slot = _other(known)
        mark, done, digest = self._halves.get(look.name, (look.mark, 0, hashlib.sha256()))
        if mark != look.mark:
            done, digest = 0, hashlib.sha256()
        with open(look.path, "rb") as file:
            file.seek(done)
            while done < size or not size:
                data = file.read(min(_PIECE, size - done))
                if not data and size:
                    break
                self._put(look.name, slot, done // _PIECE, data)
                digest.update(data)
                done += len(data)
                self._halves[look.name] = (look.mark, done, digest)
                if not size:
                    break
        if done != size or not look.is_same():
            self._halves.pop(look.name, None)
            return known
        return _entry(look, size, digest.hexdigest(), slot, _PIECE)

    def send_list(self, listed: dict[str, Any]) -> None:
        """Send the list of what there is, unless it is what the last one was; from then on that is what counts."""
        files: dict[str, dict[str, Any]] = listed["files"]
        shown = {name: {key: entry[key] for key in entry if key != "mark"} for name, entry in files.items()}
        text = json.dumps({**listed, "files": shown}, sort_keys=True).encode()
        if text != self._list:
            self._store("list.json", text)
            self._list, self.listed_at = text, time.time()
        if files != self._listed:
            self._listed = dict(files)
            write_json(self._path, {"files": self._listed})
        for name in [name for name in self._halves if name in files]:
            del self._halves[name]

    def _put(self, name: str, slot: int, number: int, data: bytes) -> None:
        identity = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._store("files/{}/{}/{:06d}".format(identity, slot, number), data)

    def _store(self, name: str, data: bytes) -> None:
        """Store an object. Raises PostOver, and PostFailed after some tries."""
        why = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(2.0**attempt)
            try:
                _post(self._post, self._post["prefix"] + name, data)
            except urllib.error.HTTPError as error:
                said = _CODE.search(error.read(1 << 16))
                error.close()
                if 400 <= error.code < 500 and error.code not in (408, 429):
                    code = said.group(1).decode() if said else str(error.code)
                    raise PostOver("the store takes nothing more ({})".format(code)) from None
                why = "it answers {}".format(error.code)
            except (OSError, http.client.HTTPException) as error:
                why = str(getattr(error, "reason", error)) or type(error).__name__
            else:
                self.bytes, self.objects = self.bytes + len(data), self.objects + 1
                return
        raise PostFailed("the store does not take {}: {}".format(name, why))


def _entry(look: Look, size: int, sha256: str, slot: int, piece: int) -> dict[str, Any]:
    return {
        "size": size,
        "changed_ns": look.mark[1],
        "growing": look.is_growing,
        "sha256": sha256,
        "slot": slot,
        "piece": piece,
        "mark": list(look.mark),
    }


def _other(known: dict[str, Any] | None) -> int:
    return 0 if known is None else 1 - int(known["slot"])


def _hash_of(file: Any, size: int) -> Any:
    digest = hashlib.sha256()
    file.seek(0)
    left = size
    while left:
        data = file.read(min(left, _GROWING_PIECE))
        if not data:
            break
        digest.update(data)
        left -= len(data)
    return digest


def _post(post: dict[str, Any], key: str, data: bytes) -> None:
    """Send one object as the form asks for it. The file is the last field: S3 passes over what comes after it."""
    mark = secrets.token_hex(16)
    lines = []
    for name, value in {**post["fields"], "key": key}.items():
        lines.append('--{}\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'.format(mark, name, value))
    lines.append('--{}\r\nContent-Disposition: form-data; name="file"; filename="piece"\r\n\r\n'.format(mark))
    head, tail = "".join(lines).encode(), "\r\n--{}--\r\n".format(mark).encode()
    headers = {
        "Content-Type": "multipart/form-data; boundary={}".format(mark),
        "Content-Length": str(len(head) + len(data) + len(tail)),
    }
    if not post["url"].startswith(("https://", "http://")):
        raise PostOver("the store's address is none")
    asked = urllib.request.Request(post["url"], data=iter((head, data, tail)), headers=headers)  # noqa: S310 - seen above
    with urllib.request.urlopen(asked, timeout=_SILENT_S):  # noqa: S310
        return
