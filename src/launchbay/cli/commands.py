"""Run the command that was typed. The verbs stand in `verbs`, a module for each group, imported when one is used."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from importlib import import_module

import launchbay
from launchbay.cli.console import ConsoleReporter
from launchbay.cli.context import Context
from launchbay.errors import UsageError
from launchbay.lifecycle.bay import open_bay

__all__ = ["GROUPS", "run"]

GROUPS = {
    "start": ("init", "demo", "doctor"),
    "images": ("images", "image"),
    "instances": ("update", "ps", "verify", "exec", "shell", "cp", "stop", "start", "reboot", "terminate", "extend"),
    "launching": ("launch", "plan", "apply"),
    "runs": ("fetch", "train", "runs", "logs", "curves"),
    "services": ("board", "notebook"),
    "sharing": ("share",),
    "models": ("model", "evaluate", "predict"),
    "catalog": ("types",),
    "cost": ("cost",),
    "store": ("store",),
    "twin": ("twin", "conformance"),
}
"""The verbs of each module in `verbs`, by their first word."""

_HERE = ("init", "demo", "fetch", "types", "cost", "twin", "conformance")
"""The verbs that have nothing to do with where instances are."""


def run(arguments: Namespace) -> int:
    """Run the command that was typed; return its exit code."""
    if arguments.provider not in (None, "local") and arguments.verb in _HERE:
        raise UsageError(f"`bay {arguments.verb}` is the same wherever instances are", hint="without --provider")
    reporter = ConsoleReporter()
    context = Context(arguments, open_bay(reporter=reporter), reporter)
    _check_place(context)
    action = getattr(arguments, "action", None)
    name = f"{arguments.verb} {action}" if action else arguments.verb
    try:
        return _find(name)(context)
    except KeyboardInterrupt:
        reporter.close(erase=True)
        raise
    finally:
        reporter.close()


_NAMING = ("name", "instance", "fleet")
"""What the argument is called that says which instance or fleet a verb is for."""


def _check_place(context: Context) -> None:
    """Raise NotFound where `--provider` says another place than the one where that name stands."""
    given = context.arguments
    name = next((getattr(given, field) for field in _NAMING if getattr(given, field, None)), None)
    need_not_stand = given.verb in ("launch", "plan", "terminate", "store")  # a store has runs of fleets that are gone
    if given.provider is not None and name is not None and not need_not_stand:
        launchbay.check_place(context.bay, name, given.provider)


def _find(name: str) -> Callable[[Context], int]:
    """Return what does a verb, from the module of its group."""
    group = next(group for group, verbs in GROUPS.items() if name.split(maxsplit=1)[0] in verbs)
    commands: dict[str, Callable[[Context], int]] = import_module(f"launchbay.cli.verbs.{group}").COMMANDS
    return commands[name]
