"""Look whether this machine and this home can do what we promise, and say how to mend what they cannot."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from launchbay.catalog.aws import find_login
from launchbay.errors import BuildError, Conflict, LaunchbayError, StateError
from launchbay.images.image import Image, damaged_images, list_images
from launchbay.images.recipe import builtin_names, find_recipe
from launchbay.images.uv import Uv, find_uv
from launchbay.lifecycle.accelerator import list_gpus
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.providers.environment import environments
from launchbay.providers.local import damaged_instances
from launchbay.providers.overlay import Mount, end_holders, hold
from launchbay.providers.processes import run_processes
from launchbay.providers.resources import find_part, look_at_machine
from launchbay.store.journal import open_journal
from launchbay.store.person import read_owner
from launchbay.store.records import damaged_runs, open_runs
from launchbay.units import count_of, format_bytes

__all__ = ["Check", "run_checks"]

_ROOM_BYTES = 6 << 30  # one framework image, its download and its copy in the making


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at. `state` is ok, warning or broken; `mend` says what to do about it."""

    name: str
    state: str
    found: str
    mend: str = ""


def run_checks(bay: Bay) -> Sequence[Check]:
    """Look at everything; a check that itself fails is a finding, not an error."""
    return [check for look in _LOOKS for check in look(bay)]


def _python(_: Bay) -> Iterator[Check]:
    yield Check(name="python", state="ok", found=f"{platform.python_version()} at {sys.executable}")


def _uv(_: Bay) -> Iterator[Check]:
    try:
        uv = Uv(find_uv())
    except LaunchbayError as error:
        yield Check(name="uv", state="broken", found=error.what, mend=error.hint)
        return
    yield Check(name="uv", state="ok", found=uv.program)
    for minor in sorted({find_recipe(name).python for name in builtin_names()}):
        try:
            yield Check(name=f"python {minor}", state="ok", found=str(uv.find_python(minor)))
        except LaunchbayError as error:
            yield Check(name=f"python {minor}", state="broken", found=error.what, mend=error.hint)


def _home(bay: Bay) -> Iterator[Check]:
    root = bay.home.root
    standing = next(path for path in (root, *root.parents) if path.exists())
    if not (standing.is_dir() and os.access(standing, os.W_OK)):
        yield Check(
            name="home",
            state="broken",
            found=f"{root} cannot be written",
            mend="set LAUNCHBAY_HOME to a folder you own",
        )
        return
    free = shutil.disk_usage(standing).free
    state = "ok" if free > _ROOM_BYTES else "warning"
    yield Check(
        name="home",
        state=state,
        found=f"{root}, {format_bytes(free)} free",
        mend="" if state == "ok" else "a framework image takes 2 to 3 GB; `bay image remove` frees one",
    )


def _journal(bay: Bay) -> Iterator[Check]:
    if not bay.home.journal.exists():
        yield Check(name="journal", state="ok", found="none yet; it begins with the first launch")
        return
    try:
        notes: list[str] = []
        with open_journal(bay.home.journal, bay.clock, notes.append) as journal:
            yield from (Check(name="journal", state="warning", found=note) for note in notes)
            cut_off = [
                f"{item.verb} {item.subject}"
                for verb in ("launch", "terminate", "update")
                for item in journal.unfinished(verb)
            ]
            yield Check(
                name="journal",
                state="warning" if cut_off else "ok",
                found=f"cut off: {', '.join(cut_off)}" if cut_off else str(bay.home.journal),
                mend="run the same command again, or `bay terminate` it" if cut_off else "",
            )
    except (LaunchbayError, sqlite3.Error) as error:
        yield Check(name="journal", state="broken", found=str(error), mend="upgrade launchbay, or move the file away")


def _records(bay: Bay) -> Iterator[Check]:
    for folder in damaged_instances(bay.home):
        yield Check(name="instance", state="broken", found=f"{folder} has no readable record", mend=f"rm -r {folder}")
    for folder in damaged_images(bay.home):
        mend = f"chmod -R u+w {folder}; rm -r {folder}; it is built again when it is needed"
        yield Check(name="image", state="broken", found=f"{folder} has no readable record", mend=mend)
    for folder in damaged_runs(bay.home):
        mend = f"what it made may be whole: look, then rm -r {folder}"
        yield Check(name="run", state="broken", found=f"{folder} has no readable record", mend=mend)
    for run in open_runs(bay.home):
        if run.state == "lost" and run_processes(run.id):
            found = f"{run.id} has lost its supervisor, and its script goes on"
            yield Check(name="run", state="warning", found=found, mend=f"bay stop {run.id}")
    instances = bay.provider.observe()
    built = {image.digest: image for image in list_images(bay.home)}
    for instance in instances:
        if lacking := _lacking(instance, built.get(instance.digest)):
            found = f"{instance.name} lacks {', '.join(lacking)}"
            yield Check(
                name="instance", state="broken", found=found, mend=f"bay terminate {instance.name}, launch again"
            )
    yield from (check for instance in instances for check in _damaged_notes(instance))
    left = [*bay.home.tmp.glob("*-*"), *bay.home.trash.glob("*")]
    if left:
        yield Check(
            name="left over",
            state="warning",
            found=f"{count_of(len(left), 'thing')} half-made or half-removed in {bay.home.tmp}",
            mend="the next launch or build removes what nobody works on",
        )
    for instance in instances:
        if instance.digest not in built:
            yield Check(
                name="instance",
                state="broken",
                found=f"{instance.name} stands on an image that is gone",
                mend=f"bay image build {instance.image}",
            )
    size = sum(image.size_bytes for image in built.values())
    yield Check(name="images", state="ok", found=f"{len(built)} built, {format_bytes(size)}")


def _lacking(instance: Instance, image: Image | None) -> list[str]:
    """Return what an instance cannot do without and has not; an overlay's Python is seen inside only."""
    pythons = [item.python for item in environments(instance.root, image)] if image is not None else []
    paths = [instance.root / "home", instance.root / "work", *(pythons if instance.layer == "layer" else ())]
    return [str(path.relative_to(instance.root)) for path in paths if not path.exists()]


def _overlay(_: Bay) -> Iterator[Check]:
    """Mount one for real: nothing else tells whether this kernel lets this user."""
    with tempfile.TemporaryDirectory(prefix="launchbay-") as place:
        folder = Path(place)
        try_it = Instance(
            id=f"i-{folder.name}",
            name="",
            fleet="",
            count=1,
            image="",
            digest="",
            token="",
            provider="",
            state="",
            layer="overlay",
            created_at=0.0,
            root=folder,
        )
        mount = Mount(*(folder / name for name in ("lower", "upper", "work", "target")))
        for path in (mount.lower, mount.upper, mount.work, mount.target):
            path.mkdir()
        try:
            hold({try_it: [mount]})
        except Conflict as error:
            mend = "instances on plain layers need no such right"
            yield Check(name="overlay", state="warning", found=error.what, mend=mend)
        else:
            yield Check(name="overlay", state="ok", found="`bay launch --overlay` works here")
        finally:
            end_holders([try_it])


def _damaged_notes(instance: Instance) -> Iterator[Check]:
    """Yield what cannot be read of what was written down beside an instance's record."""
    for read in (read_owner, find_part):
        try:
            read(instance.root)
        except StateError as error:
            mend = f"rm {error.where}; `bay launch` and `bay share` write it again"
            yield Check(name="instance", state="broken", found=f"{instance.name}: {error.what}", mend=mend)


def _gpu(bay: Bay) -> Iterator[Check]:
    try:
        gpus = list_gpus(bay)
    except BuildError as error:
        yield Check(name="gpu", state="warning", found=error.what, mend="nvidia-smi shows why; until then, on the CPU")
        return
    words = [f"{gpu.name}, compute capability {gpu.capability}, driver {gpu.driver}" for gpu in gpus]
    found = "; ".join(words) or "no NVIDIA driver; instances train on the CPU"
    yield Check(name="gpu", state="ok", found=found)


def _parts(bay: Bay) -> Iterator[Check]:
    machine = look_at_machine(bay.environ)
    there = f"{count_of(len(machine.processors), 'processor')}, {count_of(len(machine.gpus), 'GPU')}"
    if machine.groups:
        held = f"control groups hold what `resources` says: {machine.groups}"
        yield Check(name="parts", state="ok", found=f"{there}; {held}")
        return
    how = "`resources` gives processors by affinity, which a program can undo, and holds no memory"
    yield Check(name="parts", state="ok", found=f"{there}; no control group is delegated: {how}")


def _extras(_: Bay) -> Iterator[Check]:
    there = find_spec("matplotlib") is not None
    yield Check(
        name="pictures",
        state="ok" if there else "warning",
        found="matplotlib is there" if there else "matplotlib is missing",
        mend="" if there else "pip install 'launchbay[plot]' for PNG and SVG; HTML works without",
    )


def _aws(_: Bay) -> Iterator[Check]:
    """Look at what EC2 takes, here alone: AWS is not asked."""
    if find_spec("boto3") is None:
        mend = "pip install 'launchbay[aws]' for EC2; all on this machine works without"
        yield Check(name="ec2", state="warning", found="boto3 is missing", mend=mend)
        return
    yield Check(name="ec2", state="ok", found="boto3 is there")
    mend = "`aws configure` or `aws sso login` for EC2; the twin and this machine need none"
    try:
        profile, login = find_login()
    except LaunchbayError as error:
        yield Check(name="credentials", state="warning", found=error.what, mend=error.hint)
        return
    if login:
        found = f"{login}, profile {profile}; whether AWS takes them is not asked"
        yield Check(name="credentials", state="ok", found=found)
    else:
        found = f"credentials for AWS are missing, profile {profile}"
        yield Check(name="credentials", state="warning", found=found, mend=mend)


def _twin(bay: Bay) -> Iterator[Check]:
    there = shutil.which("bwrap", path=bay.environ.get("PATH"))
    yield Check(
        name="twin",
        state="ok" if there else "warning",
        found=f"its hosts have bubblewrap: {there}" if there else "bubblewrap is missing",
        mend="" if there else "install bubblewrap for the hosts of the twin; all else works without",
    )


_LOOKS: tuple[Callable[[Bay], Iterator[Check]], ...] = (
    _python,
    _uv,
    _home,
    _journal,
    _records,
    _overlay,
    _gpu,
    _parts,
    _extras,
    _aws,
    _twin,
)
