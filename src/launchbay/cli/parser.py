"""What can be typed. Imports nothing but argparse, so that `bay --help` is instant."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Sequence

from launchbay import __version__

__all__ = ["build_parser", "parse"]

_AFTER_DASHES = {"exec": "command", "train": "args"}

_GROUPS = """\
getting started
  init [DIR]              write a project that trains: bay.yaml, train.py, data
  demo                    run the whole experiment once, on this machine
  doctor                  what works here, and how to mend what does not

images
  images [QUERY]          built images, and recipes that could be built
  image build NAME        build one; `image show`, `image verify`, `image remove`
  image bake INSTANCE     a recipe and an image of what you built up in one
  image export NAME       an image as one file; `image import FILE` takes it in

instances
  launch IMAGE -n N       launch N identical instances, all or none
  ps                      what there is, and what it costs
  verify FLEET            prove that instances are identical
  update FLEET IMAGE      another image under standing instances
  exec, shell, cp         work in one
  stop, start, reboot     end what runs in them, keep their files
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
"""


class _Formatter(argparse.HelpFormatter):
    """Help as written, but as wide as the terminal; options in a column wide enough for ours."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + _wrap(line, width) for line in text.splitlines())


def _wrap(line: str, width: int) -> str:
    """Break a line that is too long; in a list, below what it explains."""
    found = re.match(r" +(\S.*?  +)?", line)
    inner = found.end() if found and found.end() < width - 20 else 4
    return textwrap.fill(line, width, subsequent_indent=" " * (inner if found else 0), break_long_words=False)


_Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse gives the type no public name


class _Parser(argparse.ArgumentParser):
    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Answer a mistyped verb with the nearest one, where argparse lists them all."""
        if isinstance(action, _Verbs) and value not in action.choices:
            import difflib

            close = difflib.get_close_matches(str(value), action.choices, n=1)
            meant = f"did you mean {close[0]}?" if close else f"`{self.prog} --help` lists what there is"
            raise argparse.ArgumentError(None, f"there is no '{self.prog} {value}'; {meant}")
        super()._check_value(action, value)


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
    namespace, unknown = parser.parse_known_args(_in_our_words(before))
    field = _AFTER_DASHES.get(namespace.verb)
    if unknown:
        hint = (
            f"; what is not for bay goes after '--': bay {namespace.verb} ... -- {' '.join(unknown)}" if field else ""
        )
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
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


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `bay` with all its verbs."""
    parser = _Parser(
        prog="bay",
        formatter_class=_Formatter,
        usage="bay VERB [...]",
        add_help=False,
        description="Ready-made deep-learning instances: one or twenty, identical, and gone when you are done.\n\n"
        + _GROUPS,
        epilog="example:\n  bay launch tensorflow -n 3 --name exp\n\n`bay VERB --help` shows what a verb takes, with an example.",
    )
    options = parser.add_argument_group("options, before or after the verb")
    options.add_argument("-h", "--help", action="help", help="show this")
    options.add_argument("-V", "--version", action="version", version=f"bay {__version__}")
    _add_common(options, defaults=True)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", help=argparse.SUPPRESS, prog="bay")
    _add_start(verbs)
    _add_images(verbs)
    _add_instances(verbs)
    _add_share(verbs)
    _add_runs(verbs)
    _add_services(verbs)
    _add_models(verbs)
    return parser


def _add_common(parser: argparse._ActionsContainer, *, defaults: bool) -> None:
    """Add what every verb takes; after the verb it only overrides, so that both places work."""
    unset = None if defaults else argparse.SUPPRESS
    false = False if defaults else argparse.SUPPRESS
    parser.add_argument(
        "--json", action="store_true", default=false, help="print the value as JSON, and nothing else on stdout"
    )
    parser.add_argument(
        "--provider",
        choices=("local", "ec2", "twin"),
        metavar="WHERE",
        default=unset,
        help="where instances are: local, ec2 or twin (default: local)",
    )
    parser.add_argument(
        "-y",
        "--yes",
        action="store_true",
        default=false,
        help="do not ask before something is removed, or launched for a script",
    )


def _verb(verbs: _Verbs[_Parser], name: str, says: str, example: str) -> _Parser:
    parser = verbs.add_parser(
        name,
        description=says,
        formatter_class=_Formatter,
        epilog="example:\n  " + example.replace("\n", "\n  "),
        add_help=False,
    )
    options = parser.add_argument_group("options of every verb")
    options.add_argument("-h", "--help", action="help", help="show this")
    _add_common(options, defaults=False)
    return parser


def _add_start(verbs: _Verbs[_Parser]) -> None:
    init = _verb(
        verbs,
        "init",
        "Write a project that trains: bay.yaml, train.py and a small dataset. Overwrites nothing.",
        "bay init my-experiment",
    )
    init.add_argument("folder", nargs="?", default=".", metavar="DIR", help="where (default: here)")
    init.add_argument("--image", default="tensorflow", help="the image that bay.yaml names (default: tensorflow)")
    demo = _verb(
        verbs,
        "demo",
        "Run the whole experiment once, on this machine: launch 3 instances, prove them identical, train, "
        "learning curves, evaluate, predict, terminate. Leaves the run and its model, and nothing that runs.",
        "bay demo --data DIR",
    )
    demo.add_argument(
        "--data",
        metavar="DIR",
        help="a folder with one train*, val* and test* CSV each (default: data made from a seed)",
    )
    demo.add_argument("--epochs", type=int, default=500, help="how long to train (default: 500)")
    _verb(
        verbs,
        "doctor",
        "Say what works here and how to mend what does not. Exit code 1 if something is broken.",
        "bay doctor",
    )


def _add_images(verbs: _Verbs[_Parser]) -> None:
    images = _verb(verbs, "images", "List built images, and the recipes that could be built.", "bay images tensorflow")
    images.add_argument(
        "query", nargs="*", metavar="QUERY", help="words that name, description or packages must contain"
    )
    image = _verb(verbs, "image", "Build, bake, show, verify, move or remove an image.", "bay image build tensorflow")
    actions = image.add_subparsers(dest="action", required=True, metavar="build|bake|show|verify|export|import|remove")
    _add_bake(actions)
    for name, says in (
        (
            "build",
            "Build an image from a recipe's name, a recipe file (.yaml) or a requirements file (.txt), if it is not there.",
        ),
        ("show", "Show what an image holds, or what building it would install."),
        (
            "verify",
            "Hash every file of an image against what its packages say of themselves. Exit code 1 if one differs.",
        ),
        ("export", "Write a built image as one file that another machine can take in. It is hashed first."),
        ("remove", "Remove a built image; refused while instances stand on it."),
    ):
        action = _verb(actions, name, says, f"bay image {name} tensorflow")
        action.add_argument(
            "image", metavar="IMAGE", help="a name from `bay images`, a file, or a digest (8 letters or more)"
        )
        if name == "build":
            _add_accelerator(action)
        if name == "export":
            action.add_argument("-o", "--output", metavar="FILE", help="where to (default: NAME-DIGEST.tar.gz, here)")
    import_ = _verb(
        actions,
        "import",
        "Take in an image from a file that `bay image export` wrote. Every file is checked before the image gets its "
        "name. An image is a program: take in only what comes from somebody you trust.",
        "bay image import tensorflow-b8c5d8ecebb4.tar.gz",
    )
    import_.add_argument("file", metavar="FILE", help="the file")
    import_.add_argument("--sha256", metavar="HASH", help="what it must be; `bay image export` showed it")


def _add_accelerator(parser: _Parser) -> None:
    parser.add_argument(
        "--accelerator",
        choices=("auto", "cpu", "cuda"),
        metavar="WHAT",
        default="auto",
        help="auto, cpu or cuda (default: auto, which is cuda where there is an NVIDIA GPU and a build for it)",
    )


def _add_env(verb: _Parser) -> None:
    verb.add_argument(
        "--env", metavar="NAME", help="which environment, where an instance has several (default: the first)"
    )


def _add_bake(actions: _Verbs[_Parser]) -> None:
    bake = _verb(
        actions,
        "bake",
        "Make a recipe, its lock and an image of what was built up in an instance: packages pinned as they are, other "
        "files of its environment beside them. Then compare the image with the instance; exit code 1 if it is not the "
        "same. Home and work folder are not taken.",
        "bay image bake exp-1 --name course    # then: bay launch ./course.yaml -n 20",
    )
    bake.add_argument("instance", metavar="INSTANCE", help="an instance; a fleet of one answers to its fleet name")
    bake.add_argument("--name", metavar="NAME", help="what recipe and image are called (default: INSTANCE-baked)")
    _add_env(bake)
    bake.add_argument("-o", "--output", metavar="DIR", help="where the recipe is written (default: here)")


def _add_instances(verbs: _Verbs[_Parser]) -> None:
    launch = _verb(
        verbs,
        "launch",
        "Launch N identical instances of an image, all of them or none; builds the image if it is missing. "
        "The same command again makes what is missing and nothing twice.",
        "bay launch tensorflow -n 20 --name class\nbay launch ./ml.yaml\nbay launch            # what bay.yaml says",
    )
    launch.add_argument(
        "image", nargs="?", metavar="IMAGE", help="a name from `bay images`, or a recipe or requirements file"
    )
    launch.add_argument("-n", "--count", type=int, metavar="N", help="how many (default: 1)")
    launch.add_argument(
        "--name", metavar="FLEET", help="the fleet's name; instances are FLEET-1 to FLEET-N (default: the image's)"
    )
    _add_accelerator(launch)
    launch.add_argument(
        "--overlay",
        action="store_true",
        help="a whole environment each, where packages of the image can be removed too (Linux, and the right to mount)",
    )
    _verb(verbs, "ps", "List the instances there are, what runs in them and what they cost.", "bay ps --json")
    verify = _verb(
        verbs,
        "verify",
        "Prove that a fleet's instances are identical: a fingerprint each, and the image below them hashed. "
        "Names the odd one and what differs; then the exit code is 1.",
        "bay verify exp",
    )
    verify.add_argument("name", metavar="NAME", help="a fleet or an instance")
    update = _verb(
        verbs,
        "update",
        "Move a standing fleet to another image, all of it or nothing. Homes, working folders and runs stay; packages that "
        "people had installed are installed again under the new image's constraints, and those that cannot be are named.",
        "bay update class multi",
    )
    update.add_argument("fleet", metavar="FLEET", help="a fleet")
    update.add_argument("image", metavar="IMAGE", help="a name from `bay images`, or a recipe or requirements file")
    exec_ = _verb(
        verbs,
        "exec",
        "Run a command in an instance, in its working folder; its exit code is passed on.",
        "bay exec exp-1 -- pip install seaborn",
    )
    exec_.add_argument("name", metavar="INSTANCE", help="an instance; a fleet of one answers to its fleet name")
    _add_env(exec_)
    exec_.add_argument("command", nargs="*", metavar="-- CMD", help="the command and its arguments")
    shell = _verb(verbs, "shell", "Open a shell in an instance.", "bay shell exp-1")
    shell.add_argument("name", metavar="INSTANCE", help="an instance")
    _add_env(shell)
    copy = _verb(
        verbs,
        "cp",
        "Copy a file or folder to or from an instance. Paths there start in its working folder, or with ~/ in its home.",
        "bay cp notes.ipynb exp-1:notes.ipynb\nbay cp exp-1:results .",
    )
    copy.add_argument("source", metavar="FROM", help="a path here, or INSTANCE:PATH")
    copy.add_argument("target", metavar="TO", help="a path here, or INSTANCE:PATH")
    for name, says in (
        ("stop", "Stop a fleet, an instance or a run: what runs in it ends, its files stay."),
        ("start", "Let a stopped fleet or instance run again."),
        ("reboot", "Stop and start a fleet or an instance."),
        (
            "terminate",
            "Remove a fleet or an instance for good, with its home and working folder. Its runs, logs and models stay.",
        ),
    ):
        verb = _verb(verbs, name, says, f"bay {name} exp" + (" -y" if name == "terminate" else ""))
        verb.add_argument(
            "name", metavar="NAME", help="a fleet or an instance" + (", or a run" if name == "stop" else "")
        )


def _add_share(verbs: _Verbs[_Parser]) -> None:
    share = _verb(
        verbs,
        "share",
        "Hand each of the people in bay.yaml an instance: a sheet that opens their shell, notebook and board with plain "
        "OpenSSH, and a line in authorized_keys that leads there and nowhere else. Who has an instance keeps it. "
        "All of them are the same user of this machine: this is for colleagues.",
        "bay share class\nbay share class --host gpu.example.org -o sheets\nbay share class --revoke ada",
    )
    share.add_argument("fleet", nargs="?", metavar="FLEET", help="a fleet (default: the name in bay.yaml)")
    share.add_argument("-o", "--output", metavar="DIR", default="sheets", help="where the sheets go (default: sheets)")
    share.add_argument("--host", metavar="NAME", help="how others reach this machine (default: its own name)")
    share.add_argument("--ssh-port", type=int, default=22, metavar="N", help="its SSH server's port (default: 22)")
    share.add_argument("--host-key", metavar="FILE", help="its SSH server's public key (default: the one in /etc/ssh)")
    share.add_argument(
        "--authorized-keys", metavar="FILE", help="the file that lets them in (default: ~/.ssh/authorized_keys)"
    )
    either = share.add_mutually_exclusive_group()
    either.add_argument(
        "--revoke", metavar="PERSON", help="take an instance back: the key opens nothing, and what is open ends"
    )
    either.add_argument("--readmit", metavar="PERSON", help="let a revoked person be handed an instance again")


def _add_runs(verbs: _Verbs[_Parser]) -> None:
    fetch = _verb(
        verbs,
        "fetch",
        "Fetch data: resumes what was cut off, checks its hash, counts its rows and columns, refuses a web page "
        "in place of data.",
        "bay fetch data/train.csv -o data --sha256 9f86d081...",
    )
    fetch.add_argument("source", metavar="URL|PATH", help="where from: http, https, file or a path")
    fetch.add_argument(
        "--sha256", metavar="HASH", help="what it must be (without it, the hash is shown, to be pinned next time)"
    )
    fetch.add_argument("-o", "--output", metavar="DIR", default="data", help="where to (default: data)")
    train = _verb(
        verbs,
        "train",
        "Run a script as it is in an instance. Its folder is copied into the run, --data appears there as data/; "
        "what it prints is shown and kept, and it goes on if this terminal closes. Ctrl-C asks whether to stop it. "
        "What is certain to fail there is said before, and not started. With no instance standing, the script's imports "
        "propose an image, and with your consent one is launched. --resume starts a run again that was killed, stopped or "
        "failed: its own script, arguments and data, and the checkpoints that it left.",
        "bay train exp-1 train.py --data data -- --epochs 500\nbay train train.py        # proposes an image first\n"
        "bay train --resume latest",
    )
    train.add_argument("names", nargs="*", metavar="INSTANCE SCRIPT", help="default: what bay.yaml says")
    train.add_argument("--data", metavar="DIR", help="the folder that the script finds as data/")
    _add_env(train)
    train.add_argument("--timeout", metavar="TIME", help="stop it after that long (90s, 15m, 8h)")
    train.add_argument("--resume", metavar="RUN", help="start that run again where its checkpoints end")
    train.add_argument("--detach", action="store_true", help="return once it runs; `bay logs -f` follows it")
    train.add_argument(
        "--force", action="store_true", help="run it also where reading it shows that it is certain to fail"
    )
    train.set_defaults(args=None)
    _verb(verbs, "runs", "List all runs, those of terminated instances too.", "bay runs --json")
    logs = _verb(verbs, "logs", "Show what a run printed.", "bay logs latest -f")
    logs.add_argument("run", metavar="RUN", help="a run, the beginning or end of its name, or `latest`")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until it is over; Ctrl-C leaves it running")
    curves = _verb(
        verbs,
        "curves",
        "Draw training and validation loss of one or several runs, and say what they show.",
        "bay curves latest\nbay curves RUN1 RUN2 -o curves.html",
    )
    curves.add_argument("runs", nargs="*", metavar="RUN", help="runs or folders of event files (default: latest)")
    curves.add_argument("-o", "--output", metavar="FILE", help="write a .png, .svg or .html instead")


def _add_services(verbs: _Verbs[_Parser]) -> None:
    board = _verb(
        verbs,
        "board",
        "Show runs in TensorBoard, those of terminated instances too. It answers on this machine alone, behind a token, "
        "and goes on if this terminal closes. The same command again finds it, or starts it where it was.",
        "bay board                # all runs, and those to come\nbay board RUN1 RUN2      # these\n"
        "bay board exp-1          # those of an instance, on a board of its own\nbay board --stop",
    )
    board.add_argument(
        "names", nargs="*", metavar="RUN", help="runs, or instances or fleets for all of theirs (default: all runs)"
    )
    notebook = _verb(
        verbs,
        "notebook",
        "Open JupyterLab in an instance, with a notebook that lists devices, loads the newest model and plots it. "
        "It answers on this machine alone, behind a token, and goes on if this terminal closes; it ends with the instance.",
        "bay notebook exp-1\nbay notebook exp-1 --stop",
    )
    notebook.add_argument("name", metavar="INSTANCE", help="an instance; a fleet of one answers to its fleet name")
    for parser in (board, notebook):
        parser.add_argument("--port", type=int, metavar="N", help="the port (default: a free one, kept from then on)")
        parser.add_argument("--no-browser", action="store_true", help="only say where it is")
        parser.add_argument("--stop", action="store_true", help="end it; port and token stay")


def _add_models(verbs: _Verbs[_Parser]) -> None:
    model = _verb(verbs, "model", "Look at a model file.", "bay model show latest")
    actions = model.add_subparsers(dest="action", required=True, metavar="show")
    show = _verb(
        actions,
        "show",
        "Show a model's layers, shapes, parameters, loss, optimiser and sha256. Runs nothing of it.",
        "bay model show latest",
    )
    evaluate = _verb(
        verbs,
        "evaluate",
        "Measure a model on a CSV file: mse, rmse, mae, r2 and its own loss. Needs the image, not an instance.",
        "bay evaluate latest --data data/test.csv",
    )
    predict = _verb(
        verbs,
        "predict",
        "Show a model's predictions for rows of a CSV file.",
        "bay predict latest --data data/test.csv --rows 0:5",
    )
    for parser in (show, evaluate, predict):
        parser.add_argument("model", metavar="MODEL", help="a model file or folder, or a run, whose best model it is")
    for parser in (evaluate, predict):
        parser.add_argument(
            "--trust",
            metavar="SHA256",
            help="load a model that no run of yours made, by the sha256 that `bay model show` says",
        )
        parser.add_argument("--data", metavar="CSV", required=True, help="the data, with or without a header")
        parser.add_argument(
            "--target", default="first", help="the column to predict: first, last, a name or a number (default: first)"
        )
    evaluate.add_argument("--batch-size", type=int, default=128, metavar="N", help="rows at a time (default: 128)")
    predict.add_argument("--rows", metavar="A:B", help="which rows, counted from 0 (default: all)")
