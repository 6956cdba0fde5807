"""The door by which hosts reach S3: open for what was signed for them, and for nothing else that the twin answers.

An instance of EC2 is on the internet and could ask any service; a host has no network, and what it can ask without
credentials is all that it can ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from launchbay.twin.app import TwinApp
from launchbay.twin.bucketform import is_form
from launchbay.twin.buckets import refuse_closed
from launchbay.twin.tunnels import PATH

__all__ = ["StoreDoor"]

_ASKED = ("GET", "HEAD", "PUT")
_CLOSED = ("/twin/", "/moto-api", PATH)
"""Addresses that are not the store's, whatever is signed: by a tunnel a host would reach the others."""


class StoreDoor:
    """A WSGI application before the twin's."""

    def __init__(self, app: TwinApp) -> None:
        self.world = app.world
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request of a host."""
        if not _is_signed_for_it(environ):
            answer = refuse_closed()
            headers = [*answer.headers, ("Content-Length", str(len(answer.body))), ("Connection", "close")]
            start_response(f"{answer.status} Refused", headers)
            return [answer.body]
        return self._app(environ, start_response)


def _is_signed_for_it(environ: Mapping[str, Any]) -> bool:
    """Say whether a request carries its own permission: an address that was signed, or a form."""
    if "HTTP_AUTHORIZATION" in environ or str(environ.get("PATH_INFO", "")).startswith(_CLOSED):
        return False
    query = str(environ.get("QUERY_STRING", ""))
    return is_form(environ) or (environ.get("REQUEST_METHOD") in _ASKED and "X-Amz-Signature=" in query)
