"""What sets runs apart: the arguments of their scripts, less what all of them were given. Pure."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import PurePath

__all__ = ["tell_apart"]

_MOST = 60  # characters: it stands beside a name


def tell_apart(commands: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Give for each run, by its script and arguments, those that not all runs have; "" where there are none.

    An option and its values are one: ``--learning-rate 0.003``. Shortened where it is long.
    """
    parts = {name: _split(command) for name, command in commands.items()}
    common = [part for part in next(iter(parts.values()), []) if all(part in others for others in parts.values())]
    told = {name: " ".join(part for part in own if part not in common) for name, own in parts.items()}
    return {name: textwrap.shorten(text, _MOST, placeholder=" …") for name, text in told.items()}


def _split(command: Sequence[str]) -> list[str]:
    """Part a command into its script, its options with their values, and what else stands alone."""
    script, *arguments = command
    parts: list[list[str]] = [[PurePath(script).name]]
    for argument in arguments:
        is_value = not _is_option(argument) and _is_option(parts[-1][0]) and "=" not in parts[-1][0]
        if is_value:
            parts[-1].append(argument)
        else:
            parts.append([argument])
    return [shlex.join(part) for part in parts]


def _is_option(argument: str) -> bool:
    return argument.startswith("-") and not argument[1:2].isdigit() and argument[1:2] != "."
