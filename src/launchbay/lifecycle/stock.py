"""Take stock of an environment: all that an image holds, and all that an instance sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from launchbay.images.carried import is_of_environment
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, connect
from launchbay.onboard.stock import list_environment
from launchbay.planning.fleet import Instance
from launchbay.providers.environment import Environment
from launchbay.providers.layer import find_layer
from launchbay.transport.onboard import ask, install_onboard

__all__ = ["Package", "Stock", "lay", "stock_of_image", "stock_of_instance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package. `origin` is the address or path that it came from, "" for one of an index."""

    version: str
    origin: str = ""
    is_editable: bool = False
    is_pure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What an environment holds. Files are path -> fingerprint, rows path -> (package, the hash that it states).

    `left` are files that no image can have as they are, with why.
    """

    packages: Mapping[str, Package]
    files: Mapping[str, str]
    rows: Mapping[str, tuple[str, str]]
    left: Mapping[str, str] = field(default_factory=dict)


def stock_of_image(image: Image) -> Stock:
    """Return what an image holds. Reads all of it: seconds for gigabytes."""
    return _read(list_environment(str(image.environment)))


def stock_of_instance(bay: Bay, instance: Instance, environment: Environment, base: Stock) -> Stock:
    """Return what an instance sees in one of its environments; `base` is what the image below holds."""
    transport = connect(bay, replace(instance, state="running"), environment.name)  # a stopped one has its files too
    request = {"environment": str(environment.path)}
    found = _read(ask(transport, str(environment.python), install_onboard(bay.home), "stock", request))
    layer = find_layer(instance.layer)
    return found if layer.is_whole else lay(base, found, layer.pristine(environment.image))


def _read(found: Mapping[str, Any]) -> Stock:
    return Stock(
        packages={name: Package(**values) for name, values in found["packages"].items()},
        files=found["files"],
        rows={path: (package, value) for path, (package, value) in found["rows"].items()},
    )


def lay(base: Stock, own: Stock, pristine: Mapping[str, str]) -> Stock:
    """Return what is seen through a layer: its own packages, and those of the image that they do not replace. Pure."""
    gone = {path for path, (package, _) in base.rows.items() if package in own.packages}
    below = {path: value for path, value in base.files.items() if path not in gone}
    folders = {_module(path) for path in below if "/" in _inside(path)} - {""}
    mine, left = {}, {}
    for path, value in own.files.items():
        if pristine.get(path) == value:
            continue
        if is_of_environment(path):
            left.update({path: "belongs to the layer itself"} if path in pristine else {})
        elif path not in own.rows and _module(path) in folders:
            left[path] = f"lies over {_module(path)} of the image, which a layer cannot change (an overlay can)"
        else:
            mine[path] = value
    return Stock(
        packages={**base.packages, **own.packages},
        files={**below, **mine},
        rows={**{path: row for path, row in base.rows.items() if path not in gone}, **own.rows},
        left=left,
    )


def _inside(path: str) -> str:
    return path.partition("/site-packages/")[2]


def _module(path: str) -> str:
    """Return the module that a file of site-packages belongs to, "" for any other file."""
    return _inside(path).split("/")[0].split(".")[0]
