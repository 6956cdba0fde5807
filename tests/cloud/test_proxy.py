"""The program that leads to an instance, where it leads nowhere: one line says why, and what to do, and stdin stays the stream's.

That it leads there is in `tests/cloud/test_way.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launchbay.cloud.fleet import CloudFleet, keep_fleet, key_file
from launchbay.cloud.proxy import main
from launchbay.home import Home
from launchbay.planning.way import Endpoint
from launchbay.providers.ec2.client import CloudRefusal
from launchbay.transport.proxied import _MOST_SAID
from launchbay.websocket import TOO_BIG, accept_of, close_frame

KEPT: dict[str, Any] = {
    **dict.fromkeys(("type", "market", "image", "digest", "machine_image", "login", "launch", "asked"), "x"),
    "name": "exp",
    "provider": "ec2",
    "region": "us-east-1",
    "count": 1,
    "created_at": 0.0,
    "ends_at": 1.0,
}
ENDPOINT = Endpoint(
    id="eice-1",
    name="eice-1.x.ec2-instance-connect-endpoint.us-east-1.amazonaws.com",
    subnet="subnet-1",
    groups=("sg-1",),
    addresses=("10.0.0.9",),
)
SETTINGS = """
[profile train]
role_arn = arn:aws:iam::123456789012:role/train
source_profile = keys
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile keys]
aws_access_key_id = AKIAKEYS
aws_secret_access_key = secret
"""
GREETING = b"SSH-2.0-OpenSSH_9.6\r\n"
LONG = "User: arn:aws:iam::123456789012:user/me is not authorized to perform: " + "ec2-instance-connect:x " * 40

Answer = Callable[[socket.socket, str], None]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def port() -> Iterator[int]:
    """Return a port where something answers, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture
def silence() -> Iterator[int]:
    """Return a descriptor on which nothing comes, and that does not end either."""
    near, far = os.pipe()
    yield near
    os.close(far)
    os.close(near)


def keep(home: Home, **changed: Any) -> CloudFleet:
    fleet = CloudFleet(**{**KEPT, **changed})
    keep_fleet(home, fleet)
    key = key_file(home, fleet)
    key.with_name(f"{key.name}.pub").write_text(f"ssh-ed25519 {'A' * 68}\n")
    return fleet


def words(home: Home, port: int = 22) -> list[str]:
    return [str(home.root), "exp", "i-0123456789abcdef0", "127.0.0.1", str(port)]


# --- credentials that ask for a code ----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_through", [True, False])
def test_a_code_is_not_taken_from_the_stream(home: Home, tmp_path: Path, port: int, *, is_through: bool) -> None:
    keep(home, endpoint=ENDPOINT if is_through else None, is_one_time=not is_through)
    (tmp_path / "config").write_text(SETTINGS)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ |= {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    near, far = os.pipe()
    with open(near, "rb") as stdin:
        os.write(far, GREETING)
        os.close(far)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "launchbay.cloud.proxy", *words(home, port)],
            env={**environ, "AWS_PROFILE": "train"},
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            start_new_session=True,
        )
        assert stdin.read() == GREETING
    assert done.stderr == (
        "these credentials ask for an MFA code at each connection (aws sts get-session-token gives ones that do not for "
        "hours; or --reach address --auth injected)\n"
    )
    assert (done.returncode, done.stdout) == (2, "")


def test_a_program_that_has_the_credentials_cannot_read_the_stream(home: Home, tmp_path: Path) -> None:
    keep(home, endpoint=ENDPOINT)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = sh -c 'cat > {tmp_path}/read; exit 1'\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ |= {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    program = [sys.executable, "-P", "-m", "launchbay.cloud.proxy", *words(home)]
    done = subprocess.run(program, env=environ, input=GREETING, capture_output=True, check=False, timeout=60)
    assert (done.returncode, (tmp_path / "read").read_bytes()) == (2, b"")


# --- one line, and what to do -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [[], ["one"], ["/nowhere", "exp", "i-1", "127.0.0.1", "ssh"]])
def test_other_words_are_one_line(given: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(given) == 2
    assert capfd.readouterr().err == "the words are HOME FLEET ID ADDRESS PORT\n"


def test_a_home_that_cannot_be_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["/nowhere/a home", "exp", "i-1", "127.0.0.1", "22"]) == 2
    assert capfd.readouterr().err.startswith("the home must be a path without spaces")


@pytest.mark.parametrize(
    ("code", "exit_code", "hint"),
    [
        (
            "AccessDeniedException",
            2,
            "(ec2-instance-connect:SendSSHPublicKey is the right for it; a launch with --auth injected needs none)",
        ),
        ("InvalidArgsException", 2, ""),
        ("EC2InstanceNotFoundException", 1, ""),
        ("ThrottlingException", 1, ""),
        ("ServiceUnavailable", 1, ""),
    ],
)
def test_a_key_that_aws_does_not_take(
    home: Home,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    code: str,
    exit_code: int,
    hint: str,
) -> None:
    def refuse(operation: str, **_: object) -> None:
        raise CloudRefusal(operation, code, LONG, status=400, region="us-east-1", permission="x:y")

    keep(home, is_one_time=True)
    monkeypatch.setattr("launchbay.cloud.proxy.open_cloud", lambda *_: SimpleNamespace(insist=refuse))
    assert main(words(home, port)) == exit_code
    (line,) = capfd.readouterr().err.splitlines()
    assert len(line) <= _MOST_SAID
    assert line.endswith(hint)
    assert "your own address" not in line  # the way is there


@contextlib.contextmanager
def answering(*answers: Answer) -> Iterator[str]:
    """Lend the address of an endpoint that answers so many callers, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += connection.recv(65536)
                    answer(connection, head.decode())
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(timeout=10)


def refused(status: str, code: str) -> Answer:
    body = json.dumps({"ErrorCode": code, "Message": LONG})
    return lambda connection, _: connection.sendall(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}".encode())


def ended(connection: socket.socket, head: str) -> None:
    key = next(line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
    lines = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    why = close_frame(TOO_BIG, "Unable to connect to target", is_client=False)
    connection.sendall(f"{lines}Sec-WebSocket-Accept: {accept_of(key)}\r\n\r\n".encode() + why)


@pytest.mark.parametrize(
    ("answer", "exit_code", "hint"),
    [
        (
            refused("403 Forbidden", "AccessDeniedException"),
            2,
            "(ec2-instance-connect:OpenTunnel is the right for it; --reach address needs none)",
        ),
        (
            refused("400 Bad Request", "InvalidInstanceConnectEndpointId.NotFound"),
            2,
            "(`bay launch` of exp again, as it was launched, goes through what stands now)",
        ),
        (ended, 1, "(do the security groups of the endpoint and of the instance let port 22 through?)"),
    ],
)
def test_a_tunnel_that_is_refused(
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    answer: Answer,
    exit_code: int,
    hint: str,
    silence: int,
) -> None:
    with answering(answer) as url:
        lead_to(url, home, monkeypatch)
        assert main(words(home), source=silence) == exit_code
    (line,) = capfd.readouterr().err.splitlines()
    assert len(line) <= _MOST_SAID
    assert line.endswith(hint)


def lead_to(url: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fleet be reached through what answers there."""
    fleet = keep(home, endpoint=ENDPOINT)
    monkeypatch.setattr("launchbay.cloud.proxy.find_fleet", lambda *_: replace(fleet, provider="twin"))
    monkeypatch.setattr("launchbay.cloud.proxy.find_twin", lambda _: SimpleNamespace(url=url))
    monkeypatch.setattr("launchbay.cloud.proxy.twin_keys", lambda *_: ("AKIATWIN", "secret"))


def test_an_endpoint_that_is_full_is_asked_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], silence: int
) -> None:
    full = refused("400 Bad Request", "LimitExceeded")
    monkeypatch.setattr("launchbay.cloud.proxy._AGAIN_S", 0.01)
    with answering(full, full, ended) as url:
        lead_to(url, home, monkeypatch)
        assert main(words(home), source=silence) == 1
    assert "Unable to connect to target" in capfd.readouterr().err
    monkeypatch.setattr("launchbay.cloud.proxy._BUSY_S", 0.0)
    with answering(full) as url:
        lead_to(url, home, monkeypatch)
        assert main(words(home), source=silence) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "LimitExceeded" in line
    assert line.endswith("(end a notebook or a board that is open, or what others have; or --reach address)")
