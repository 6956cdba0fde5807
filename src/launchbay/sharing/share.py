"""Hand the instances of a fleet to people, and take them back.

Whom an instance belongs to stands in its own record, and only that record lets anybody in: the line in
`authorized_keys` leads to a gate that looks at it each time. So both verbs may be killed at any instant and run again.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from launchbay.errors import NotFound, UsageError
from launchbay.files import explain_os_error, locked, write_atomic
from launchbay.lifecycle.bay import Bay
from launchbay.planning.decide import select
from launchbay.planning.fleet import Instance
from launchbay.providers.processes import INSTANCE_MARK
from launchbay.providers.resources import find_part, look_at_machine, say_parts
from launchbay.services.standing import find_service, renew_service, reserve
from launchbay.sharing.place import Place, greets
from launchbay.sharing.sessions import end_sessions
from launchbay.sharing.sheet import Sheet, sheet_text
from launchbay.spec.names import nearest
from launchbay.spec.people import Person
from launchbay.store.authorized import Entry, remove_entries, write_entries
from launchbay.store.person import (
    PERSON_MARK,
    Owner,
    Revocation,
    forget_owner,
    forgive,
    owner_mark,
    read_owner,
    revocations,
    revoke_key,
    write_owner,
)
from launchbay.store.service import Service
from launchbay.units import count_of

__all__ = ["Handed", "Revoked", "Shared", "assign", "readmit", "refuse_revoked", "revoke_person", "share_fleet"]

_SERVICES = ("notebook", "board")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """An instance in somebody's hands, and the sheet that opens it."""

    person: str
    instance: str
    sheet: Path
    notebook_port: int
    board_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What sharing a fleet brought. `nobody` are instances that belong to nobody, `unlisted` people no longer listed."""

    fleet: str
    host: str
    port: int
    user: str
    host_key: str
    authorized_keys: Path
    people: Sequence[Handed]
    nobody: Sequence[str]
    unlisted: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What was taken back; `processes_ended` counts connections, and all that was started from them."""

    person: str
    fleet: str
    instance: str | None
    processes_ended: int
    changed: bool


def share_fleet(
    bay: Bay, fleet: str, people: Sequence[Person], place: Place, *, output: Path, authorized_keys: Path | None = None
) -> Shared:
    """Give each person an instance, a line in `authorized_keys`, ports and tokens, and write their sheets. Idempotent.

    Who has an instance keeps it. Raises UsageError for more people than instances or a revoked key, Conflict for a key
    that `authorized_keys` lets in already.
    """
    file = (authorized_keys or _own_file()).expanduser().absolute()
    with _holding(bay, fleet):
        instances = _fleet(bay, fleet)
        refuse_revoked(bay, fleet, people)
        before = {item.name: owner for item in instances if (owner := read_owner(item.root))}
        places = {item.name: item for item in instances}
        given = assign(people, list(places), {name: owner.name for name, owner in before.items()})
        listed = [(person, places[given[person.name]]) for person in people]
        for person, instance in listed:
            _take_back_old(bay, instance, person, before.get(instance.name), file)
        services = {instance.name: _reserve(bay, instance) for _, instance in listed}
        write_entries(file, [_entry(bay, person, item, services[item.name]) for person, item in listed])
        for person, instance in listed:
            known = before.get(instance.name)
            owner = _owner(person, file, services[instance.name], known.since if known else bay.clock.now())
            if owner != known:
                write_owner(instance.root, owner)
        parts = _say_parts(bay, instances)
        sheets = [_sheet(person, item, place, services[item.name]) for person, item in listed]
        handed = [_hand(replace(sheet, parts=parts), output) for sheet in sheets]
    if not greets(place.port):
        bay.reporter.note(f"No SSH server answers on port {place.port} of this machine; the sheets need one.")
    taken = {item.instance for item in handed}
    return Shared(
        fleet=fleet,
        host=place.host,
        port=place.port,
        user=place.user,
        host_key=place.host_key.fingerprint,
        authorized_keys=file,
        people=handed,
        nobody=[name for name in places if name not in taken and name not in before],
        unlisted={owner.name: name for name, owner in before.items() if name not in taken},
    )


def assign(people: Sequence[Person], instances: Sequence[str], before: Mapping[str, str]) -> Mapping[str, str]:
    """Return person -> instance: what they have already, else the one in their own place, else the first free one.

    `before` is instance -> person. Raises UsageError when there are more people than instances.
    """
    had = {owner: instance for instance, owner in before.items()}
    given = {person.name: had[person.name] for person in people if person.name in had}
    free = [instance for instance in instances if instance not in before]
    new = [person for person in people if person.name not in given]
    if len(new) > len(free):
        raise UsageError(
            _too_many(people, instances, before), where=new[len(free)].where, hint=_room(people, instances)
        )
    own = dict(zip((person.name for person in people), instances, strict=False))
    for person in new:
        instance = own.get(person.name)
        if instance in free and instance is not None:
            given[person.name] = instance
            free.remove(instance)
    for person in new:
        if person.name not in given:
            given[person.name] = free.pop(0)
    return given


def _too_many(people: Sequence[Person], instances: Sequence[str], before: Mapping[str, str]) -> str:
    kept = set(before.values()) - {person.name for person in people}
    others = f", {count_of(len(kept), 'instance')} of which somebody has who is not among them" if kept else ""
    return f"{len(people)} people for {count_of(len(instances), 'instance')}{others}"


def _room(people: Sequence[Person], instances: Sequence[str]) -> str:
    more = len(people) - len(instances)
    if more <= 0:
        return "bay share FLEET --revoke PERSON for who is not listed any more"
    return f"bay launch IMAGE -n {more} --name ANOTHER for the rest, with a bay.yaml of its own; or fewer people"


def _own_file() -> Path:
    """Return where OpenSSH looks: in the home that the system knows, whatever HOME says."""
    return Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".ssh" / "authorized_keys"


@contextmanager
def _holding(bay: Bay, fleet: str) -> Iterator[None]:
    """Share or revoke one at a time, and while nobody stops or terminates the fleet."""
    lock = bay.home.lock(f"fleet-{fleet}")
    with locked(bay.home.lock("share")), locked(lock, shared=True):
        yield


def _fleet(bay: Bay, fleet: str) -> Sequence[Instance]:
    observed = bay.provider.observe()
    found = [item for item in observed if item.fleet == fleet]
    if not found:
        other = select(observed, fleet)[0]  # raises NotFound for what is nothing at all
        raise UsageError(f"{fleet!r} is an instance; a fleet is shared as a whole", hint=f"bay share {other.fleet}")
    return found


def refuse_revoked(bay: Bay, fleet: str, people: Sequence[Person]) -> None:
    """Raise UsageError for a person whose key was revoked in the fleet."""
    revoked = revocations(bay.home, fleet)
    for person in people:
        if known := revoked.get(str(person.key)):
            raise UsageError(
                f"the key of {person.name} was revoked in {fleet!r} (as {known.name}'s)",
                where=person.where,
                hint=f"another key, or without that entry; bay share {fleet} --readmit {known.name} lets it in again",
            )


def _take_back_old(bay: Bay, instance: Instance, person: Person, owner: Owner | None, file: Path) -> None:
    """Close what another key of the same person has open, and what another file lets in."""
    if owner is None:
        return
    if owner.authorized_keys != file:
        remove_entries(owner.authorized_keys, [instance.id])
    if owner.key != str(person.key):
        # remembered as revoked, so that a connection that is open meanwhile gets no further, and a kill changes nothing
        revoke_key(bay.home, instance.fleet, Revocation(name=owner.name, key=owner.key, at=bay.clock.now()))
        _close(bay, instance, owner)


def _close(bay: Bay, instance: Instance, owner: Owner) -> int:
    """End what an owner has open, and let what they were handed open nothing."""
    remove_entries(owner.authorized_keys, [instance.id])
    ended = end_sessions(bay, owner.name, instance.id, (owner.notebook, owner.board))
    for kind in _SERVICES:
        service = find_service(bay, kind, instance)
        if service is not None and service.port in (owner.notebook, owner.board):
            renew_service(bay, service)
    return ended


def _reserve(bay: Bay, instance: Instance) -> tuple[Service, Service]:
    notebook, board = (reserve(bay, kind, instance) for kind in _SERVICES)
    return notebook, board


def _entry(bay: Bay, person: Person, instance: Instance, services: tuple[Service, Service]) -> Entry:
    mark, _, value = owner_mark(person.name, instance.id).partition("=")
    assert mark == PERSON_MARK
    return Entry(
        identity=instance.id,
        person=person.name,
        key=str(person.key),
        ports=[service.port for service in services],
        variables={"LAUNCHBAY_HOME": str(bay.home.root), INSTANCE_MARK: instance.id, mark: value},
        # -P: nothing that lies in the home can stand in for us
        command=[sys.executable, "-P", "-m", "launchbay.cli.gate", person.key.fingerprint],
    )


def _owner(person: Person, file: Path, services: tuple[Service, Service], since: float) -> Owner:
    notebook, board = services
    return Owner(
        name=person.name,
        key=str(person.key),
        authorized_keys=file,
        notebook=notebook.port,
        board=board.port,
        since=since,
    )


def _sheet(person: Person, instance: Instance, place: Place, services: tuple[Service, Service]) -> Sheet:
    notebook, board = services
    return Sheet(person=person, instance=instance, place=place, notebook=notebook, board=board)


def _say_parts(bay: Bay, instances: Sequence[Instance]) -> Sequence[str]:
    """Say what each may use of the machine, and with whom: nothing where nothing was given."""
    return say_parts({item.name: find_part(item.root) for item in instances}, look_at_machine(bay.environ))


def _hand(sheet: Sheet, output: Path) -> Handed:
    path = output / f"{sheet.person.name}.md"
    try:
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, sheet_text(sheet).encode(), private=True)
    except OSError as error:
        raise explain_os_error(error, f"writing the sheet of {sheet.person.name}") from error
    return Handed(
        person=sheet.person.name,
        instance=sheet.instance.name,
        sheet=path.absolute(),
        notebook_port=sheet.notebook.port,
        board_port=sheet.board.port,
    )


def revoke_person(bay: Bay, fleet: str, name: str) -> Revoked:
    """Take an instance back: the key opens nothing any more, and what it has open ends. Idempotent.

    The instance stays with its files. Raises NotFound for a name that has none and never had.
    """
    with _holding(bay, fleet):
        owners = [(item, owner) for item in _fleet(bay, fleet) if (owner := read_owner(item.root))]
        found = next(((item, owner) for item, owner in owners if owner.name == name), None)
        if found is None:
            if any(item.name == name for item in revocations(bay.home, fleet).values()):
                return Revoked(person=name, fleet=fleet, instance=None, processes_ended=0, changed=False)
            known = [owner.name for _, owner in owners]
            raise nearest(name, known, kind=f"person with an instance of {fleet}", hint="bay ps")
        instance, owner = found
        revoke_key(bay.home, fleet, Revocation(name=name, key=owner.key, at=bay.clock.now()))
        ended = _close(bay, instance, owner)
        forget_owner(instance.root)
    return Revoked(person=name, fleet=fleet, instance=instance.name, processes_ended=ended, changed=True)


def readmit(bay: Bay, fleet: str, name: str) -> Revoked:
    """Forget that the keys of a person were revoked; the next `share` may hand them an instance again."""
    with _holding(bay, fleet):
        if not forgive(bay.home, fleet, name):
            raise NotFound(f"no key of {name!r} was revoked in {fleet!r}", hint=f"bay share {fleet}")
    return Revoked(person=name, fleet=fleet, instance=None, processes_ended=0, changed=True)
