"""What was baked, as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from launchbay.cli import render
from launchbay.lifecycle.bake import Baked
from tests.cli.test_render import IMAGE


def test_what_was_baked() -> None:
    baked = Baked(
        name="mine",
        instance="exp-1",
        extends="tensorflow",
        image=replace(IMAGE, name="mine"),
        recipe=Path("/here/mine.yaml"),
        lock=Path("/here/mine.lock"),
        added={"seaborn": "0.13.2", "numpy": "2.4.7"},
        replaced={"numpy": "2.4.6"},
        removed={"keras": "3.15.0"},
        as_files={"local": "1.0"},
        files=["lib/a.py", "lib/b.py"],
        system=["libgl1"],
        left={},
        differences=[],
        same=True,
        packages=1,
        compared=2,
    )
    assert render.baked_text(baked).splitlines() == [
        "mine: the same as exp-1: 1 package, 2 files compared",
        "  image     mine 0123456789ab, extends tensorflow",
        "  recipe    /here/mine.yaml",
        "  lock      /here/mine.lock",
        "  added     numpy 2.4.7 (instead of 2.4.6)",
        "            seaborn 0.13.2",
        "  removed   keras 3.15.0",
        "  as files  local 1.0 (not from an index)",
        "  files     lib/a.py",
        "            lib/b.py",
        "  system    libgl1",
        "  not taken exp-1's home and work folder (`bay cp` copies them)",
        "  next      bay launch /here/mine.yaml",
    ]
    lines = render.baked_text(replace(baked, same=False, left={"x": "is no file"}, differences=["y"])).splitlines()
    assert lines[0] == "mine: NOT the same as exp-1"
    assert lines[-4:-2] == ["  left      x is no file", "  differs   y"]
