"""What an instance may use of this machine, and how it is held to that: as well as the system lets us, and said plainly.

With a control group that we may make groups in (root has one, others where somebody delegated one) the kernel holds
processors and memory. Without, processors are given by affinity, which a process can undo, and memory is not held:
a limit on addresses breaks the frameworks, which map far more than they use. GPUs are given by the variable that CUDA
reads. Which of it holds is found out by trying.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launchbay.errors import StateError, UsageError, UserError
from launchbay.fields import INTEGER, TEXT, check_fields, list_of, optional
from launchbay.files import read_json, write_json
from launchbay.planning.fleet import Instance
from launchbay.spec.resources import Resources
from launchbay.units import count_of, format_bytes

__all__ = ["Machine", "Part", "find_part", "give_parts", "look_at_machine", "part_of", "remove_group", "say_parts"]

_ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is to give: processors and GPUs by number, and a folder in which we may make control groups."""

    processors: Sequence[int]
    gpus: Sequence[int]
    groups: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An instance's part of the machine: `cpus` processors, those of `processors` by affinity, `memory` in bytes, `gpus`.

    `group` is the control group that holds it to that; None where there is none. None elsewhere: nothing was said.
    """

    cpus: int | None = None
    processors: Sequence[int] = field(default=())
    memory: int | None = None
    gpus: Sequence[int] | None = None
    group: Path | None = None

    @property
    def words(self) -> Sequence[str]:
        """The words before a command that shall start in the group. Raises UserError when that cannot be made again."""
        if self.group is None:
            return ()
        if not (self.group / "cgroup.procs").exists():  # the machine was started anew
            _make_group(self.group, self)
        return ("/bin/sh", "-c", _ENTER, str(self.group))

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables of what runs in the instance."""
        return {} if self.gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, self.gpus))}


_RECORD = {"cpus": optional(INTEGER), "processors": list_of(INTEGER), "memory": optional(INTEGER)}
_RECORD |= {"gpus": optional(list_of(INTEGER)), "group": optional(TEXT)}


def look_at_machine(environ: Mapping[str, str]) -> Machine:
    """Look what there is, trying whether control groups can be made."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    names = os.listdir("/dev") if os.path.isdir("/dev") else []
    gpus = sorted(int(found[1]) for name in names if (found := re.fullmatch(r"nvidia(\d+)", name)))
    return Machine(processors=sorted(own), gpus=gpus, groups=_find_groups(environ))


def part_of(machine: Machine, index: int, wish: Resources, *, group: Path | None = None) -> Part:
    """Return the part of the instance with that index (from 0): one after the other, and round again.

    Raises UsageError for more than there is.
    """
    if wish.cpus is not None and wish.cpus > len(machine.processors):
        raise UsageError(
            f"cpus must be 1 to {len(machine.processors)} on this machine, got {wish.cpus}", where=wish.where
        )
    if wish.gpus is not None and machine.gpus and wish.gpus > len(machine.gpus):
        raise UsageError(f"gpus must be 0 to {len(machine.gpus)} on this machine, got {wish.gpus}", where=wish.where)
    gpus = None if wish.gpus is None or (wish.gpus and not machine.gpus) else _turn(machine.gpus, index, wish.gpus)
    return Part(
        cpus=wish.cpus,
        processors=_turn(machine.processors, index, wish.cpus) if wish.cpus and group is None else (),
        memory=wish.memory,
        gpus=gpus,
        group=group,
    )


def _turn(items: Sequence[int], index: int, count: int) -> tuple[int, ...]:
    return tuple(sorted(items[(index * count + offset) % len(items)] for offset in range(count)))


def give_parts(instances: Sequence[Instance], wish: Resources, machine: Machine) -> Sequence[Part]:
    """Write down each instance's part, and make its control group where that is possible. Idempotent."""
    parts = []
    for instance in instances:
        index = int(instance.name.rpartition("-")[2]) - 1 if instance.name != instance.fleet else 0
        needs_group = machine.groups is not None and (wish.cpus is not None or wish.memory is not None)
        group = machine.groups / instance.id if needs_group and machine.groups else None
        part = part_of(machine, index, wish, group=group)
        if group is not None:
            _make_group(group, part)
        record = {name: getattr(part, name) for name in _RECORD}
        write_json(instance.root / "resources.json", record | {"group": str(group) if group else None})
        parts.append(part)
    return parts


def find_part(root: Path) -> Part:
    """Return the part of the instance in `root`, which is all there is where nothing was said. Raises StateError."""
    path = root / "resources.json"
    try:
        record = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return Part()
    except OSError as error:
        raise StateError(f"record cannot be read: {error.strerror}", where=str(path), hint="bay doctor") from error
    check_fields(record, _RECORD, where=path)
    known: dict[str, Any] = {name: record.get(name) for name in _RECORD}
    return Part(**known | {"group": Path(record["group"]) if record.get("group") else None})


def say_parts(parts: Mapping[str, Part], machine: Machine) -> Sequence[str]:
    """Say what each of these instances may use, what holds it to that, and what does not."""
    one = next(iter(parts.values()), Part())
    lines = []
    if one.cpus is not None:
        each = f"{count_of(one.cpus, 'processor')} each"
        if one.group is not None:
            lines.append(f"{each}, held by the kernel (control group)")
        else:
            total, there = one.cpus * len(parts), len(machine.processors)
            shared = f"; {there} for {count_of(len(parts), 'instance')}, so some share them" if total > there else ""
            lines.append(f"{each}, by affinity, which a program can undo (no control group is delegated here){shared}")
    if one.memory is not None:
        size = format_bytes(one.memory)
        held = "held by the kernel (control group)" if one.group else "NOT held: that takes a delegated control group"
        lines.append(f"{size} of memory each, {held}")
    if one.gpus is not None:
        lines += _say_gpus(parts)
    elif one.cpus is not None or one.memory is not None:
        lines.append("GPUs: not assigned" + ("" if machine.gpus else "; this machine shows none"))
    return lines


def _say_gpus(parts: Mapping[str, Part]) -> list[str]:
    users: dict[int, list[str]] = {}
    for name, part in parts.items():
        for gpu in part.gpus or ():
            users.setdefault(gpu, []).append(name)
    if not users:
        return ["no GPU each: CUDA_VISIBLE_DEVICES is empty, which a program can undo"]
    lines = ["GPUs by CUDA_VISIBLE_DEVICES, which a program can undo; their memory is not parted"]
    shared = [f"GPU {gpu} is shared by {', '.join(names)}" for gpu, names in sorted(users.items()) if len(names) > 1]
    return lines + shared


# --- control groups -------------------------------------------------------------------------------------------------


def _find_groups(environ: Mapping[str, str]) -> Path | None:
    """Return a folder in which groups can be made and entered, or None: tried with a group and a process of its own."""
    chosen = environ.get("LAUNCHBAY_CGROUP")
    parent = Path(chosen) if chosen else _own_group()
    if parent is None:
        return None
    folder = parent if chosen else parent / "launchbay"
    probe = folder / f"probe-{os.getpid()}"
    with contextlib.suppress(OSError, UserError):
        if folder != parent:
            _enable(parent)
            folder.mkdir(exist_ok=True)
        _enable(folder)
        try:
            _make_group(probe, Part(cpus=1, memory=1 << 30))
            command = ["/bin/sh", "-c", _ENTER, str(probe), "true"]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return folder
        finally:
            remove_group(probe)
    return None


def _own_group() -> Path | None:
    """Return the control group (version 2) that we run in, where we may make others beside our own processes."""
    with contextlib.suppress(OSError, StopIteration, IndexError):
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounted = next(line.split()[4] for line in file if " - cgroup2 " in line)
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            own = next(line.strip()[3:] for line in file if line.startswith("0::"))
        return Path(mounted + own)
    return None


def _enable(folder: Path) -> None:
    """Let the groups in a folder hold processors and memory. Raises OSError where it has no say in them."""
    (folder / "cgroup.subtree_control").write_text("+cpu +memory", encoding="ascii")


def _make_group(group: Path, part: Part) -> None:
    try:
        group.mkdir(exist_ok=True)
        if part.cpus is not None:
            _limit(group / "cpu.max", f"{part.cpus * _PERIOD_US} {_PERIOD_US}")
        if part.memory is not None:
            _limit(group / "memory.max", str(part.memory))
            with contextlib.suppress(OSError):  # not every kernel counts what it has swapped out
                _limit(group / "memory.swap.max", "0")
    except OSError as error:
        hint = "bay launch again gives it what there is"
        raise UserError(f"the control group cannot be made: {error.strerror}", where=str(group), hint=hint) from error


def _limit(path: Path, text: str) -> None:
    with path.open("r+", encoding="ascii") as file:  # one that the kernel has not made is none
        file.write(text)


def remove_group(group: Path | None) -> None:
    """Remove a control group, which has to be empty. Idempotent."""
    if group is not None:
        with contextlib.suppress(OSError):
            group.rmdir()
