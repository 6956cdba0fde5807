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
    actions = twin.add_subparsers(dest="action", metavar="ACTION", required=True)
    start = add_verb(
        actions, "start", "Start it where it was left, or a new one.", "bay twin start --clock virtual --seed 7"
    )
    start.add_argument(
        "--clock",
        choices=("real", "virtual"),
        help="a virtual one stands still until something is waited for, or `bay twin advance` (default: real)",
    )
    start.add_argument("--seed", type=int, help="what its chance begins with (default: 0)")
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
    advance = add_verb(actions, "advance", "Set its clock forward.", "bay twin advance 8h")
    advance.add_argument("duration", metavar="DURATION", help="how far: 90s, 15m, 8h, 30d")
