"""Getting started: an API call for each verb, and what of it is shown."""

from __future__ import annotations

import json
import shlex

import launchbay
from launchbay.cli.context import Context
from launchbay.cli.ending import ended_like_interrupted
from launchbay.cli.output import complain
from launchbay.cli.texts.start import checks_text, policy_text

__all__ = ["COMMANDS"]


def _init(context: Context) -> int:
    folder = context.arguments.folder
    written = launchbay.init(folder, image=context.arguments.image)
    move = "" if folder == "." else f"{shlex.join(['cd', folder])} && "
    context.show(
        {"written": written},
        lambda: "\n".join([*(f"wrote {path}" for path in written), f"next: {move}bay launch && bay train"]),
    )
    return 0


def _demo(context: Context) -> int:
    def tell(text: str) -> None:
        context.reporter.close()
        context.output(text.encode() + b"\n")

    given = context.arguments
    with ended_like_interrupted():
        result = launchbay.demo(context.bay, data=given.data, epochs=given.epochs, write=context.output, tell=tell)
    if context.arguments.json:
        context.show(result, str)
    return 0 if result.left == 0 else 1


def _doctor(context: Context) -> int:
    if context.arguments.iam:
        policy = launchbay.least_policy(store=context.bay.environ.get("LAUNCHBAY_BUCKET", ""))
        context.reporter.close()
        complain(policy_text(policy))  # stdout is for the policy alone: `bay doctor --iam > policy.json`
        context.show(policy, lambda: json.dumps(policy.as_json(), indent=2))
        return 0
    checks = launchbay.doctor(context.bay)
    context.show({"checks": checks}, lambda: checks_text(checks))
    return 1 if any(check.state == "broken" for check in checks) else 0


COMMANDS = {
    "init": _init,
    "demo": _demo,
    "doctor": _doctor,
}
"""The verbs of this group."""
