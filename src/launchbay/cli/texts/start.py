"""What `bay doctor` found, and what it takes in AWS, as text for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launchbay.api.project import Check, LeastPolicy

__all__ = ["checks_text", "policy_text"]


def checks_text(checks: Sequence[Check]) -> str:
    """Say what works here and what does not."""
    mark = {"ok": "ok", "warning": "warn", "broken": "BROKEN"}
    lines = [
        f"{mark[check.state]:7} {check.name:12} {check.found}" + (f"\n{'':20} -> {check.mend}" if check.mend else "")
        for check in checks
    ]
    return "\n".join(lines)


def policy_text(policy: LeastPolicy) -> str:
    """Say why each statement of the policy is needed, and what to do with it."""
    width = max(len(name) for name in policy.why)
    lines = [f"  {name:{width}}  {why}" for name, why in policy.why.items()]
    return "\n".join(
        [
            "The least that Launchbay needs in an AWS account:",
            *lines,
            f"Its {policy.letters:,} letters fit a policy of its own (6,144), and are too many for one within a user (2,048):",
            "  bay doctor --iam > policy.json",
            "  aws iam create-policy --policy-name launchbay --policy-document file://policy.json",
        ]
    )
