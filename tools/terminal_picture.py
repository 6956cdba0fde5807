"""Turn what a terminal showed into a picture for the README.

    tmux capture-pane -e -p -S - | .venv/bin/python tools/terminal_picture.py docs/images/demo.svg "make demo"

Reads text with colour codes from stdin and writes one self-contained SVG: no script, and no font from elsewhere.
"""

from __future__ import annotations

import re
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

__all__ = ["main", "picture"]

WIDTH = 104


def picture(text: str, title: str) -> str:
    """Return an SVG of the text as a terminal would show it."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text.rstrip("\n")), no_wrap=True, crop=True, overflow="crop")
    svg = console.export_svg(title=title)
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"font-family:\s*Fira Code[^;]*;", "font-family: ui-monospace, Menlo, Consolas, monospace;", svg)


def main(arguments: list[str]) -> None:
    """Write the picture."""
    target = Path(arguments[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(picture(sys.stdin.read(), arguments[1]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
