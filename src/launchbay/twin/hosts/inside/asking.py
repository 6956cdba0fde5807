"""How a stand-in asks the twin: over HTTP at the address of the metadata service, below a path that EC2 does not have."""

from __future__ import annotations

import os
import socket

__all__ = ["ask", "say"]

_ADDRESS = ("169.254.169.254", 80)
_SECONDS = 30.0


def ask(method: str, path: str) -> str:
    """Return what the twin answers. Blocks for up to 30 s. Raises OSError where it does not answer, or refuses."""
    with socket.create_connection(_ADDRESS, timeout=_SECONDS) as connection:
        request = "{} /twin/{} HTTP/1.1\r\nHost: twin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        connection.sendall(request.format(method, path).encode())
        with connection.makefile("rb") as file:
            answer = file.read().decode("utf-8", "replace")
    head, _, body = answer.partition("\r\n\r\n")
    status = head.split(" ")[1:2]
    if status not in (["200"], ["204"]):
        raise OSError("the twin refused: {}".format(body.strip() or head.split("\r\n")[0]))
    return body


def say(text: str) -> None:
    """Write a line on standard error, and do without where nobody reads it."""
    try:
        os.write(2, (text + "\n").encode())
    except OSError:
        return
