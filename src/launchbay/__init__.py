"""Ready-made deep-learning instances: one or twenty, identical, and gone when you are done.

The public names are those in `__all__`; each is loaded from its module when first used, so importing launchbay costs
next to nothing and a command pays only for what it does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launchbay import errors
    from launchbay.api.cloud import (
        CloudOptions,
        ask_cloud,
        check_launchable,
        describe_plan,
        export_plan,
        launch_planned,
        place_of_launch,
        plan_launch,
        read_plan,
        save_plan,
    )
    from launchbay.api.cloudimages import list_cloud_images
    from launchbay.api.conformance import conformance
    from launchbay.api.cost import bill, cheapest_plan
    from launchbay.api.curves import curves, draw_curves
    from launchbay.api.data import fetch
    from launchbay.api.fleet import (
        copy,
        execute,
        extend,
        launch,
        reboot,
        shell,
        start,
        stop,
        terminate,
        terminate_plan,
        update,
        verify,
    )
    from launchbay.api.images import (
        bake,
        build_image,
        list_images,
        remove_cloud_image,
        remove_image,
        show_image,
        verify_built,
    )
    from launchbay.api.listing import ps
    from launchbay.api.models import evaluate, predict, show_model_card
    from launchbay.api.people import readmit_person, revoke, share
    from launchbay.api.place import check_place, is_on_ec2
    from launchbay.api.project import doctor, init, least_policy
    from launchbay.api.proposal import propose_image
    from launchbay.api.refresh import refresh_types
    from launchbay.api.runs import explain, list_runs, logs, resume, train
    from launchbay.api.services import board, end_board, end_notebook, notebook, open_in_browser
    from launchbay.api.twin import advance_twin, start_twin, stop_twin, twin_bill, twin_environment, twin_status
    from launchbay.api.types import compare_types, find_types
    from launchbay.api.wish import complete_launch, complete_resources, complete_resumption, complete_training
    from launchbay.experiment import demo
    from launchbay.jsonable import to_json
    from launchbay.lifecycle.bay import Bay, open_bay

__version__ = "0.1.0"

_NAMES = {
    "launchbay.lifecycle.bay": ("Bay", "open_bay"),
    "launchbay.jsonable": ("to_json",),
    "launchbay.api.listing": ("ps",),
    "launchbay.api.images": (
        "bake",
        "build_image",
        "export_image",
        "import_image",
        "list_images",
        "remove_cloud_image",
        "remove_image",
        "show_image",
        "verify_built",
    ),
    "launchbay.api.cloud": (
        "CloudOptions",
        "ask_cloud",
        "check_launchable",
        "check_place",
        "describe_plan",
        "export_plan",
        "launch_planned",
        "place_of_launch",
        "plan_launch",
        "read_plan",
        "save_plan",
    ),
    "launchbay.api.fleet": (
        "copy",
        "execute",
        "extend",
        "launch",
        "reboot",
        "shell",
        "start",
        "stop",
        "terminate",
        "terminate_plan",
        "update",
        "verify",
    ),
    "launchbay.api.runs": ("explain", "list_runs", "logs", "resume", "train"),
    "launchbay.api.proposal": ("propose_image",),
    "launchbay.api.refresh": ("refresh_types",),
    "launchbay.api.services": ("board", "end_board", "end_notebook", "notebook", "open_in_browser"),
    "launchbay.api.data": ("fetch",),
    "launchbay.api.cloudimages": ("list_cloud_images",),
    "launchbay.api.conformance": ("conformance",),
    "launchbay.api.cost": ("bill", "cheapest_plan"),
    "launchbay.api.curves": ("curves", "draw_curves"),
    "launchbay.api.models": ("evaluate", "predict", "show_model_card"),
    "launchbay.api.people": ("readmit_person", "revoke", "share"),
    "launchbay.api.place": ("check_place", "is_on_ec2"),
    "launchbay.api.project": ("doctor", "init", "least_policy"),
    "launchbay.api.twin": ("advance_twin", "start_twin", "stop_twin", "twin_bill", "twin_environment", "twin_status"),
    "launchbay.api.types": ("compare_types", "find_types"),
    "launchbay.api.wish": ("complete_launch", "complete_resources", "complete_resumption", "complete_training"),
    "launchbay.experiment": ("demo",),
}
_MODULES = ("errors", "testing")
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Bay",
    "CloudOptions",
    "__version__",
    "advance_twin",
    "ask_cloud",
    "bake",
    "bill",
    "board",
    "build_image",
    "cheapest_plan",
    "check_launchable",
    "check_place",
    "compare_types",
    "complete_launch",
    "complete_resources",
    "complete_resumption",
    "complete_training",
    "conformance",
    "copy",
    "curves",
    "demo",
    "describe_plan",
    "doctor",
    "draw_curves",
    "end_board",
    "end_notebook",
    "errors",
    "evaluate",
    "execute",
    "explain",
    "export_image",
    "export_plan",
    "extend",
    "fetch",
    "find_types",
    "import_image",
    "init",
    "is_on_ec2",
    "launch",
    "launch_planned",
    "least_policy",
    "list_cloud_images",
    "list_images",
    "list_runs",
    "logs",
    "notebook",
    "open_bay",
    "open_in_browser",
    "place_of_launch",
    "plan_launch",
    "predict",
    "propose_image",
    "ps",
    "read_plan",
    "readmit_person",
    "reboot",
    "refresh_types",
    "remove_cloud_image",
    "remove_image",
    "resume",
    "revoke",
    "save_plan",
    "share",
    "shell",
    "show_image",
    "show_model_card",
    "start",
    "start_twin",
    "stop",
    "stop_twin",
    "terminate",
    "terminate_plan",
    "testing",
    "to_json",
    "train",
    "twin_bill",
    "twin_environment",
    "twin_status",
    "update",
    "verify",
    "verify_built",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"launchbay.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'launchbay' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
