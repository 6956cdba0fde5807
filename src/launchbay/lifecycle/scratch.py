"""Work in a folder that goes away again, and ask an image's own Python something without an instance."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from launchbay.files import locked, remove_tree
from launchbay.home import new_id
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, image_transport
from launchbay.transport.local import LocalTransport
from launchbay.transport.onboard import ask, install_onboard

__all__ = ["ask_here", "ask_image", "scratch"]


@contextmanager
def scratch(bay: Bay) -> Iterator[Path]:
    """Lend an empty folder; of a command that is killed meanwhile, the next sweep removes it."""
    with locked(bay.home.lock("create"), shared=True):  # tells every sweep that it is not left over
        folder = bay.home.tmp / new_id("new", bay.clock.now())
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            remove_tree(folder)


def ask_image(bay: Bay, image: Image, command: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run one onboard command under an image's own Python and return its result; needs no instance.

    Blocks for as long as it takes. Raises UserError with its refusal, LaunchbayError when it broke.
    """
    image = image.parts[0]
    with scratch(bay) as folder:
        transport = image_transport(bay, image, folder=str(folder))
        return ask(transport, str(image.python_path), install_onboard(bay.home), command, request)


def ask_here(bay: Bay, command: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run one onboard command under our own Python: what needs nothing of an image. Otherwise as `ask_image`."""
    with scratch(bay) as folder:
        kept = {name: bay.environ[name] for name in ("LD_LIBRARY_PATH", "PATH") if name in bay.environ}
        environment = {**kept, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONUTF8": "1"}
        transport = LocalTransport(environment=environment, folder=str(folder))
        return ask(transport, sys.executable, install_onboard(bay.home), command, request)
