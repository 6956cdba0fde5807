"""What an instance may use of the machine: affinity for real; control groups in a folder that stands for a delegated one.

A real one needs a kernel whose version 2 has a say in processors and memory, which machines for tests often lack.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import launchbay
from launchbay.errors import UsageError, UserError
from launchbay.lifecycle.bay import Bay, connect
from launchbay.lifecycle.end import terminate
from launchbay.providers.resources import Machine, Part, find_part, look_at_machine, part_of, remove_group, say_parts
from launchbay.spec.resources import Resources
from launchbay.transport.local import LocalTransport

EIGHT = Machine(processors=tuple(range(8)), gpus=(0, 1))
WHERE = "import os; print(sorted(os.sched_getaffinity(0)), os.environ.get('CUDA_VISIBLE_DEVICES'))"


def delegate(folder: Path, *instances: str) -> Path:
    """Make what the kernel shows in a delegated group, and in those that will be made in it."""
    folder.mkdir()
    (folder / "cgroup.subtree_control").touch()
    for name in (f"probe-{os.getpid()}", *instances):
        (folder / name).mkdir()
        for file in ("cgroup.procs", "cpu.max", "memory.max", "memory.swap.max"):
            (folder / name / file).touch()
    return folder


# --- who gets what --------------------------------------------------------------------------------------------------


def test_parts_go_round() -> None:
    parts = [part_of(EIGHT, index, Resources(cpus=3, gpus=1)) for index in range(4)]
    assert [part.processors for part in parts] == [(0, 1, 2), (3, 4, 5), (0, 6, 7), (1, 2, 3)]
    assert [part.gpus for part in parts] == [(0,), (1,), (0,), (1,)]
    assert parts == [part_of(EIGHT, index, Resources(cpus=3, gpus=1)) for index in range(4)]


def test_no_gpu_hides_all_of_them_and_unknown_ones_are_left_alone() -> None:
    assert part_of(EIGHT, 0, Resources(gpus=0)).variables == {"CUDA_VISIBLE_DEVICES": ""}
    assert part_of(EIGHT, 0, Resources(cpus=1)).variables == {}
    assert part_of(Machine(processors=(0,), gpus=()), 0, Resources(gpus=1)).variables == {}


@pytest.mark.parametrize("wish", [Resources(cpus=9), Resources(gpus=3)])
def test_more_than_there_is_is_refused(wish: Resources) -> None:
    with pytest.raises(UsageError, match=r"must be \d to \d on this machine"):
        part_of(EIGHT, 0, wish)


@pytest.mark.parametrize(
    ("wish", "count", "group", "words"),
    [
        (Resources(cpus=2, memory=4 * 10**9), 2, Path("/g"), ["2 processors each, held", "4.0 GB of memory each, held", "GPUs"]),
        (Resources(cpus=2), 2, None, ["by affinity, which a program can undo", "GPUs: not"]),
        (Resources(cpus=2), 5, None, ["8 for 5 instances, so some share them", "GPUs: not"]),
        (Resources(memory=10**9), 1, None, ["1.0 GB of memory each, NOT held", "GPUs: not"]),
        (Resources(gpus=1), 2, None, ["GPUs by CUDA_VISIBLE_DEVICES"]),
        (Resources(gpus=1), 3, None, ["GPUs by CUDA_VISIBLE_DEVICES", "GPU 0 is shared by exp-1, exp-3"]),
        (Resources(gpus=0), 3, None, ["no GPU each"]),
    ],
)  # fmt: skip
def test_what_holds_and_what_does_not_is_said(
    wish: Resources, count: int, group: Path | None, words: Sequence[str]
) -> None:
    parts = {f"exp-{index + 1}": part_of(EIGHT, index, wish, group=group) for index in range(count)}
    said = say_parts(parts, EIGHT)
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True)), said


# --- affinity, for real ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tiny")
def test_all_that_starts_in_an_instance_keeps_to_its_processors(bay: Bay, tiny: str) -> None:
    there = sorted(os.sched_getaffinity(0))
    launched = launchbay.launch(bay, tiny, count=3, name="exp", resources=Resources(cpus=1, gpus=0))
    assert any("by affinity" in line or "held by the kernel" in line for line in launched.parts)
    for index, instance in enumerate(bay.provider.observe()):
        if find_part(instance.root).group is not None:
            continue  # this machine has what others lack
        wanted = f"[{there[index % len(there)]}] \n"
        assert connect(bay, instance).run(["python", "-c", WHERE]).stdout.decode() == wanted
        answer = connect(bay, instance).start(["python", "-c", WHERE], data=b"", errors=os.devnull, variables={})
        assert answer.stdout.decode() == wanted
    assert sorted(os.sched_getaffinity(0)) == there, "the caller was held to it too"


def test_processors_that_are_gone_are_named(tmp_path: Path) -> None:
    transport = LocalTransport(environment=dict(os.environ), folder=str(tmp_path), processors=[1023])
    with pytest.raises(UserError, match="none of the processors 1023 can be had any more"):
        transport.run(["true"])


def test_nothing_said_means_all_there_is(bay: Bay, tiny: str) -> None:
    assert launchbay.launch(bay, tiny, name="exp").parts == ()
    (instance,) = bay.provider.observe()
    assert find_part(instance.root) == Part()
    said = connect(bay, instance).run(["python", "-c", WHERE]).stdout.decode()
    assert said.startswith(str(sorted(os.sched_getaffinity(0))))


# --- control groups, in a folder that stands for one ----------------------------------------------------------------


def test_a_group_is_found_by_trying(tmp_path: Path) -> None:
    groups = delegate(tmp_path / "groups")
    assert look_at_machine({"LAUNCHBAY_CGROUP": str(groups)}).groups == groups
    assert (groups / "cgroup.subtree_control").read_text(encoding="ascii") == "+cpu +memory"
    entered = (groups / f"probe-{os.getpid()}" / "cgroup.procs").read_text(encoding="ascii")
    assert int(entered) != os.getpid(), "no process was put into it"


@pytest.mark.parametrize("lacks", ["cgroup.procs", "cpu.max", "memory.max"])
def test_one_that_holds_nothing_is_none(tmp_path: Path, lacks: str) -> None:
    groups = delegate(tmp_path / "groups")
    path = groups / f"probe-{os.getpid()}" / lacks
    path.unlink()
    if lacks == "cgroup.procs":
        path.mkdir()  # as one that cannot be written
    assert look_at_machine({"LAUNCHBAY_CGROUP": str(groups)}).groups is None


def test_one_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert look_at_machine({"LAUNCHBAY_CGROUP": str(tmp_path / "no")}).groups is None


def test_all_that_starts_in_an_instance_enters_its_group(bay: Bay, tiny: str, tmp_path: Path) -> None:
    launched = launchbay.launch(bay, tiny, name="exp")
    groups = delegate(tmp_path / "groups", launched.instances[0].id)
    grouped = replace(bay, environ={**bay.environ, "LAUNCHBAY_CGROUP": str(groups)})
    again = launchbay.launch(grouped, tiny, name="exp", resources=Resources(cpus=2, memory=3 * 10**9))
    assert again.parts[0] == "2 processors each, held by the kernel (control group)"
    group = groups / again.instances[0].id
    assert (group / "cpu.max").read_text(encoding="ascii") == "200000 100000"
    assert (group / "memory.max").read_text(encoding="ascii") == "3000000000"
    done = connect(bay, again.instances[0]).run(["python", "-c", "import os; print(os.getpid())"])
    assert (group / "cgroup.procs").read_text(encoding="ascii") == done.stdout.decode()
    assert json.loads((again.instances[0].root / "resources.json").read_text(encoding="utf-8"))["group"] == str(group)
    terminate(bay, "exp")


def test_an_empty_group_goes_with_its_instance(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    remove_group(tmp_path / "group")
    remove_group(tmp_path / "group")
    assert not (tmp_path / "group").exists()
