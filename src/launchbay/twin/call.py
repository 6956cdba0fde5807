"""One request to the twin and its answer, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "Call", "Refused"]

_READS = ("Describe", "Get", "List", "Search")
"""How the names of calls begin that change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request. `params` are what boto3 takes: nested, with the names and types of the service's model.

    `service` is botocore's name of it, `key` the access key that signed. `peer` is the address that asked.
    """

    service: str
    action: str
    region: str
    key: str = ""
    peer: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_read(self) -> bool:
        """Say whether it is a question, which changes nothing."""
        return self.action.startswith(_READS)

    @property
    def name(self) -> str:
        """Service and action: ``ec2:RunInstances``."""
        return f"{self.service}:{self.action}"

    def get(self, *path: str, default: Any = None) -> Any:
        """Return a parameter that may lie deeper: ``call.get("Placement", "AvailabilityZone")``."""
        found: Any = self.params
        for key in path:
            if not isinstance(found, Mapping) or key not in found:
                return default
            found = found[key]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back: an HTTP status, headers, a body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def is_error(self) -> bool:
        """Say whether a client takes it for an error."""
        return self.status >= 400


class Refused(Exception):
    """What a rule raises to answer with an error, by the code that EC2 uses."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
