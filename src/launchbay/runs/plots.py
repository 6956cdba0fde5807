"""Pictures of learning curves as PNG, SVG or HTML files."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Literal, TypeAlias

from launchbay.errors import UsageError, UserError
from launchbay.files import explain_os_error, write_atomic
from launchbay.runs.curves import Curves
from launchbay.runs.page import render_page
from launchbay.runs.picture import render_picture

__all__ = ["Kind", "picture_kind", "write_plot"]

Kind: TypeAlias = Literal["png", "svg", "html"]


def picture_kind(path: Path) -> Kind:
    """Tell the kind of a picture from its suffix: .png, .svg or .html. Raises UsageError for any other."""
    match path.suffix.lower():
        case ".png":
            return "png"
        case ".svg":
            return "svg"
        case ".html":
            return "html"
    raise UsageError(
        f"curves can be written as .png, .svg or .html, got {path.name!r}",
        hint="bay curves RUN -o curves.html",
    )


def write_plot(curves: Curves, path: Path) -> None:
    """Write a picture of the loss curves, in one step; the suffix says which kind: .png, .svg or .html.

    An HTML file is complete in itself and needs nothing installed; the others need matplotlib.
    Raises UsageError for another suffix, UserError where matplotlib is missing or the file cannot be written.
    """
    kind = picture_kind(path)
    data = render_page(curves).encode() if kind == "html" else render_picture(curves, kind)
    try:
        write_atomic(path, data)
    except OSError as error:
        raise _explain(error, path) from error


def _explain(error: OSError, path: Path) -> UserError:
    """Name the picture, whatever file on the way to it was refused."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return UserError(f"a file stands in place of the folder while writing {path.name}", where=str(path.parent))
    explained = explain_os_error(error, f"writing {path.name}")
    is_refused = error.errno == errno.EROFS or isinstance(error, PermissionError)
    hint = f"another folder for it: -o ~/{path.name}" if is_refused else explained.hint
    return UserError(explained.what, where=str(path), hint=hint)
