"""What the twin has: the calls that rules of ours are about, and those whose answer by moto alone was found to be EC2's.

moto answers far more. What no rule looks at would be made beside quotas, capacity, delays and the meter (an Auto Scaling group
launches instances, a NAT gateway costs nothing, a command succeeds that nobody ran), so it is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE"]

_WHOLE = frozenset({"iam", "sts"})
"""Services of which all that moto has is had."""

_EC2 = """
    AllocateAddress AssociateAddress DescribeAddresses DisassociateAddress ReleaseAddress
    AssociateIamInstanceProfile DescribeIamInstanceProfileAssociations DisassociateIamInstanceProfile
    ReplaceIamInstanceProfileAssociation
    AssociateRouteTable CreateRoute CreateRouteTable DeleteRoute DeleteRouteTable DescribeRouteTables DisassociateRouteTable
    ReplaceRoute ReplaceRouteTableAssociation
    AttachInternetGateway CreateInternetGateway DeleteInternetGateway DescribeInternetGateways DetachInternetGateway
    AttachNetworkInterface CreateNetworkInterface DescribeNetworkInterfaceAttribute DetachNetworkInterface
    CreateDefaultSubnet CreateDefaultVpc CreateSubnet CreateVpc DeleteSubnet DeleteVpc DescribeSubnets DescribeVpcAttribute
    DescribeVpcs ModifySubnetAttribute ModifyVpcAttribute
    CreateDhcpOptions AssociateDhcpOptions DeleteDhcpOptions DescribeDhcpOptions
    CreateNetworkAcl CreateNetworkAclEntry DeleteNetworkAcl DeleteNetworkAclEntry DescribeNetworkAcls
    ReplaceNetworkAclAssociation ReplaceNetworkAclEntry
    CreateKeyPair CreateTags DeleteTags DescribeTags
    CreateSecurityGroup DescribeSecurityGroupRules DescribeSecurityGroups ModifySecurityGroupRules
    UpdateSecurityGroupRuleDescriptionsEgress UpdateSecurityGroupRuleDescriptionsIngress
    DeleteLaunchTemplate DescribeLaunchTemplateVersions ModifyLaunchTemplate
    DeleteVolume DescribeVolumeAttribute DescribeVolumesModifications DescribeVolumeStatus DetachVolume ModifyVolume
    ModifyVolumeAttribute
    DescribeSnapshotAttribute ModifyImageAttribute ModifySnapshotAttribute ResetImageAttribute ResetSnapshotAttribute
    DescribeAccountAttributes DescribeAvailabilityZones DescribeRegions
    DescribeInstanceAttribute DescribeInstanceCreditSpecifications DescribeInstanceStatus ModifyInstanceMetadataOptions
    DisableEbsEncryptionByDefault EnableEbsEncryptionByDefault GetEbsDefaultKmsKeyId GetEbsEncryptionByDefault
"""
_SSM = """
    AddTagsToResource DeleteParameter DeleteParameters DescribeParameters GetParameterHistory ListTagsForResource PutParameter
    RemoveTagsFromResource
"""
_TAGGING = "GetResources GetTagKeys GetTagValues"

_LISTED = frozenset(
    f"{service}:{action}"
    for service, text in (("ec2", _EC2), ("ssm", _SSM), ("resourcegroupstaggingapi", _TAGGING))
    for action in text.split()
)


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.service in _WHOLE or call.name in _LISTED or any(call.name in rule.on for rule in world.rules):
        return None
    raise Refused("InvalidAction", f"The twin does not have {call.name}; what it has stands in its documentation.")


RULE = Rule(
    name="had",
    on=frozenset({"*"}),
    source="the code is EC2's for an action that it does not know, seen in its list of error codes; what is refused is ours",
    before=_before,
)
