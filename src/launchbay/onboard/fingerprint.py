"""What this instance measurably is: Python, packages and files of its own layer, variables, data, kernel, driver, GPUs.

Runs under the instance's own Python, so a replaced or foreign interpreter shows itself. Costs milliseconds: the image
under a layer is hashed once for all its instances, by `content`.
"""

from __future__ import annotations

import os
import sys

from .prints import fingerprint_path, list_packages
from .program import hash_program, read_program
from .settings import changed_variables, read_settings
from .workdata import print_data

TYPE_CHECKING = False  # `typing` itself would cost a tenth of a fingerprint
if TYPE_CHECKING:
    from typing import Any, Sequence

__all__ = ["list_added", "list_files", "run"]

_PROGRAM = os.path.dirname(
    os.path.dirname(os.path.abspath(__file__))
)  # where Python found us, which is not the instance's


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Return the fingerprint.

    The request names the instance's root folder, the folders with what it has written, by where they lie in its
    environments, the names of those (none for one alone), and the environment of the image. It may say which GPUs the
    driver shows, where the same driver has been asked a moment ago: that takes long. `given` are the variables that it
    was started with, `covered` the image's environments that it sees as its own; `filled` asks for what people fill too:
    the settings in its home, and its data.
    """
    root, image = request["root"], request.get("image", "")
    folders = request.get("folders") or {"": os.path.join(root, "env")}
    environments = request.get("environments") or [""]
    swap = [(os.path.realpath(root), "<instance>"), (root, "<instance>"), (image, "<image>")]
    return {
        "python": {
            "version": sys.version,
            "implementation": sys.implementation.name,
            "base": os.path.realpath(sys.base_prefix),
            "executable": os.path.realpath(sys.executable),
        },
        "path": [_swap(entry, swap) for entry in sys.path if entry != _PROGRAM],
        "layer": {
            **{prefix or ".": fingerprint_path(folder) for prefix, folder in folders.items() if os.path.islink(folder)},
            **_replaced(folders[""], request.get("covered") or {}),
            **{
                os.path.join(prefix, path): value
                for prefix, folder in folders.items()
                for path, value in list_files(folder, environments).items()
            },
        },
        "packages": list_added(folders[""], environments),
        "variables": changed_variables(request["given"]) if "given" in request else {},
        "home": read_settings(os.path.join(root, "home")) if request.get("filled") else {},
        "data": print_data(os.path.join(root, "work", "data"), root) if request.get("filled") else {},
        "kernel": "{0.sysname} {0.release} {0.machine}".format(os.uname()),
        "driver": _first_line("/proc/driver/nvidia/version"),
        "gpus": _gpus() if request.get("gpus") is None else request["gpus"],
        "onboard": hash_program(read_program()),
    }


def _swap(text: str, pairs: list[tuple[str, str]]) -> str:
    for found, replacement in pairs:
        if found and text.startswith(found):
            return replacement + text[len(found) :]
    return text


def list_files(written: str, environments: Sequence[str] = ("",)) -> dict[str, str]:
    """Every file of the layer by hash; compiled modules left out, Python makes those by itself."""
    entries = {}
    locks = {os.path.normpath(os.path.join(written, name, ".lock")) for name in environments}
    for parent, folders, files in os.walk(written):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files + [name for name in folders if os.path.islink(os.path.join(parent, name))]:
            path = os.path.join(parent, name)
            if name == "__pycache__":
                continue  # a mark of an overlay's, that those of the image are gone
            if path in locks:
                continue  # uv leaves it behind; it holds nothing
            try:
                entries[os.path.relpath(path, written)] = fingerprint_path(path)
            except FileNotFoundError:  # somebody is at work in it just now
                continue
            except PermissionError:
                entries[os.path.relpath(path, written)] = "unreadable"
    return entries


def _replaced(written: str, covered: dict[str, str]) -> dict[str, str]:
    """Compiled modules of the image, by hash, in whose place others lie although their sources do not.

    Python does not do that by itself, and takes them for the sources' own.
    """
    entries = {}
    for part, image in covered.items():
        top = os.path.join(written, part)
        for parent, _, files in os.walk(top):
            for name in files if os.path.basename(parent) == "__pycache__" else ():
                path = os.path.join(parent, name)
                below = os.path.join(image, os.path.relpath(path, top))
                source = os.path.join(os.path.dirname(parent), name.split(".")[0] + ".py")
                if os.path.isfile(path) and os.path.isfile(below) and not os.path.lexists(source):
                    now = fingerprint_path(path)
                    if now != fingerprint_path(below):
                        entries[os.path.join(part, os.path.relpath(path, top))] = now
    return entries


def list_added(folder: str, environments: list[str]) -> dict[str, str]:
    """Name -> version of what was installed; among several environments the name begins with the folder of its own."""
    found: dict[str, str] = {}
    for environment in environments:
        lib = os.path.join(folder, environment, "lib")
        for name in os.listdir(lib) if os.path.isdir(lib) else []:
            site_packages = os.path.join(lib, name, "site-packages")
            if os.path.isdir(site_packages):
                own = list_packages(site_packages).items()
                found.update((os.path.join(environment, package), version) for package, version in own)
    return found


def _first_line(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return None


def _gpus() -> list[str]:
    """Return the GPUs that the driver shows; the framework's own view takes an import and is asked for apart, by `probe`."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        tool = os.path.join(folder, "nvidia-smi")
        if os.access(tool, os.X_OK):
            import subprocess  # 5 ms, and few machines need it

            try:
                done = subprocess.run(
                    [tool, "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20, check=False
                )
            except (OSError, subprocess.TimeoutExpired):
                return []
            lines = done.stdout.decode(errors="replace").splitlines()
            return [line.strip() for line in lines if line.startswith("GPU ")]
    return []
