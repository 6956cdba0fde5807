"""What `bay init` writes: a small project that trains as it is."""

from __future__ import annotations

from launchbay.scaffold.generator import generate_rows
from launchbay.scaffold.project import write_project
from launchbay.scaffold.splits import Splits, find_splits

__all__ = ["Splits", "find_splits", "generate_rows", "write_project"]
