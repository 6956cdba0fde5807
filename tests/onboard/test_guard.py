"""Who is let at a web application, without a server: WSGI is a function that is called."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from launchbay.onboard.guard import Guard

TOKEN = "a-token-that-nobody-guesses"
SECRET = [b"the data"]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    assert environ
    start_response("200 OK", [])
    return SECRET


def ask(
    path: str = "/data", *, form: bytes | None = None, token: str = TOKEN, **more: str
) -> tuple[str, dict[str, str], bytes]:
    said: list[Any] = []
    environ = {
        "PATH_INFO": path,
        "REQUEST_METHOD": "GET" if form is None else "POST",
        "HTTP_HOST": "127.0.0.1:6006",
        "CONTENT_LENGTH": str(len(form or b"")),
        "wsgi.input": io.BytesIO(form or b""),
        **more,
    }
    body = b"".join(Guard(application, token, "Board <1>")(environ, lambda *items: said.extend(items)))
    return said[0], dict(said[1]), body


def is_let_in(**more: str) -> bool:
    status, _, body = ask("/data", form=None, token=TOKEN, **more)
    assert (status == "200 OK") == (body == SECRET[0])
    return status == "200 OK"


def test_a_stranger_gets_a_form_and_nothing_else() -> None:
    status, headers, body = ask()
    assert status == "401 Unauthorized"
    assert b"<form" in body
    assert b"Board &lt;1&gt;" in body
    assert TOKEN.encode() not in body
    assert headers["Cache-Control"] == "no-store"


def test_signing_in_gives_a_cookie_that_is_not_the_token() -> None:
    status, headers, body = ask("/login", form=f"token={TOKEN}".encode())
    cookie = headers["Set-Cookie"]
    assert status == "200 OK"
    assert b"refresh" in body
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert is_let_in(HTTP_COOKIE=f"other=1; {cookie.partition(';')[0]}")


def test_a_cookie_of_another_board_opens_nothing() -> None:
    _, headers, _ = ask("/login", form=b"token=another", token="another")
    assert not is_let_in(HTTP_COOKIE=headers["Set-Cookie"].partition(";")[0])


def test_a_header_for_programs() -> None:
    assert is_let_in(HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
    assert is_let_in(HTTP_AUTHORIZATION=f"bearer  {TOKEN} ")
    for wrong in (f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", TOKEN, "Bearer \xff"):
        assert not is_let_in(HTTP_AUTHORIZATION=wrong)


@pytest.mark.parametrize(
    "form", [b"", b"token=", b"token=wrong", b"token=\xff", b"other=1", b"token=" + b"a" * 10_000, b"=&=&token"]
)
def test_a_wrong_form_is_refused(form: bytes) -> None:
    status, headers, _ = ask("/login", form=form)
    assert status == "401 Unauthorized"
    assert "Set-Cookie" not in headers


def test_a_token_in_the_address_opens_nothing() -> None:
    assert not is_let_in(QUERY_STRING=f"token={TOKEN}")


def test_a_length_that_is_none() -> None:
    assert ask("/login", form=f"token={TOKEN}".encode(), CONTENT_LENGTH="x")[0] == "401 Unauthorized"
    assert ask("/login", form=f"token={TOKEN}".encode(), CONTENT_LENGTH="-1")[0] == "401 Unauthorized"


@pytest.mark.parametrize("host", ["127.0.0.1:6006", "localhost:7777", "LOCALHOST", "[::1]:6006"])
def test_names_of_this_machine(host: str) -> None:
    assert is_let_in(HTTP_HOST=host, HTTP_AUTHORIZATION=f"Bearer {TOKEN}")


@pytest.mark.parametrize("host", ["evil.example:6006", "127.0.0.1.evil.example", "", "localhost.evil", "[::2]:6006"])
def test_a_foreign_name_is_refused_even_with_the_token(host: str) -> None:
    assert ask(HTTP_HOST=host, HTTP_AUTHORIZATION=f"Bearer {TOKEN}")[0] == "403 Forbidden"
    assert ask("/login", form=f"token={TOKEN}".encode(), HTTP_HOST=host)[0] == "403 Forbidden"
