"""What the verbs about money take. Imports nothing but argparse, so that `bay --help` is instant."""

from __future__ import annotations

from launchbay.cli.grammar import Parser, Verbs, add_verb

__all__ = ["add_cost"]


def add_cost(verbs: Verbs[Parser]) -> None:
    """Add `cost`."""
    cost = add_verb(
        verbs,
        "cost",
        "Show what a workload costs in a month, line by line: quantity, price, who says so and since when. A price that is "
        "not known is shown as unknown, and makes the total a lower bound. Asks nobody: prices come with the package.",
        "bay cost workload.yaml\nbay cost split.yaml --against one-gpu.yaml\nbay cost workload.yaml --reconcile cur.csv.gz\n"
        "bay cost workload.yaml --optimize -o plan.yaml",
    )
    cost.add_argument("workload", metavar="WORKLOAD", help="a workload.yaml: what runs in a month, and on what")
    cost.add_argument(
        "--compute-only", action="store_true", help="count instances alone: no disks, addresses, traffic, software"
    )
    cost.add_argument(
        "--against", metavar="OTHER", help="another workload.yaml; shows how much more or less this one costs, by entry"
    )
    cost.add_argument(
        "--reconcile",
        metavar="CUR",
        help="hold the bill against what AWS billed: a Cost and Usage Report of one month, .csv or .csv.gz",
    )
    cost.add_argument(
        "--optimize",
        action="store_true",
        help="find the cheapest way to run it: on the same types, at the same capability, and for what it needs, with what is "
        "proven, why the rest lost, and the steps from today (needs launchbay[solver])",
    )
    cost.add_argument("--current", action="store_true", help="with --optimize: no types of previous generations")
    cost.add_argument(
        "--seconds", metavar="S", type=float, help="with --optimize: how long one search may take (default: 60)"
    )
    cost.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write it as a picture, .html, .svg or .png (needs launchbay[plot]); with --optimize also the cheapest plan as a "
        "workload .yaml that can be billed",
    )
