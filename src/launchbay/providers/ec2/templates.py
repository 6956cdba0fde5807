"""Launch templates on EC2: read one's version, and write one that says what a launch of ours says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launchbay.errors import Conflict, NotFound
from launchbay.planning.cloudwish import CloudWish
from launchbay.planning.request import build_request
from launchbay.planning.template import TemplateSaid, read_said, split_reference, template_data
from launchbay.providers.ec2.client import Client, CloudRefusal
from launchbay.providers.ec2.tags import OURS

__all__ = ["export_template", "read_template", "remove_template"]

_MISSING = ("InvalidLaunchTemplateId.", "InvalidLaunchTemplateName.")


def read_template(client: Client, reference: str) -> TemplateSaid:
    """Return what a version of a launch template says: ``lt-...``, ``NAME`` or ``NAME:VERSION``. One question.

    Raises NotFound for one that is not there, UsageError for one that a launch of ours cannot keep to.
    """
    named = dict(split_reference(reference))
    row = _version(client, named, reference)
    return read_said(
        row["LaunchTemplateData"],
        id=str(row["LaunchTemplateId"]),
        version=int(row["VersionNumber"]),
        name=str(row.get("LaunchTemplateName", "")),
    )


def _version(client: Client, named: Mapping[str, str], reference: str) -> Mapping[str, Any]:
    asked: dict[str, Any] = {key: value for key, value in named.items() if key != "Version"}
    try:
        answer = client.ask("describe_launch_template_versions", Versions=[named["Version"]], **asked)
    except CloudRefusal as refusal:
        if not refusal.code.startswith(_MISSING):
            raise
        raise _not_there(client, reference) from refusal
    rows = answer.get("LaunchTemplateVersions", ())
    if not rows:
        raise _not_there(client, reference)
    found: Mapping[str, Any] = rows[0]
    return found


def _not_there(client: Client, reference: str) -> NotFound:
    hint = "`aws ec2 describe-launch-templates` shows those of the region, and their versions"
    return NotFound(f"there is no launch template {reference}", where=client.region, hint=hint)


def export_template(client: Client, wish: CloudWish, name: str) -> TemplateSaid:
    """Write a launch template that says what a wish says, tagged as ours; a new version where there is one of that name.

    Idempotent: one whose newest version says the same already is returned as it is. Security groups and a key of the person's
    own are in it, a fleet's own are not, since they go with the fleet. Raises Conflict for a name that is not ours.
    """
    groups = [group for group in wish.groups if group != "sg-00000000"]
    data = template_data(build_request(wish), groups=groups, key_name=wish.key_name)
    found = client.ask("describe_launch_templates", Filters=[{"Name": "launch-template-name", "Values": [name]}])
    rows = found.get("LaunchTemplates", ())
    if not rows:
        tags = [{"Key": OURS[0], "Value": OURS[1]}]
        client.act(
            "create_launch_template",
            LaunchTemplateName=name,
            LaunchTemplateData=data,
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
        )
        return read_template(client, f"{name}:$Latest")
    if not _is_ours(rows[0]):
        what = f"the launch template {name} is not of Launchbay's making"
        raise Conflict(what, where=client.region, hint="another name; it is left as it is")
    before = _version(client, {"LaunchTemplateName": name, "Version": "$Latest"}, name)
    if _plain(before["LaunchTemplateData"]) != _plain(data):
        client.act("create_launch_template_version", LaunchTemplateName=name, LaunchTemplateData=data)
    return read_template(client, f"{name}:$Latest")


def remove_template(client: Client, name: str) -> bool:
    """Delete a launch template that we wrote, all its versions; say whether there was one. Idempotent.

    Raises Conflict for one that is not ours.
    """
    found = client.ask("describe_launch_templates", Filters=[{"Name": "launch-template-name", "Values": [name]}])
    rows = found.get("LaunchTemplates", ())
    if not rows:
        return False
    if not _is_ours(rows[0]):
        raise Conflict(f"the launch template {name} is not of Launchbay's making", where=client.region)
    client.act("delete_launch_template", LaunchTemplateId=rows[0]["LaunchTemplateId"])
    return True


def _is_ours(row: Mapping[str, Any]) -> bool:
    return {"Key": OURS[0], "Value": OURS[1]} in [dict(tag) for tag in row.get("Tags", ())]


def _plain(value: Any) -> Any:
    """Return data of a template without what says nothing, so that what was sent and what is shown can be compared."""
    if isinstance(value, Mapping):
        found = {key: _plain(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item not in (None, "", [], {})}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
