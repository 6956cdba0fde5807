"""What this machine keeps of a fleet on EC2: where it is, and what opens it. What stands is what EC2's tags say."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launchbay.errors import StateError, UserError
from launchbay.fields import AMOUNT, FLAG, INTEGER, NUMBER, TEXT, check_fields, fields, list_of, mapping_of, optional
from launchbay.files import read_json, remove_tree, write_atomic, write_json
from launchbay.home import Home
from launchbay.jsonable import to_json
from launchbay.planning.way import Endpoint
from launchbay.providers.ec2.instances import Row
from launchbay.transport.door import Door
from launchbay.transport.hostkeys import read_host_keys, replace_host_key
from launchbay.transport.keypair import KeyPair, make_key_pair

__all__ = [
    "LAUNCH_VERB",
    "CloudFleet",
    "damaged_fleets",
    "door_of",
    "expect",
    "expected",
    "find_fleet",
    "fleet_folder",
    "forget_fleet",
    "keep_fleet",
    "key_file",
    "keys_of",
    "know",
    "known_by",
    "list_fleets",
    "opening_key",
    "read_endpoint",
]

_TEXTS = (
    "name",
    "provider",
    "region",
    "type",
    "market",
    "image",
    "digest",
    "machine_image",
    "login",
    "launch",
    "asked",
)
_FIELDS = {
    **dict.fromkeys(_TEXTS, TEXT),
    "count": INTEGER,
    "created_at": NUMBER,
    "ends_at": NUMBER,
    "usd_per_hour": optional(AMOUNT),
    "disk_usd_per_hour": optional(AMOUNT),
    "own_key": optional(TEXT),
    "endpoint": optional(
        fields(
            {
                **dict.fromkeys(("id", "name", "subnet"), TEXT),
                **dict.fromkeys(("groups", "addresses"), list_of(TEXT)),
                "keeps_client": FLAG,
            }
        )
    ),
    "is_one_time": optional(FLAG),
    "let_in": optional(list_of(TEXT)),
    "ends": optional(mapping_of(NUMBER)),
}
LAUNCH_VERB = "launch on EC2"
"""What the journal calls it."""

_KEY, _HOST_KEY, _KNOWN, _RECORD, _NEXT = "key", "host_key", "known_hosts", "fleet.json", ".next"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudFleet:
    """A fleet on EC2, as it was launched. `launch` is the operation of the journal that did it, `asked` a digest of what for.

    `machine_image` is the AMI. Prices are those of one instance at its launch, None unknown: `usd_per_hour` while it runs, with
    its address and what the image's maker takes, `disk_usd_per_hour` for as long as its disks are. The lease ends at `ends_at`,
    seconds since 1970, but for the instances in `ends`, by name, whose end was moved alone. `own_key` is the file of a key of
    the person's own that opens it, where it is not the fleet's. `let_in` are the networks that its own security group lets in for
    us; sharing adds to them. `endpoint` is the one that instances are reached through, None for their addresses; where it
    `is_one_time`, the fleet's key opens nothing but while EC2 Instance Connect lets it in.
    """

    name: str
    provider: str
    region: str
    type: str
    market: str
    count: int
    image: str
    digest: str
    machine_image: str
    login: str
    created_at: float
    ends_at: float
    launch: str
    asked: str
    usd_per_hour: str | None = None
    disk_usd_per_hour: str | None = None
    own_key: str | None = None
    endpoint: Endpoint | None = None
    is_one_time: bool = False
    let_in: tuple[str, ...] = ()
    ends: Mapping[str, float] = field(default_factory=dict, hash=False)

    def ends_of(self, name: str) -> float:
        """Return until when an instance of the fleet may live, in seconds since 1970."""
        return self.ends.get(name, self.ends_at)


def fleet_folder(home: Home, name: str) -> Path:
    """Return the folder of what is kept of a fleet; only its owner can look inside."""
    return home.cloud / name


def keep_fleet(home: Home, fleet: CloudFleet) -> None:
    """Write down where a fleet is. Idempotent."""
    folder = fleet_folder(home, fleet.name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_json(folder / _RECORD, to_json(fleet))


def find_fleet(home: Home, name: str) -> CloudFleet | None:
    """Return a fleet that was launched from here, None for none. Raises StateError when its record is damaged."""
    path = fleet_folder(home, name) / _RECORD
    try:
        record: Mapping[str, Any] = read_json(path)
    except FileNotFoundError:
        return None
    check_fields(record, _FIELDS, where=path)
    values = {name: record.get(name) for name in _FIELDS}
    more = {"ends": record.get("ends") or {}, "is_one_time": bool(record.get("is_one_time"))}
    more["let_in"] = tuple(record.get("let_in") or ())
    more["endpoint"] = read_endpoint(record.get("endpoint"))
    return CloudFleet(**{**values, **more})  # type: ignore[arg-type]


def read_endpoint(value: Mapping[str, Any] | None) -> Endpoint | None:
    """Read an endpoint as it was kept, None for none."""
    if value is None:
        return None
    return Endpoint(**{**value, "groups": tuple(value["groups"]), "addresses": tuple(value["addresses"])})


def list_fleets(home: Home) -> Sequence[CloudFleet]:
    """Return all fleets that were launched from here and not ended, by name; damaged records are left out."""
    found = []
    for folder in sorted(home.cloud.iterdir()) if home.cloud.is_dir() else ():
        with contextlib.suppress(StateError):
            fleet = find_fleet(home, folder.name)
            if fleet is not None:
                found.append(fleet)
    return found


def damaged_fleets(home: Home) -> Sequence[str]:
    """Return the names of fleets whose record cannot be read: something of them may stand, and cost."""
    found = []
    for folder in sorted(home.cloud.iterdir()) if home.cloud.is_dir() else ():
        try:
            find_fleet(home, folder.name)
        except StateError:
            found.append(folder.name)
    return found


def forget_fleet(home: Home, name: str) -> None:
    """Remove what is kept of a fleet, its keys too. Idempotent."""
    remove_tree(fleet_folder(home, name))


def keys_of(home: Home, name: str) -> tuple[KeyPair, KeyPair]:
    """Return the fleet's own key and the host key that its instances begin with, each made when first asked for.

    Both are the same for every retry of a launch: they are part of what is asked of EC2.
    """
    folder = fleet_folder(home, name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _key(folder / _KEY, f"launchbay-{name}"), _key(folder / _HOST_KEY, f"launchbay-{name}-host")


def _key(path: Path, comment: str) -> KeyPair:
    with contextlib.suppress(FileNotFoundError):
        return KeyPair(private=path.read_text(), public=path.with_suffix(".pub").read_text().strip())
    made = make_key_pair(comment)
    write_atomic(path.with_suffix(".pub"), f"{made.public}\n".encode())
    write_atomic(path, made.private.encode(), private=True)
    return made


def key_file(home: Home, fleet: CloudFleet) -> Path:
    """Return the file of the private key that opens a fleet; its public half lies beside it, with ``.pub`` at the end."""
    return Path(fleet.own_key) if fleet.own_key else fleet_folder(home, fleet.name) / _KEY


def opening_key(home: Home, fleet: CloudFleet) -> str:
    """Return the public key that opens a fleet, in base64, without its type and comment."""
    path = key_file(home, fleet)
    public = path.with_name(f"{path.name}.pub")
    if not public.exists():
        raise UserError(
            f"the public half of {path} is not beside it", where=str(public), hint=f"ssh-keygen -y -f {path} > {public}"
        )
    return public.read_text(encoding="utf-8").split()[1]


def door_of(home: Home, fleet: CloudFleet, row: Row, port: int) -> Door:
    """Return how an instance is got into: by the fleet's key, known by its id in the fleet's own file of host keys.

    `port` is where SSH listens at its address. Where that is not the whole way, a program of ours leads there.
    """
    folder = fleet_folder(home, fleet.name)
    address = row.private_address if fleet.endpoint else row.public_address or row.private_address
    proxy: tuple[str, ...] = ()
    if fleet.endpoint or fleet.is_one_time:
        # -P: nothing that lies in a person's folder can stand in for us
        program = (sys.executable, "-P", "-m", "launchbay.cloud.proxy")
        proxy = (*program, str(home.root.absolute()), fleet.name, row.id, address, str(port))
    return Door(
        address=address,
        port=port,
        user=fleet.login,
        keys=(key_file(home, fleet),),
        known_hosts=folder / _KNOWN,
        alias=row.id,
        proxy=proxy,
    )


def known_by(home: Home, name: str, identity: str) -> tuple[str, ...]:
    """Return the host keys by which an instance is known, none for one that is not."""
    return read_host_keys(fleet_folder(home, name) / _KNOWN, identity)


def know(home: Home, name: str, identity: str, public_key: str) -> None:
    """Know an instance by a host key from now on, in the place of the one before; whoever calls this has proof of it."""
    replace_host_key(fleet_folder(home, name) / _KNOWN, identity, public_key)


def expect(home: Home, name: str, identity: str, public_key: str) -> None:
    """Write down the host key that an instance is about to take: known if this is killed before it is known by it."""
    write_atomic(
        fleet_folder(home, name) / f"{identity}{_NEXT}", f"{public_key}\n".encode(), private=True, durable=True
    )


def expected(home: Home, name: str, identity: str) -> str:
    """Return the host key that an instance was about to take, empty where none was written down."""
    try:
        return (fleet_folder(home, name) / f"{identity}{_NEXT}").read_text().strip()
    except FileNotFoundError:
        return ""
