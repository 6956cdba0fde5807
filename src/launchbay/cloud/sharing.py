"""Hand the instances of a fleet on EC2 to people, and take them back.

What is meant is written down first, so both verbs may be killed at any instant and given again. A key is let in by the
instance alone; from where it may be tried is said by the fleet's security group: from networks, or through an endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launchbay.afar.handing import ask_handing
from launchbay.afar.machine import FarMachine
from launchbay.cloud.fleet import CloudFleet, door_of, known_by
from launchbay.cloud.proof import refuse_stopped
from launchbay.cloud.reach import ports_of
from launchbay.cloud.shares import Holder, Share, read_share, write_share
from launchbay.cloud.sheet import FarSheet, config_text, known_hosts_text, page_text, tunnel_words
from launchbay.cloud.standing import AT_ONCE, FarInstance, find_far, observe_fleets, open_machine, open_machines
from launchbay.errors import UsageError, UserError
from launchbay.files import explain_os_error, locked, write_atomic
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.ports import Event
from launchbay.providers.ec2.client import Client
from launchbay.providers.ec2.groups import caller_network, ensure_group, find_groups
from launchbay.providers.ec2.instances import Row
from launchbay.sharing.share import Revoked, assign, refuse_revoked
from launchbay.spec.cidr import FORCING_MEANS, check_cidrs, is_too_wide, read_cidr
from launchbay.spec.names import nearest
from launchbay.spec.people import Person, parse_key
from launchbay.store.person import Revocation, revocations, revoke_key
from launchbay.transport.door import Door

__all__ = ["FarHanded", "FarShared", "revoke_far", "share_far"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FarHanded:
    """An instance in somebody's hands: the page that they are sent, and the file for ``ssh -F`` beside it."""

    person: str
    instance: str
    sheet: Path
    config: Path
    address: str
    notebook_port: int
    board_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FarShared:
    """What sharing a fleet on EC2 brought. `networks` may try to come in, besides `caller`, from where this was said.

    `nobody` are instances that belong to nobody, `unlisted` people no longer listed, with what they have. `endpoint` is the id of
    the one that the fleet is reached through, empty for none; unless it keeps its clients' addresses, `caller` is empty then.
    """

    fleet: str
    provider: str
    region: str
    user: str
    caller: str
    networks: Sequence[str]
    people: Sequence[FarHanded]
    nobody: Sequence[str]
    unlisted: Mapping[str, str]
    endpoint: str = ""


def share_far(
    bay: Bay,
    name: str,
    people: Sequence[Person],
    *,
    output: Path,
    networks: Sequence[str] = (),
    is_open_to_anyone: bool = False,
) -> FarShared:
    """Give each person an instance of a fleet, let their key in there and `networks` through, and write their files. Idempotent.

    Who has an instance keeps it, and networks stay as long as one of those needs them for whom they were said. Raises UsageError
    for more people than instances, a revoked key, or a network that is none or too wide; Conflict where an instance is stopped.
    """
    fleet = _fleet(bay, name)
    wider = check_cidrs(networks, force=is_open_to_anyone, where="--allow-cidr")
    if is_too_wide([read_cidr(network) for network in wider]):
        bay.reporter.note(f"{', '.join(wider)}: {FORCING_MEANS}.")
    with _holding(bay, name):
        refuse_revoked(bay, name, people)
        fars = find_far(bay, name)
        before = read_share(bay.home, name)
        had = {instance: holder.name for instance, holder in before.holders.items()}
        given = assign(people, [far.name for far in fars], had)
        theirs = [far for far in fars if far.name in given.values()]
        rows = observe_fleets(bay, [fleet])
        refuse_stopped(theirs, rows, f"bay share {name}")
        client = open_cloud(bay, fleet.provider, fleet.region)
        wall = _Wall(client, fleet, before)
        share = wall.widen(_meant(bay, before, people, given), wider, [person.name for person in people])
        write_share(bay.home, name, share)
        handing = _Handing(bay, fleet, before, {given[person.name]: person for person in people})
        said = handing.hand(theirs, share)
        kept = {
            instance: replace(holder, keep=holder.keep or list(said[instance]["others"]))
            for instance, holder in share.holders.items()
            if instance in said
        }
        share = wall.set(replace(share, holders={**share.holders, **kept}))
        write_share(bay.home, name, share)
        sheets = handing.sheets(said, rows, share)
    handed = [_write(sheet, output) for sheet in sheets]
    taken = {item.instance for item in handed}
    return FarShared(
        fleet=name,
        provider=fleet.provider,
        region=fleet.region,
        user=fleet.login,
        caller=share.caller,
        networks=tuple(share.networks),
        people=handed,
        nobody=[far.name for far in fars if far.name not in share.holders],
        unlisted={holder.name: name for name, holder in share.holders.items() if name not in taken},
        endpoint=fleet.endpoint.id if fleet.endpoint else "",
    )


def _fleet(bay: Bay, name: str) -> CloudFleet:
    fleet = find_far(bay, name)[0].fleet
    if fleet.name != name:
        raise UsageError(f"{name!r} is an instance; a fleet is shared as a whole", hint=f"bay share {fleet.name}")
    return fleet


@contextmanager
def _holding(bay: Bay, fleet: str) -> Iterator[None]:
    """Share or revoke one at a time, and while nobody stops or terminates the fleet."""
    with locked(bay.home.lock("share")), locked(bay.home.lock(f"fleet-{fleet}"), shared=True):
        yield


def _meant(bay: Bay, before: Share, people: Sequence[Person], given: Mapping[str, str]) -> Share:
    """Return who is to have what; where a person's key is another now, the old one is remembered as revoked."""
    holders = dict(before.holders)
    for person in people:
        known = holders.get(given[person.name])
        holders[given[person.name]] = Holder(
            name=person.name,
            key=str(person.key),
            since=known.since if known else bay.clock.now(),
            keep=known.keep if known else (),
        )
    return replace(before, holders=holders)


@dataclass(frozen=True, slots=True)
class _Wall:
    """The fleet's security group: what it lets in is what the launch said, our own address, and the people's networks.

    Where the fleet's endpoint comes in its own name, that is what the launch said, and our address is not let in.
    """

    client: Client
    fleet: CloudFleet
    before: Share

    def _groups(self) -> Sequence[Mapping[str, Any]]:
        return find_groups(self.client, self.fleet.name)

    def widen(self, share: Share, wider: Sequence[str], names: Sequence[str]) -> Share:
        """Return the share with networks more, said for these people. Raises UsageError where the fleet has no group of ours."""
        if wider and not self._groups():
            hint = "let them in there"
            raise UsageError(
                f"{self.fleet.name} stands in security groups of your own, which are yours to change", hint=hint
            )
        networks = dict(share.networks)
        for network in wider:
            networks[network] = list(dict.fromkeys([*networks.get(network, ()), *names]))
        return replace(share, networks=networks)

    def set(self, share: Share) -> Share:
        """Let in what the share says, and nothing that sharing said before; return it with our own address. Idempotent."""
        groups, endpoint = self._groups(), self.fleet.endpoint
        if not groups:
            return share
        is_hidden = endpoint is not None and not endpoint.keeps_client
        caller = "" if is_hidden else self._caller()
        wanted = dict.fromkeys([*self.fleet.let_in, *([caller] if caller else []), *share.networks])
        ensure_group(
            self.client,
            self.fleet.name,
            str(groups[0]["VpcId"]),
            list(wanted),
            is_clustered=_is_clustered(groups[0]),
        )
        return replace(share, caller=caller)

    def _caller(self) -> str:
        try:
            return caller_network(self.client)
        except UserError:  # nobody tells just now: the one before stays
            return self.before.caller


def _is_clustered(group: Mapping[str, Any]) -> bool:
    """Say whether a group's members may talk to each other: whether it lets in itself."""
    pairs = (pair for rule in group.get("IpPermissions", ()) for pair in rule.get("UserIdGroupPairs", ()))
    return any(pair.get("GroupId") == group["GroupId"] for pair in pairs)


@dataclass(frozen=True, slots=True)
class _Handing:
    """Instances on their way into people's hands: `people` is whose each is to be, `before` how it was shared."""

    bay: Bay
    fleet: CloudFleet
    before: Share
    people: Mapping[str, Person]

    def hand(self, fars: Sequence[FarInstance], share: Share) -> Mapping[str, Mapping[str, Any]]:
        """Let each person's key in on their instance, several at a time; return what each instance said, by name."""
        task = Event(task=f"share {self.fleet.name}", total=len(fars), unit="instances")
        for name, known in self.before.holders.items():
            if name in self.people and self._is_other(name):
                old = Revocation(name=known.name, key=known.key, at=self.bay.clock.now())
                revoke_key(self.bay.home, self.fleet.name, old)
        with open_machines(self.bay, fars) as machines:
            self.bay.reporter.event(task)

            def one(name: str) -> Mapping[str, Any]:
                person = self.people[name]
                if self._is_other(name):
                    _take_back(machines[name], name, share.holders[name].keep)
                ask = {"do": "hand", "instance": name, "person": person.name, "key": str(person.key)}
                return ask_handing(machines[name], ask)

            with ThreadPoolExecutor(AT_ONCE) as pool:
                said = dict(zip(machines, pool.map(one, machines), strict=True))
            self.bay.reporter.event(replace(task, done=len(fars), finished=True))
        return said

    def _is_other(self, name: str) -> bool:
        """Say whether another key opened the instance before."""
        known = self.before.holders.get(name)
        return known is not None and known.key != str(self.people[name].key)

    def sheets(
        self, said: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Row], share: Share
    ) -> Sequence[FarSheet]:
        """Return what each person is handed, in the order of the people."""
        return [self._sheet(name, said[name], rows[name], share) for name in self.people]

    def _door(self, row: Row, share: Share) -> Door:
        """Return how a person gets in: at its address where networks were said and it has one, else as the fleet is reached.

        Their key lies in the instance, so one-time keys, which are ours, play no part.
        """
        fleet = replace(self.fleet, is_one_time=False)
        if share.networks and row.public_address:
            fleet = replace(fleet, endpoint=None)
        door = door_of(self.bay.home, fleet, row, ports_of(self.bay, fleet)(row))
        if fleet.endpoint is None:
            return door
        # the AWS CLI cannot be led to a twin: who comes in there does so on this machine, where our program is
        proxy = door.proxy if fleet.provider == "twin" else tunnel_words(row.id, fleet.region)
        return replace(door, address=row.id, proxy=proxy)

    def _sheet(self, name: str, said: Mapping[str, Any], row: Row, share: Share) -> FarSheet:
        keys = known_by(self.bay.home, self.fleet.name, row.id)
        return FarSheet(
            person=self.people[name],
            instance=name,
            image=self.fleet.image,
            type=self.fleet.type,
            region=self.fleet.region,
            door=self._door(row, share),
            host_keys=keys,
            host_fingerprint=parse_key(keys[0]).fingerprint,
            networks=tuple(share.networks),
            notebook=said["notebook"]["port"],
            board=said["board"]["port"],
            notebook_token=said["notebook"]["token"],
            board_token=said["board"]["token"],
            endpoint=self.fleet.endpoint,
        )


def _take_back(machine: FarMachine, name: str, keep: Sequence[str]) -> Mapping[str, Any]:
    return ask_handing(machine, {"do": "take back", "instance": name, "keep": list(keep)})


def _write(sheet: FarSheet, output: Path) -> FarHanded:
    page = output / f"{sheet.person.name}.md"
    try:
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(output / sheet.known_hosts, known_hosts_text(sheet).encode(), private=True)
        write_atomic(output / sheet.config, config_text(sheet).encode(), private=True)
        write_atomic(page, page_text(sheet).encode(), private=True)
    except OSError as error:
        raise explain_os_error(error, f"writing the sheet of {sheet.person.name}") from error
    return FarHanded(
        person=sheet.person.name,
        instance=sheet.instance,
        sheet=page.absolute(),
        config=(output / sheet.config).absolute(),
        address=sheet.door.address,
        notebook_port=sheet.notebook,
        board_port=sheet.board,
    )


def revoke_far(bay: Bay, name: str, person: str) -> Revoked:
    """Take an instance back: the key is taken out of it, what is open ends, and networks go that nobody else needs. Idempotent.

    Raises NotFound for a name that has none and never had, Conflict where the instance is stopped: its disk would still let
    the key in.
    """
    fleet = _fleet(bay, name)
    with _holding(bay, name):
        before = read_share(bay.home, name)
        found = next(((key, holder) for key, holder in before.holders.items() if holder.name == person), None)
        if found is None:
            if any(item.name == person for item in revocations(bay.home, name).values()):
                return Revoked(person=person, fleet=name, instance=None, processes_ended=0, changed=False)
            known = [holder.name for holder in before.holders.values()]
            raise nearest(person, known, kind=f"person with an instance of {name}", hint=f"bay share {name}")
        instance, holder = found
        revoke_key(bay.home, name, Revocation(name=person, key=holder.key, at=bay.clock.now()))
        # the network first: from there nobody else is let in, whatever becomes of the instance
        share = _Wall(open_cloud(bay, fleet.provider, fleet.region), fleet, before).set(before.without(person))
        ended = 0
        if instance in observe_fleets(bay, [fleet]):  # one that is gone has taken their key with it
            with open_machine(bay, FarInstance(fleet=fleet, name=instance)) as machine:
                ended = int(_take_back(machine, instance, holder.keep)["ended"])
        write_share(bay.home, name, share)
    return Revoked(person=person, fleet=name, instance=instance, processes_ended=ended, changed=True)
