"""Twenty people on one machine: hand each their instance, and take it back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from launchbay.cloud.sharing import FarShared, revoke_far, share_far
from launchbay.cloud.standing import find_far
from launchbay.errors import NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.sharing.place import find_place
from launchbay.sharing.share import Revoked, Shared, readmit, revoke_person, share_fleet
from launchbay.spec.people import check_person_name
from launchbay.spec.project import Project, find_project
from launchbay.store.reach import Reach, read_reach, write_reach

__all__ = ["readmit_person", "revoke", "share"]


def share(
    bay: Bay,
    fleet: str | None = None,
    *,
    output: str | Path = "sheets",
    host: str | None = None,
    ssh_port: int | None = None,
    host_key: str | None = None,
    authorized_keys: str | Path | None = None,
    networks: Sequence[str] = (),
    is_open_to_anyone: bool = False,
    folder: Path | None = None,
) -> Shared | FarShared:
    """Give an instance of a fleet to each of the people in bay.yaml, and write a sheet that opens it. Idempotent.

    Of host, port, host key and file of keys, what is not said is as it was said the last time for this fleet. They are those of
    this machine; of a fleet on EC2 `networks` says from where people may come in, too wide ones only if it `is_open_to_anyone`.
    Raises UsageError without people, and for more of them than instances.
    """
    project = find_project(folder or Path())
    if project is None or not project.people:
        lacks = "there is no bay.yaml here" if project is None else "bay.yaml names no people"
        hint = "people: [{name: ada, key: ada.pub}] in bay.yaml, then bay share FLEET"
        raise UsageError(f"share needs people, and {lacks}", hint=hint)
    name = fleet or _own_fleet(project, hint="bay share FLEET")
    if find_far(bay, name):
        if any((host, ssh_port, host_key, authorized_keys)):
            what = f"{name} is on EC2, where each instance has an address and a key of its own"
            raise UsageError(what, hint="without --host, --ssh-port, --host-key and --authorized-keys")
        return share_far(
            bay,
            name,
            project.people,
            output=Path(output),
            networks=networks,
            is_open_to_anyone=is_open_to_anyone,
        )
    if networks:
        raise UsageError(f"{name} is on this machine, whose firewall is not ours", hint="without --allow-cidr")
    if name == project.name and not any(item.fleet == name for item in bay.provider.observe()):
        raise NotFound(f"the fleet {name!r}, which bay.yaml names, is not launched", hint="bay launch, then bay share")
    file = str(Path(authorized_keys).expanduser().absolute()) if authorized_keys else None
    key = str(Path(host_key).expanduser().absolute()) if host_key else None
    before = read_reach(bay.home, name)
    reach = Reach(host=host, ssh_port=ssh_port, host_key=key, authorized_keys=file).over(before)
    place = find_place(host=reach.host, port=reach.ssh_port or _SSH, host_key=reach.host_key)
    keys = Path(reach.authorized_keys) if reach.authorized_keys else None
    shared = share_fleet(bay, name, project.people, place, output=Path(output), authorized_keys=keys)
    if reach != before:
        write_reach(bay.home, name, reach)
    return shared


_SSH = 22


def revoke(bay: Bay, fleet: str | None, person: str, *, folder: Path | None = None) -> Revoked:
    """Take an instance back from a person, and end what they have open; its files stay. Idempotent.

    `fleet` None is the name in bay.yaml.
    """
    name = fleet or _own_fleet(find_project(folder or Path()), hint=f"bay share FLEET --revoke {person}")
    if find_far(bay, name):
        return revoke_far(bay, name, check_person_name(person))
    return revoke_person(bay, name, check_person_name(person))


def readmit_person(bay: Bay, fleet: str | None, person: str, *, folder: Path | None = None) -> Revoked:
    """Forget that the keys of a person were revoked, so that the next `share` may let them in again.

    `fleet` None is the name in bay.yaml.
    """
    name = fleet or _own_fleet(find_project(folder or Path()), hint=f"bay share FLEET --readmit {person}")
    return readmit(bay, name, check_person_name(person))


def _own_fleet(project: Project | None, *, hint: str) -> str:
    """Return the fleet that bay.yaml names."""
    if project is None or not project.name:
        lacks = "there is no bay.yaml here" if project is None else "bay.yaml has no name"
        raise UsageError(f"share needs a fleet, and {lacks}", hint=hint)
    return project.name
