"""What `bay twin` takes. Imports nothing but argparse, so that `bay --help` is instant."""

from __future__ import annotations

from launchbay.cli.grammar import Parser, Verbs, add_verb

__all__ = ["add_twin"]


def add_twin(verbs: Verbs[Parser]) -> None:
    """Add `bay twin` with what can be done to it."""
    twin = add_verb(
        verbs,
        "twin",
        "An EC2 on this machine, to rehearse on: it answers as EC2 does, bills by the second, and costs nothing. "
        "Other programs can be pointed at it too.",
        "bay twin start\nbay twin bill",
    )
    actions = twin.add_subparsers(dest="action", metavar="start|stop|status|bill|advance", required=True)
    start = add_verb(
        actions, "start", "Start it where it was left, or a new one.", "bay twin start --clock virtual --seed 7"
    )
    start.add_argument(
        "--clock",
        choices=("real", "virtual"),
        help="a virtual one stands still until something is waited for, or `bay twin advance` (default: real)",
    )
    start.add_argument("--seed", type=int, help="what its chance begins with (default: 0)")
    start.add_argument(
        "--instant", action="store_true", help="instances change their state at once (default: in seconds, as on EC2)"
    )
    start.add_argument("--port", type=int, default=0, help="where it listens on loopback (default: a free one)")
    stop = add_verb(
        actions, "stop", "End it. What is in it stays as it is, and costs nothing meanwhile.", "bay twin stop"
    )
    stop.add_argument("--forget", action="store_true", help="and remove everything that is in it")
    add_verb(
        actions,
        "status",
        "Say what runs in it, what time it is there, and how other programs find it.",
        "bay twin status",
    )
    add_verb(actions, "bill", "Say what it would have cost.", "bay twin bill")
    _add_conformance(verbs)
    advance = add_verb(actions, "advance", "Set its clock forward.", "bay twin advance 8h")
    advance.add_argument("duration", metavar="DURATION", help="how far: 90s (or 90), 15m, 1.5h, 30d")


def _add_conformance(verbs: Verbs[Parser]) -> None:
    conformance = add_verb(
        verbs,
        "conformance",
        "Try what EC2 does, behaviour by behaviour: in a new twin, against moto alone, or on AWS with your own account. Exit "
        "code 1 if something is not so.",
        "bay conformance\nbay conformance token-repeats --moto\nbay conformance --real --max-usd 1",
    )
    conformance.add_argument("names", nargs="*", metavar="NAME", help="only these behaviours (default: all)")
    place = conformance.add_mutually_exclusive_group()
    place.add_argument("--moto", action="store_true", help="against moto as it comes, to see what the twin adds")
    place.add_argument("--real", action="store_true", help="on AWS: launches small instances, and removes them again")
    conformance.add_argument("--max-usd", metavar="USD", help="with --real, what it may cost at most")
    conformance.add_argument("--region", default="us-east-1", help="where (default: us-east-1)")
