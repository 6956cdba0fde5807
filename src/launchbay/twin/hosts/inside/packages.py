"""Stands in for apt, apt-get, dnf and yum: nothing of the laptop may be installed from here, and there is no network."""

from __future__ import annotations

from .asking import say

__all__ = ["main"]


def main(name: str, arguments: list[str]) -> int:
    """Say that nothing was installed, and succeed, so that a boot script goes on."""
    del arguments
    say(f"twin: {name} is a stand-in, nothing was installed")
    return 0
