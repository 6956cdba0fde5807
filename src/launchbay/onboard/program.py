"""What the onboard program is, by its sources: read and hashed alike by whoever ships it and by itself where it runs."""

from __future__ import annotations

import hashlib
import os

TYPE_CHECKING = False  # `typing` itself would cost a tenth of a fingerprint
if TYPE_CHECKING:
    from typing import Mapping

__all__ = ["hash_program", "read_program"]


def read_program() -> dict[str, bytes]:
    """Return the program's sources by file name, in the order of the names."""
    folder = os.path.dirname(__file__)
    sources = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                sources[name] = file.read()
    return sources


def hash_program(sources: Mapping[str, bytes]) -> str:
    """Return the sha256, hex, over names, lengths and bytes: the program's name, and its line in a fingerprint."""
    digest = hashlib.sha256()
    for name, source in sources.items():
        digest.update("{} {}\n".format(name, len(source)).encode() + source)
    return digest.hexdigest()
