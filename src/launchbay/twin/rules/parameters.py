"""Public parameters that name the newest image of a kind; all other parameters are moto's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ssm.models import ssm_backends

from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.imagedata import ImageVersion, named_parameters
from launchbay.twin.paging import cut_page
from launchbay.twin.rule import Rule
from launchbay.twin.world import World

__all__ = ["RULE", "resolve_image"]

_ROOTS = (
    "/aws/service/ami-amazon-linux-latest",
    "/aws/service/canonical",
    "/aws/service/deeplearning",
    "/aws/service/neuron",
)
_RESOLVE = "resolve:ssm:"
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:[a-z0-9-]*:\d*:parameter(?P<name>/.+)")
_PAGE = 10


def resolve_image(world: World, region: str, text: str) -> str:
    """Return the id of the image that ``resolve:ssm:NAME`` means; any other text as it is.

    Raises Refused for a parameter that is not there, and for one that names no image.
    """
    del world
    if not text.startswith(_RESOLVE):
        return text
    name = text.removeprefix(_RESOLVE)
    if _is_ours(name):
        found = _find(name, region)
        value = str(found["Value"]) if found else ""
    else:
        value = _asked_of_moto([name], region).get(name, {}).get("Value", "")
    if not value:
        raise Refused("InvalidParameterValue", f"The SSM parameter {name} in {text} does not exist")
    if not value.startswith("ami-"):
        raise Refused("InvalidAMIID.Malformed", f'Invalid id: "{value}" (expecting "ami-...")')
    return value


def _plain(name: str) -> str:
    """Return a parameter's name without the ARN around it."""
    match = _ARN.fullmatch(name)
    return match["name"] if match else name


def _is_ours(name: str) -> bool:
    return any(_plain(name) == root or _plain(name).startswith(f"{root}/") for root in _ROOTS)


def _find(asked: str, region: str) -> dict[str, Any] | None:
    """Return a parameter by what was asked for: its name or ARN, with a version behind a colon or without."""
    name, colon, version = _plain(asked).partition(":")
    versions = named_parameters().get(name)
    if versions is None:
        return None
    number = int(version) if version.isdigit() else 0 if colon else len(versions)
    if not 1 <= number <= len(versions):
        return None
    return _written(name, region, versions, number)


def _written(name: str, region: str, versions: Sequence[ImageVersion], number: int) -> dict[str, Any]:
    image = versions[number - 1]
    return {
        "Name": name,
        "Type": "String",
        "Value": image.id(region),
        "Version": number,
        "LastModifiedDate": image.created,
        "ARN": f"arn:aws:ssm:{region}::parameter{name}",
        "DataType": "text",
    }


def _asked_of_moto(names: Sequence[str], region: str) -> dict[str, Any]:
    """Return parameters that moto keeps, by name."""
    found = ssm_backends[DEFAULT_ACCOUNT_ID][region].get_parameters(list(names))
    return {name: parameter.response_object(decrypt=True, region=region) for name, parameter in found.items()}


def _one(call: Call) -> Mapping[str, Any] | None:
    name = str(call.get("Name", default=""))
    if not _is_ours(name):
        return None
    found = _find(name, call.region)
    if found is None:
        plain, colon, _ = _plain(name).partition(":")
        code = "ParameterVersionNotFound" if colon and plain in named_parameters() else "ParameterNotFound"
        raise Refused(code, f"Parameter {name} not found.")
    return {"Parameter": found}


def _several(call: Call) -> Mapping[str, Any] | None:
    names = list(dict.fromkeys(call.get("Names") or ()))
    ours = [name for name in names if _is_ours(name)]
    if not ours:
        return None
    if len(names) > _PAGE:
        what = f"Member must have length less than or equal to {_PAGE}"
        raise Refused(
            "ValidationException", f"1 validation error detected: Value at 'names' failed to satisfy constraint: {what}"
        )
    others = [name for name in names if name not in ours]
    held = _asked_of_moto(others, call.region) if others else {}
    found = {name: _find(name, call.region) if name in ours else held.get(name) for name in names}
    return {
        "Parameters": [parameter for parameter in found.values() if parameter],
        "InvalidParameters": [name for name, parameter in found.items() if not parameter],
    }


def _by_path(call: Call) -> Mapping[str, Any] | None:
    path = str(call.get("Path", default="")).rstrip("/")
    if not _is_ours(path):
        return None
    size = call.get("MaxResults") or _PAGE
    if not 1 <= size <= _PAGE:
        what = f"Member must have value less than or equal to {_PAGE}"
        raise Refused("ValidationException", f"1 validation error detected: Value '{size}' at 'maxResults': {what}")
    found = [
        _written(name, call.region, versions, len(versions))
        for name, versions in sorted(named_parameters().items())
        if name.startswith(f"{path}/") and (call.get("Recursive") or "/" not in name[len(path) + 1 :])
    ]
    page, following = cut_page(found, call.get("NextToken"), size, refusal="InvalidNextToken")
    return {"Parameters": page, "NextToken": following}


_ACTIONS = {"GetParameter": _one, "GetParameters": _several, "GetParametersByPath": _by_path}


def _before(call: Call, world: World) -> Mapping[str, Any] | Answer | None:
    del world
    return _ACTIONS[call.action](call)


RULE = Rule(
    name="parameters",
    on=frozenset(f"ssm:{action}" for action in _ACTIONS),
    source="names seen in the documentation of DLAMIs and Neuron and in public code, limits and kinds of errors verified in "
    "botocore's model; versions of public parameters, and messages, are remembered",
    before=_before,
)
