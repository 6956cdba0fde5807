"""Every error that Launchbay raises on purpose.

The tree::

    LaunchbayError
    ├── UserError            the person can act on it; shown as one message, exit code 1
    │   ├── UsageError       the command line or a file says something impossible; exit code 2
    │   ├── NotFound         a name that nothing answers to
    │   ├── Conflict         a name that is taken, a thing that is in use, a world that moved
    │   ├── NotPermitted     the cloud refuses what was asked: a permission is missing
    │   ├── BuildError       an image could not be built
    │   ├── ScriptFailed     the person's own script ended with an error
    │   ├── WillFail         a script that is certain to fail where it was to run, and was not started
    │   └── UnsafeModel      a model file that we will not load
    └── StateError           our own state on disk is damaged or from a newer version; exit code 1

A message says what is wrong, where, and what to do next::

    raise UsageError("count must be 1 to 1000, got 0", where="bay.yaml:7", hint="bay launch IMAGE -n 3")

This module imports only the standard library and never prints.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BuildError",
    "Conflict",
    "LaunchbayError",
    "NotFound",
    "NotPermitted",
    "ScriptFailed",
    "StateError",
    "UnsafeModel",
    "UsageError",
    "UserError",
    "WillFail",
]


class LaunchbayError(Exception):
    """Root of all errors raised on purpose.

    `what` states the problem, `where` names the file and line or the field, `hint` says what to do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.what} ({self.where})" if self.where else self.what
        return f"{text}\n  Try: {self.hint}" if self.hint else text


class UserError(LaunchbayError):
    """Something the person can put right."""


class UsageError(UserError, ValueError):
    """The command line or a file asks for something that cannot be."""

    exit_code = 2


class NotFound(UserError, LookupError):
    """Nothing answers to the name."""


class Conflict(UserError):
    """The name is taken, the thing is in use, or the world moved since the plan was made."""


class NotPermitted(UserError):
    """The cloud refuses what was asked, because a permission is missing."""


class BuildError(UserError):
    """An image could not be built; nothing of it was left behind."""


class ScriptFailed(UserError):
    """The person's script ended with an error."""


class WillFail(UserError):
    """A script is certain to fail where it was to run; nothing was started. `problems` says where and why."""

    def __init__(self, what: str, *, where: str = "", hint: str = "", problems: Sequence[object] = ()) -> None:
        super().__init__(what, where=where, hint=hint)
        self.problems = problems


class UnsafeModel(UserError):
    """A model file that we do not load, because loading it could run foreign code."""


class StateError(LaunchbayError):
    """Launchbay's own state on disk is damaged, or written by a newer version."""
