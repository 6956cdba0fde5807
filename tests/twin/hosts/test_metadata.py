"""The metadata service: version 2 only, in the box at its own address, its values from the twin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from launchbay.twin.hosts import Host
from launchbay.twin.hosts.metadata import Answer, Metadata
from tests.twin.hosts.conftest import Clock, Site

TTL = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "x-aws-ec2-metadata-token"


class Service:
    """The service without a network."""

    def __init__(self, user_data: bytes = b"") -> None:
        self.clock = Clock()
        self.service = Metadata(user_data, self._look_up, self._ask_twin, self.clock)

    async def _look_up(self, path: str) -> bytes | None:
        return {"meta-data/instance-id": b"i-1", "dynamic/instance-identity/document": b"{}"}.get(path)

    async def _ask_twin(self, method: str, path: str) -> Answer:
        return Answer(status=200, body=f"{method} {path}".encode())

    def ask(self, method: str, path: str, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(self.service.answer(method, path, named))

    def token(self, seconds: str = "60") -> str:
        return asyncio.run(self.service.answer("PUT", "/latest/api/token", {TTL: seconds})).body.decode()

    def get(self, path: str, token: str) -> Answer:
        return asyncio.run(self.service.answer("GET", path, {TOKEN: token}))


def test_nothing_is_said_without_a_token() -> None:
    service = Service()
    assert service.ask("GET", "/latest/meta-data/instance-id").status == 401
    assert service.get("/latest/meta-data/instance-id", "made up").status == 401
    assert service.get("/latest/meta-data/instance-id", "").status == 401


def test_a_token_opens_what_there_is_until_it_expires() -> None:
    service = Service(b"#!/bin/sh\n")
    token = service.token("60")
    assert service.get("/latest/meta-data/instance-id", token).body == b"i-1"
    assert service.get("/latest/dynamic/instance-identity/document", token).body == b"{}"
    assert service.get("/latest/user-data", token).body == b"#!/bin/sh\n"
    assert service.get("/latest/", token).body == b"dynamic\nmeta-data\nuser-data"
    assert service.get("/latest/meta-data/no-such", token).status == 404
    assert service.get("/elsewhere", token).status == 404
    service.clock.at += 60
    assert service.get("/latest/meta-data/instance-id", token).status == 401


def test_no_user_data_is_404() -> None:
    service = Service()
    assert service.get("/latest/user-data", service.token()).status == 404


@pytest.mark.parametrize(
    ("seconds", "status"), [("1", 200), ("21600", 200), ("0", 400), ("21601", 400), ("9" * 50, 400)]
)
@pytest.mark.parametrize("form", ["{}", " {}", "-{}", "{}.0"])
def test_a_token_lasts_1_to_21600_seconds(seconds: str, status: int, form: str) -> None:
    service = Service()
    text = form.format(seconds)
    answer = asyncio.run(service.service.answer("PUT", "/latest/api/token", {TTL: text}))
    assert answer.status == (status if form == "{}" else 400)


def test_a_token_is_not_given_to_a_proxy_or_without_its_header() -> None:
    service = Service()
    headers = {TTL: "60", "x-forwarded-for": "10.0.0.1"}
    assert asyncio.run(service.service.answer("PUT", "/latest/api/token", headers)).status == 403
    assert service.ask("PUT", "/latest/api/token").status == 400
    assert service.ask("GET", "/latest/api/token").status == 405
    assert service.ask("POST", "/latest/meta-data/").status == 405


def test_tokens_do_not_pile_up() -> None:
    service = Service()
    first = service.token()

    async def many() -> None:
        for _ in range(10_050):
            await service.service.answer("PUT", "/latest/api/token", {TTL: "60"})

    asyncio.run(many())
    assert service.get("/latest/meta-data/instance-id", first).status == 401
    assert service.get("/latest/meta-data/instance-id", service.token()).status == 200


def test_the_box_reaches_it_at_its_address(site: Site, make_host: Callable[..., Host]) -> None:
    client = site.open(make_host(user_data=b"#!/bin/sh\ntrue\n"))
    base = "http://169.254.169.254"
    token = client.out(f"curl -s -X PUT -H '{TTL}: 60' {base}/latest/api/token").strip()
    value = client.out(f"curl -s -H '{TOKEN}: {token}' {base}/latest/meta-data/instance-id {base}/latest/user-data")
    assert value == "i-0#!/bin/sh\ntrue\n"
    assert client.out(f"curl -s -o /dev/null -w '%{{http_code}}' {base}/latest/meta-data/instance-id") == "401"
    assert client.out("echo $AWS_EC2_METADATA_SERVICE_ENDPOINT").strip() == base
    site.values["meta-data/instance-id"] = b"changed"
    asked = f"curl -s -H '{TOKEN}: {token}' {base}/latest/meta-data/instance-id"
    assert client.out(asked) == "changed"  # the token still counts, also for the next box of this host


@pytest.mark.parametrize(
    "request_",
    [
        "nonsense\\r\\n\\r\\n",
        "GET / HTTP/1.1\\r\\nContent-Length: x\\r\\n\\r\\n",
        "GET /latest/api/token HTTP/1.1 more\\r\\n\\r\\n",
    ],
)
def test_nonsense_gets_no_answer_and_does_no_harm(site: Site, make_host: Callable[..., Host], request_: str) -> None:
    client = site.open(make_host())
    client.run(f"exec 3<>/dev/tcp/169.254.169.254/80; printf '{request_}' >&3; timeout 2 cat <&3")
    assert client.out("curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/") == "401"
