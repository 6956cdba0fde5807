"""Pack the onboard code into one file that is the same, byte for byte, on every machine, and ask it things."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from launchbay.errors import LaunchbayError, UserError
from launchbay.files import write_atomic
from launchbay.home import Home
from launchbay.transport.base import Transport

__all__ = ["ask", "install_onboard", "pack_onboard", "parse_answer"]

_MAIN = b"import sys\nfrom launchbay_onboard.main import main\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@functools.cache
def pack_onboard() -> bytes:
    """Return the onboard program as a zipapp; the same code gives the same bytes."""
    sources = resources.files("launchbay.onboard")
    names = sorted(item.name for item in sources.iterdir() if item.name.endswith(".py"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), _MAIN)
        for name in names:
            archive.writestr(zipfile.ZipInfo(f"launchbay_onboard/{name}", _EPOCH), (sources / name).read_bytes())
    return buffer.getvalue()


def install_onboard(home: Home) -> Path:
    """Put the onboard program where local instances reach it; return its path, named by its hash."""
    packed = pack_onboard()
    path = home.onboard / f"{hashlib.sha256(packed).hexdigest()[:32]}.pyz"
    if not path.exists():
        write_atomic(path, packed)
    return path


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
