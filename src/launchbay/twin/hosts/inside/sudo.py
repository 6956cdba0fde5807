"""Stands in for sudo: a box has one user, who may write all that root may, so the command runs as it is."""

from __future__ import annotations

import os
import pwd
import re
import sys

from .asking import say

__all__ = ["main"]

_WITH_VALUE = set("ugphCrtTRD")
_LONG_WITH_VALUE = {"--user", "--group", "--prompt", "--host", "--chdir", "--chroot", "--close-from"}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


def main(name: str, arguments: list[str]) -> int:
    """Become the command, with the environment of the user it is to run as. Returns only where it cannot."""
    user, login, keep, rest = _read(arguments)
    environment = dict(os.environ)
    home = {"root": "/root"}.get(user) or _home(user)
    if not keep:
        environment.update(HOME=home, USER=user, LOGNAME=user, SUDO_USER=os.environ.get("USER", ""))
    while rest and _ASSIGNMENT.fullmatch(rest[0]):
        key, _, value = rest.pop(0).partition("=")
        environment[key] = value
    if login:
        os.chdir(home if os.path.isdir(home) else "/")
        rest = ["/bin/bash", "-l", *(["-c", " ".join(rest)] if rest else [])]
    if not rest:
        return 0
    sys.stdout.flush()
    try:
        os.execvpe(rest[0], rest, environment)
    except OSError as error:
        say("{}: {}: {}".format(name, rest[0], "command not found" if error.errno == 2 else error.strerror))
    return 1


def _read(arguments: list[str]) -> tuple[str, bool, bool, list[str]]:
    user, login, keep = "root", False, False
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        item = rest.pop(0)
        if item == "--":
            break
        if item.startswith("--"):
            word, separator, value = item.partition("=")
            if word in _LONG_WITH_VALUE and not separator:
                value = rest.pop(0) if rest else ""
            user = value if word == "--user" else user
            login = login or word == "--login"
            keep = keep or word == "--preserve-env"
            continue
        for position, letter in enumerate(item[1:], 2):
            if letter in _WITH_VALUE:
                value = item[position:] or (rest.pop(0) if rest else "")
                user = value if letter == "u" else user
                break
            login = login or letter in "is"
            keep = keep or letter == "E"
    return user, login, keep, rest


def _home(user: str) -> str:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return "/"
