"""An instance on an image of the index on loopback, worked in and baked."""

from __future__ import annotations

from pathlib import Path

from launchbay.images.uv import find_uv
from launchbay.lifecycle.bake import Baked, bake_instance
from launchbay.lifecycle.bay import Bay, connect
from launchbay.lifecycle.launch import launch_fleet
from launchbay.planning.fleet import Instance

__all__ = ["PACKAGES", "Site"]

PACKAGES = "lib/python3.11/site-packages"


class Site:
    """An instance on an image of the index, and a folder to bake into."""

    def __init__(self, bay: Bay, folder: Path) -> None:
        self.bay = bay
        self.folder = folder
        self.layer = "layer"

    def launch(self, reference: str, name: str = "exp") -> Instance:
        launch_fleet(self.bay, reference, count=1, name=name, layer=self.layer)
        return self.instance(name)

    def instance(self, name: str = "exp") -> Instance:
        return next(item for item in self.bay.provider.observe() if item.fleet == name)

    def run(self, *command: str, name: str = "exp") -> str:
        done = connect(self.bay, self.instance(name)).run(command)
        assert done.code == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def uv(self, verb: str, *arguments: str) -> None:
        python = str(self.instance().root / "env" / "bin" / "python")
        self.run(find_uv(), "pip", verb, "--python", python, *arguments)

    def write(self, path: str, text: str, mode: str = "644") -> None:
        target = self.instance().root / "env" / path
        self.run(
            "sh", "-c", 'mkdir -p "${1%/*}" && printf %s "$2" > "$1" && chmod "$3" "$1"', "sh", str(target), text, mode
        )

    def bake(self, **options: object) -> Baked:
        return bake_instance(self.bay, "exp", output=self.folder, **options)  # type: ignore[arg-type]
