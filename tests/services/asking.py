"""Asking a board or a notebook as a browser or a program does."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launchbay.store.service import Service

__all__ = ["Answer", "ask"]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """Its body as JSON."""
        return json.loads(self.body)


def ask(service: Service, path: str, *, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
    """Send one request over a connection of its own; `_` in a header's name stands for `-`."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()
