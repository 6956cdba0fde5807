"""What each verb takes. Imports nothing but argparse, so that `bay --help` is instant."""

from __future__ import annotations

from launchbay.cli.cloud_options import add_cloud_launch, add_extend, add_plan
from launchbay.cli.cost_options import add_cost
from launchbay.cli.grammar import Parser, Verbs, add_verb
from launchbay.cli.store_options import add_store
from launchbay.cli.twin_options import add_twin
from launchbay.cli.type_options import add_types

__all__ = ["add_verbs"]


def add_verbs(verbs: Verbs[Parser]) -> None:
    """Add all verbs, group by group."""
    _add_start(verbs)
    _add_images(verbs)
    _add_instances(verbs)
    _add_share(verbs)
    _add_runs(verbs)
    _add_services(verbs)
    _add_models(verbs)
    add_types(verbs)
    add_cost(verbs)
    add_store(verbs)
    add_twin(verbs)


def _add_start(verbs: Verbs[Parser]) -> None:
    init = add_verb(
        verbs,
        "init",
        "Write a project that trains: bay.yaml, train.py and a small dataset. Overwrites nothing.",
        "bay init my-experiment",
    )
    init.add_argument("folder", nargs="?", default=".", metavar="DIR", help="where (default: here)")
    init.add_argument("--image", default="tensorflow", help="the image that bay.yaml names (default: tensorflow)")
    demo = add_verb(
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
    doctor = add_verb(
        verbs,
        "doctor",
        "Say what works here and how to mend what does not. Exit code 1 if something is broken.",
        "bay doctor\nbay doctor --iam    # > policy.json",
    )
    doctor.add_argument(
        "--iam", action="store_true", help="print the least IAM policy that Launchbay needs in AWS; nothing is asked"
    )


def _add_images(verbs: Verbs[Parser]) -> None:
    images = add_verb(
        verbs,
        "images",
        "List built images, and the recipes that could be built; with --provider, the machine images of EC2.",
        "bay images tensorflow\nbay images --provider ec2 deep learning pytorch",
    )
    images.add_argument(
        "query", nargs="*", metavar="QUERY", help="words that name, description or packages must contain"
    )
    images.add_argument("--region", help="with --provider ec2 or twin, where (default: AWS_REGION, else us-east-1)")
    images.add_argument(
        "--all-owners", action="store_true", help="with --provider, also what anybody else has published: look twice"
    )
    image = add_verb(
        verbs, "image", "Build, bake, show, verify, move or remove an image.", "bay image build tensorflow"
    )
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
        action = add_verb(actions, name, says, f"bay image {name} tensorflow")
        action.add_argument(
            "image", metavar="IMAGE", help="a name from `bay images`, a file, or a digest (8 letters or more)"
        )
        if name == "build":
            _add_accelerator(action)
        if name == "remove":
            action.add_argument(
                "--region", metavar="R", help="with --provider ec2 or twin, of a machine image that was baked"
            )
        if name == "export":
            action.add_argument("-o", "--output", metavar="FILE", help="where to (default: NAME-DIGEST.tar.gz, here)")
    import_ = add_verb(
        actions,
        "import",
        "Take in an image from a file that `bay image export` wrote. Every file is checked before the image gets its "
        "name. An image is a program: take in only what comes from somebody you trust.",
        "bay image import tensorflow-b8c5d8ecebb4.tar.gz",
    )
    import_.add_argument("file", metavar="FILE", help="the file")
    import_.add_argument("--sha256", metavar="HASH", help="what it must be; `bay image export` showed it")


def _add_accelerator(parser: Parser) -> None:
    parser.add_argument(
        "--accelerator",
        choices=("auto", "cpu", "cuda"),
        metavar="WHAT",
        default="auto",
        help="auto, cpu or cuda (default: auto, which is cuda where there is an NVIDIA GPU and a build for it)",
    )


def _add_env(verb: Parser) -> None:
    verb.add_argument(
        "--env", metavar="NAME", help="which environment, where an instance has several (default: the first)"
    )


def _add_bake(actions: Verbs[Parser]) -> None:
    bake = add_verb(
        actions,
        "bake",
        "Make a recipe, its lock and an image of what was built up in an instance: packages pinned as they are, other "
        "files of its environment beside them. Then compare the image with the instance; exit code 1 if it is not the "
        "same. Home and work folder are not taken. Of an instance on EC2 it makes a machine image (AMI), which the next launch "
        "of the same image begins with.",
        "bay image bake exp-1 --name course    # then: bay launch ./course.yaml -n 20",
    )
    bake.add_argument("instance", metavar="INSTANCE", help="an instance; a fleet of one answers to its fleet name")
    bake.add_argument("--name", metavar="NAME", help="what recipe and image are called (default: INSTANCE-baked)")
    _add_env(bake)
    bake.add_argument("-o", "--output", metavar="DIR", help="where the recipe is written (default: here)")


def _add_launch(launch: Parser) -> None:
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
    add_cloud_launch(launch)


def _add_instances(verbs: Verbs[Parser]) -> None:
    launch = add_verb(
        verbs,
        "launch",
        "Launch N identical instances of an image, all of them or none; builds the image if it is missing. "
        "The same command again makes what is missing and nothing twice. On EC2 it shows the plan and what it can cost at "
        "most, and asks.",
        "bay launch tensorflow -n 20 --name class\nbay launch ./ml.yaml\nbay launch            # what bay.yaml says\n"
        "bay launch tensorflow -n 20 --provider ec2 --type p3.2xlarge --disk 100 --volume 35GiB:/data --ttl 8h",
    )
    _add_launch(launch)
    add_plan(verbs, _add_launch)
    add_extend(verbs)
    add_verb(verbs, "ps", "List the instances there are, what runs in them and what they cost.", "bay ps --json")
    verify = add_verb(
        verbs,
        "verify",
        "Prove that a fleet's instances are identical: a fingerprint each, and the image below them hashed. "
        "Names the odd one and what differs; then the exit code is 1.",
        "bay verify exp",
    )
    verify.add_argument("name", metavar="NAME", help="a fleet or an instance")
    update = add_verb(
        verbs,
        "update",
        "Move a standing fleet to another image, all of it or nothing. Homes, working folders and runs stay; packages that "
        "people had installed are installed again under the new image's constraints, and those that cannot be are named.",
        "bay update class multi",
    )
    update.add_argument("fleet", metavar="FLEET", help="a fleet")
    update.add_argument("image", metavar="IMAGE", help="a name from `bay images`, or a recipe or requirements file")
    exec_ = add_verb(
        verbs,
        "exec",
        "Run a command in an instance, in its working folder; its exit code is passed on.",
        "bay exec exp-1 -- pip install seaborn",
    )
    exec_.add_argument("name", metavar="INSTANCE", help="an instance; a fleet of one answers to its fleet name")
    _add_env(exec_)
    exec_.add_argument("command", nargs="*", metavar="-- CMD", help="the command and its arguments")
    shell = add_verb(verbs, "shell", "Open a shell in an instance.", "bay shell exp-1")
    shell.add_argument("name", metavar="INSTANCE", help="an instance")
    _add_env(shell)
    copy = add_verb(
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
        verb = add_verb(verbs, name, says, f"bay {name} exp" + (" -y" if name == "terminate" else ""))
        verb.add_argument(
            "name", metavar="NAME", help="a fleet or an instance" + (", or a run" if name == "stop" else "")
        )
        if name == "terminate":
            verb.add_argument("--region", metavar="R", help="with --provider, of a fleet that another machine launched")


def _add_share(verbs: Verbs[Parser]) -> None:
    share = add_verb(
        verbs,
        "share",
        "Hand each of the people in bay.yaml an instance: a sheet that opens their shell, notebook and board with plain "
        "OpenSSH, and a line in authorized_keys that leads there and nowhere else. Who has an instance keeps it, and how "
        "they come in stays as it was said the last time. "
        "All of them are the same user of this machine: this is for colleagues. On EC2 each has a machine of their own, "
        "and the file for ssh -F that opens it.",
        "bay share class\nbay share class --host gpu.example.org -o sheets\nbay share exp --allow-cidr 198.51.100.0/24\n"
        "bay share class --revoke ada",
    )
    share.add_argument("fleet", nargs="?", metavar="FLEET", help="a fleet (default: the name in bay.yaml)")
    share.add_argument("-o", "--output", metavar="DIR", default="sheets", help="where the sheets go (default: sheets)")
    share.add_argument("--host", metavar="NAME", help="how others reach this machine (default: its own name)")
    share.add_argument("--ssh-port", type=int, metavar="N", help="its SSH server's port (default: 22)")
    share.add_argument("--host-key", metavar="FILE", help="its SSH server's public key (default: the one in /etc/ssh)")
    share.add_argument(
        "--authorized-keys", metavar="FILE", help="the file that lets them in (default: ~/.ssh/authorized_keys)"
    )
    share.add_argument(
        "--allow-cidr",
        action="append",
        metavar="CIDR",
        help="on EC2: from where people may come in (default: nowhere but this machine's address). Repeatable",
    )
    share.add_argument(
        "--allow-anyone", action="store_true", help="on EC2: let --allow-cidr be as wide as the whole internet"
    )
    either = share.add_mutually_exclusive_group()
    either.add_argument(
        "--revoke", metavar="PERSON", help="take an instance back: the key opens nothing, and what is open ends"
    )
    either.add_argument("--readmit", metavar="PERSON", help="let a revoked person be handed an instance again")


def _add_runs(verbs: Verbs[Parser]) -> None:
    fetch = add_verb(
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
    train = add_verb(
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
    train.add_argument(
        "--data", metavar="DIR", help="the folder that the script finds as data/; on EC2 also s3://bucket/folder"
    )
    _add_env(train)
    train.add_argument("--timeout", metavar="TIME", help="stop it after that long (90s, 15m, 8h)")
    train.add_argument("--resume", metavar="RUN", help="start that run again where its checkpoints end")
    train.add_argument("--detach", action="store_true", help="return once it runs; `bay logs -f` follows it")
    train.add_argument(
        "--force", action="store_true", help="run it also where reading it shows that it is certain to fail"
    )
    train.set_defaults(args=None)
    add_verb(verbs, "runs", "List all runs, those of terminated instances too.", "bay runs --json")
    logs = add_verb(verbs, "logs", "Show what a run printed.", "bay logs latest -f")
    logs.add_argument("run", metavar="RUN", help="a run, the beginning or end of its name, or `latest`")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until it is over; Ctrl-C leaves it running")
    curves = add_verb(
        verbs,
        "curves",
        "Draw training and validation loss of one or several runs, and say what they show.",
        "bay curves latest\nbay curves RUN1 RUN2 -o curves.html",
    )
    curves.add_argument("runs", nargs="*", metavar="RUN", help="runs or folders of event files (default: latest)")
    curves.add_argument("-o", "--output", metavar="FILE", help="write a .png, .svg or .html instead")


def _add_services(verbs: Verbs[Parser]) -> None:
    board = add_verb(
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
    notebook = add_verb(
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


def _add_models(verbs: Verbs[Parser]) -> None:
    model = add_verb(verbs, "model", "Look at a model file.", "bay model show latest")
    actions = model.add_subparsers(dest="action", required=True, metavar="show")
    show = add_verb(
        actions,
        "show",
        "Show a model's layers, shapes, parameters, loss, optimiser and sha256. Runs nothing of it.",
        "bay model show latest",
    )
    evaluate = add_verb(
        verbs,
        "evaluate",
        "Measure a model on a CSV file: mse, rmse, mae, r2 and its own loss. Needs the image, not an instance.",
        "bay evaluate latest --data data/test.csv",
    )
    predict = add_verb(
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
