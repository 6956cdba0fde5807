"""What can be typed. Imports nothing but argparse, so that `bay --help` is instant."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from launchbay import __version__
from launchbay.cli.grammar import Formatter, Parser, add_common
from launchbay.cli.options import add_verbs

__all__ = ["build_parser", "parse"]

_AFTER_DASHES = {"exec": "command", "train": "args"}

_GROUPS = """\
getting started
  init [DIR]              write a project that trains: bay.yaml, train.py, data
  demo                    run the whole experiment once, on this machine
  doctor                  what works here, and how to mend what does not

images
  images [QUERY]          built images, and recipes that could be built; with --provider ec2, AMIs
  image build NAME        build one; `image show`, `image verify`, `image remove`
  image bake INSTANCE     a recipe and an image of what you built up in one
  image export NAME       an image as one file; `image import FILE` takes it in

instances
  launch IMAGE -n N       launch N identical instances, all or none; here, or with --provider on EC2
  plan, apply             what a launch on EC2 would do and cost, saved; do it
  ps                      what there is, and what it costs
  verify FLEET            prove that instances are identical
  update FLEET IMAGE      another image under standing instances
  exec, shell, cp         work in one
  stop, start, reboot     end what runs in them, keep their files
  extend NAME TIME        let one on EC2 live longer
  share FLEET             hand each person in bay.yaml their instance, over SSH
  terminate               end them for good; runs and models stay

runs
  fetch URL               data with a checksum
  train INSTANCE SCRIPT   run a script as it is
  runs, logs RUN          follow and look back
  curves RUN...           learning curves, with a diagnosis
  board [RUN...]          TensorBoard, behind a token on this machine alone
  notebook INSTANCE       JupyterLab in an instance, likewise

models
  model show MODEL        layers, shapes, parameters; runs nothing
  evaluate MODEL          metrics on data
  predict MODEL           predictions for rows

money
  types                   instance types of EC2 by GPU, memory, price and more
  types compare A B       some of them side by side
  types refresh           ask AWS for today's prices
  cost WORKLOAD           what a workload costs in a month, line by line
  store show              what outlives instances on EC2, and what it costs; `store restore`, `store remove`

rehearsal
  twin start              an EC2 on this machine; `twin status`, `twin bill`, `twin stop`
  twin advance TIME       set its clock forward
  conformance             does it do what EC2 does? 66 things, each with its source
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; what stands after ``--`` goes untouched to the command or script it is for."""
    before, after = list(arguments), None
    if "--" in before:
        cut = before.index("--")
        before, after = before[:cut], before[cut + 1 :]
    parser = build_parser()
    if not arguments:
        parser.print_help()
        parser.exit(2)
    before = _in_our_words(before)
    parser.check_options(before)
    namespace, unknown = parser.parse_known_args(before)
    field = _AFTER_DASHES.get(namespace.verb)
    if unknown:
        verb = parser.find_verb(before)
        hint = verb.near_option(unknown[0])
        if field:
            hint = f"what is not for bay goes after '--': {verb.prog} ... -- {' '.join(unknown)}"
        verb.error(f"it does not take {' '.join(unknown)}; {hint}")
    if after is not None:
        if field is None:
            parser.error(f"'bay {namespace.verb}' takes nothing after '--'")
        typed = getattr(namespace, field) or []
        # `exec NAME git checkout -- FILE`: these dashes are the command's own
        setattr(namespace, field, [*typed, "--", *after] if typed else after)
    return namespace


def _in_our_words(words: list[str]) -> list[str]:
    """Take `bay help VERB` and `bay version` for what they mean."""
    if words[:1] == ["help"]:
        return [*words[1:], "--help"]
    return ["--version"] if words == ["version"] else words


def build_parser() -> Parser:
    """Return the parser of `bay` with all its verbs."""
    parser = Parser(
        prog="bay",
        formatter_class=Formatter,
        usage="bay VERB [...]",
        add_help=False,
        description="Ready-made deep-learning instances: one or twenty, identical, and gone when you are done.\n\n"
        + _GROUPS,
        epilog="example:\n  bay launch tensorflow -n 3 --name exp\n\n`bay VERB --help` shows what a verb takes, with an example.",
    )
    options = parser.add_argument_group("options, before or after the verb")
    options.add_argument("-h", "--help", action="help", help="show this")
    options.add_argument("-V", "--version", action="version", version=f"bay {__version__}")
    add_common(options, defaults=True)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", help=argparse.SUPPRESS, prog="bay")
    add_verbs(verbs)
    return parser
