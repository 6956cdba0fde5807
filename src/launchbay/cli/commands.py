"""Run the command that was typed. The verbs stand in `verbs`, a module for each group, imported when one is used."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from importlib import import_module

from launchbay.cli.console import ConsoleReporter
from launchbay.cli.context import Context
from launchbay.errors import UsageError
from launchbay.lifecycle.bay import open_bay

__all__ = ["GROUPS", "run"]

GROUPS = {
    "start": ("init", "demo", "doctor"),
    "images": ("images", "image"),
    "instances": ("launch", "update", "ps", "verify", "exec", "shell", "cp", "stop", "start", "reboot", "terminate"),
    "runs": ("fetch", "train", "runs", "logs", "curves"),
    "services": ("board", "notebook"),
    "sharing": ("share",),
    "models": ("model", "evaluate", "predict"),
    "catalog": ("types",),
    "cost": ("cost",),
    "twin": ("twin", "conformance"),
}
"""The verbs of each module in `verbs`, by their first word."""


_ON_EC2 = ("images",)
"""The verbs that answer for EC2 too."""


def run(arguments: Namespace) -> int:
    """Run the command that was typed; return its exit code."""
    if arguments.provider not in (None, "local") and arguments.verb not in _ON_EC2:
        raise UsageError(f"--provider {arguments.provider} comes with a later version", hint="--provider local")
    reporter = ConsoleReporter()
    context = Context(arguments, open_bay(reporter=reporter), reporter)
    action = getattr(arguments, "action", None)
    name = f"{arguments.verb} {action}" if action else arguments.verb
    try:
        return _find(name)(context)
    except KeyboardInterrupt:
        reporter.close(erase=True)
        raise
    finally:
        reporter.close()


def _find(name: str) -> Callable[[Context], int]:
    """Return what does a verb, from the module of its group."""
    group = next(group for group, verbs in GROUPS.items() if name.split(maxsplit=1)[0] in verbs)
    commands: dict[str, Callable[[Context], int]] = import_module(f"launchbay.cli.verbs.{group}").COMMANDS
    return commands[name]
