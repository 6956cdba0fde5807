"""An SSH configuration of our own, for ``ssh -F FILE NAME`` and all that takes one: scp, rsync, editors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from launchbay.errors import UsageError
from launchbay.files import write_atomic
from launchbay.transport.door import Door

__all__ = ["proxy_line", "write_ssh_config"]

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")

_QUICK_S, _SLOW_S = 20, 60
"""How long a server is waited for; where a program leads there, its start is in that."""
_ALWAYS = """\
  StrictHostKeyChecking yes
  GlobalKnownHostsFile /dev/null
  UpdateHostKeys no
  VerifyHostKeyDNS no
  CheckHostIP no
  CanonicalizeHostname no
  BatchMode yes
  PreferredAuthentications publickey
  PasswordAuthentication no
  KbdInteractiveAuthentication no
  GSSAPIAuthentication no
  HostbasedAuthentication no
  IdentitiesOnly yes
  IdentityAgent none
  AddKeysToAgent no
  ForwardAgent no
  ForwardX11 no
  PermitLocalCommand no
  ControlMaster no
  ControlPath none
  ServerAliveInterval 15
  ServerAliveCountMax 4
  LogLevel ERROR
"""
"""No question is asked, no agent, no other key and no other connection is used, and only the pinned host key is taken."""


def write_ssh_config(path: Path, doors: Mapping[str, Door]) -> None:
    """Write the file by which ``ssh -F PATH NAME`` gets in at each door; nobody's ``~/.ssh`` is read or touched by that.

    Replaced in one step, readable by its owner alone. Raises UsageError for a name that is a pattern or an option.
    """
    lines = ["# Written by Launchbay, and written anew whenever instances change.\n"]
    for name, door in sorted(doors.items()):
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a host in an SSH configuration", where=str(path))
        lines += [
            f"\nHost {name}\n",
            f"  HostName {door.address.replace('%', '%%')}\n",
            f"  Port {door.port}\n",
            f"  User {door.user}\n",
            f"  HostKeyAlias {door.alias}\n",
            f"  UserKnownHostsFile {_quote(door.known_hosts)}\n",
            *(f"  IdentityFile {_quote(key)}\n" for key in door.keys),
            *([f"  ProxyCommand {proxy_line(door)}\n"] if door.proxy else []),
            f"  ConnectTimeout {_SLOW_S if door.proxy else _QUICK_S}\n",
            _ALWAYS,
        ]
    write_atomic(path, "".join(lines).encode(), private=True)


def proxy_line(door: Door) -> str:
    """Return a door's proxy as a ProxyCommand, which a shell reads, and in which `%` begins a token; empty without one."""
    return shlex.join(door.proxy).replace("%", "%%")


def _quote(path: Path) -> str:
    """Write a path so that OpenSSH takes it as it stands: `%` begins a token there."""
    return '"' + str(path).replace("\\", "\\\\").replace("%", "%%") + '"'
