"""A real browser without a window, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

__all__ = ["Browser", "open_browser"]

_PATIENCE_S = 90.0
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_DEEP = """
function deep(selector, root = document) {
  const found = [...root.querySelectorAll(selector)];
  for (const item of root.querySelectorAll("*")) {
    if (item.shadowRoot) found.push(...deep(selector, item.shadowRoot));
    if (item.tagName === "IFRAME" && item.contentDocument) found.push(...deep(selector, item.contentDocument));
  }
  return found;
}
"""
"""What is on a page, in the shadow of its elements and in the frames inside it too."""


class Browser:
    """One page of a browser."""

    def __init__(self, address: str) -> None:
        self._line = websocket.create_connection(address, timeout=_PATIENCE_S, suppress_origin=True)
        self._numbers = itertools.count(1)
        self.call("Page.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol."""
        number = next(self._numbers)
        self._line.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._line.recv())
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address: str) -> None:
        """Go to an address; does not wait until everything is loaded."""
        self.call("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression on the page, in which ``deep(selector)`` finds elements."""
        answer = self.call("Runtime.evaluate", expression=_DEEP + expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Wait until an expression is true on the page that is there then, and return its value."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            with contextlib.suppress(AssertionError):  # a page that is just being left
                if found := self.evaluate(expression):
                    return found
            assert time.monotonic() < until, f"never came true: {expression}; the page says: {self.text()[:2000]}"
            time.sleep(0.2)

    def text(self) -> str:
        """Return what can be read on the page."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and let go a key that is no letter."""
        code = {"Enter": 13}[key]
        for kind in ("keyDown", "keyUp"):
            more = {"text": "\r"} if kind == "keyDown" else {}
            modifiers = 8 if shift else 0
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                modifiers=modifiers,
                **more,
            )

    def type(self, text: str) -> None:
        """Type a text where the cursor is."""
        self.call("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """Write what is to be seen as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """End the connection."""
        self._line.close()


@contextlib.contextmanager
def open_browser(profile: Path, *, size: tuple[int, int] = (1200, 800)) -> Iterator[Browser]:
    """Start a browser with an empty profile, lend its page, end it."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no chromium on this machine")
    command = [
        program,
        "--headless=new",
        "--no-sandbox",  # a root user has none; it looks at pages of ours
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
        f"--window-size={size[0]},{size[1]}",
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",
        "about:blank",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as it:
        try:
            page = Browser(_page_address(profile / "DevToolsActivePort"))
            try:
                yield page
            finally:
                with contextlib.suppress(AssertionError):
                    page.call("Browser.close")
                page.close()
        finally:
            try:
                it.wait(20)
            except subprocess.TimeoutExpired:
                it.kill()


def _page_address(told: Path) -> str:
    """Return the address of the browser's first page, which it tells in a file once it listens."""
    until = time.monotonic() + _PATIENCE_S
    while not (told.exists() and told.read_text(encoding="ascii").count("\n")):
        assert time.monotonic() < until, "the browser did not start"
        time.sleep(0.1)
    port, path = told.read_text(encoding="ascii").split()
    line = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=_PATIENCE_S, suppress_origin=True)
    try:
        while True:
            line.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            targets = json.loads(line.recv())["result"]["targetInfos"]
            pages = [target["targetId"] for target in targets if target["type"] == "page"]
            if pages:
                return f"ws://127.0.0.1:{port}/devtools/page/{pages[0]}"
            time.sleep(0.1)
    finally:
        line.close()
