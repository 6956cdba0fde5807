"""Whether a launch keeps to AWS's security controls for EC2: judged on the frozen request, before the call. Pure.

The controls are those of AWS Security Hub ("Amazon EC2 controls"), their severities as Prowler's files have them; two more are
Prowler's and our own. What a request cannot show is advised, and counts neither way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from launchbay.planning.ingress import OpenPorts, list_open, lists_trusted, networks_let_in
from launchbay.planning.secret import Secret, find_secrets, unpack

__all__ = ["Finding", "Outcome", "check_controls", "failed"]

Outcome = Literal["passed", "failed", "accepted", "advised"]

_SSH, _RDP = 22, 3389
_WEB = (80, 443)
_RISKY: tuple[int, ...] = (20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500)
_RISKY += (5601, 8080, 8088, 8888, 9200, 9300)
"""The ports of EC2.19; the list is remembered and not read."""
_REACH = ("EC2.9", "EC2.13", "EC2.18", "EC2.19", "EC2.53", "EC2.54")
"""The controls that a port open to many breaks."""
_PARAVIRTUAL = ("c1", "m1", "m2", "t1")
"""Families that have nothing else; remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a control says of a launch. `also` are the controls that ask the same of other resources.

    ``accepted`` is what a control would not have, and was asked for within bounds; ``advised`` what no launch can show.
    """

    control: str
    severity: str
    outcome: Outcome
    sentence: str
    also: tuple[str, ...] = ()


def check_controls(
    request: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    *,
    replaced: Sequence[str] = (),
    allowed: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """Return a finding for each control that a launch can keep or break, then what is advised.

    `request` are the parameters of RunInstances; `groups` the security groups that it names, as DescribeSecurityGroups
    shows them: one that is missing fails, for nobody knows what it lets in. `replaced` are texts in the user data that are
    worth nothing once the instance was reached (a host key that is replaced then): they are accepted there. `allowed` are
    networks that a person has named, who may reach a public address though they are more than single addresses.
    """
    interfaces: Sequence[Mapping[str, Any]] = request.get("NetworkInterfaces") or ()
    named = _groups_named(request, interfaces)
    known = [group for group in groups if {group.get("GroupId"), group.get("GroupName")} & named]
    unseen = sorted(named - {str(group.get(key)) for group in known for key in ("GroupId", "GroupName")})
    return (
        _default_group(named, known, unseen),
        _encryption(request),
        _metadata(request),
        _public_address(interfaces, known, unseen, allowed),
        *_open_ports(list_open(known), lists_trusted(known), unseen),
        _interfaces(interfaces),
        _virtualisation(request),
        _user_data(request, replaced),
        _tags(request),
        *_ADVICE,
    )


def failed(findings: Sequence[Finding], *, is_forced: bool = False) -> tuple[Finding, ...]:
    """Return the findings that failed; without those of who may come in by SSH where a person has forced that."""
    forced = _REACH if is_forced else ()
    return tuple(finding for finding in findings if finding.outcome == "failed" and finding.control not in forced)


def _finding(control: str, severity: str, wrong: str, right: str, *also: str) -> Finding:
    """Return what failed for a reason, or passed where there is none."""
    outcome: Outcome = "failed" if wrong else "passed"
    return Finding(control=control, severity=severity, outcome=outcome, sentence=wrong or right, also=also)


def _groups_named(request: Mapping[str, Any], interfaces: Sequence[Mapping[str, Any]]) -> set[str]:
    return {
        *(request.get("SecurityGroupIds") or ()),
        *(group for item in interfaces for group in item.get("Groups") or ()),
    }


def _default_group(named: set[str], known: Sequence[Mapping[str, Any]], unseen: Sequence[str]) -> Finding:
    default = [str(group["GroupId"]) for group in known if group.get("GroupName") == "default"]
    wrong = ""
    if not named:
        wrong = "the request names no security group, so the network's default one is taken"
    elif default:
        wrong = f"{default[0]} is the network's default security group, which others change"
    elif unseen:
        wrong = f"{', '.join(unseen)} was not looked at, so nobody knows whether it is the default one"
    return _finding("EC2.2", "high", wrong, "the security group is not the network's default one")


def _encryption(request: Mapping[str, Any]) -> Finding:
    disks = {item.get("DeviceName"): item["Ebs"] for item in request.get("BlockDeviceMappings") or () if "Ebs" in item}
    plain = [str(device) for device, ebs in disks.items() if ebs.get("Encrypted") is not True]
    wrong = f"the disk at {', '.join(plain)} is not said to be encrypted" if plain else ""
    if not disks:
        wrong = "the request maps no disk, so the image's are as the image and the account have it"
    return _finding("EC2.3", "medium", wrong, f"all {len(disks)} disks are encrypted", "EC2.7", "EC2.173", "EC2.181")


def _metadata(request: Mapping[str, Any]) -> Finding:
    options = request.get("MetadataOptions") or {}
    wrong = ""
    if options.get("HttpTokens") != "required":
        wrong = "the metadata service answers without a token (HttpTokens is not required)"
    elif options.get("HttpPutResponseHopLimit") != 1:
        wrong = (
            f"the metadata service answers over {options.get('HttpPutResponseHopLimit')} hops, so containers reach it"
        )
    elif options.get("InstanceMetadataTags", "disabled") != "disabled":
        wrong = "the metadata service shows the instance's tags"
    return _finding("EC2.8", "high", wrong, "the metadata service wants a token, and answers over one hop", "EC2.170")


def _public_address(
    interfaces: Sequence[Mapping[str, Any]],
    known: Sequence[Mapping[str, Any]],
    unseen: Sequence[str],
    allowed: Sequence[str],
) -> Finding:
    control, severity, also = "EC2.9", "high", ("EC2.15", "EC2.25")
    asked = interfaces[0].get("AssociatePublicIpAddress") if interfaces else None
    if asked is False or len(interfaces) > 1:
        return _finding(control, severity, "", "the instance has no public address", *also)
    if asked is None:
        wrong = "the request does not say whether the instance gets a public address, so the subnet decides"
        return _finding(control, severity, wrong, "", *also)
    wide = [network for network in networks_let_in(known) if network.prefixlen < network.max_prefixlen]
    wide = [network for network in wide if str(network) not in allowed]
    if wide or unseen or lists_trusted(known):
        which = ", ".join(map(str, wide)) or ", ".join((*unseen, *lists_trusted(known)))
        wrong = f"the instance has a public address, and {which} is more than single addresses that may reach it"
        return _finding(control, severity, wrong, "", *also)
    ones = ", ".join(map(str, networks_let_in(known))) or "nobody"
    sentence = f"the instance has a public address, as asked; {ones} may reach it"
    return Finding(control=control, severity=severity, outcome="accepted", sentence=sentence, also=also)


def _open_ports(found: Sequence[OpenPorts], lists: Sequence[str], unseen: Sequence[str]) -> Iterator[Finding]:
    """Yield what is open to everybody, by the controls that ask for it."""
    tcp = [item for item in found if item.protocol == "tcp"]
    unknown = f"{', '.join(unseen)} was not looked at, so nobody knows what it lets in" if unseen else ""
    for control, ports, versions, severity in (
        ("EC2.13", (_SSH,), (4, 6), "high"),
        ("EC2.14", (_RDP,), (4, 6), "high"),
        ("EC2.53", (_SSH, _RDP), (4,), "high"),
        ("EC2.54", (_SSH, _RDP), (6,), "high"),
        ("EC2.19", _RISKY, (4, 6), "medium"),
    ):
        among = tcp if control != "EC2.19" else [item for item in found if item.protocol in ("tcp", "udp")]
        hit = [port for port in ports if any(item.holds(port) and item.version in versions for item in among)]
        wrong = f"everybody reaches port {', '.join(map(str, hit))}" if hit else unknown
        which = "the ports that are attacked most" if control == "EC2.19" else f"port {' or '.join(map(str, ports))}"
        over = f" over IPv{versions[0]}" if len(versions) == 1 else ""
        yield _finding(control, severity, wrong, f"not everybody reaches {which}{over}")
    yield _unauthorised(found, lists, unknown)


def _unauthorised(found: Sequence[OpenPorts], lists: Sequence[str], unknown: str) -> Finding:
    beside = [item for item in found if not (item.protocol == "tcp" and item.low == item.high and item.low in _WEB)]
    if beside or unknown:
        wrong = f"everybody reaches {', '.join(map(str, beside))}" if beside else unknown
        return _finding("EC2.18", "high", wrong, "")
    if found:
        sentence = f"everybody reaches {', '.join(map(str, found))}, which AWS lets pass; Launchbay opens no such port"
        return Finding(control="EC2.18", severity="high", outcome="accepted", sentence=sentence)
    if lists:
        sentence = (
            f"what {', '.join(lists)} holds stands in no rule; look at it: aws ec2 get-managed-prefix-list-entries"
        )
        return Finding(control="EC2.18", severity="high", outcome="advised", sentence=sentence)
    return _finding("EC2.18", "high", "", "everybody reaches no port")


def _interfaces(interfaces: Sequence[Mapping[str, Any]]) -> Finding:
    if len(interfaces) > 1:
        cards = [item.get("NetworkCardIndex", 0) for item in interfaces]
        is_efa = all(str(item.get("InterfaceType", "")).startswith("efa") for item in interfaces[1:])
        if not is_efa or len(set(cards)) < len(cards):
            return _finding("EC2.17", "low", f"the instance has {len(interfaces)} network interfaces", "")
        sentence = f"the instance has {len(interfaces)} network interfaces, one EFA for each of its network cards"
        return Finding(control="EC2.17", severity="low", outcome="accepted", sentence=sentence)
    return _finding("EC2.17", "low", "", "the instance has one network interface")


def _virtualisation(request: Mapping[str, Any]) -> Finding:
    kind = str(request.get("InstanceType", ""))
    is_old = kind.partition(".")[0] in _PARAVIRTUAL
    return _finding("EC2.24", "medium", f"{kind} is paravirtual" if is_old else "", "the type is not paravirtual")


def _user_data(request: Mapping[str, Any], replaced: Sequence[str]) -> Finding:
    control, severity = "ec2_instance_secrets_user_data", "critical"
    data = request.get("UserData") or b""
    text = unpack(data).decode(errors="replace") if isinstance(data, bytes) else str(data)
    everything = find_secrets(text)
    for worthless in replaced:
        text = text.replace(worthless, "")
    if found := find_secrets(text):
        wrong = f"the user data holds {_named(found)}; anything on the instance can read it"
        return _finding(control, severity, wrong, "")
    if everything:
        sentence = f"the user data holds {_named(everything)}, which is replaced when the instance is first reached"
        return Finding(control=control, severity=severity, outcome="accepted", sentence=sentence)
    return _finding(control, severity, "", "nothing in the user data looks like a secret")


def _tags(request: Mapping[str, Any]) -> Finding:
    pairs = {
        (str(tag["Key"]), str(tag["Value"])) for item in request.get("TagSpecifications") or () for tag in item["Tags"]
    }
    hit = sorted(key for key, value in pairs if find_secrets(f"{key}={value}") or find_secrets(value))
    wrong = f"the tag {', '.join(hit)} holds what looks like a secret; tags are shown in lists and bills" if hit else ""
    return _finding("tags", "high", wrong, "nothing in the tags looks like a secret")


def _named(found: Sequence[Secret]) -> str:
    return " and ".join(f"{item.kind} (line {item.line})" for item in found[:3])


def _advise(control: str, severity: str, sentence: str, *also: str) -> Finding:
    return Finding(control=control, severity=severity, outcome="advised", sentence=sentence, also=also)


_ADVICE = (
    _advise("EC2.1", "critical", "block public sharing of snapshots in the account; Launchbay shares none", "EC2.182"),
    _advise("EC2.6", "medium", "flow logs of the network show who tried to get in"),
    _advise("EC2.7", "medium", "encrypt disks by default in the account; Launchbay asks for it disk by disk"),
    _advise("EC2.10", "medium", "an endpoint for EC2 in the network spares its calls the internet", "EC2.55", "EC2.60"),
    _advise("EC2.21", "medium", "a network's access list can close 22 and 3389 to everybody, whatever groups say"),
)
"""What holds for an account or a network, and no request can show."""
