"""One type with different disks, addresses and software: what an instance gets is the most of what runs on it asks for. Pure.

The optimiser knows no disks. So a type is offered to it once for each outfit that could be wanted, at what that costs, and what
needs a larger disk asks for it as a trait. Then what shares an instance decides what disk that has, and nothing is rounded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from launchbay.cost.optimum.machine import Machine
from launchbay.cost.saving.load import Load, Outfit

__all__ = ["Variant", "ask_for_outfits", "list_variants", "type_of"]

_MOST_DISKS, _MOST_SOFTWARE = 4, 2
"""How many sizes of disks and prices of software are told apart; what lies between two counts as the smaller one here, so
that a bound stays one. The bill of the plan counts each as it is."""

_Amount = TypeVar("_Amount", int, Decimal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An outfit, the traits that it brings, and how it is written behind a type ("" where there is only one)."""

    outfit: Outfit
    traits: frozenset[str]
    label: str

    def dress(self, machine: Machine, month_hours: Decimal) -> Machine:
        """Return a machine, priced with this disk and address, with the software, the traits and the label."""
        usd = self.outfit.software_usd_per_hour or Decimal(0)

        def more(amount: Decimal | None, hours: Decimal) -> Decimal | None:
            return None if amount is None else amount + usd * hours

        one = Decimal(1)
        return replace(
            machine,
            type=f"{machine.type} ({self.label})" if self.label else machine.type,
            traits=machine.traits | self.traits,
            always_on_usd=more(machine.always_on_usd, month_hours),
            hourly_usd=more(machine.hourly_usd, one),
            spot_usd=more(machine.spot_usd, one),
        )


def type_of(machine: Machine) -> str:
    """Return the instance type of a machine, without its outfit."""
    return machine.type.partition(" ")[0]


def list_variants(load: Load) -> list[Variant]:
    """Return every outfit that an instance of a load could get, the least one first."""
    disks, addresses, software = _tiers(load)
    found = []
    for disk, address, usd in itertools.product(disks, addresses, software):
        said = [
            f"{disk} GiB" if len(disks) > 1 else "",
            "address" if address and len(addresses) > 1 else "",
            f"software at ${usd}" if usd and len(software) > 1 else "",
        ]
        outfit = Outfit(disk_gib=disk, public_address=address, software_usd_per_hour=usd)
        traits = frozenset(
            trait
            for lower in itertools.product(disks, addresses, software)
            if lower[0] <= disk and lower[1] <= address and lower[2] <= usd
            for trait in _traits(lower)
        )
        found.append(Variant(outfit=outfit, traits=traits, label=", ".join(filter(None, said))))
    return found


def ask_for_outfits(load: Load) -> Load:
    """Return a load whose needs ask for what each of it gets beside its machine."""
    disks, addresses, software = _tiers(load)
    asking = {}
    for item in load.items:
        outfit = load.outfits[item.name]
        least = (
            max(disk for disk in disks if disk <= (outfit.disk_gib or 0)),
            outfit.public_address,
            max(usd for usd in software if usd <= (outfit.software_usd_per_hour or 0)),
        )
        unasked = set(_traits((disks[0], addresses[0], software[0])))
        asking[item.name] = replace(item.needs, requires=item.needs.requires | set(_traits(least)) - unasked)
    return load.map_needs(asking)


def _traits(outfit: tuple[int, bool, Decimal]) -> Iterator[str]:
    disk, address, usd = outfit
    yield f"a type with a disk of {disk} GiB"
    yield f"a type with{'' if address else 'out'} an address"
    yield f"a type with software at ${usd} an hour"


def _tiers(load: Load) -> tuple[Sequence[int], Sequence[bool], Sequence[Decimal]]:
    outfits = [load.outfits[item.name] for item in load.items]
    return (
        _spread((item.disk_gib or 0 for item in outfits), _MOST_DISKS),
        sorted({item.public_address for item in outfits}),
        _spread((item.software_usd_per_hour or Decimal(0) for item in outfits), _MOST_SOFTWARE),
    )


def _spread(amounts: Iterable[_Amount], most: int) -> list[_Amount]:
    """Return the amounts that are told apart, the least one always among them."""
    found = sorted(set(amounts))
    if len(found) <= most:
        return found
    return [found[place * len(found) // most] for place in range(most)]
