"""Pictures of learning curves as PNG, SVG or HTML files."""

from __future__ import annotations

from pathlib import Path

from launchbay.errors import UsageError
from launchbay.files import explain_os_error, write_atomic
from launchbay.runs.curves import Curves
from launchbay.runs.page import render_page
from launchbay.runs.picture import render_picture

__all__ = ["write_plot"]


def write_plot(curves: Curves, path: Path) -> None:
    """Write a picture of the loss curves, in one step; the suffix says which kind: .png, .svg or .html.

    An HTML file is complete in itself and needs nothing installed; the others need matplotlib.
    Raises UsageError for another suffix, UserError where matplotlib is missing or the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind == ".html":
        data = render_page(curves).encode()
    elif kind in (".png", ".svg"):
        data = render_picture(curves, kind[1:])
    else:
        raise UsageError(
            f"curves can be written as .png, .svg or .html, got {path.name!r}",
            hint="bay curves RUN -o curves.html",
        )
    try:
        write_atomic(path, data)
    except OSError as error:
        raise explain_os_error(error, f"writing {path}") from error
