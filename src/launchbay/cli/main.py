"""The entry point: parse, run one command, turn what goes wrong into one message and one exit code.

Exit codes: 0 done, 1 an error the person can act on, 2 wrong usage, 3 a bug, 130 interrupted; only `exec` and `shell`
pass the command's own code on.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from launchbay.cli.parser import parse
from launchbay.errors import LaunchbayError

__all__ = ["main"]


_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
"""What the system refuses for reasons that a person can mend; any other refusal is a bug of ours."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `bay` and return its exit code."""
    _open_closed_streams()
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except LaunchbayError as error:
        sys.stderr.write(f"bay: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\nbay: interrupted\n")
        return 130
    except BrokenPipeError:  # the reader went away (`| head`); that is no error, and Python must not complain at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the one place where a bug is told from an error
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            from launchbay.files import explain_os_error

            sys.stderr.write(f"bay: {explain_os_error(error, 'working')}\n")
            return 1
        import traceback

        traceback.print_exc()
        sys.stderr.write("bay: this is a bug in Launchbay; please report it with the lines above\n")
        return 3
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        namespace = parse(arguments)
    except SystemExit as error:  # argparse has said why
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
