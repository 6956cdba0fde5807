"""The way to a local instance: child processes in its environment."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launchbay.errors import NotFound, UserError
from launchbay.transport.base import Completed

__all__ = ["LocalTransport"]

_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTransport:
    """Runs commands with the instance's variables, in its working folder."""

    environment: Mapping[str, str]
    folder: str

    def run(self, argv: Sequence[str], *, data: bytes = b"", timeout: float | None = None) -> Completed:
        """Run a command to its end."""
        try:
            done = subprocess.run(
                self._resolve(argv),
                input=data,
                env=dict(self.environment),
                cwd=self.folder,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(f"{argv[0]} gave no answer within {timeout:.0f} s", where=self.folder) from error
        return Completed(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def attach(self, argv: Sequence[str]) -> int:
        """Run a command on the caller's terminal; Ctrl-C reaches the command, and its answer to it counts."""
        with subprocess.Popen(self._resolve(argv), env=dict(self.environment), cwd=self.folder) as process:
            while True:
                try:
                    code = process.wait()
                except KeyboardInterrupt:
                    continue
                return 128 - code if code < 0 else code

    def start(self, argv: Sequence[str], *, data: bytes, errors: str, variables: Mapping[str, str]) -> Completed:
        """Start a program in a session of its own; return the first line it answers, or how it ended without one."""
        with open(errors, "ab") as log:
            process = subprocess.Popen(
                self._resolve(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**self.environment, **variables},
                cwd=self.folder,
                start_new_session=True,
            )
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
        """Copy into the instance; a relative target lies in its working folder."""
        _copy(source, os.path.join(self.folder, target))

    def get(self, source: str, target: str) -> None:
        """Copy out of the instance."""
        _copy(os.path.join(self.folder, source), target)

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _resolve(self, argv: Sequence[str]) -> list[str]:
        """Find the program on the instance's PATH or from its working folder, not on ours."""
        wanted = os.path.join(self.folder, argv[0]) if os.sep in argv[0] else argv[0]
        program = shutil.which(wanted, path=self.environment.get("PATH", os.defpath))
        if program is None:
            raise NotFound(
                f"the instance has no command {argv[0]!r}", hint="`bay exec INSTANCE -- pip install ...` adds one"
            )
        own = os.path.join(self.environment.get("VIRTUAL_ENV", ""), "bin")
        if argv[0].startswith("python") and own != "bin" and os.path.dirname(program) != own:
            # the machine's own Python would answer in its place, with other packages, and nobody would notice
            raise NotFound(
                f"the instance's own {argv[0]} is gone", where=own, hint="terminate the instance, launch it again"
            )
        return [program, *argv[1:]]


def _await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a program that will not answer any more; one that lives on all the same is of no use, and is ended."""
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _copy(source: str, target: str) -> None:
    try:
        if os.path.isdir(source):
            if os.path.isdir(target):
                target = os.path.join(target, os.path.basename(source.rstrip("/")))
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            if os.path.isdir(target) or target.endswith("/"):
                os.makedirs(target, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            shutil.copy2(source, target)
    except FileNotFoundError as error:
        raise NotFound(f"there is no {error.filename}") from error
    except OSError as error:
        raise UserError(f"cannot copy: {error.strerror}", where=str(error.filename)) from error
