"""What `bay store` takes. Imports nothing but argparse, so that `bay --help` is instant."""

from __future__ import annotations

from launchbay.cli.grammar import Parser, Verbs, add_verb

__all__ = ["add_store"]

_WHERE = "where the store is: ec2 or twin (default: ec2)"


def add_store(verbs: Verbs[Parser]) -> None:
    """Add `bay store` with what can be done to it."""
    store = add_verb(
        verbs,
        "store",
        "The bucket in which data, logs and checkpoints outlive instances on EC2: what is in it and what that costs, and how "
        "to get it back or be rid of it.",
        "bay store show --provider twin\nbay store restore exp\nbay store remove runs/exp/",
        where=_WHERE,
    )
    actions = store.add_subparsers(dest="action", metavar="show|restore|remove", required=True)
    show = add_verb(
        actions,
        "show",
        "List data and runs with their sizes, and the cost of a month.",
        "bay store show",
        where=_WHERE,
    )
    restore = add_verb(
        actions,
        "restore",
        "Get the runs of a fleet back whose instances are gone: logs, curves, checkpoints, what they made.",
        "bay store restore exp",
        where=_WHERE,
    )
    restore.add_argument("fleet", metavar="FLEET", help="whose runs")
    restore.add_argument("run", nargs="?", default="", metavar="RUN", help="this one alone (default: all of them)")
    remove = add_verb(
        actions,
        "remove",
        "Remove data or runs for good. Nothing in the store goes by itself.",
        "bay store remove runs/exp/\nbay store remove --all",
        where=_WHERE,
    )
    remove.add_argument(
        "prefix", nargs="?", default="", metavar="PREFIX", help="what it begins with, as `show` lists it"
    )
    remove.add_argument("--all", action="store_true", dest="everything", help="everything, and the bucket itself")
    for verb in (show, restore, remove):
        verb.add_argument("--region", metavar="R", help="where (default: AWS_REGION, else us-east-1)")
        verb.add_argument("--bucket", default="", metavar="NAME", help="a bucket of your own, in the place of ours")
