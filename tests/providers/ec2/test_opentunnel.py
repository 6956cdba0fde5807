"""What is said when there is no tunnel. That there is one, through a twin, is in `tests/twin/test_tunnels.py`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from launchbay.errors import UsageError, UserError
from launchbay.providers.ec2.opentunnel import Target, TunnelRefused, open_tunnel, sign_address
from launchbay.websocket import BINARY, PING, TOO_BIG, accept_of, close_frame, frame

NAME = "eice-1.0.ec2-instance-connect-endpoint.us-east-1.amazonaws.com"
TARGET = Target(region="us-east-1", endpoint="eice-1", name=NAME, address="10.0.0.5")

Server = Callable[[Callable[[socket.socket, str], None]], str]


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture(autouse=True)
def _stdin() -> Iterator[None]:
    """Let nothing come on stdin, and it not end either."""
    kept, (near, far) = os.dup(0), os.pipe()
    os.dup2(near, 0)
    yield
    os.close(far)
    os.dup2(kept, 0)
    os.close(kept)
    os.close(near)


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a function that lets something answer one client, which it gets with the client's request."""
    threads, listener = list[threading.Thread](), socket.create_server(("127.0.0.1", 0))

    def serve(answer: Callable[[socket.socket, str], None]) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(65536)
            answer(connection, head.decode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    def start(answer: Callable[[socket.socket, str], None]) -> str:
        threads.append(threading.Thread(target=serve, args=(answer,)))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join(timeout=10)
    listener.close()


def run(url: str, *, keys: tuple[str, str] | None = None) -> None:
    async def lead() -> None:
        async with open_tunnel(dataclasses.replace(TARGET, url=url), keys=keys) as way:
            await way.carry()

    asyncio.run(lead())


def opened(*sent: bytes) -> Callable[[socket.socket, str], None]:
    """Return what opens a WebSocket and sends frames."""

    def answer(connection: socket.socket, head: str) -> None:
        key = next(line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        lines = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        connection.sendall(f"{lines}Sec-WebSocket-Accept: {accept_of(key)}\r\n\r\n".encode() + b"".join(sent))

    return answer


def said(text: str) -> Callable[[socket.socket, str], None]:
    return lambda connection, _: connection.sendall(text.encode())


def refused(code: str, *, status: str = "400 Bad") -> Callable[[socket.socket, str], None]:
    return said(f'HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{{"ErrorCode": "{code}", "Message": "no"}}')


def test_the_address_is_the_one_that_aws_cli_asks() -> None:
    parts = urlsplit(sign_address(dataclasses.replace(TARGET, seconds=60)))
    query = {name: value for name, (value,) in parse_qs(parts.query).items()}
    assert parts.path == "/openTunnel"
    assert len(query.pop("X-Amz-Signature")) == 64
    assert query.pop("X-Amz-Date").endswith("Z")
    assert query.pop("X-Amz-Credential").endswith("/us-east-1/ec2-instance-connect/aws4_request")
    assert query == {
        "instanceConnectEndpointId": "eice-1",
        "remotePort": "22",
        "privateIpAddress": "10.0.0.5",
        "maxTunnelDuration": "60",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host",
    }


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1:80", "https://127.0.0.1", "127.0.0.1:80", "http://localhost.example.org"]
)
def test_only_a_twin_of_this_machine_is_asked_in_plain(url: str) -> None:
    with pytest.raises(UsageError, match="AWS or at a twin"):
        Target(region="us-east-1", endpoint="eice-1", name=NAME, address="10.0.0.5", url=url)


def test_a_name_cannot_be_anything_else() -> None:
    with pytest.raises(UsageError, match="no DNS name"):
        Target(region="us-east-1", endpoint="eice-1", name="a\r\nX: y", address="10.0.0.5")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            said(
                'HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n{"ErrorCode": "InvalidParameter", "Message": "no\\nport"}'
            ),
            "the endpoint refuses the tunnel (400 Bad): InvalidParameter: no port",
        ),
        (said("HTTP/1.1 502 Bad\r\n\r\n<p>proxy"), "the endpoint refuses the tunnel (502 Bad): <p>proxy"),
        (said("nonsense\r\n\r\n"), "the endpoint refuses the tunnel ():"),
        (said(""), "the endpoint closed the connection before it answered"),
        (said("x" * 200_000), "what answers is no endpoint"),
        (
            said("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"),
            "what answers is no WebSocket",
        ),
        (opened(), "the connection to the endpoint broke"),
        (opened(b"\x81\x01a"), "what the endpoint sends cannot be read: only bytes go through here, no text"),
        (
            opened(close_frame(TOO_BIG, "Unable to connect", is_client=False)),
            "the endpoint ended the tunnel (1009): Unable to connect",
        ),
    ],
)
def test_why_there_is_no_tunnel_is_one_line(
    server: Server, answer: Callable[[socket.socket, str], None], expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as caught:
        run(server(answer))
    assert str(caught.value).strip() == expected
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("answer", "is_for_good"),
    [
        (refused("AccessDeniedException", status="403 Forbidden"), True),
        (said("HTTP/1.1 401 Unauthorized\r\n\r\n"), True),
        (refused("InvalidInstanceConnectEndpointId.NotFound"), True),
        (refused("InvalidParameter"), True),
        (refused("InvalidState"), False),  # it is being made
        (refused("LimitExceeded"), False),
        (said("HTTP/1.1 502 Bad\r\n\r\n"), False),
        (said(""), False),
        (opened(close_frame(TOO_BIG, "Unable to connect to target", is_client=False)), False),
    ],
)
def test_what_may_pass_is_told_apart(
    server: Server, answer: Callable[[socket.socket, str], None], *, is_for_good: bool
) -> None:
    with pytest.raises(UserError) as caught:
        run(server(answer))
    assert isinstance(caught.value, TunnelRefused) == is_for_good


@pytest.mark.parametrize(
    ("answer", "is_denied"),
    [
        (refused("AccessDeniedException", status="403 Forbidden"), True),
        (said("HTTP/1.1 403 Forbidden\r\n\r\n"), True),
        (refused("ExpiredTokenException", status="403 Forbidden"), False),
        (refused("InvalidSignatureException", status="403 Forbidden"), False),
        (refused("UnrecognizedClientException", status="401 Unauthorized"), False),
        (refused("InvalidParameter"), False),
    ],
)
def test_a_lacking_right_is_told_from_keys_that_do_not_hold(
    server: Server, answer: Callable[[socket.socket, str], None], *, is_denied: bool
) -> None:
    with pytest.raises(TunnelRefused) as caught:
        run(server(answer))
    assert caught.value.is_denied == is_denied


def test_what_comes_is_written_and_a_normal_end_is_none_to_speak_of(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    sent = [frame(BINARY, b"SSH", is_client=False), frame(PING, b"p", is_client=False)]
    run(server(opened(*sent, close_frame(1000, is_client=False))))
    assert capfd.readouterr() == ("SSH", "")


def test_a_stdout_that_nobody_reads_is_an_end(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    kept, (near, far) = os.dup(1), os.pipe()
    os.close(near)
    os.dup2(far, 1)
    try:
        run(server(opened(frame(BINARY, b"SSH", is_client=False))))
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(far)
    assert capfd.readouterr() == ("", "")


def test_something_can_be_done_before_anything_is_carried(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    async def lead(url: str) -> None:
        async with open_tunnel(dataclasses.replace(TARGET, url=url)) as way:
            assert capfd.readouterr().out == ""
            await way.carry()

    asyncio.run(lead(server(opened(frame(BINARY, b"SSH", is_client=False), close_frame(1000, is_client=False)))))
    assert capfd.readouterr().out == "SSH"


def test_nobody_listening_and_no_credentials_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match="cannot be reached") as passing:
        run(url)
    assert not isinstance(passing.value, TunnelRefused)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TunnelRefused, match="no credentials for AWS") as caught:
        run(url)
    assert caught.value.hint == "aws configure, or AWS_PROFILE"
    with pytest.raises(UserError, match="cannot be reached"):  # a twin's need not be found
        run(url, keys=("AKIATWIN", "secret"))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(TunnelRefused, match="no credentials for AWS: The config profile"):
        run(url)
