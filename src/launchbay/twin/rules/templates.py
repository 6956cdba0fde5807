"""Launch templates: a launch gets all that its template says and the call does not, before anybody else looks at it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from moto.core.utils import get_service_model

from launchbay.twin.backend import ec2
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.rules.asked import put_by, take
from launchbay.twin.world import World

__all__ = ["RULE", "expand", "find_version", "merge"]

_NAME = "templates"
_INNER = (
    "CpuOptions",
    "CreditSpecification",
    "EnclaveOptions",
    "HibernationOptions",
    "MetadataOptions",
    "Monitoring",
    "Placement",
)
"""Parameters of which a call may change a part and leave the others to the template."""

_INSTEAD = (("SecurityGroupIds", "SecurityGroups"),)
_RENAMED = {"RamDiskId": "RamdiskId"}


def find_version(region: str, asked: Mapping[str, Any]) -> Any:
    """Return the version of a template that a call means: by id or name, and ``$Latest``, ``$Default`` or a number.

    Raises Refused where there is none.
    """
    backend = ec2(region)
    identity, name = asked.get("LaunchTemplateId"), asked.get("LaunchTemplateName")
    if identity and name:
        what = "Either the LaunchTemplateId or the LaunchTemplateName may be specified, not both"
        raise Refused("InvalidParameterCombination", what)
    template = backend.launch_templates.get(identity or backend.launch_template_name_to_ids.get(name))
    if template is None and identity:
        what = f"The specified launch template, with template ID {identity}, does not exist."
        raise Refused("InvalidLaunchTemplateId.NotFound", what)
    if template is None:
        what = f"The specified launch template, with template name {name}, does not exist."
        raise Refused("InvalidLaunchTemplateName.NotFoundException", what)
    version = str(asked.get("Version") or "$Default")
    if version == "$Latest":
        return template.latest_version()
    if version == "$Default":
        return template.default_version()
    found = next((item for item in template.versions if str(item.number) == version), None)
    if found is None:
        what = f"Could not find the specified version {version} for the launch template with ID {template.id}."
        raise Refused("InvalidLaunchTemplateId.VersionNotFound", what)
    return found


def merge(base: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a template with those of a call over them; the call's win.

    Block devices are told apart by device, tags by resource and key; interfaces are the call's altogether, where it has some.
    """
    merged = {**base, **asked}
    for name in _INNER:
        if name in base and name in asked:
            merged[name] = {**base[name], **asked[name]}
    for names in _INSTEAD:
        if any(asked.get(name) for name in names):
            for name in names:
                if name not in asked:
                    merged.pop(name, None)
    if base.get("BlockDeviceMappings") and asked.get("BlockDeviceMappings"):
        devices = {item.get("DeviceName"): item for item in base["BlockDeviceMappings"]}
        devices.update({item.get("DeviceName"): item for item in asked["BlockDeviceMappings"]})
        merged["BlockDeviceMappings"] = list(devices.values())
    if base.get("TagSpecifications") and asked.get("TagSpecifications"):
        merged["TagSpecifications"] = _merge_tags(base["TagSpecifications"], asked["TagSpecifications"])
    return merged


def _merge_tags(base: Sequence[Mapping[str, Any]], asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, str]] = {}
    for item in (*base, *asked):
        tags = found.setdefault(str(item.get("ResourceType")), {})
        tags.update({tag["Key"]: tag.get("Value", "") for tag in item.get("Tags", [])})
    return [
        {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        for kind, tags in found.items()
    ]


def _parameters(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template's data as parameters of RunInstances, in the types that boto3 takes."""
    known = get_service_model("ec2").operation_model("RunInstances").input_shape.members
    found: dict[str, Any] = {}
    for name, value in data.items():
        name = _RENAMED.get(name, name)  # noqa: PLW2901 - the same thing under its other name
        if name in known and value is not None:
            # moto keeps user data as an object of its own
            found[name] = str(value) if name == "UserData" else copy.deepcopy(value)
    if "TagSpecifications" in found:
        found["TagSpecifications"] = [
            item for item in found["TagSpecifications"] if item.get("ResourceType") != "launch-template"
        ]
    return found


def _before(call: Call, world: World) -> Call | Mapping[str, Any] | Answer | None:
    if call.action == "RunInstances":
        return _run(call, world)
    if call.action == "CreateLaunchTemplate":
        name = call.get("LaunchTemplateName")
        if name in ec2(call.region).launch_template_name_to_ids:
            raise Refused("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
        return None
    if call.action == "DescribeLaunchTemplates":
        _check_named(call)
        for template in ec2(call.region).launch_templates.values():
            template.tags = template.get_tags()
        return None
    return _new_version(call)


def _run(call: Call, world: World) -> Call | None:
    put_by(world, _NAME, None)
    asked = call.get("LaunchTemplate")
    if not asked:
        return None
    version = find_version(call.region, asked)
    put_by(world, _NAME, {"id": version.template.id, "version": str(version.number)})
    return expand(call)


def expand(call: Call) -> Call:
    """Return a launch as it would be without its template: with all that the template says and the call does not.

    Raises Refused where there is no such template, or no such version of it.
    """
    version = find_version(call.region, call.get("LaunchTemplate"))
    params = {name: value for name, value in call.params.items() if name != "LaunchTemplate"}
    return replace(call, params=merge(_parameters(version.data), params))


def _check_named(call: Call) -> None:
    for name in call.get("LaunchTemplateNames", default=[]):
        find_version(call.region, {"LaunchTemplateName": name})
    for identity in call.get("LaunchTemplateIds", default=[]):
        find_version(call.region, {"LaunchTemplateId": identity})


def _new_version(call: Call) -> Call | None:
    """Let a version begin with what its source says. moto begins with nothing."""
    names = ("LaunchTemplateId", "LaunchTemplateName")
    which = {name: call.get(name) for name in names if call.get(name)}
    source = call.get("SourceVersion")
    base = find_version(call.region, {**which, "Version": source or "$Default"})
    if not source:
        return None
    known = get_service_model("ec2").shape_for("RequestLaunchTemplateData").members
    kept = {name: value for name, value in base.data.items() if name in known and value is not None}
    if "UserData" in kept:
        kept["UserData"] = str(kept["UserData"])
    params = {name: value for name, value in call.params.items() if name != "SourceVersion"}
    return replace(
        call, params={**params, "LaunchTemplateData": {**kept, **call.get("LaunchTemplateData", default={})}}
    )


def _after(call: Call, world: World, answer: Answer) -> Answer | None:  # noqa: ARG001 - a rule's form
    """Keep the tags of a template apart from those that it gives: moto adds them to both."""
    if call.action != "CreateLaunchTemplate" or answer.is_error:
        return None
    backend = ec2(call.region)
    template = backend.launch_templates[backend.launch_template_name_to_ids[call.get("LaunchTemplateName")]]
    data = template.versions[0].data
    specs = [item for item in data.get("TagSpecifications", []) if item.get("ResourceType") != "launch-template"]
    data.pop("TagSpecifications", None)
    if specs:
        data["TagSpecifications"] = specs
    return None


def _made(call: Call, world: World, made: Sequence[Any]) -> None:  # noqa: ARG001 - a rule's form
    of = take(world, _NAME)
    if not of:
        return
    for instance in made:
        instance.add_tags({"aws:ec2launchtemplate:id": of["id"], "aws:ec2launchtemplate:version": of["version"]})


RULE = Rule(
    name=_NAME,
    on=frozenset(
        {
            "ec2:CreateLaunchTemplate",
            "ec2:CreateLaunchTemplateVersion",
            "ec2:DescribeLaunchTemplates",
            "ec2:RunInstances",
        }
    ),
    source="that the call's parameters win, and what SourceVersion does, verified in botocore's documentation; codes as moto has "
    "them; that block devices, tags and the parts of some parameters are merged one by one is remembered",
    before=_before,
    after=_after,
    made=_made,
)
