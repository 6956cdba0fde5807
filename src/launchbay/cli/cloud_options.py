"""What `launch`, `plan` and `apply` take for EC2. Imports nothing but argparse, so that `bay --help` is instant."""

from __future__ import annotations

from launchbay.cli.grammar import Parser, Verbs, add_verb

__all__ = ["add_cloud_launch", "add_extend", "add_plan"]


def add_cloud_launch(verb: Parser) -> None:
    """Add the options of a launch on EC2 to a verb."""
    ec2 = verb.add_argument_group("on EC2 (--provider ec2 or twin)")
    ec2.add_argument("--type", metavar="TYPE", help="the instance type, such as p3.2xlarge; `bay types` compares them")
    ec2.add_argument("--region", metavar="R", help="where (default: AWS_REGION, else us-east-1)")
    ec2.add_argument("--spot", action="store_true", help="on the spot market: cheaper, and EC2 may end it at any time")
    ec2.add_argument(
        "--sisters", action="store_true", help="where there is no room, also other sizes and types of its family"
    )
    ec2.add_argument("--disk", metavar="SIZE", help="the root disk: 100 or 100GiB (default: as the image needs)")
    ec2.add_argument(
        "--volume",
        action="append",
        metavar="SIZE:PATH",
        help="a disk more, mounted there: 35GiB:/data; with :keep after it, it outlives its instance. Repeatable",
    )
    ec2.add_argument("--ttl", metavar="TIME", help="for how long each may live; then it ends itself (default: 8h)")
    ec2.add_argument("--budget", metavar="USD", help="what the launch may cost at most: 5usd; shortens --ttl")
    ec2.add_argument(
        "--allow-cidr",
        action="append",
        metavar="CIDR",
        help="who may come in by SSH (default: this machine alone, by its address or through an endpoint). Repeatable",
    )
    ec2.add_argument("--allow-anyone", action="store_true", help="let --allow-cidr be as wide as the whole internet")
    ec2.add_argument(
        "--reach",
        choices=("endpoint", "address"),
        help="through an Instance Connect Endpoint of the network, or at an address (default: an endpoint where one stands)",
    )
    ec2.add_argument(
        "--auth",
        choices=("one-time", "injected"),
        help="what opens them: a key that AWS lets in for 60 seconds at a time, or one from the launch on "
        "(default: one-time through an endpoint, if the image takes it)",
    )
    own = verb.add_argument_group("your own things on EC2")
    own.add_argument("--ami", metavar="ID", help="the machine image (default: the best that fits the type)")
    own.add_argument("--zone", metavar="ZONE", help="only this zone")
    own.add_argument("--subnet", metavar="ID", help="a subnet of yours (default: the region's default network)")
    own.add_argument(
        "--security-group", action="append", metavar="ID", help="a group of yours, and none of ours. Repeatable"
    )
    own.add_argument("--instance-profile", metavar="NAME", help="what the instances may do on AWS (default: nothing)")
    own.add_argument("--key-name", metavar="NAME", help="a key pair of yours; --identity-file says where its key is")
    own.add_argument("--identity-file", metavar="FILE", help="the private key of --key-name")
    own.add_argument("--tag", action="append", metavar="KEY=VALUE", help="a tag on everything made. Repeatable")
    own.add_argument("--template", metavar="NAME[:N]", help="a launch template: what is not said here is as it says")
    own.add_argument("--efa", action="store_true", help="Elastic Fabric Adapters, in a placement group of its own")
    own.add_argument(
        "--fill-rate", type=int, metavar="MIB_S", help="fill disks from their snapshot at 100 to 300 MiB/s"
    )


def add_plan(verbs: Verbs[Parser], add_launch: object) -> None:
    """Add `bay plan` and `bay apply`; `add_launch` adds what a launch takes."""
    plan = add_verb(
        verbs,
        "plan",
        "Show what a launch on EC2 would do and cost, and save it; `bay apply` does it. Launches nothing.",
        "bay plan tensorflow -n 20 --provider twin --type p3.2xlarge -o plan.json",
    )
    assert callable(add_launch)
    add_launch(plan)
    plan.add_argument("-o", "--output", metavar="FILE", help="where the plan is saved (default: only shown)")
    plan.add_argument(
        "--export-template",
        metavar="NAME",
        help="also write it as a launch template of EC2, for other tools to launch from",
    )
    apply = add_verb(
        verbs,
        "apply",
        "Do what a saved plan says, if the world is still as it was when it was made: prices, image, room.",
        "bay apply plan.json",
    )
    apply.add_argument("plan", metavar="PLAN", help="a file that `bay plan -o` wrote")


def add_extend(verbs: Verbs[Parser]) -> None:
    """Add `bay extend`."""
    extend = add_verb(
        verbs,
        "extend",
        "Let a fleet or an instance on EC2 live for so long from now on, instead of until the end that it has.",
        "bay extend exp 2h",
    )
    extend.add_argument("name", metavar="NAME", help="a fleet or an instance")
    extend.add_argument("duration", metavar="TIME", help="from now on: 90m, 2h, 1d")
