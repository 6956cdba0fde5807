"""JupyterLab in an instance: on loopback, with our token, its kernels' sockets where nobody else can reach them.

The folder of the service holds ``notebook.json`` (port, working folder) and ``token``. The options are handed over in
this very process: neither its command line nor its environment holds the token.
"""

from __future__ import annotations

import json
import os
import tempfile

from .cells import notebook

TYPE_CHECKING = False  # `typing` would cost a tenth of what a supervisor does
if TYPE_CHECKING:
    from typing import Any

__all__ = ["START", "run"]

START = "start.ipynb"
"""The notebook that lies ready; one that is there is the person's own, and stays."""


def run(_: dict[str, Any]) -> dict[str, Any]:
    """Serve until somebody ends it."""
    folder = os.environ["LAUNCHBAY_SERVICE"]
    with open(os.path.join(folder, "notebook.json"), encoding="utf-8") as file:
        wish = json.load(file)
    with open(os.path.join(folder, "token"), encoding="ascii") as file:
        token = file.read().strip()
    _lay_ready(os.path.join(wish["work"], START))
    os.chdir(wish["work"])  # where terminals start
    # A kernel publishes what it prints to whoever connects; its keys only keep strangers from sending. So its sockets
    # are files in a private folder, and not ports. The name of such a file may have 107 letters: not below our home.
    sockets = tempfile.mkdtemp(prefix="launchbay-", dir="/tmp" if os.path.isdir("/tmp") else None)  # noqa: S108
    os.symlink(sockets, os.path.join(folder, "runtime"))
    os.environ["JUPYTER_RUNTIME_DIR"] = sockets
    _ask_nobody(folder)

    from jupyterlab.labapp import LabApp

    LabApp.launch_instance(argv=_options(wish, token))
    return {}


def _options(wish: dict[str, Any], token: str) -> list[str]:
    """Return Jupyter's options; as arguments, because what a person's own configuration says must not undo them."""
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": wish["port"],
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_remote_access": False,  # refuses host names that are not of this machine
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": wish["work"],
        "IdentityProvider.token": token,
        "PasswordIdentityProvider.hashed_password": "",
        "KernelManager.transport": "ipc",
        # Kernels are those of the image's own kernelspecs. An image with several is listed by their folders in
        # JUPYTER_PATH: nothing here chooses among them.
    }
    return ["--{}={}".format(name, value) for name, value in options.items()]


def _ask_nobody(folder: str) -> None:
    """Keep Jupyter from asking whether it may look outside for news, and for versions that the lock would refuse."""
    page = os.path.join(folder, "labconfig", "page_config.json")
    os.mkdir(os.path.dirname(page))
    with open(page, "w", encoding="utf-8") as file:
        json.dump({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}, file)
    places = [folder, os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, places))


def _lay_ready(path: str) -> None:
    text = json.dumps(notebook(), indent=1)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text + "\n")
    except FileExistsError:
        pass
