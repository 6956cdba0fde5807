"""Pages that sign a person in: private files that a browser is given in place of an address with a token in it.

What a browser is started with can be seen by everybody on the machine, in the list of its processes; a file's path is
no secret, and the file can be read by its owner alone.
"""

from __future__ import annotations

import html
import os
import webbrowser
from collections.abc import Mapping
from pathlib import Path

__all__ = ["form_page", "is_there_a_browser", "leading_page", "open_page"]

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<title>Signing in</title>{body}</html>
"""


def form_page(address: str, token: str) -> str:
    """Return a page that posts a token to a form as soon as it is opened."""
    field = f'<input type="hidden" name="token" value="{html.escape(token)}">'
    form = f'<form method="post" action="{html.escape(address)}">{field}<button>Sign in</button></form>'
    return _PAGE.format(body=f"{form}<script>document.forms[0].submit()</script>")


def leading_page(address: str, token: str) -> str:
    """Return a page that leads to an address with the token in it, for a server that takes no other way in."""
    target = html.escape(f"{address}?token={token}")
    return _PAGE.format(body=f'<meta http-equiv="refresh" content="0; url={target}"><a href="{target}">Sign in</a>')


def is_there_a_browser(environ: Mapping[str, str]) -> bool:
    """Say whether a browser has a screen to appear on: one inside the terminal would take it from the person."""
    return (
        any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")) or os.uname().sysname == "Darwin"
    )


def open_page(page: Path) -> bool:
    """Open a page in the person's browser; say whether there was one that took it."""
    return webbrowser.open(page.as_uri())
