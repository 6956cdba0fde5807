"""Put the onboard code where an instance's Python runs it, in a folder named by its hash, and ask it things."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launchbay.errors import LaunchbayError, UserError
from launchbay.files import locked, remove_tree
from launchbay.home import Home
from launchbay.onboard.program import hash_program, read_program
from launchbay.transport.base import Transport

__all__ = ["ask", "install_onboard", "parse_answer"]

_MAIN = b"import sys\nfrom launchbay_onboard.main import main\nsys.exit(main())\n"


def install_onboard(home: Home) -> Path:
    """Put the onboard program where local instances reach it; return its folder, which ``python FOLDER COMMAND`` runs.

    A folder and not an archive: the first process that runs it leaves its bytecode beside the sources, and those that
    follow compile nothing. It is named by its hash, appears whole or not at all, and is never changed.
    """
    identity = _identity()[:32]
    folder = home.onboard / identity
    if not folder.exists():
        with locked(home.lock("onboard")):
            if not folder.exists():
                _unfold(folder, home.tmp / f"onboard-{identity}")
    return folder


@functools.cache
def _identity() -> str:
    return hash_program(read_program())


def _unfold(folder: Path, half: Path) -> None:
    """Write the program under another name first; one name, so that nothing stays of one who was killed."""
    remove_tree(half)
    package = half / "launchbay_onboard"
    package.mkdir(parents=True)
    for name, source in read_program().items():
        (package / name).write_bytes(source)
    (half / "__main__.py").write_bytes(_MAIN)
    folder.parent.mkdir(parents=True, exist_ok=True)
    half.rename(folder)


def ask(
    transport: Transport,
    python: str,
    program: Path,
    command: str,
    request: Mapping[str, Any],
    *,
    timeout: float | None = None,
) -> dict[str, Any]:
    """Run one onboard command and return its result. Raises UserError with its refusal, LaunchbayError when it broke."""
    done = transport.run(
        [python, str(program), command], data=json.dumps({"v": 1, **request}).encode(), timeout=timeout
    )
    return parse_answer(done.stdout, what=command, words=done.stderr, code=done.code)


def parse_answer(output: bytes, *, what: str, words: bytes, code: int) -> dict[str, Any]:
    """Read an onboard program's last line."""
    try:
        answer = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        tail = words.decode(errors="replace").strip().splitlines()[-3:]
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        raise LaunchbayError(f"{what} gave no answer ({how}): {' / '.join(tail)}") from None
    if not answer.get("ok"):
        error = answer.get("error", {})
        raise UserError(error.get("what", "refused"), where=error.get("where", ""), hint=error.get("hint", ""))
    result: dict[str, Any] = answer["result"]
    return result
