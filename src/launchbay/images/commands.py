"""The commands of an image (`jupyter`, `pip`, `tensorboard`, ...) as every instance on it runs them.

One shell file and one Python file per image, both sealed. An instance's ``bin`` holds links to the shell file, named
after the command: it finds the instance from the link's own path, sets what holds pip and uv to the lock and what
lets Jupyter find the image's data, and runs the command with the *instance's* Python. (A link to the image's own
script would run the image's Python, because installers look through links.)
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from launchbay.files import write_atomic

if TYPE_CHECKING:
    from launchbay.images.lock import Lock  # 18 ms, and every `bay ps` would pay them

__all__ = ["LOOSENING", "command_environment", "is_reserved", "list_commands", "write_commands"]

_OF_PIP = (
    "ABI BUILD_CONSTRAINT CONSTRAINT EDITABLE IGNORE_INSTALLED IMPLEMENTATION ISOLATED PLATFORM PREFIX PYTHON "
    "PYTHON_VERSION REQUIREMENT REQUIRE_HASHES REQUIRE_VIRTUALENV ROOT TARGET USER"
)
_OF_UV = (
    "BUILD_CONSTRAINT CONSTRAINT EXCLUDE LINK_MODE NO_VERIFY_HASHES OVERRIDE PROJECT PROJECT_ENVIRONMENT PYTHON "
    "REQUIRE_HASHES SYSTEM_PYTHON WORKING_DIR"
)
LOOSENING = frozenset([f"PIP_{name}" for name in _OF_PIP.split()] + [f"UV_{name}" for name in _OF_UV.split()])
"""Variables that send what pip and uv install elsewhere, or loosen the hold of the lock; of all others the person's own
are kept: their index, its certificates, being offline."""

_OURS = {
    "HOME",
    "PATH",
    "PIP_CACHE_DIR",
    "PIP_CONFIG_FILE",
    "PYTHONNOUSERSITE",
    "UV_CACHE_DIR",
    "UV_CONFIG_FILE",
    "VIRTUAL_ENV",
}

_SHELL = """\
#!/bin/sh
# A command of the image, run with the Python of the instance that this file was reached through.
here=${{0%/*}}
export VIRTUAL_ENV="${{here%/bin}}"
{exports}
beside="${{VIRTUAL_ENV%/*}}/share/jupyter"  # the kernels of all, where several environments lie side by side
[ -d "$beside/kernels" ] && export JUPYTER_PATH="$beside:$JUPYTER_PATH"
case ${{0##*/}} in
  uv|uvx) exec {environment}/bin/"${{0##*/}}" "$@" ;;{carried}
  *) exec "$here/python" {folder}/command.py "$here" "${{0##*/}}" "$@" ;;
esac
"""

_PYTHON = '''\
"""Run a console script of the image under the instance's Python: command.py BIN NAME ARGS..."""
import importlib, json, os, sys

here, name = sys.argv[1:3]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "commands.json"), encoding="utf-8") as file:
    module, _, attribute = json.load(file)[name].partition(":")
sys.argv[:3] = [os.path.join(here, name)]
sys.path[0] = here
found = importlib.import_module(module)
for part in attribute.split("."):
    found = getattr(found, part)
sys.exit(found())
'''

_CARRIED = """
  {names}) export PATH="$here:$PATH"; exec {environment}/bin/"${{0##*/}}" "$@" ;;"""

_NATIVE = ("uv", "uvx")


def write_commands(folder: Path, final: Path, lock: Lock, site_packages: Path) -> None:
    """Write the command files into an image that is being made."""
    scripts = _console_scripts(site_packages)
    environment = {**command_environment(final), **dict(lock.env)}
    exports = "\n".join(f"export {key}={shlex.quote(value)}" for key, value in sorted(environment.items()))
    inside = shlex.quote(str(final / "env"))
    carried = [path.removeprefix("bin/") for path, _ in lock.files if path.startswith("bin/") and path.count("/") == 1]
    names = "|".join(map(shlex.quote, carried))
    case = _CARRIED.format(names=names, environment=inside) if carried else ""
    shell = _SHELL.format(exports=exports, folder=shlex.quote(str(final)), environment=inside, carried=case)
    write_atomic(folder / "command.sh", shell.encode())
    (folder / "command.sh").chmod(0o755)
    write_atomic(folder / "command.py", _PYTHON.encode())
    native = {name: "" for name in (*_NATIVE, *carried) if (folder / "env" / "bin" / name).exists()}
    write_atomic(folder / "commands.json", json.dumps({**scripts, **native}, indent=1, sort_keys=True).encode())


def list_commands(folder: Path) -> tuple[str, ...]:
    """Return the names of an image's commands."""
    return tuple(json.loads((folder / "commands.json").read_bytes()))


def command_environment(folder: Path) -> dict[str, str]:
    """Return the variables that hold pip and uv to the lock and let Jupyter find the image's data.

    The constraints carry no hashes: a hashed file given as PIP_CONSTRAINT makes every install fail.
    """
    share = folder / "env" / "share" / "jupyter"
    return {
        "PIP_CONSTRAINT": str(folder / "constraints.txt"),
        "UV_CONSTRAINT": str(folder / "constraints.txt"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "JUPYTER_PATH": str(share),
        "JUPYTER_CONFIG_PATH": str(folder / "env" / "etc" / "jupyter"),
        "JUPYTERLAB_DIR": str(share / "lab"),
    }


def is_reserved(name: str) -> bool:
    """Say whether a variable is set by us in every instance, or loosens the lock: no recipe may set it."""
    return name in _OURS | LOOSENING | command_environment(Path()).keys() or name.startswith("LAUNCHBAY_")


def _console_scripts(site_packages: Path) -> dict[str, str]:
    import configparser  # only who builds an image needs it

    found: dict[str, str] = {}
    for path in sorted(site_packages.glob("*.dist-info/entry_points.txt")):
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(path.read_text(encoding="utf-8"))
        if parser.has_section("console_scripts"):
            for name, target in parser.items("console_scripts"):
                found[name] = target.split("[")[0].strip()
    return {name: target for name, target in found.items() if name not in _NATIVE and os.sep not in name}
