"""The network interfaces of a launch: their kind, card, tags and addresses as asked, and whether they end with the instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from moto.ec2.models import elastic_network_interfaces

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.rules.asked import put_by, tags_asked, take
from launchbay.twin.world import World

__all__ = ["RULE", "NetworkInterface", "subnet_of"]

_NAME = "interfaces"


class NetworkInterface(elastic_network_interfaces.NetworkInterface):  # type: ignore[misc]
    """moto's, which knows its network card, and whose groups are its own and not those of the whole instance.

    moto finds what to write as `NetworkInterfaceId` by the name of the class, so it has the same one.
    """

    network_card_index = 0

    @property
    def group_set(self) -> list[Any]:
        """Its security groups."""
        return list(self._group_set)

    @property
    def attachment(self) -> Any:
        """How it hangs on its instance; None while it does not."""
        found = super().attachment
        if found is not None:
            found.network_card_index = self.network_card_index
        return found


def subnet_of(region: str, identity: str) -> Any:
    """Return a subnet by its id. Raises Refused where there is none."""
    for zones in ec2(region).subnets.values():
        if identity in zones:
            return zones[identity]
    raise Refused("InvalidSubnetID.NotFound", f"The subnet ID '{identity}' does not exist")


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.action != "RunInstances":
        _let_go(call.region)
        return None
    given: list[Mapping[str, Any]] = call.get("NetworkInterfaces", default=[])
    asked = sorted(
        (dict(item) for item in given), key=lambda item: (item.get("NetworkCardIndex", 0), item["DeviceIndex"])
    )
    put_by(world, _NAME, asked)
    params: dict[str, Any] = dict(call.params)
    if asked:
        # moto keeps one interface for each device index, and every further network card begins with the same one
        params["NetworkInterfaces"] = [{**item, "DeviceIndex": number} for number, item in enumerate(asked)]
    return replace(call, params=params)


def _let_go(region: str) -> None:
    """Free the interfaces that have outlived their instances."""
    for eni in ec2(region).enis.values():
        if eni.instance is not None and eni.instance.state == "terminated" and not eni.delete_on_termination:
            eni.instance = eni.attachment_id = eni.attach_time = None
            eni.status = "available"


def _made(call: Call, world: World, made: Sequence[Any]) -> None:
    asked: list[dict[str, Any]] = take(world, _NAME) or [{}]
    tags = tags_asked(call, "network-interface")
    for instance in made:
        for number, eni in instance.nics.items():
            _form(eni, asked[number] if number < len(asked) else {}, tags)
        _address(instance, asked)


def _form(eni: Any, asked: Mapping[str, Any], tags: dict[str, str]) -> None:
    is_new = not asked.get("NetworkInterfaceId")
    eni.__class__ = NetworkInterface
    eni.network_card_index = int(asked.get("NetworkCardIndex", 0))
    eni.device_index = int(asked.get("DeviceIndex", 0))
    eni.delete_on_termination = bool(asked.get("DeleteOnTermination", is_new))
    if not is_new:
        return
    eni.interface_type = asked.get("InterfaceType", "interface")
    eni.add_tags(tags)
    if eni.interface_type == "efa-only":
        eni.subnet.del_subnet_ip(eni.private_ip_address)
        eni.private_ip_address, eni.private_ip_addresses = None, []


def _address(instance: Any, asked: Sequence[Mapping[str, Any]]) -> None:
    """Give a public address, or take it away: moto gives one to whatever is launched."""
    first = instance.nics[0]
    wanted = asked[0].get("AssociatePublicIpAddress")
    if wanted is None:
        wanted = str(first.subnet.map_public_ip_on_launch).lower() == "true"
    if asked[0].get("NetworkInterfaceId"):
        return
    is_given = bool(wanted) and len(asked) == 1
    first.public_ip_auto_assign = instance.associate_public_ip = is_given
    if not is_given:
        first.public_ip = None
    elif not first.public_ip:
        first.public_ip = (
            elastic_network_interfaces.random_public_ip()
        )  # by way of the module: `patches` may stand there


RULE = Rule(
    name=_NAME,
    on=frozenset({"ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:RunInstances"}),
    source="interface types, cards and DeleteOnTermination verified in botocore's model; no public address with several "
    "interfaces seen in its documentation; that the interface of a launch ends with it by default is remembered",
    before=_before,
    made=_made,
)
