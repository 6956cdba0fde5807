"""What sets the programs of an instance apart without a file of its environment: variables, and settings in its home.

A home is there to be filled. Only what silently changes what a script computes, or what gets installed, is looked at.
Values of variables may be secret: they are hashed and never shown.
"""

from __future__ import annotations

import hashlib
import json
import os
import re

from .prints import fingerprint_path

TYPE_CHECKING = False  # `typing` itself would cost a tenth of a fingerprint
if TYPE_CHECKING:
    from typing import Any

__all__ = ["changed_variables", "read_settings"]

_BY_SHELLS = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}
"""What a shell on the way, or Python for an unknown language, sets by itself."""

_SHELLS = ".bash_login .bash_profile .bashrc .cshrc .kshrc .login .profile .tcshrc .zlogin .zprofile .zshenv .zshrc"
_SHELL_FILES = (*_SHELLS.split(), ".config/fish/config.fish")

_SETS = re.compile(
    r"(?:^|[;&|{]|\bthen|\bdo)[ \t]*"
    r"(export|unset|(?:declare|typeset)[ \t]+-\w*x\w*|setenv|unsetenv|set[ \t]+-\w*[xe]\w*)"
    r"[ \t]+(?:-\w+[ \t]+)*([A-Za-z_]\w*)([^\n]*)",
    re.MULTILINE,
)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_MORE = re.compile(r"\s([A-Za-z_]\w*)(?==|\s|$)")
"""Further variables in the same command, where the shell takes several."""

_OF_A_PERSON = re.compile(
    "(?i:.*(?:key|token|secret|passw|credential)).*|PS[0-9]|PROMPT.*|RPROMPT|EDITOR|VISUAL|PAGER|MANPAGER|BROWSER|LESS.*|"
    "HIST.*|LS_COLORS|LSCOLORS|CLICOLOR.*|GREP_COLORS?|GIT_.*|TERM|COLORTERM|ZSH.*|FIGNORE|INPUTRC"
)
"""Variables that only the person notices, or that say who it is."""

_FILES = (
    ".config/pip/pip.conf",
    ".pip/pip.conf",
    ".config/uv/uv.toml",
    ".ipython/profile_default/ipython_config.py",
)

_KERAS = {
    "backend": "tensorflow",
    "epsilon": 1e-07,
    "floatx": "float32",
    "image_data_format": "channels_last",
    "nnx_enabled": False,
}
"""What Keras itself writes into its file at the first import, and takes for what the file leaves out."""


def changed_variables(given: dict[str, str]) -> dict[str, str]:
    """Return what was done to variables before the first line of a script, by a wrapper or by what Python starts with."""
    found = {}
    for name in sorted({*given, *os.environ} - _BY_SHELLS):
        if os.environ.get(name) != given.get(name):
            how = "set" if name not in given else "changed" if name in os.environ else "removed"
            found["variable " + name] = how
    return found


def read_settings(home: str) -> dict[str, str]:
    """Return what the home sets, by what it is and where; an untouched one, or one that is only used, sets nothing."""
    found = {}
    for name in _SHELL_FILES:
        found.update(_exported(os.path.join(home, name), name))
    for name in _FILES:
        if os.path.lexists(os.path.join(home, name)):
            found["~/" + name] = _print_target(os.path.join(home, name))
    startup = ".ipython/profile_default/startup"
    for name in _listed(os.path.join(home, startup)):
        if name.endswith((".py", ".ipy")):
            found["~/{}/{}".format(startup, name)] = _print_target(os.path.join(home, startup, name))
    for name, value in _of_keras(os.path.join(home, ".keras", "keras.json")).items():
        found["{} in ~/.keras/keras.json".format(name)] = json.dumps(value)
    return found


def _exported(path: str, name: str) -> dict[str, str]:
    """Return the variables that a shell's file sets for programs; how, only as a hash."""
    found: dict[str, str] = {}
    for command, first, rest in _SETS.findall(_read(path)):
        others = [] if command.startswith("set") else _MORE.findall(re.split("[;&|#]", _QUOTED.sub("", rest))[0])
        for variable in [first, *others]:
            if not _OF_A_PERSON.fullmatch(variable):
                key = "variable {} in ~/{}".format(variable, name)
                found[key] = "sha256:" + hashlib.sha256((found.get(key, "") + rest.strip()).encode()).hexdigest()
    return found


def _of_keras(path: str) -> dict[str, Any]:
    """Return what Keras would not have without the file; one that is no JSON it takes for empty."""
    try:
        values = json.loads(_read(path) or "{}")
    except ValueError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {name: values[name] for name, usual in _KERAS.items() if values.get(name, usual) != usual}


def _print_target(path: str) -> str:
    """Return what a file holds, also through a link: that is what programs read."""
    try:
        return fingerprint_path(os.path.realpath(path))
    except OSError:
        return "unreadable"


def _read(path: str) -> str:
    if not os.path.isfile(path):  # nor a pipe: reading it could take for ever
        return ""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def _listed(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
