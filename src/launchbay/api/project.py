"""Getting started, and whether it can: init, doctor, and what it takes in AWS."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.doctor import Check, run_checks
from launchbay.planning.leastpolicy import PARTS, LeastPolicy, explain_policy
from launchbay.scaffold import write_project

__all__ = ["Check", "LeastPolicy", "doctor", "init", "least_policy"]


def init(folder: str | Path = ".", *, image: str = "tensorflow") -> Sequence[Path]:
    """Write a project that trains: bay.yaml, train.py, data. Refuses to overwrite anything."""
    return write_project(Path(folder), image=image)


def doctor(bay: Bay) -> Sequence[Check]:
    """Say what works here and how to mend what does not."""
    return run_checks(bay)


def least_policy(
    *,
    regions: Collection[str] = (),
    account: str = "*",
    parts: Collection[str] = tuple(PARTS),
    roles: Collection[str] = (),
    buckets: Collection[str] = (),
    store: str = "",
) -> LeastPolicy:
    """Return the least IAM policy that Launchbay's calls to AWS need, with why; nothing is asked.

    `regions` are all that EC2 may be asked in, none for any; `account` is the account's number, and `roles` are the ARNs of roles
    whose instance profile may be named, `buckets` those with data of your own, `store` is a bucket of your own that the store is
    to be in. Raises UsageError for what is none of these.
    """
    return explain_policy(regions=regions, account=account, parts=parts, roles=roles, buckets=buckets, store=store)
