"""Clients of boto3 that are watched, refused, or belong to somebody with few permissions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from botocore.stub import Stubber

from tests.twin_process import TwinProcess

__all__ = ["asked_of", "limited", "refused"]


def asked_of(client: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return a list that grows with each call of a client: the operation, and what it was asked."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def keep(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, dict(params)))

    client.meta.events.register("provide-client-params", keep)
    return calls


def limited(twin: TwinProcess, *services: str, allow: Sequence[str]) -> list[Any]:
    """Return clients with the key of an IAM user who may do some things only."""
    iam = twin.client("iam")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(allow), "Resource": "*"}]}
    iam.create_user(UserName="engineer")
    iam.put_user_policy(UserName="engineer", PolicyName="least", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="engineer")["AccessKey"]["AccessKeyId"]
    return [twin.client(service, key=key) for service in services]


@contextmanager
def refused(client: Any, operation: str, code: str, message: str = "no") -> Iterator[None]:
    """Let the next call of a client be refused as AWS refuses it."""
    with Stubber(client) as stubber:
        stubber.add_client_error(operation, service_error_code=code, service_message=message)
        yield
