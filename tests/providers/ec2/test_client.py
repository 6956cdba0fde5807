"""The way to EC2: who may not ask, or asks the wrong region, reads one clear message; and calls go through the person's proxy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchbay.errors import LaunchbayError, UsageError, UserError
from launchbay.providers.ec2.client import Client, CloudRefusal, CloudSilence, asks_for_code, is_loopback, open_client
from launchbay.testing import VirtualClock
from tests.providers.ec2.watching import limited
from tests.twin_process import TwinProcess


@pytest.fixture
def client(twin: TwinProcess) -> Client:
    return open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))


@pytest.mark.parametrize(
    ("fault", "said", "hint"),
    [
        ("expired-credentials", "the credentials have expired (ExpiredToken)", "aws sso login"),
        ("expired-token", "the request was too old when it arrived (RequestExpired)", "this machine's clock"),
        ("unauthorized", "AWS does not allow ec2:DescribeVpcs to these credentials", "let them have ec2:DescribeVpcs"),
        ("auth-failure", "AWS does not take the credentials in this region (AuthFailure)", "is the region enabled?"),
    ],
)
def test_who_may_not_ask_reads_one_message_with_what_to_do(
    twin: TwinProcess, client: Client, fault: str, said: str, hint: str
) -> None:
    for call in (client.ask, client.act):
        twin.ask("fault", name=fault, action="ec2:DescribeVpcs")
        with pytest.raises(UserError) as caught:
            call("describe_vpcs")
        assert said in caught.value.what
        assert hint in caught.value.hint
        assert caught.value.where == "us-east-1"
        assert len(str(caught.value).splitlines()) == 2


def test_a_missing_permission_is_named_as_a_policy_has_it(twin: TwinProcess) -> None:
    limited(twin, allow=["ec2:DescribeVpcs"])
    key = twin.client("iam").create_access_key(UserName="engineer")["AccessKey"]["AccessKeyId"]
    client = open_client("us-east-1", endpoint=twin.url, keys=(key, "secret"))
    client.ask("describe_vpcs")
    with pytest.raises(CloudRefusal, match="does not allow ec2:DescribeSubnets"):
        client.ask("describe_subnets")
    with pytest.raises(CloudRefusal, match="does not allow servicequotas:ListServiceQuotas"):
        client.ask("list_service_quotas", service="service-quotas", ServiceCode="ec2")


def test_an_encoded_refusal_is_not_poured_over_the_person() -> None:
    refusal = CloudRefusal("run_instances", "SomethingNew", "x" * 5000, status=400, region="us-east-1")
    assert len(str(refusal)) < 500
    assert refusal.message == "x" * 5000


@pytest.mark.parametrize(
    ("region", "meant"), [("us-east-1a", "us-east-1"), ("us-wset-2", "us-west-2"), ("x", "--region")]
)
def test_an_unknown_region_is_said_before_anybody_is_asked(region: str, meant: str) -> None:
    with pytest.raises(UserError, match="AWS has no region") as caught:
        open_client(region)
    assert meant in str(caught.value)


def test_no_credentials_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    client = open_client("us-east-1")
    for call in (client.ask, client.act, client.insist):
        with pytest.raises(UserError, match="no credentials for AWS") as caught:
            call("describe_vpcs")
        assert "aws configure" in caught.value.hint


# --- what may be asked again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["throttling", "internal-error", "unavailable", "lost-answer", "truncated-answer"])
def test_what_comes_out_the_same_is_asked_again_later(twin: TwinProcess, client: Client, fault: str) -> None:
    twin.ask("fault", name=fault, action="ec2:DeleteKeyPair", count=3)
    clock = VirtualClock()
    client.insist("delete_key_pair", clock=clock, KeyName="exp")
    assert twin.ask("calls")["ec2:DeleteKeyPair"] == 4
    assert 3.5 <= clock.now() - VirtualClock().now() <= 7


def test_a_refusal_is_no_reason_to_ask_again(twin: TwinProcess, client: Client) -> None:
    twin.ask("fault", name="unauthorized", action="ec2:DeleteKeyPair", count=9)
    with pytest.raises(CloudRefusal):
        client.insist("delete_key_pair", clock=VirtualClock(), KeyName="exp")
    assert twin.ask("calls")["ec2:DeleteKeyPair"] == 1


def test_those_who_wait_do_not_come_back_at_once(twin: TwinProcess, client: Client) -> None:
    waits = set()
    for at in (0.0, 0.25, 0.5):
        twin.ask("fault", name="throttling", action="ec2:DeleteKeyPair", count=1)
        clock = VirtualClock(at)
        client.insist("delete_key_pair", clock=clock, KeyName="exp")
        waits.add(round(clock.now() - at, 6))
    assert len(waits) == 3
    assert all(0.5 <= wait <= 1 for wait in waits)


# --- proxies ----------------------------------------------------------------------------------------------------------


class Proxy:
    """Something that listens as a proxy does, and keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                self.asked.append(peer.recv(4096).decode(errors="replace").splitlines()[0])
                peer.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    found = Proxy()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, found.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield found
    found.socket.close()


def test_aws_is_asked_through_the_persons_proxy_and_a_twin_is_not(twin: TwinProcess, proxy: Proxy) -> None:
    open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin")).act("describe_vpcs")
    assert proxy.asked == []
    with pytest.raises(LaunchbayError):
        open_client("us-east-1", keys=("a", "b")).act("describe_vpcs")
    assert [line.rpartition(" ")[0] for line in proxy.asked] == ["CONNECT ec2.us-east-1.amazonaws.com:443"]


def test_what_is_on_this_machine() -> None:
    for url in (
        "http://127.0.0.1:5000",
        "http://127.0.0.9/",
        "http://[::1]:80/x",
        "http://localhost:1",
        "http://a.localhost",
    ):
        assert is_loopback(url)
    for url in (
        "",
        "https://ec2.us-east-1.amazonaws.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.1.example",
    ):
        assert not is_loopback(url)


# --- credentials that ask -------------------------------------------------------------------------------------------------

SETTINGS = """
[default]
role_arn = arn:aws:iam::123456789012:role/train
source_profile = keys
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile keys]
aws_access_key_id = AKIAKEYS
aws_secret_access_key = secret
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile role]
role_arn = arn:aws:iam::123456789012:role/train
source_profile = keys
[profile self]
role_arn = arn:aws:iam::123456789012:role/train
source_profile = self
aws_access_key_id = AKIASELF
aws_secret_access_key = secret
[profile chained]
role_arn = arn:aws:iam::123456789012:role/other
source_profile = default
[profile round]
role_arn = arn:aws:iam::123456789012:role/other
source_profile = around
[profile around]
role_arn = arn:aws:iam::123456789012:role/other
source_profile = round
[profile shadowed]
role_arn = arn:aws:iam::123456789012:role/other
source_profile = stored
[profile stored]
role_arn = arn:aws:iam::123456789012:role/train
source_profile = keys
mfa_serial = arn:aws:iam::123456789012:mfa/me
aws_access_key_id = AKIASTORED
aws_secret_access_key = secret
[profile web]
role_arn = arn:aws:iam::123456789012:role/train
web_identity_token_file = /nowhere
mfa_serial = arn:aws:iam::123456789012:mfa/me
"""


@pytest.mark.parametrize(
    ("profile", "key", "asks"),
    [
        ("", "", True),
        ("default", "", True),
        ("chained", "", True),
        ("stored", "", True),  # its role goes before its keys
        ("shadowed", "", False),  # for who comes from another profile, its keys go before its role
        ("keys", "", False),  # only a role is logged in to
        ("role", "", False),
        ("self", "", False),
        ("round", "", False),
        ("web", "", False),
        ("nobody", "", False),
        ("", "AKIAENVIRON", False),
        ("default", "AKIAENVIRON", False),  # botocore takes these first, though a profile is named
    ],
)
def test_whether_each_login_asks_for_a_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str, key: str, *, asks: bool
) -> None:
    (tmp_path / "config").write_text(SETTINGS)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name, value in (("AWS_PROFILE", profile), ("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", key)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_DEFAULT_PROFILE", raising=False)
    assert asks_for_code() == asks
    (tmp_path / "config").write_text("nonsense")
    assert not asks_for_code()


def test_silence_is_silence_to_the_end(client: Client, twin: TwinProcess) -> None:
    twin.ask("fault", name="lost-answer", action="ec2:DeleteKeyPair", count=99)
    with pytest.raises(CloudSilence):
        client.insist("delete_key_pair", clock=VirtualClock(), KeyName="exp")
    assert twin.ask("calls")["ec2:DeleteKeyPair"] == 8


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_that_is_no_address_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "nonsense")
    with pytest.raises(UsageError, match="nonsense") as caught:
        open_client("us-east-1", keys=("a", "b")).ask("list_buckets", service="s3")
    assert (caught.value.where, f"unset {name}" in caught.value.hint) == (name, True)
