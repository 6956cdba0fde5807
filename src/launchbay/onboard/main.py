"""The program that runs on an instance: one command, a JSON request on stdin, JSON lines on stdout.

The last line is the answer: ``{"v": 1, "ok": true, "result": ...}`` or ``{"v": 1, "ok": false, "error": {...}}``; lines
before it are ``{"v": 1, "event": {...}}``. Whatever a framework prints goes to stderr, so the answer stays clean.
"""

from __future__ import annotations

import json
import os
import sys

from .refused import Refused

TYPE_CHECKING = False  # `typing` itself would cost a tenth of a fingerprint
if TYPE_CHECKING:
    from typing import Any, Callable

__all__ = ["VERSION", "main"]

VERSION = 1
"""Version of the protocol; a request of another version is refused."""


def main() -> int:
    """Run one command; return the exit code: 0 answered, 1 refused, 2 not understood."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the frameworks' own chatter must not mix with the answer
    request = json.loads(sys.stdin.buffer.read() or b"{}")
    if request.get("v", VERSION) != VERSION:
        return _answer(channel, 2, {"ok": False, "error": {"what": "protocol version is {}".format(VERSION)}})
    command = _find(sys.argv[1] if len(sys.argv) > 1 else "")
    if command is None:
        return _answer(channel, 2, {"ok": False, "error": {"what": "unknown command {}".format(sys.argv[1:])}})
    if sys.argv[1] in ("courier", "supervise"):
        request["channel"] = channel  # it answers when it is at work, and goes on
    try:
        result = command(request)
    except Refused as refusal:
        error = {"what": refusal.what, "where": refusal.where, "hint": refusal.hint, "kind": "user"}
        return _answer(channel, 1, {"ok": False, "error": error})
    return _answer(channel, 0, {"ok": True, "result": result})


def _answer(channel: Any, code: int, answer: dict[str, Any]) -> int:
    if not channel.closed:
        channel.write(json.dumps({"v": VERSION, **answer}) + "\n")
        channel.close()
    return code


def _find(name: str) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
    """Import only what the command needs: a fingerprint must not pay for a supervisor."""
    if name == "fingerprint":
        from . import fingerprint

        return fingerprint.run
    if name == "probe":
        from . import probe

        return probe.run
    if name == "stock":
        from . import stock

        return stock.run
    if name == "supervise":
        from . import supervise

        return supervise.run
    if name == "courier":
        from . import courier

        return courier.run
    if name == "board":
        from . import board

        return board.run
    if name == "notebook":
        from . import notebook

        return notebook.run
    if name == "inspect":
        from . import inspecting

        return inspecting.inspect
    if name in ("evaluate", "predict"):
        from . import model

        return {"evaluate": model.evaluate, "predict": model.predict}[name]
    return None
