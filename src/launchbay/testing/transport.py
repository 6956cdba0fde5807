"""A transport that runs nothing, remembers what it was asked, and answers what it was told to."""

# ruff: noqa: ARG002 - a fake takes what the real one takes

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from launchbay.transport.base import Completed

__all__ = ["RecordingTransport"]


@dataclass(slots=True)
class RecordingTransport:
    """`answers` are used up in order; then every command succeeds and says nothing."""

    answers: list[Completed] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, data: bytes = b"", timeout: float | None = None) -> Completed:
        """Remember the command; give the next answer."""
        self.commands.append(tuple(argv))
        return self.answers.pop(0) if self.answers else Completed(code=0, stdout=b"", stderr=b"")

    def stream(
        self,
        argv: Sequence[str],
        *,
        data: bytes = b"",
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
    ) -> int:
        """Remember the command; pass on the next answer."""
        answer = self.run(argv)
        out(answer.stdout)
        err(answer.stderr)
        return answer.code

    def attach(self, argv: Sequence[str]) -> int:
        """Remember the command; give the next answer's code."""
        return self.run(argv).code

    def start(self, argv: Sequence[str], *, data: bytes, errors: str, variables: Mapping[str, str]) -> Completed:
        """Remember the command; give the next answer, of what it says the first line."""
        answer = self.run(argv)
        return replace(answer, stdout=answer.stdout.split(b"\n")[0])

    def put(self, source: str, target: str) -> None:
        """Remember the copy."""
        self.commands.append(("put", source, target))

    def get(self, source: str, target: str) -> None:
        """Remember the copy."""
        self.commands.append(("get", source, target))

    def close(self) -> None:
        """Do nothing."""
