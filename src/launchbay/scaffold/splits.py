"""Finding the training, validation and test data in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import NotFound, UsageError

__all__ = ["Splits", "find_splits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The three CSV files of an experiment."""

    train: Path
    validation: Path
    test: Path


def find_splits(folder: Path) -> Splits:
    """Return the one train*, the one val* and the one test* CSV file of a folder, whatever the letters' case.

    Raises NotFound when the folder or one of the three is missing, UsageError when there are several.
    """
    if not folder.is_dir():
        raise NotFound("there is no such folder", where=str(folder), hint="--data DIR")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    return Splits(
        train=_only("train", files, folder), validation=_only("val", files, folder), test=_only("test", files, folder)
    )


def _only(prefix: str, files: list[Path], folder: Path) -> Path:
    found = [path for path in files if path.name.lower().startswith(prefix)]
    if not found:
        held = ", ".join(path.name for path in files[:5]) or "no CSV file"
        raise NotFound(
            f"there is no {prefix}*.csv; the folder holds {held}",
            where=str(folder),
            hint="three files: train*.csv, val*.csv, test*.csv",
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UsageError(
            f"expected one {prefix}*.csv, got {len(found)}: {names}",
            where=str(folder),
            hint="keep one of them in the folder",
        )
    return found[0]
