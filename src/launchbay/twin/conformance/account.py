"""An account of EC2 to try things in: clients, small launches, and everything that was made is removed again."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

__all__ = ["FAILURES", "TAG", "Account", "Target"]

FAILURES = (BotoCoreError, ResponseParserError)
"""What boto3 raises for an answer that is none."""

TAG = "launchbay-conformance"
"""The tag of everything that is made here."""

_SMALL = "t3.nano"
_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
_PATIENCE_S = 300.0


class Target:
    """Where to try: an endpoint and its keys, or AWS itself where there is none; `admin` tells a twin what shall happen."""

    def __init__(
        self,
        *,
        region: str,
        endpoint: str = "",
        keys: tuple[str, str] | None = None,
        admin: str = "",
        poll_s: float = 5.0,
    ) -> None:
        self.region = region
        self.endpoint = endpoint
        self.keys = keys
        self.admin = admin
        self.poll_s = poll_s

    def client(self, service: str, *, region: str = "", key: str = "", s3_path: bool = True) -> Any:
        """Return a client that asks once: what is tried is the service, not a client's patience."""
        more: dict[str, Any] = {"endpoint_url": self.endpoint} if self.endpoint else {}
        if self.keys:
            more |= {"aws_access_key_id": key or self.keys[0], "aws_secret_access_key": self.keys[1]}
        style = {"addressing_style": "path"} if s3_path else {}
        config = Config(
            retries={"total_max_attempts": 1}, signature_version="s3v4" if service == "s3" else None, s3=style
        )
        return boto3.client(service, region_name=region or self.region, config=config, **more)

    def tell(self, door: str, **asked: Any) -> Mapping[str, Any]:
        """Tell a twin what shall happen. Raises LookupError where nobody can be told."""
        if not self.admin:
            raise LookupError("this cannot be provoked here")
        url = f"{self.endpoint}/twin/{door}"
        request = urllib.request.Request(url, json.dumps(asked).encode(), {"X-Twin-Token": self.admin})  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            found: Mapping[str, Any] = json.load(answer)
        return found


class Account:
    """Lends clients and small instances for one check, and removes what was made when it is closed."""

    def __init__(self, target: Target, name: str) -> None:
        self.target = target
        self.name = name
        self.ec2: Any = target.client("ec2")
        self._undo: list[Callable[[], object]] = []
        self._count = 0

    def client(self, service: str, **how: Any) -> Any:
        """Return a client of another service."""
        return self.target.client(service, **how)

    def unique(self, word: str = "x") -> str:
        """Return a name that nothing else has."""
        self._count += 1
        return f"{TAG}-{self.name[:20]}-{word}-{time.time_ns() // 1000 % 10**9}-{self._count}"

    def later(self, undo: Callable[[], object]) -> None:
        """Do something when the check is over, whatever came of it; the last said is done first."""
        self._undo.append(undo)

    @property
    def image(self) -> str:
        """A small image of today, of x86_64."""
        found: str = self.client("ssm").get_parameter(Name=_PARAMETER)["Parameter"]["Value"]
        return found

    def tags(self, *kinds: str) -> list[Mapping[str, Any]]:
        """Return tag specifications for what is made."""
        return [{"ResourceType": kind, "Tags": [{"Key": TAG, "Value": self.name}]} for kind in kinds or ("instance",)]

    def launch(self, *, count: int = 1, least: int | None = None, **more: Any) -> list[str]:
        """Launch small instances, which are terminated in the end; return their ids."""
        return [str(item["InstanceId"]) for item in self.launched(count=count, least=least, **more)["Instances"]]

    def launched(self, *, count: int = 1, least: int | None = None, **more: Any) -> Any:
        """Launch small instances as `launch` does; return the whole answer."""
        asked: dict[str, Any] = {"InstanceType": _SMALL, "TagSpecifications": self.tags(), **more}
        if "LaunchTemplate" not in more:
            asked.setdefault("ImageId", self.image)
        asked |= {"MinCount": count if least is None else least, "MaxCount": count}
        answer = self.ec2.run_instances(**{key: value for key, value in asked.items() if value is not None})
        names = [item["InstanceId"] for item in answer["Instances"]]
        self.later(lambda: self.ec2.terminate_instances(InstanceIds=names))
        return answer

    def describe(self, identity: str) -> Any:
        """Return what EC2 says of one instance."""
        return self.ec2.describe_instances(InstanceIds=[identity])["Reservations"][0]["Instances"][0]

    def wait(self, identities: Sequence[str], state: str) -> None:
        """Wait until instances are in a state. Raises AssertionError when they are not after minutes."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            states = {self.describe(identity)["State"]["Name"] for identity in identities}
            if states == {state}:
                return
            time.sleep(self.target.poll_s)
        raise AssertionError(f"not {state} after {_PATIENCE_S:.0f} s: {states}")

    @contextlib.contextmanager
    def refused(self, *codes: str) -> Iterator[None]:
        """Expect a refusal with one of some codes. Raises AssertionError where there is none, or another."""
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            assert code in codes, f"refused with {code}, not {' or '.join(codes)}"
        except FAILURES as error:
            raise AssertionError(f"the answer cannot be read: {type(error).__name__}") from error
        else:
            raise AssertionError(f"not refused, where {' or '.join(codes)} was due")

    def close(self) -> list[str]:
        """Remove what was made, as far as that goes; return what was in the way, in words."""
        problems = []
        for undo in reversed(self._undo):
            try:
                undo()
            except (ClientError, *FAILURES) as error:
                problems.append(str(error)[:200])
        self._undo.clear()
        return problems
