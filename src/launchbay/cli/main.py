"""The entry point: parse, run one command, turn what goes wrong into one message and one exit code.

Exit codes: 0 done, 1 an error the person can act on, 2 wrong usage, 3 a bug, 130 interrupted; only `exec` and `shell`
pass the command's own code on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence

from launchbay.cli.output import ReaderLeft, complain, write_bytes
from launchbay.cli.parser import parse
from launchbay.errors import LaunchbayError

__all__ = ["main"]


_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
"""What the system refuses for reasons that a person can mend; any other refusal is a bug of ours."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `bay` and return its exit code."""
    _open_closed_streams()
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except LaunchbayError as error:
        _complain_of(error)
        return error.exit_code
    except KeyboardInterrupt:
        complain("\nbay: interrupted")
        return 130
    except ReaderLeft:
        complain("bay: nobody reads the output any more; this was ended before it was done")
        return 1
    except Exception as error:  # noqa: BLE001 - the one place where a bug is told from an error
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            from launchbay.files import explain_os_error

            complain(f"bay: {explain_os_error(error, 'working')}")
            return 1
        import traceback

        complain(f"{traceback.format_exc()}bay: this is a bug in Launchbay; please report it with the lines above")
        return 3


def _complain_of(error: LaunchbayError) -> None:
    """Say what went wrong, to a person or to a Launchbay elsewhere that has called this one."""
    if os.environ.get("LAUNCHBAY_ERRORS") == "json":
        from launchbay.jsonable import error_line

        complain(error_line(error))
    else:
        complain(f"bay: {error}")


def _run(arguments: Sequence[str]) -> int:
    try:
        os.getcwd()
    except FileNotFoundError:
        complain("bay: the current folder is gone\n  Try: cd to one that is there")
        return 1
    try:
        namespace = parse(arguments)
    except SystemExit as error:  # argparse has said why
        with contextlib.suppress(ReaderLeft):
            write_bytes(sys.stdout, b"")
        return int(error.code or 0)
    from launchbay.cli.commands import run  # a `--help` has answered by now and never pays for this

    return run(namespace)


def _open_closed_streams() -> None:
    """Put nothing in the place of a stream that whoever started us had closed (cron and service managers do)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it stays open as long as we live


if __name__ == "__main__":
    sys.exit(main())
