"""The way to a local instance: child processes in its environment."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import selectors
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from launchbay.errors import NotFound, UsageError, UserError
from launchbay.files import explain_os_error, first_failure
from launchbay.transport.base import OF_STARTER, Completed
from launchbay.transport.interrupts import without_interrupts

__all__ = ["LocalTransport"]

_PATIENCE_S = 5.0
_READ = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTransport:
    """Runs commands with the instance's variables, in its working folder.

    Where the instance sees files that we do not (its own mounts), `door` are the words that take a command inside, and
    `view` is where its root is seen from here. `processors` are those it may run on; none means all.
    """

    environment: Mapping[str, str]
    folder: str
    door: Sequence[str] = ()
    view: str = ""
    processors: Sequence[int] = ()

    def run(self, argv: Sequence[str], *, data: bytes = b"", timeout: float | None = None) -> Completed:
        """Run a command to its end."""
        command = self._resolve(argv)
        try:
            with _on(self.processors):
                done = subprocess.run(
                    command,
                    input=data,
                    env=dict(self.environment),
                    cwd=self.folder,
                    capture_output=True,
                    timeout=timeout,
                    check=False,
                )
        except subprocess.TimeoutExpired as error:
            raise UserError(f"{argv[0]} gave no answer within {timeout:.0f} s", where=self.folder) from error
        except OSError as error:
            raise self._explain(error, argv[0], command) from error
        return Completed(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def stream(
        self,
        argv: Sequence[str],
        *,
        data: bytes = b"",
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
    ) -> int:
        """Run a command to its end, passing on what it prints as it comes."""
        command = self._resolve(argv)
        try:
            with _on(self.processors):
                process = subprocess.Popen(
                    command,
                    env=dict(self.environment),
                    cwd=self.folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is ours to pass on: what `out` and `err` are for comes first
                )
        except OSError as error:
            raise self._explain(error, argv[0], command) from error
        with process:
            try:
                _pump(process, data, out, err)
                return process.wait()
            except BaseException:
                _end(process)
                raise

    def attach(self, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal; Ctrl-C reaches the command, and its answer to it counts."""
        command = self._resolve(argv)
        with without_interrupts():
            try:
                with _on(self.processors):
                    process = subprocess.Popen(command, env=dict(self.environment), cwd=self.folder)
            except OSError as error:
                raise self._explain(error, argv[0], command) from error
            with process:
                code = process.wait()
        return 128 - code if code < 0 else code

    def start(self, argv: Sequence[str], *, data: bytes, errors: str, variables: Mapping[str, str]) -> Completed:
        """Start a program in a session of its own; return the first line it answers, or how it ended without one."""
        command = self._resolve(argv)
        own = {name: value for name, value in self.environment.items() if name not in OF_STARTER}
        with open(errors, "ab") as log:
            try:
                with _on(self.processors):
                    process = subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env={**own, **variables},
                        cwd=self.folder,
                        start_new_session=True,
                    )
            except OSError as error:
                raise self._explain(error, argv[0], command) from error
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with process.stdout:
                for hand_over in (lambda: process.stdin.write(data), process.stdin.close):
                    with contextlib.suppress(BrokenPipeError):  # it died first; why stands in `errors`
                        hand_over()
                answer = process.stdout.readline()
            if not answer:
                _await_end(process)
        finally:
            if process.returncode is None:
                process.returncode = 0  # it goes on without us; without this, Python warns that we left it running
        return Completed(code=process.returncode, stdout=answer, stderr=b"")

    def put(self, source: str, target: str) -> None:
        """Copy into the instance; a relative target lies in its working folder. Raises UsageError for one outside."""
        self._copy(source, self._place(target))

    def get(self, source: str, target: str) -> None:
        """Copy out of the instance. Raises UsageError for a source outside."""
        self._copy(self._place(source), target)

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _resolve(self, argv: Sequence[str]) -> list[str]:
        """Find the program on the instance's PATH or from its working folder, not on ours; say how to start it."""
        wanted = os.path.join(self.folder, argv[0]) if os.sep in argv[0] else argv[0]
        program = self._find(wanted)
        own = os.path.join(self.environment.get("VIRTUAL_ENV", ""), "bin")
        if program is None:
            self._check_folder()
            if own != "bin" and os.path.dirname(wanted) == own:
                raise self._lost(wanted, own)
            raise NotFound(
                f"the instance has no command {argv[0]!r}", hint="`bay exec INSTANCE -- pip install ...` adds one"
            )
        if re.fullmatch(r"python[0-9.]*", argv[0]) and own != "bin" and os.path.dirname(program) != own:
            # the machine's own Python would answer in its place, with other packages, and nobody would notice
            raise self._lost(argv[0], own)
        return [*self.door, program, *argv[1:]]

    def _find(self, wanted: str) -> str | None:
        """Look a program up as the instance sees it."""
        path = self.environment.get("PATH", os.defpath)
        if self.view:
            path = os.pathsep.join(self.view + folder for folder in path.split(os.pathsep) if os.path.isabs(folder))
            wanted = self.view + wanted if os.path.isabs(wanted) else wanted
        program = shutil.which(wanted, path=path)
        return program.removeprefix(self.view) if program else None

    def _lost(self, program: str, own: str) -> NotFound:
        what = f"the instance's own {os.path.basename(program)} is gone"
        return NotFound(what, where=own, hint="terminate the instance, launch it again")

    def _check_folder(self) -> None:
        if not os.path.isdir(self.folder):
            hint = f"mkdir {self.folder}; or terminate the instance, launch it again"
            raise NotFound("the instance's working folder is gone", where=self.folder, hint=hint)
        if self.view and not os.path.isdir(self.view):
            raise UserError("what holds the instance's mounts has just ended", hint="the same command again")

    def _explain(self, error: OSError, name: str, command: Sequence[str]) -> UserError:
        """Say why a program that is there could not be started."""
        self._check_folder()
        program = command[len(self.door)]
        if self.door and error.errno == errno.ENOENT:
            return UserError(f"{self.door[0]} is not on this machine, and no command gets inside without it")
        if error.errno == errno.ENOEXEC:
            what = "it is no program of this machine, and no script that names its interpreter in a first line #!"
            return UserError(f"{name} cannot be executed: {what}", where=program)
        if error.errno == errno.ENOENT:
            return UserError(
                f"{name} cannot be executed: the interpreter that its first line names is missing", where=program
            )
        return explain_os_error(error, f"starting {name}")

    def _place(self, path: str) -> str:
        """Return where a path of the instance lies; beside its own folders there is only the machine it is on."""
        home, layer = self.environment.get("HOME", self.folder), self.environment.get("VIRTUAL_ENV", self.folder)
        place = os.path.normpath(os.path.join(self.folder, re.sub(r"^~(?=/|$)", lambda _: home, path)))
        if not any(f"{place}/".startswith(f"{inside}/") for inside in (self.folder, home, layer)):
            raise UsageError(
                f"{path} does not lie in the instance",
                where=self.environment.get("LAUNCHBAY_INSTANCE_NAME", ""),
                hint="a path there starts in its working folder, or with ~/ in its home",
            )
        self._check_folder()
        view = self.view if f"{place}/".startswith(f"{layer}/") else ""
        return view + place + "/" * path.endswith("/")

    def _copy(self, source: str, target: str) -> None:
        try:
            if os.path.isdir(source):
                if os.path.isdir(target):
                    target = os.path.join(target, os.path.basename(source.rstrip("/")))
                if f"{os.path.realpath(target)}/".startswith(f"{os.path.realpath(source)}/"):
                    what = f"{self._typed(source)} cannot be copied into itself"
                    raise UsageError(what, where=self._typed(target), hint="name the files to copy, or a folder beside")
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:
                if os.path.isdir(target) or target.endswith("/"):
                    os.makedirs(target, exist_ok=True)
                else:
                    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
                shutil.copy2(source, target)
        except FileNotFoundError as error:
            raise NotFound(f"there is no {self._typed(error.filename)}") from error
        except OSError as error:
            where, why = first_failure(error)
            raise UserError(f"cannot copy: {self._typed(why)}", where=self._typed(where or source)) from error

    def _typed(self, text: str) -> str:
        """Write paths of the instance as they are typed, ``exp-1:notes.txt``: where they lie is of no use to anybody."""
        name = self.environment.get("LAUNCHBAY_INSTANCE_NAME")
        if not name:
            return text
        text = text.replace(f"{self.view}/", "/") if self.view else text
        return text.replace(f"{self.folder}/", f"{name}:").replace(f"{self.environment['HOME']}/", f"{name}:~/")


def _pump(
    process: subprocess.Popen[bytes], data: bytes, out: Callable[[bytes], None], err: Callable[[bytes], None]
) -> None:
    """Feed a command and pass on what it prints, until it has closed both."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    left = memoryview(data)
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ, out)
        waiting.register(process.stderr, selectors.EVENT_READ, err)
        os.set_blocking(process.stdin.fileno(), False)
        waiting.register(process.stdin, selectors.EVENT_WRITE)
        while waiting.get_map():
            for key, _ in waiting.select():
                if key.data is not None:
                    if chunk := os.read(key.fd, _READ):
                        key.data(chunk)
                    else:
                        waiting.unregister(key.fileobj)
                    continue
                try:
                    left = left[os.write(key.fd, left[:_READ]) :] if left else left
                except BrokenPipeError:  # it does not want the rest
                    left = left[:0]
                if not left:
                    waiting.unregister(key.fileobj)
                    with contextlib.suppress(BrokenPipeError):
                        process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it has started in its session: asked first, then made to."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
            return


def _await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a program that will not answer any more; one that lives on all the same is of no use, and is ended."""
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _on(processors: Sequence[int]) -> Iterator[None]:
    """Let what this thread starts run on these processors alone, all its life, and what that starts too."""
    if not processors or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, processors)
    except OSError as error:
        what = f"none of the processors {', '.join(map(str, processors))} can be had any more"
        raise UserError(what, hint="bay launch with the same bay.yaml gives it what there is") from error
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
