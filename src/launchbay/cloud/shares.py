"""Who of a fleet on EC2 has which instance, and from which networks they may come in besides us: kept with the fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from launchbay.fields import NUMBER, TEXT, check_fields, fields, list_of, mapping_of
from launchbay.files import read_json, write_json
from launchbay.home import Home
from launchbay.jsonable import fields_of

__all__ = ["Holder", "Share", "networks_of_people", "people_of", "read_share", "write_share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whom an instance belongs to. `keep` are the lines of its `authorized_keys` that are not theirs."""

    name: str
    key: str
    since: float
    keep: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How a fleet is shared: instance -> holder, and network -> the people it was said for. `caller` is ours, as last seen."""

    holders: Mapping[str, Holder] = field(default_factory=dict)
    networks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    caller: str = ""

    def without(self, person: str) -> Share:
        """Return it without a person, and without the networks that nobody else needs."""
        networks = {network: [name for name in names if name != person] for network, names in self.networks.items()}
        return replace(
            self,
            holders={name: holder for name, holder in self.holders.items() if holder.name != person},
            networks={network: names for network, names in networks.items() if names},
        )


_HOLDER = {"name": TEXT, "key": TEXT, "since": NUMBER, "keep": list_of(TEXT)}
_RECORD = {"holders": mapping_of(fields(_HOLDER)), "networks": mapping_of(list_of(TEXT)), "caller": TEXT}


def read_share(home: Home, fleet: str) -> Share:
    """Return how a fleet is shared; with nobody where it never was. Raises StateError when that cannot be read."""
    path = home.cloud / fleet / "share.json"
    try:
        record = read_json(path)
    except FileNotFoundError:
        return Share()
    check_fields(record, _RECORD, where=path)
    return Share(
        holders={name: Holder(**item) for name, item in record["holders"].items()},
        networks=record["networks"],
        caller=record["caller"],
    )


def write_share(home: Home, fleet: str, share: Share) -> None:
    """Write down how a fleet is shared."""
    holders = {name: fields_of(holder) for name, holder in share.holders.items()}
    record = {"holders": holders, "networks": dict(share.networks), "caller": share.caller}
    write_json(home.cloud / fleet / "share.json", record, durable=True)


def people_of(home: Home, fleet: str) -> Mapping[str, str]:
    """Return instance -> the person who has it."""
    return {name: holder.name for name, holder in read_share(home, fleet).holders.items()}


def networks_of_people(home: Home, fleet: str) -> tuple[str, ...]:
    """Return the networks that people of a fleet come from, which whoever sets its security group has to let in."""
    return tuple(read_share(home, fleet).networks)
