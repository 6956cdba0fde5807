"""What `bay types` takes. Imports nothing but argparse, so that `bay --help` is instant."""

from __future__ import annotations

import argparse

from launchbay.cli.grammar import Parser, Verbs, add_verb

__all__ = ["add_types"]

_RANGE = "4, 4+, 2..8 or ..8"
_RANGES = {
    "--gpus": "--gpus",
    "--gpu-memory-total": "--gpu-memory-total",
    "--instance-storage": "--local-disk",
    "--memory": "--memory",
    "--network-performance": "--network",
    "--vcpus": "--vcpus",
}
_OTHER_WORDS = {
    "--allow-list": "--family",
    "--baremetal": "--bare-metal",
    "--base-instance-type": "--like",
    "--burst-support": "--burstable",
    "--cpu-architecture": "--arch",
    "--cpu-manufacturer": "--processor",
    "--current-generation": "--generation current",
    "--efa-support": "--efa",
    "--fpga-support": "--accelerator fpga",
    "--gpu-manufacturer": "--maker",
    "--gpu-model": "--gpu",
    "--inference-accelerators": "--accelerator inference",
    "--instance-storage": "--local-disk",
    "--max-results": "--limit",
    "--network-performance": "--network",
    "--output": "--json, --csv or --columns",
    "--price-per-hour": "--max-price",
    "--price-per-hour-max": "--max-price",
    "--sort-by": "--sort",
    "--sort-direction": "--reverse",
    "--usage-class": "--spot",
    **{f"{theirs}-min": f"{ours} N+" for theirs, ours in _RANGES.items()},
    **{f"{theirs}-max": f"{ours} ..N" for theirs, ours in _RANGES.items()},
}
"""What amazon-ec2-instance-selector calls what we call otherwise."""


def add_types(verbs: Verbs[Parser]) -> None:
    """Add `bay types` with all that can be asked for, and `bay types compare`."""
    types = add_verb(
        verbs,
        "types",
        "List the instance types of EC2 that fulfil everything asked for, with what is known of their prices, how old each "
        f"is and where it comes from. How many is written {_RANGE}; unknown prices come last and pass no ceiling.",
        "bay types --gpus 1+ --sort price\nbay types --gpus 4..8 --gpu-memory 40+ --region us-west-2\n"
        "bay types --vcpus 4 --memory 16 --arch arm64 --max-price 0.20\nbay types --for tensorflow --gpus 1+\n"
        "bay types --like m5.xlarge",
    )
    types.other_words = _OTHER_WORDS
    types.no_verb = "`bay types compare {}` shows a type in full"
    _add_gpu(types)
    _add_machine(types)
    _add_place(types)
    _add_list(types)
    types.usage = (
        "bay types [OPTIONS]\n       bay types compare TYPE [TYPE ...]\n       bay types refresh [--region REGION]"
    )
    actions = types.add_subparsers(
        dest="action",
        required=False,
        prog="bay types",
        metavar="[compare|refresh]",
        help="some side by side; today's prices",
    )
    compare = add_verb(
        actions,
        "compare",
        "Show an instance type in full, or several side by side, whether or not the region offers them.",
        "bay types compare g4dn.xlarge g5.xlarge g6.xlarge --region us-west-2",
    )
    compare.add_argument("names", nargs="+", metavar="TYPE", help="types, by their full names")
    compare.add_argument(
        "--region", action="append", default=argparse.SUPPRESS, metavar="REGION", help="where (default: as for `types`)"
    )
    _add_refresh(actions)


def _add_refresh(actions: Verbs[Parser]) -> None:
    refresh = add_verb(
        actions,
        "refresh",
        "Ask AWS which types a region has and what they cost today, on demand, as spot and under Savings Plans, with the "
        "disks, addresses and traffic beside them, and keep the answer: `bay types` and `bay cost` use it from then on. A "
        "region is stored whole, or stays as it was. Changes nothing in your account and costs nothing. It needs boto3, and "
        "credentials with ec2:DescribeInstanceTypes, ec2:DescribeInstanceTypeOfferings and pricing:GetProducts; for spot "
        "and Savings Plans also ec2:DescribeSpotPriceHistory and savingsplans:DescribeSavingsPlansOfferingRates.",
        "bay types refresh --region us-west-2\nbay types refresh --region us-east-1 --region eu-west-1 --days 30",
    )
    refresh.add_argument(
        "--region",
        action="append",
        default=argparse.SUPPRESS,
        metavar="REGION",
        help="which, also several or `all` (default: as for `types`)",
    )
    refresh.add_argument(
        "--days", type=int, default=7, metavar="N", help="how far spot prices reach back, 1 to 90 (default: 7)"
    )


def _add_gpu(types: Parser) -> None:
    group = types.add_argument_group("GPUs and other accelerators")
    group.add_argument("--gpus", metavar="N", help=f"how many GPUs: {_RANGE}; a share of one counts as one")
    group.add_argument("--gpu", default="", metavar="MODEL", help="which GPU, such as a10g or 'rtx*'")
    group.add_argument(
        "--gpu-memory", metavar="GIB", help="memory of each GPU, as it is sold: one of 24 GB is found by 24"
    )
    group.add_argument("--gpu-memory-total", metavar="GIB", help="memory of all its GPUs together")
    group.add_argument("--maker", default="", metavar="NAME", help="who makes the GPU: nvidia, amd or habana")
    group.add_argument(
        "--capability", metavar="X.Y", help="the least CUDA compute capability; `any` for all that run CUDA"
    )
    group.add_argument(
        "--accelerator", default="", metavar="WHAT", help="a device of any kind: neuron, fpga ..., or inferentia2"
    )


def _add_machine(types: Parser) -> None:
    group = types.add_argument_group("the machine")
    group.add_argument("--vcpus", metavar="N", help=f"how many vCPUs: {_RANGE}")
    group.add_argument("--memory", metavar="GIB", help="memory")
    group.add_argument("--arch", action="append", metavar="NAME", help="x86_64 or arm64")
    group.add_argument("--processor", default="", metavar="NAME", help="who makes the processor: intel, amd or aws")
    group.add_argument("--local-disk", metavar="GB", help="disks inside the machine, together")
    group.add_argument("--network", metavar="GBPS", help="bandwidth in Gbit/s, as EC2 names it for a network card")
    group.add_argument(
        "--efa", action=argparse.BooleanOptionalAction, help="with an Elastic Fabric Adapter, or without"
    )
    group.add_argument(
        "--family", action="append", metavar="GLOB", help="what stands before the dot, such as g5 or 'm6*'"
    )
    group.add_argument(
        "--generation", choices=("current", "previous"), metavar="WHICH", help="current or previous, as AWS sorts them"
    )
    group.add_argument("--burstable", action=argparse.BooleanOptionalAction, help="with CPU credits, or without")
    group.add_argument("--bare-metal", action=argparse.BooleanOptionalAction, help="without a hypervisor, or with one")
    group.add_argument("--like", metavar="TYPE", help="as many GPUs; vCPUs and memory from 0.9 to 1.2 times its own")
    group.add_argument(
        "--for", dest="image", metavar="IMAGE", help="that this image runs on, with --gpus 1+ on their GPUs"
    )


def _add_place(types: Parser) -> None:
    group = types.add_argument_group("region and price")
    group.add_argument(
        "--region",
        action="append",
        metavar="REGION",
        help="where, also several or `all` (default: AWS_REGION, AWS_DEFAULT_REGION or us-east-1)",
    )
    group.add_argument("--max-price", metavar="USD", help="the most that an hour may cost")
    group.add_argument("--spot", action="store_true", help="that can be had as spot; price then means the spot price")
    group.add_argument("--retired", action="store_true", help="also those that EC2 offers no more")


def _add_list(types: Parser) -> None:
    group = types.add_argument_group("the list")
    group.add_argument("--sort", default="price", metavar="COLUMN", help="by which column (default: price)")
    group.add_argument("--reverse", action="store_true", help="the largest first; unknown comes last all the same")
    group.add_argument("--columns", metavar="A,B,C", help="which columns, and in which order")
    group.add_argument("--limit", type=int, metavar="N", help="how many at most (default: 30 in the table, else all)")
    group.add_argument("--csv", action="store_true", help="print a CSV file, with the fields of --json")
