"""Build an image: install from the lock, compile, verify, prove that it imports, seal.

Everything happens in a folder that no reader looks at; `publish` renames it into place, and only then is there an
image. Each function is one step; `lifecycle.build` runs them in order and journals them.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launchbay.errors import BuildError
from launchbay.files import write_atomic, write_json
from launchbay.images.carried import check_carried, lay_over
from launchbay.images.commands import write_commands
from launchbay.images.lock import Lock
from launchbay.images.uv import Downloads, Uv
from launchbay.onboard import content
from launchbay.ports import Event, Reporter
from launchbay.units import count_of

__all__ = [
    "Stage",
    "carry_files",
    "compile_bytecode",
    "install_packages",
    "make_environment",
    "publish",
    "seal",
    "verify_records",
]


_SEALED = stat.S_IRUSR | stat.S_IXUSR | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An image in the making: its lock, the folder it is made in, the folder it will be."""

    lock: Lock
    folder: Path
    final: Path

    @property
    def environment(self) -> Path:
        """The environment that is being filled."""
        return self.folder / "env"

    @property
    def site_packages(self) -> Path:
        """Where its packages lie."""
        return self.environment / "lib" / f"python{self.lock.target.python}" / "site-packages"


def make_environment(stage: Stage, *, uv: Uv) -> None:
    """Make the folder with the lock in it, and an empty environment."""
    stage.folder.mkdir(parents=True)
    write_atomic(stage.folder / "lock.txt", stage.lock.text().encode())
    write_atomic(stage.folder / "constraints.txt", stage.lock.constraints().encode())
    uv.make_environment(stage.environment, uv.find_python(stage.lock.target.python))


def install_packages(stage: Stage, *, uv: Uv, reporter: Reporter) -> int:
    """Make the environment and fill it; return the bytes that were downloaded."""
    make_environment(stage, uv=uv)
    requirements = stage.folder / "requirements.txt"
    write_atomic(requirements, stage.lock.requirements().encode())
    names = [pin.name for pin in stage.lock.pins]
    downloads = uv.install(requirements, stage.environment, names=names, watch=_tell(stage, reporter, len(names)))
    requirements.unlink()
    return downloads.total_bytes


def _tell(stage: Stage, reporter: Reporter, packages: int) -> Callable[[Downloads], None]:
    """Show two tasks: the download while there is one, then the packages that have arrived."""
    fetch, install = f"download {stage.lock.recipe}", f"install {stage.lock.recipe}"
    is_fetched = False

    def watch(downloads: Downloads) -> None:
        nonlocal is_fetched
        total = downloads.total_bytes
        if downloads.sizes and not is_fetched:
            is_fetched = downloads.prepared > 0
            left = len(downloads.sizes) - len(downloads.finished)
            # uv tells when a wheel is done, not how far it is: until then, what it has unpacked shows that it moves
            # (wheels of this kind unpack to about three times their size)
            moving = min(downloads.written_bytes // 3, total * 99 // 100)
            done = total if is_fetched else max(downloads.done_bytes, moving)
            words = "" if is_fetched else f"{left} of {len(downloads.sizes)} large packages to go"
            reporter.event(Event(task=fetch, message=words, done=done, total=total, unit="bytes", finished=is_fetched))
        elif downloads.prepared or not downloads.sizes:
            here = sum(1 for name in _names(stage.site_packages) if name.endswith(".dist-info"))
            here = min(here, packages - 1)  # the last is not done before uv says so: it still copies files of them all
            reporter.event(Event(task=install, done=here, total=packages, unit="packages"))

    return watch


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def carry_files(stage: Stage, folder: Path | None) -> None:
    """Lay the recipe's files over the packages. Raises BuildError when they are no longer those of the lock."""
    if folder is not None:
        lay_over(stage.environment, stage.site_packages, folder, stage.lock.files)


def compile_bytecode(stage: Stage) -> None:
    """Compile every module once, with the paths of the final folder in it; no instance ever compiles again.

    Files that are not Python 3 (templates, test data) do not compile; they are left, as pip leaves them.
    """
    command = [
        str(stage.environment / "bin" / "python"),
        "-I",
        "-m",
        "compileall",
        "-q",
        "-j",
        "0",
        "-s",
        str(stage.folder),
        "-p",
        str(stage.final),
        str(stage.site_packages),
    ]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    code, words = _run_with_workers(command, environ)
    if refused := re.search(r"^\w+Error: \[Errno (\d+)\]", words, re.MULTILINE):  # a full disk, for one
        raise OSError(int(refused[1]), os.strerror(int(refused[1])), str(stage.folder))
    compiled = next(stage.site_packages.rglob("*.pyc"), None)
    missing = compiled is None and next(stage.site_packages.rglob("*.py"), None) is not None
    if missing or code < 0 or "BrokenProcessPool" in words:
        raise BuildError(f"the modules of {stage.lock.recipe} could not be compiled (code {code}): {words[-300:]}")


def _run_with_workers(command: list[str], environ: dict[str, str]) -> tuple[int, str]:
    """Run a command that starts workers of its own, and leave none of them behind; return its code and its words."""
    with subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        close_fds=False,  # as for the installer: the image's lock
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # workers whose parent is killed wait for ever
            raise
    if process.returncode < 0:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output.decode(errors="replace")


def verify_records(stage: Stage, *, hint: str = "") -> content.Content:
    """Hash every installed file against its package's RECORD. Raises BuildError naming package and file."""
    check_carried(stage.environment, stage.lock.files)
    result = content.verify_records(str(stage.site_packages))
    if result.problems:
        first = result.problems[0]
        raise BuildError(
            f"{count_of(len(result.problems), 'installed file')} not as the package says, first {first}",
            hint=hint or "`uv cache clean PACKAGE`, then the same command again: the cached copy was changed",
        )
    return result


def seal(stage: Stage, record: dict[str, object]) -> None:
    """Write commands, seal and record, then take away the permission to write."""
    write_commands(stage.folder, stage.final, stage.lock, stage.site_packages)
    sealed = content.seal_unrecorded(str(stage.environment), str(stage.site_packages))
    write_json(stage.folder / "record.json", record, durable=True)
    beside = content.seal_beside(str(stage.folder))
    write_json(stage.folder / "seal.json", {"version": 1, "entries": sealed, "beside": beside}, durable=True)
    for folder, _, files in os.walk(stage.folder, topdown=False):
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) & ~0o222)
        if folder != str(stage.folder):
            os.chmod(folder, _SEALED)


def publish(stage: Stage) -> None:
    """Give the image its name, in one step."""
    stage.final.parent.mkdir(parents=True, exist_ok=True)
    os.rename(stage.folder, stage.final)
    os.chmod(stage.final, _SEALED)
