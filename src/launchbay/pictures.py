"""Pictures as files: the kind by the suffix, drawn by matplotlib without a person's own settings, written in one step."""

from __future__ import annotations

import errno
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from launchbay.errors import UsageError, UserError
from launchbay.files import explain_os_error, write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DRAWING_HINT", "INK", "SOFT", "Kind", "check_drawing", "draw", "picture_kind", "write_output"]

Kind: TypeAlias = Literal["png", "svg", "html"]

DRAWING_HINT = "pip install 'launchbay[plot]'"
INK, SOFT = "#1c2330", "#4a5160"
_STYLE: Any = {
    "svg.hashsalt": "launchbay",  # equal values make equal files
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa1ab",
    "axes.labelcolor": SOFT,
    "xtick.color": "#6b7280",
    "ytick.color": "#6b7280",
    "grid.color": "#e5e8ec",
    "font.size": 10.5,
    "text.parse_math": False,  # a dollar sign is a dollar sign
}


def picture_kind(path: Path, *, what: str, hint: str) -> Kind:
    """Tell the kind of a picture of `what` from its suffix: .png, .svg or .html. Raises UsageError for any other."""
    match path.suffix.lower():
        case ".png":
            return "png"
        case ".svg":
            return "svg"
        case ".html":
            return "html"
    raise UsageError(f"{what} can be written as .png, .svg or .html, got {path.name!r}", hint=hint)


def check_drawing(kind: Kind, *, hint: str) -> None:
    """Raise UserError where matplotlib is missing: before the work on what is to be drawn, not after."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UserError(f"a .{kind} picture needs matplotlib, which is not installed", hint=hint) from error


def draw(
    kind: Literal["png", "svg"], size: tuple[float, float], paint: Callable[[Figure], None], *, hint: str
) -> bytes:
    """Return a figure of (width, height) inches as "png" or "svg". Raises UserError where matplotlib is missing."""
    check_drawing(kind, hint=hint)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()  # whatever a matplotlibrc of the person's says
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=size, dpi=160)
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*missing from font")  # a name in a script that the font lacks
            paint(figure)
            figure.savefig(stream, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return stream.getvalue()


def write_output(data: bytes, path: Path) -> None:
    """Write what a person asked for with ``-o``, in one step. Raises UserError where the file cannot be written."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise _explain(error, path) from error


def _explain(error: OSError, path: Path) -> UserError:
    """Name what was asked for, whatever file on the way to it was refused."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return UserError(f"a file stands in place of the folder while writing {path.name}", where=str(path.parent))
    explained = explain_os_error(error, f"writing {path.name}")
    is_refused = error.errno == errno.EROFS or isinstance(error, PermissionError)
    hint = f"another folder for it: -o ~/{path.name}" if is_refused else explained.hint
    return UserError(explained.what, where=str(path), hint=hint)
