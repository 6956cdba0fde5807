"""Launch, plan and apply: on this machine at once, on EC2 after the plan was shown and agreed to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import launchbay
from launchbay.cli.context import Context
from launchbay.cli.output import LastingStream, printable
from launchbay.cli.texts.instances import launch_text
from launchbay.errors import UsageError

if TYPE_CHECKING:
    from launchbay.cloud.plan import CloudPlan

__all__ = ["COMMANDS"]


def _launch(context: Context) -> int:
    given = context.arguments
    _refuse_empty(context)
    image, count, name = launchbay.complete_launch(given.image, count=given.count, name=given.name)
    place = launchbay.place_of_launch(given.provider, is_project=given.image is None)
    if place != "local":
        return _launch_on_ec2(context, _plan(context, place, image, count=count, name=name))
    if said := _said(context):
        raise UsageError(f"on this machine there is no {said[0].replace('_', ' ')}", hint="--provider ec2, or twin")
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


_OPTIONS = {
    "region": "region",
    "type": "type",
    "is_spot": "spot",
    "with_sisters": "sisters",
    "disk": "disk",
    "volumes": "volume",
    "ttl": "ttl",
    "budget": "budget",
    "networks": "allow_cidr",
    "is_open_to_anyone": "allow_anyone",
    "zone": "zone",
    "subnet": "subnet",
    "groups": "security_group",
    "reach": "reach",
    "auth": "auth",
    "profile": "instance_profile",
    "key_name": "key_name",
    "identity_file": "identity_file",
    "tags": "tag",
    "template": "template",
    "efa": "efa",
    "machine_image": "ami",
    "rate": "fill_rate",
}
"""What each option of a launch on EC2 is called on the command line."""


_FILES = {"image": "IMAGE", "plan": "PLAN"}
"""What is said without an option."""


def _refuse_empty(context: Context) -> None:
    """Raise UsageError where something was typed as an empty text, which would pass for nothing said."""
    for name, value in vars(context.arguments).items():
        if value == "" or (isinstance(value, list) and "" in value):
            said = f"bay {context.arguments.verb}" if name in _FILES else _option(name)
            how = f"{said} {_FILES[name]}" if name in _FILES else f"{said} with a value, or without it"
            raise UsageError(f"{said} has nothing after it", hint=f"{how}; a variable of the shell may be empty")


def _said(context: Context) -> list[str]:
    return [_option(name) for name in _OPTIONS.values() if getattr(context.arguments, name)]


def _option(name: str) -> str:
    return f"--{name}".replace("_", "-")


def _plan(context: Context, place: str, image: str, *, count: int, name: str | None) -> CloudPlan:
    given = context.arguments
    if given.overlay or given.accelerator != "auto":
        option = "--overlay" if given.overlay else "--accelerator"
        raise UsageError(f"{option} is for instances on this machine", hint="the type decides on EC2: --type")
    typed = {field: getattr(given, name) for field, name in _OPTIONS.items()}
    # 0 was typed, and is refused where it is read
    options = launchbay.CloudOptions(**{field: value for field, value in typed.items() if value or value == 0})
    is_project = given.image is None
    asked = launchbay.ask_cloud(
        context.bay, image, provider=place, count=count, name=name, options=options, is_project=is_project
    )
    with context.waiting(f"plan {asked.fleet}"):
        return launchbay.plan_launch(context.bay, asked)


def _launch_on_ec2(context: Context, plan: CloudPlan) -> int:
    from launchbay.cli.texts.cloud import cloud_launch_text

    if not context.arguments.json:
        from launchbay.cli.texts.cloudplan import plan_text

        context.reporter.close()
        LastingStream(sys.stderr).write(printable(plan_text(plan)) + "\n")
    launchbay.check_launchable(plan)
    usd = "unknown" if plan.worst.usd is None else f"${plan.worst.as_json()['usd']}"
    where = "the twin, for no money" if plan.asked.provider == "twin" else f"EC2, for {usd} at most"
    context.agree(f"Launching {plan.asked.count} × {plan.type.name} on {where}")
    launched = launchbay.launch_planned(context.bay, plan)
    context.show(launched, lambda: cloud_launch_text(launched))
    return 0 if launched.identical else 1


def _plan_only(context: Context) -> int:
    given = context.arguments
    _refuse_empty(context)
    image, count, name = launchbay.complete_launch(given.image, count=given.count, name=given.name, verb="plan")
    place = launchbay.place_of_launch(given.provider, is_project=given.image is None)
    if place == "local":
        raise UsageError("a plan is of a launch on EC2", hint="--provider ec2, or twin; on this machine: bay launch")
    plan = _plan(context, place, image, count=count, name=name)
    if given.output:
        launchbay.save_plan(plan, Path(given.output))
    template = launchbay.export_plan(context.bay, plan, given.export_template) if given.export_template else None
    shown = {**launchbay.describe_plan(plan), "template": template}
    context.show(shown, lambda: _shown(plan, given.output, template))
    return 0


def _shown(plan: CloudPlan, output: str | None, template: str | None) -> str:
    from launchbay.cli.texts.cloudplan import plan_text

    lines = [plan_text(plan)]
    lines += [f"saved in {output}; `bay apply {output}` does it"] if output else []
    lines += [f"launch template {template} written; `bay launch IMAGE --template {template}`"] if template else []
    return "\n".join(lines)


def _apply(context: Context) -> int:
    _refuse_empty(context)
    return _launch_on_ec2(context, launchbay.read_plan(context.bay, Path(context.arguments.plan)))


COMMANDS = {"launch": _launch, "plan": _plan_only, "apply": _apply}
"""The verbs of this group."""
