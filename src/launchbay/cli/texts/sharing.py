"""What sharing says to people. Pure: every function returns text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchbay.cli.table import table
from launchbay.units import count_of

if TYPE_CHECKING:
    from launchbay.cloud.sharing import FarShared
    from launchbay.sharing.share import Revoked, Shared

__all__ = ["far_shared_text", "revoked_text", "shared_text"]


def shared_text(shared: Shared) -> str:
    """Say who got which instance, and where their sheets are."""
    rows = [
        (item.person, item.instance, str(item.notebook_port), str(item.board_port), str(item.sheet))
        for item in shared.people
    ]
    lines = [table(("PERSON", "INSTANCE", "NOTEBOOK", "BOARD", "SHEET"), rows, right=(2, 3)), ""]
    where = f"{shared.user}@{shared.host}" + (f" port {shared.port}" if shared.port != 22 else "")
    lines.append(f"  reached at  {where}, host key {shared.host_key}; --host and --ssh-port change it")
    lines.append(f"  let in by   {shared.authorized_keys}")
    if shared.nobody:
        lines.append(f"  nobody's    {', '.join(shared.nobody)}")
    for person, instance in shared.unlisted.items():
        lines.append(
            f"  not listed  {person} keeps {instance}: bay share {shared.fleet} --revoke {person} takes it back"
        )
    lines.append("  hand out    each sheet to its person alone: it holds their passwords")
    lines.append(
        f"  no wall     all of them are the user {shared.user!r}, who can read every file: for colleagues, not strangers"
    )
    return "\n".join(lines)


def far_shared_text(shared: FarShared) -> str:
    """Say who got which instance on EC2, and from where it can be reached."""
    rows = [(item.person, item.instance, item.address, str(item.sheet)) for item in shared.people]
    lines = [table(("PERSON", "INSTANCE", "ADDRESS", "SHEET"), rows), ""]
    folder = shared.people[0].sheet.parent if shared.people else ""
    lines.append(f"  let in from  {_let_in(shared)}")
    if shared.nobody:
        lines.append(f"  nobody's     {', '.join(shared.nobody)}")
    for person, instance in shared.unlisted.items():
        lines.append(
            f"  not listed   {person} keeps {instance}: bay share {shared.fleet} --revoke {person} takes it back"
        )
    lines.append(f"  hand out     the files NAME.* of {folder} to each NAME alone: the sheet holds their passwords")
    lines.append(
        f"  theirs       each has the whole login {shared.user!r} of a machine of their own, whose time you pay"
    )
    return "\n".join(lines)


def _let_in(shared: FarShared) -> str:
    networks, through = ", ".join(shared.networks), f"through {shared.endpoint}" if shared.endpoint else ""
    if through and not shared.caller:
        who = f"{through}, by who may open tunnels there"
        return f"{networks}, and {who}" if networks else f"no address; {who}"
    ours = f"({shared.caller or 'not known'})" + (f", {through}" if through else "")
    if networks:
        return f"{networks}, and this machine {ours}"
    return f"this machine alone {ours}: bay share {shared.fleet} --allow-cidr CIDR adds"


def revoked_text(revoked: Revoked, *, is_again: bool = False) -> str:
    """Say what was taken back."""
    if is_again:
        return (
            f"The keys of {revoked.person} are no longer revoked: bay share {revoked.fleet} may hand them an instance."
        )
    if not revoked.changed:
        return f"{revoked.person} was revoked in {revoked.fleet} before; nothing to do."
    ended = f", {count_of(revoked.processes_ended, 'process')} ended" if revoked.processes_ended else ""
    return (
        f"{revoked.person} revoked{ended}: the key opens nothing of {revoked.fleet} any more, token and ports are new.\n"
        f"  {revoked.instance} belongs to nobody and keeps its files; `bay terminate {revoked.instance}` removes them."
    )
