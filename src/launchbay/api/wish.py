"""What bay.yaml adds to what was typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.spec.project import Project, find_project
from launchbay.spec.resources import Resources
from launchbay.units import count_of

__all__ = ["TrainingWish", "complete_launch", "complete_resources", "complete_resumption", "complete_training"]


def complete_launch(
    image: str | None, *, count: int | None, name: str | None, folder: Path | None = None
) -> tuple[str, int, str | None]:
    """Fill in what was not said from bay.yaml: (image, count, name). What was said wins."""
    if image is not None:
        return image, 1 if count is None else count, name
    project = find_project(folder or Path())
    if project is None or not project.image:
        raise UsageError(
            "launch needs an image, and there is no bay.yaml here that names one", hint="bay launch tensorflow -n 3"
        )
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
    """What to run and where. `instance` is None where nothing stands that could be meant: see `propose_image`."""

    instance: str | None
    script: Path
    data: Path | None
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
    from_project = project.folder / project.data if project.data and is_project_script and data is None else None
    return TrainingWish(
        instance=instance or _only_instance(bay, project),
        script=Path(script) if script else project.folder / project.script,
        data=Path(data) if data else from_project,
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
    """Return the first instance of the project's fleet, or the only one there is; None where there is none at all."""
    observed = bay.provider.observe()
    mine = [item for item in observed if item.fleet == project.name] or (list(observed) if len(observed) == 1 else [])
    if not observed and not project.image:
        return None
    if not mine:
        if observed and not project.image:
            what = f"train needs an instance, and {count_of(len(observed), 'instance')} stand here"
            raise UsageError(what, hint=f"bay train {observed[0].name} SCRIPT, or another that `bay ps` lists")
        raise UsageError("train needs an instance", hint="bay launch; or bay train INSTANCE SCRIPT")
    return mine[0].name
