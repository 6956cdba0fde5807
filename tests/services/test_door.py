"""The pages that sign a person in, and whether there is a browser to give them to."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from launchbay.services.door import form_page, is_there_a_browser, leading_page, open_page


def test_a_token_of_any_letters_stays_one() -> None:
    page = form_page("http://127.0.0.1:1/login", '"><script>')
    assert 'value="&quot;&gt;&lt;script&gt;"' in page
    assert 'content="0; url=http://127.0.0.1:1/lab?token=a-b_c"' in leading_page("http://127.0.0.1:1/lab", "a-b_c")


@pytest.mark.skipif(sys.platform == "darwin", reason="there is always one")
def test_a_browser_needs_a_screen() -> None:
    assert not is_there_a_browser({"PATH": "/usr/bin"})
    assert is_there_a_browser({"DISPLAY": ":0"})
    assert is_there_a_browser({"WAYLAND_DISPLAY": "wayland-0"})


def test_a_browser_is_given_a_path_and_no_token(tmp_path: Path) -> None:
    """In a process of its own: Python looks for browsers once."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$*" > {tmp_path}/told\n', encoding="utf-8")
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    page = tmp_path / "open.html"
    page.write_text(form_page("http://127.0.0.1:1/login", "the-token"), encoding="utf-8")
    pid = os.fork()
    if pid == 0:
        os.environ["BROWSER"] = str(browser)
        os._exit(0 if open_page(page) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "told").read_text(encoding="utf-8") == page.as_uri()
