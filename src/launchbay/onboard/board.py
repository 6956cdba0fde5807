"""TensorBoard over runs, behind a guard in the same process; runs under an image's Python, which has it.

The folder of the service holds ``board.json`` (port, title, where the runs lie), ``selection.json`` (which of them are
shown; looked at again and again) and ``token``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import types

from .guard import Guard
from .links import Links
from .refused import Refused

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["run"]

_HEADER_BYTES = 8
_EVERY_S = 2  # seconds between two looks for what is new, ours and TensorBoard's


def run(_: dict[str, Any]) -> dict[str, Any]:
    """Serve until somebody ends it."""
    folder = os.environ["LAUNCHBAY_SERVICE"]
    wish = _read(folder, "board.json")
    with open(os.path.join(folder, "token"), encoding="ascii") as file:
        token = file.read().strip()
    shown = os.path.join(folder, "shown")
    os.makedirs(shown, exist_ok=True)
    links = Links(shown, wish["runs"])
    links.refresh(_read(folder, "selection.json"))
    threading.Thread(target=_keep, args=(links, folder), daemon=True).start()
    code = _serve(shown, token, wish)
    if code:
        raise Refused("TensorBoard ended with code {}".format(code))
    return {}


def _serve(logdir: str, token: str, wish: dict[str, Any]) -> int:
    # TensorBoard loads TensorFlow where it is installed, for checkpoints and files in a cloud: seconds, and 400 MB
    sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")
    from tensorboard import program

    _spare_the_sums()

    class Guarded(program.WerkzeugServer):  # type: ignore[misc]
        def __init__(self, wsgi_app: Any, flags: Any) -> None:
            super().__init__(Guard(wsgi_app, token, wish["title"]), flags)

    board = program.TensorBoard(server_class=Guarded)
    # its fast loader is a second process, with a port of its own that nothing guards
    argv = ["tensorboard", "--logdir", logdir, "--host", "127.0.0.1", "--port", str(wish["port"]), "--load_fast=false"]
    board.configure(argv=[*argv, "--reload_interval", str(_EVERY_S), "--window_title", wish["title"]])
    code: int = board.main()
    return code


def _spare_the_sums() -> None:
    """Let a record count as whole when it can be read, as TensorBoard's faster loader does.

    TensorBoard's own reader sums up every byte in Python: nine tenths of the time that large logs take.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.tensorflow_stub import pywrap_tensorflow as reader

    sum_up = getattr(reader, "masked_crc32c", None)
    if sum_up is None:
        return

    def check(data: bytes) -> object:
        if len(data) == _HEADER_BYTES:
            return sum_up(data)  # a length that is wrong would be followed anywhere
        try:
            Event.FromString(data)
        except DecodeError:
            return None
        return _Equal()

    reader.masked_crc32c = check


class _Equal:
    """What stands for a sum that nobody made."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


def _keep(links: Links, folder: str) -> None:
    while True:
        time.sleep(_EVERY_S)
        with contextlib.suppress(OSError, ValueError):  # a run that is removed meanwhile: the next look sees it gone
            links.refresh(_read(folder, "selection.json"))


def _read(folder: str, name: str) -> dict[str, Any]:
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found
