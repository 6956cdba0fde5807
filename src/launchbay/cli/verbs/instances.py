"""Instances: an API call for each verb, and what of it is shown."""

from __future__ import annotations

import launchbay
from launchbay.cli.context import Context, list_width
from launchbay.cli.texts.cloud import cloud_ended_text, cloud_power_text, extended_text
from launchbay.cli.texts.instances import ended_text, ps_text, update_text, verification_text
from launchbay.lifecycle.end import Ended
from launchbay.planning.cloudwish import parse_lease
from launchbay.planning.fleet import Plan

__all__ = ["COMMANDS"]


def _update(context: Context) -> int:
    updated = launchbay.update(context.bay, context.arguments.fleet, context.arguments.image)
    context.show(updated, lambda: update_text(updated))
    return 0


def _ps(context: Context) -> int:
    place = context.arguments.provider
    rows = [row for row in launchbay.ps(context.bay) if place in (None, row.provider)]
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
    done = verb(context.bay, context.arguments.name)
    context.show(done, lambda: ended_text(done) if isinstance(done, Ended) else cloud_power_text(done))
    return 0


def _terminate(context: Context) -> int:
    given = context.arguments
    plan = launchbay.terminate_plan(context.bay, given.name, provider=given.provider, region=given.region)
    if plan.needs_consent:
        names = plan.names
        what = "homes" if isinstance(plan, Plan) else "disks"
        if not isinstance(plan, Plan) and plan.running:
            what += f"; {', '.join(plan.running[:3])} goes on there, and is stopped and brought home first"
        listed = f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''} ({len(names)}) with their {what}"
        if not isinstance(plan, Plan) and not names:
            listed = f"{', '.join(plan.made)}, by which a launch from elsewhere may be about to come in"
        context.agree(f"Terminating {listed}")
    ended = launchbay.terminate(context.bay, given.name, plan=plan)
    context.show(ended, lambda: ended_text(ended) if isinstance(ended, Ended) else cloud_ended_text(ended))
    return 0


def _extend(context: Context) -> int:
    given = context.arguments
    seconds = parse_lease(given.duration, hint=f"bay extend {given.name} 2h")
    extended = launchbay.extend(context.bay, given.name, seconds)
    context.show(extended, lambda: extended_text(extended))
    return 0


COMMANDS = {
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
    "extend": _extend,
}
"""The verbs of this group."""
