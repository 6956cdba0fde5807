"""Writing a new project into a folder, all of it or nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from launchbay.errors import Conflict
from launchbay.files import explain_os_error
from launchbay.scaffold.generator import generate_tables
from launchbay.spec.names import suggest_name

__all__ = ["write_project"]


def write_project(folder: Path, *, image: str = "tensorflow") -> list[Path]:
    """Write bay.yaml, train.py and data/ into a folder, which is made if it is missing; return what was written.

    Raises Conflict naming the files that are there already, UserError when the disk refuses; either way the folder
    is as it was.
    """
    contents = _contents(folder, image)
    taken = [str(path) for path in contents if path.exists() or path.is_symlink()]
    if taken:
        raise Conflict(
            f"would overwrite {', '.join(taken)}", where=str(folder), hint="bay init NEW-FOLDER, or move them away"
        )
    try:
        with contextlib.ExitStack() as undo:
            for path, text in contents.items():
                _make_folder(path.parent, undo)
                with path.open("x", encoding="utf-8", newline="\n") as file:
                    undo.callback(path.unlink, missing_ok=True)
                    file.write(text)
            undo.pop_all()
    except FileExistsError as error:
        raise Conflict(f"{error.filename} appeared while the project was written", where=str(folder)) from error
    except OSError as error:
        raise explain_os_error(error, "writing the project") from error
    return list(contents)


def _contents(folder: Path, image: str) -> Mapping[Path, str]:
    files = resources.files("launchbay.scaffold") / "files"
    settings = Template((files / "bay.yaml").read_text(encoding="utf-8"))
    name = suggest_name(folder.absolute().name)
    return {
        folder / "bay.yaml": settings.substitute(name=name, image=json.dumps(image, ensure_ascii=False)),
        folder / "train.py": (files / "train.py").read_text(encoding="utf-8"),
        **{folder / "data" / f"{split}.csv": text for split, text in generate_tables().items()},
    }


def _make_folder(folder: Path, undo: contextlib.ExitStack) -> None:
    """Make a folder with those above it; `undo` removes the ones that were missing."""
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        path.mkdir()
        undo.callback(_remove_empty, path)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # somebody else has put something there: it stays
        folder.rmdir()
