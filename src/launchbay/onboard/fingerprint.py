"""What this instance measurably is: Python, packages and files of its own layer, kernel, driver, GPUs.

Runs under the instance's own Python, so a replaced or foreign interpreter shows itself. Costs milliseconds: the image
under a layer is hashed once for all its instances, by `content`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any, Dict, List, Optional, Tuple

from . import content

__all__ = ["run"]


def run(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return the fingerprint. The request names the layer's root folder and the image's environment."""
    root, image = request["root"], request.get("image", "")
    swap = [(os.path.realpath(root), "<instance>"), (root, "<instance>"), (image, "<image>")]
    return {
        "python": {
            "version": sys.version,
            "implementation": sys.implementation.name,
            "base": os.path.realpath(sys.base_prefix),
            "executable": os.path.realpath(sys.executable),
        },
        "path": [_swap(entry, swap) for entry in sys.path if not entry.endswith(".pyz")],
        "layer": _layer(os.path.join(root, "env")),
        "packages": _packages(root),
        "kernel": " ".join((os.uname().sysname, os.uname().release, os.uname().machine)),
        "driver": _first_line("/proc/driver/nvidia/version"),
        "gpus": _gpus(),
        "onboard": _own_hash(),
    }


def _swap(text: str, pairs: List[Tuple[str, str]]) -> str:
    for found, replacement in pairs:
        if found and text.startswith(found):
            return replacement + text[len(found):]
    return text


def _layer(environment: str) -> Dict[str, str]:
    """Every file of the layer by hash; compiled modules left out, Python makes those by itself."""
    entries = {}
    for parent, folders, files in os.walk(environment):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files + [name for name in folders if os.path.islink(os.path.join(parent, name))]:
            path = os.path.join(parent, name)
            entries[os.path.relpath(path, environment)] = content.fingerprint_path(path)
    return entries


def _packages(root: str) -> Dict[str, str]:
    lib = os.path.join(root, "env", "lib")
    found = {}
    for name in os.listdir(lib) if os.path.isdir(lib) else []:
        site_packages = os.path.join(lib, name, "site-packages")
        if os.path.isdir(site_packages):
            found.update(content.list_packages(site_packages))
    return found


def _first_line(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return None


def _gpus() -> List[str]:
    """The GPUs that the driver shows; the framework's own view takes an import and is asked for apart, by `probe`."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        tool = os.path.join(folder, "nvidia-smi")
        if os.access(tool, os.X_OK):
            try:
                done = subprocess.run([tool, "-L"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20, check=False)
            except (OSError, subprocess.TimeoutExpired):
                return []
            lines = done.stdout.decode(errors="replace").splitlines()
            return [line.strip() for line in lines if line.startswith("GPU ")]
    return []


def _own_hash() -> Optional[str]:
    path = sys.argv[0]
    if not os.path.isfile(path) or not path.endswith(".pyz"):
        return None
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
