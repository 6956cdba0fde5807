"""Instances: an API call for each verb, and what of it is shown."""

from __future__ import annotations

import launchbay
from launchbay.cli.context import Context, list_width
from launchbay.cli.texts.instances import ended_text, launch_text, ps_text, update_text, verification_text

__all__ = ["COMMANDS"]


def _launch(context: Context) -> int:
    given = context.arguments
    image, count, name = launchbay.complete_launch(given.image, count=given.count, name=given.name)
    launched = launchbay.launch(
        context.bay,
        image,
        count=count,
        name=name,
        overlay=given.overlay,
        accelerator=given.accelerator,
        resources=launchbay.complete_resources(given.image),
    )
    as_in_project = given.image is None and given.name is None
    context.show(launched, lambda: launch_text(launched, has_project=as_in_project))
    return 0 if launched.identical else 1


def _update(context: Context) -> int:
    updated = launchbay.update(context.bay, context.arguments.fleet, context.arguments.image)
    context.show(updated, lambda: update_text(updated))
    return 0


def _ps(context: Context) -> int:
    rows = launchbay.ps(context.bay)
    context.show(rows, lambda: ps_text(rows, list_width()))
    return 0


def _verify(context: Context) -> int:
    proof = launchbay.verify(context.bay, context.arguments.name)
    context.show(proof, lambda: verification_text(context.arguments.name, proof))
    return 0 if proof.identical and proof.gpu_proven is not False else 1


def _exec(context: Context) -> int:
    given = context.arguments
    code, output = launchbay.execute(context.bay, given.name, given.command, capture=given.json, env=given.env)
    if given.json:
        context.output(output)
        context.show({"instance": given.name, "exit_code": code}, str)
    return code


def _shell(context: Context) -> int:
    return launchbay.shell(context.bay, context.arguments.name, env=context.arguments.env)


def _cp(context: Context) -> int:
    given = context.arguments
    name = launchbay.copy(context.bay, given.source, given.target)
    context.show(
        {"instance": name, "from": given.source, "to": given.target}, lambda: f"{given.source} -> {given.target}"
    )
    return 0


def _power(context: Context) -> int:
    verb = {"stop": launchbay.stop, "start": launchbay.start, "reboot": launchbay.reboot}[context.arguments.verb]
    ended = verb(context.bay, context.arguments.name)
    context.show(ended, lambda: ended_text(ended))
    return 0


def _terminate(context: Context) -> int:
    name = context.arguments.name
    plan = launchbay.terminate_plan(context.bay, name)
    if plan.needs_consent:
        names = [item for action in plan.actions for item in action.names]
        context.agree(
            f"Terminating {', '.join(names[:5])}{' ...' if len(names) > 5 else ''} ({len(names)}) with their homes"
        )
    ended = launchbay.terminate(context.bay, name, plan=plan)
    context.show(ended, lambda: ended_text(ended))
    return 0


COMMANDS = {
    "launch": _launch,
    "update": _update,
    "ps": _ps,
    "verify": _verify,
    "exec": _exec,
    "shell": _shell,
    "cp": _cp,
    "stop": _power,
    "start": _power,
    "reboot": _power,
    "terminate": _terminate,
}
"""The verbs of this group."""
