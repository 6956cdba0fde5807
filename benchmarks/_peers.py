"""The other ways to twenty environments, each as quick as somebody who knows it well would make it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._place import Place
from benchmarks._timing import CommandFailed, Sample, Unavailable, measure
from launchbay.images.image import Image
from launchbay.images.uv import find_uv

__all__ = ["Peers"]

_MOUNT = """
set -e
base=$1 top=$2 count=$3 options=$4
i=1
set --
while [ $i -le $count ]; do set -- "$@" "$top/$i/upper" "$top/$i/work" "$top/$i/root"; i=$((i + 1)); done
mkdir -p "$@"
i=1
while [ $i -le $count ]; do
  mount -t overlay overlay -o "lowerdir=$base,upperdir=$top/$i/upper,workdir=$top/$i/work$options" "$top/$i/root"
  i=$((i + 1))
done
test -e "$top/$count/root/bin/python"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Methods for one image. Each is given the number of its round and returns what it took."""

    place: Place
    image: Image
    count: int

    def _new(self, kind: str, number: int) -> Path:
        folder = self.place.scratch / f"{kind}-{number}"
        folder.mkdir()
        return folder

    # --- venv ---------------------------------------------------------------------------------------------------

    def venvs(self, number: int) -> Sample:
        """Make all in one process, without a pip of their own: they see the image's."""
        python, folder = self._private_python(), self._new("venvs", number)
        targets = [folder / str(index) for index in range(self.count)]
        took = self._measure([python, "-m", "venv", "--system-site-packages", "--without-pip", *targets])
        if number == 0:
            self._check_sees_image(targets[-1] / "bin" / "python")
        return took

    def venv_with_pip(self, number: int) -> Sample:
        """Make one as the command is mostly typed."""
        python, folder = self._private_python(), self._new("venv", number)
        return self._measure([python, "-m", "venv", "--system-site-packages", folder / "env"])

    def _private_python(self) -> Path:
        """Return an interpreter whose own packages are the image's: a copy of it on the same standard library.

        The image is a virtual environment itself, and one made from it would see the packages of its base instead.
        """
        prefix = self.place.scratch / "private"
        python = prefix / "bin" / f"python{self.image.python}"
        if python.exists():
            return python
        original = Path(os.path.realpath(self.image.python_path))
        asked = "import sysconfig; print(sysconfig.get_path('stdlib'))"
        library = Path(
            subprocess.run([original, "-Ic", asked], capture_output=True, text=True, check=True).stdout.strip()
        )
        ours = prefix / "lib" / f"python{self.image.python}"
        ours.mkdir(parents=True)
        for entry in library.iterdir():
            if entry.name not in ("site-packages", "dist-packages", "__pycache__"):
                (ours / entry.name).symlink_to(entry)
        (ours / "site-packages").symlink_to(self.image.site_packages)
        debian = prefix / "lib" / "python3" / "dist-packages"  # where Debian's Python looks instead
        debian.parent.mkdir()
        debian.symlink_to(self.image.site_packages)
        python.parent.mkdir()
        shutil.copy2(original, python)
        return python

    def _check_sees_image(self, python: Path) -> None:
        """Raise Unavailable unless the environment has the image's packages: without them it would be quick for nothing."""
        command: list[str | Path] = [python, "-c", "import os, pip; print(os.path.realpath(pip.__file__))"]
        done = subprocess.run(command, env=self.place.environ, capture_output=True, text=True, check=False)
        if not done.stdout.startswith(os.path.realpath(self.image.site_packages)):
            raise Unavailable(f"such an environment does not see the image's packages: {done.stdout}{done.stderr}")

    # --- overlay mounts -----------------------------------------------------------------------------------------

    def overlays(self, number: int) -> Sample:
        """Mount all in a namespace of its own, which takes the mounts along when its process ends."""
        unshare = shutil.which("unshare")
        if unshare is None:
            raise Unavailable("there is no `unshare` (util-linux) on this machine")
        is_root = os.geteuid() == 0
        namespace = [unshare, "--mount"] if is_root else [unshare, "--user", "--map-root-user", "--mount"]
        arguments = [self.image.environment.resolve(), self._new("overlays", number), self.count]
        options = "" if is_root else ",userxattr"
        try:
            return self._measure([*namespace, "sh", "-c", _MOUNT, "sh", *map(str, arguments), options])
        except CommandFailed as error:
            kind = "as root" if is_root else "in a user namespace"
            raise Unavailable(f"overlay mounts are not allowed {kind} here: {error}") from error

    # --- uv and pip ---------------------------------------------------------------------------------------------

    def uv(self, number: int) -> Sample:
        """Make one from the image's lock with hard links to uv's cache; the first round fills the cache."""
        folder = self._new("uv", number)
        base = os.path.realpath(self.image.python_path)
        uv = [find_uv(), *(["--offline"] if number else [])]
        made = self._measure([*uv, "venv", "--quiet", "--no-project", "--python", base, folder / "env"])
        options: list[str | Path] = [
            "--quiet",
            "--require-hashes",
            "--link-mode",
            "hardlink",
            "--python",
            folder / "env" / "bin" / "python",
        ]
        return made + self._measure([*uv, "pip", "sync", *options, self.image.folder / "lock.txt"])

    def pip(self) -> Sample:
        """Make one with pip from a local folder of wheels, which is filled (untimed) the first time; minutes."""
        wheels = self._wheelhouse()
        base, folder = os.path.realpath(self.image.python_path), self._new("pip", 0)
        made = self._measure([base, "-m", "venv", folder / "env"])
        python = folder / "env" / "bin" / "python"
        install: list[str | Path] = [
            python,
            "-m",
            "pip",
            "--isolated",
            "install",
            "--quiet",
            "--no-index",
            "--find-links",
            wheels,
        ]
        return made + self._measure([*install, "--require-hashes", "-r", self.image.folder / "lock.txt"])

    def _wheelhouse(self) -> Path:
        wheels = self.place.home.root / "wheels" / self.image.digest[:16]
        if not wheels.exists():
            print(f"  downloading the wheels of {self.image.name} for pip, once", flush=True)
            draft = self.place.scratch / "wheels"
            command: list[str | Path] = [
                self.image.python_path,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                draft,
            ]
            environ = {**self.place.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # the image is sealed
            try:
                measure([*command, "--require-hashes", "-r", self.image.folder / "lock.txt"], environ=environ)
            except CommandFailed as error:
                raise Unavailable(f"the wheels could not be downloaded: {error}") from error
            wheels.parent.mkdir(exist_ok=True)
            draft.rename(wheels)
        return wheels

    def _measure(self, argv: Sequence[str | Path]) -> Sample:
        return measure(argv, environ=self.place.environ)
