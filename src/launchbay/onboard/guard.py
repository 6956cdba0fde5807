"""Let nobody at a web application but whoever holds its token: it stands in the same process, so no port goes round it."""

from __future__ import annotations

import hashlib
import hmac
import html
import urllib.parse

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    _Environ = dict[str, Any]
    _Start = Callable[..., Any]

__all__ = ["LOGIN", "Guard"]

LOGIN = "/login"
"""Where the token is given: a form's field ``token``."""

_LONGEST_FORM = 4096
_HOSTS = ("127.0.0.1", "localhost", "::1")
_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Connection", "close"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
]
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<body style="font-family: sans-serif; margin: 4em auto; max-width: 32em"><h1>{title}</h1>
<p>{words}</p><form method="post" action="{login}"><input type="password" name="token" autofocus
autocomplete="off" size="40" aria-label="token"> <button>Sign in</button></form></body></html>
"""
_WELCOME = """<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/">"""
"""A page and no redirect: to the browser it is our own page that leads on, and it sends the strict cookie along."""


class Guard:
    """A WSGI application before another: a cookie after signing in, or ``Authorization: Bearer TOKEN``.

    The token is never taken from an address, where it would stay in a history or a log. A request must name a host
    of this machine: a foreign name that was made to lead here (DNS rebinding) is refused.
    """

    def __init__(self, application: Callable[[_Environ, _Start], Iterable[bytes]], token: str, title: str) -> None:
        self.application = application
        self.title = title
        self.token = token.encode()
        # a browser sends cookies to every port of a host: what it keeps is not the token, and is named for this board
        self.pass_word = hmac.new(self.token, b"launchbay board", hashlib.sha256).hexdigest().encode()
        self.cookie = "launchbay-" + hashlib.sha256(self.pass_word).hexdigest()[:12]

    def __call__(self, environ: _Environ, start_response: _Start) -> Iterable[bytes]:
        """Pass a request on, or answer it with the page to sign in."""
        if _host(environ) not in _HOSTS:
            return self._answer(start_response, "403 Forbidden", "This host name is not one of this machine.")
        if environ.get("PATH_INFO") == LOGIN and environ.get("REQUEST_METHOD") == "POST":
            return self._sign_in(environ, start_response)
        if self._is_known(environ):
            return self.application(environ, start_response)
        return self._refuse(start_response, "Paste the token of this board.")

    def _sign_in(self, environ: _Environ, start_response: _Start) -> Iterable[bytes]:
        if not _same(_form_token(environ), self.token):
            return self._refuse(start_response, "That is not the token of this board.")
        cookie = "{}={}; HttpOnly; SameSite=Strict; Path=/".format(self.cookie, self.pass_word.decode())
        return self._answer(start_response, "200 OK", _WELCOME, [("Set-Cookie", cookie)])

    def _is_known(self, environ: _Environ) -> bool:
        scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip().encode("latin-1", "replace"), self.token):
            return True
        pairs = (pair.strip().partition("=") for pair in environ.get("HTTP_COOKIE", "").split(";"))
        return any(
            name == self.cookie and _same(value.encode("latin-1", "replace"), self.pass_word)
            for name, _, value in pairs
        )

    def _refuse(self, start_response: _Start, words: str) -> Iterable[bytes]:
        page = _PAGE.format(title=html.escape(self.title), words=html.escape(words), login=LOGIN)
        return self._answer(start_response, "401 Unauthorized", page)

    def _answer(
        self, start_response: _Start, status: str, page: str, more: list[tuple[str, str]] | None = None
    ) -> Iterable[bytes]:
        body = page.encode()
        length = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response(status, [*length, *_HEADERS, *(more or [])])
        return [body]


def _host(environ: _Environ) -> str:
    """Return the host that the request names, without its port: through a tunnel that is another one."""
    host: str = environ.get("HTTP_HOST", "").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _form_token(environ: _Environ) -> bytes:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return b""
    if not 0 < length <= _LONGEST_FORM:
        return b""
    body: bytes = environ["wsgi.input"].read(length)
    form = urllib.parse.parse_qs(body.decode("latin-1"))
    return form.get("token", [""])[0].strip().encode("latin-1", "replace")


def _same(given: bytes, wanted: bytes) -> bool:
    return hmac.compare_digest(given, wanted)
