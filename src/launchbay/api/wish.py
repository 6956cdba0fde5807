"""What bay.yaml adds to what was typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.cloud.fleet import list_fleets
from launchbay.cloud.placing import is_on_s3, refuse_s3_here
from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.spec.names import instance_names
from launchbay.spec.project import Project, find_project
from launchbay.spec.resources import Resources
from launchbay.units import count_of

__all__ = ["TrainingWish", "complete_launch", "complete_resources", "complete_resumption", "complete_training"]


def complete_launch(
    image: str | None, *, count: int | None, name: str | None, folder: Path | None = None, verb: str = "launch"
) -> tuple[str, int, str | None]:
    """Fill in what was not said from bay.yaml: (image, count, name). What was said wins.

    Raises UsageError, naming the verb that was typed, where neither says the image.
    """
    if image is not None:
        return image, 1 if count is None else count, name
    project = find_project(folder or Path())
    if project is None or not project.image:
        what = f"{verb} needs an image, and there is no bay.yaml here that names one"
        raise UsageError(what, hint=f"bay {verb} tensorflow -n 3")
    named = project.folder / project.image
    return (
        str(named) if named.is_file() else project.image,
        project.count if count is None else count,
        name or project.name or None,
    )


def complete_resources(image: str | None, *, folder: Path | None = None) -> Resources | None:
    """Return what bay.yaml says that each instance may use, for a launch of what it says."""
    project = find_project(folder or Path()) if image is None else None
    return project.resources if project else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingWish:
    """What to run and where. `instance` is None where nothing stands that could be meant: see `propose_image`.

    `data` is a folder here, or the address of one on S3.
    """

    instance: str | None
    script: Path
    data: Path | str | None
    args: Sequence[str]


def complete_training(
    bay: Bay, names: Sequence[str], *, data: str | None, args: Sequence[str] | None, folder: Path | None = None
) -> TrainingWish:
    """Fill in what was not said from bay.yaml and from what stands: `names` is [INSTANCE] [SCRIPT]."""
    project = find_project(folder or Path()) or Project(folder=folder or Path())
    if len(names) > 2:
        raise UsageError(
            f"train takes an instance and a script, got {' '.join(names)}", hint="arguments for the script go after --"
        )
    instance, script = (names[0], names[1]) if len(names) == 2 else ("", "")
    if len(names) == 1:
        instance, script = ("", names[0]) if names[0].endswith(".py") else (names[0], "")
    if not script and not project.script:
        raise UsageError(
            "train needs a script, and there is no bay.yaml here that names one", hint="bay train exp-1 train.py"
        )
    is_project_script = not script or script == project.script
    if data is None and project.data and is_project_script:
        data = project.data if is_on_s3(project.data) else str(project.folder / project.data)
    found = instance or _only_instance(bay, project)
    if found is None:  # one of this machine would be launched for it
        refuse_s3_here(data)
    return TrainingWish(
        instance=found,
        script=Path(script) if script else project.folder / project.script,
        data=data if data and is_on_s3(data) else Path(data) if data else None,
        args=args if args is not None else project.args if is_project_script else (),
    )


def complete_resumption(names: Sequence[str], *, own: Sequence[str] = ()) -> str | None:
    """Return the instance that was named for resuming a run, if one was; `own` is what was said besides.

    Raises UsageError for anything that the run has itself.
    """
    scripts = [name for name in names if name.endswith(".py")] or names[1:]
    if refused := [*scripts, *own]:
        what = f"a resumed run has its own script, data and arguments: it does not take {', '.join(refused)}"
        raise UsageError(
            what, hint="bay train --resume RUN; or a new run: bay train INSTANCE SCRIPT --data DIR -- ARGS"
        )
    return names[0] if names else None


def _only_instance(bay: Bay, project: Project) -> str | None:
    """Return the first instance of the project's fleet, or the only one there is; None where there is none at all.

    Those on EC2 count too, as they were launched from here: whether one still stands is seen when it is used.
    """
    fleets = {item.name: item.fleet for item in bay.provider.observe()}
    fleets |= {name: item.name for item in list_fleets(bay.home) for name in instance_names(item.name, item.count)}
    mine = [name for name, fleet in fleets.items() if fleet == project.name] or list(fleets)[: len(fleets) == 1]
    if not fleets and not project.image:
        return None
    if not mine:
        if fleets and not project.image:
            what = f"train needs an instance, and {count_of(len(fleets), 'instance')} stand here"
            raise UsageError(what, hint=f"bay train {next(iter(fleets))} SCRIPT, or another that `bay ps` lists")
        raise UsageError("train needs an instance", hint="bay launch; or bay train INSTANCE SCRIPT")
    return mine[0]
