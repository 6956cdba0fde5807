"""Pictures of learning curves as PNG, SVG or HTML files."""

from __future__ import annotations

from pathlib import Path

from launchbay.pictures import Kind, picture_kind, write_output
from launchbay.runs.curves import Curves
from launchbay.runs.page import render_page
from launchbay.runs.picture import render_picture

__all__ = ["kind_of_plot", "write_plot"]


def kind_of_plot(path: Path) -> Kind:
    """Tell the kind of a picture from its suffix: .png, .svg or .html. Raises UsageError for any other."""
    return picture_kind(path, what="curves", hint="bay curves RUN -o curves.html")


def write_plot(curves: Curves, path: Path) -> None:
    """Write a picture of the loss curves, in one step; the suffix says which kind: .png, .svg or .html.

    An HTML file is complete in itself and needs nothing installed; the others need matplotlib.
    Raises UsageError for another suffix, UserError where matplotlib is missing or the file cannot be written.
    """
    kind = kind_of_plot(path)
    write_output(render_page(curves).encode() if kind == "html" else render_picture(curves, kind), path)
