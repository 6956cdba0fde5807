"""An endpoint as AWS has it: by TLS, and where a company wants that through its proxy."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchbay.errors import UserError
from launchbay.providers.ec2.opentunnel import Target, TunnelRefused, open_tunnel
from launchbay.websocket import accept_of, close_frame

NAME = "eice-1.0.ec2-instance-connect-endpoint.us-east-1.amazonaws.com"
TARGET = Target(region="us-east-1", endpoint="eice-1", name=NAME, address="10.0.0.5")


class Company:
    """A proxy that leads every CONNECT to an endpoint of its own, which has a certificate for the name."""

    def __init__(self, folder: Path) -> None:
        key, self.certificate = folder / "key.pem", folder / "cert.pem"
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")
        name = ("-subj", "/CN=endpoint", "-addext", f"subjectAltName=DNS:{NAME}")
        files = ("-keyout", str(key), "-out", str(self.certificate))
        subprocess.run(["openssl", "req", "-x509", *curve, *name, *files], check=True, capture_output=True)
        self._secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._secure.load_cert_chain(self.certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.answer = "200 Connection established"
        self.heads: list[str] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
            with connection:
                self.heads.append(_head(connection))
                connection.sendall(f"HTTP/1.1 {self.answer}\r\n\r\n".encode())
                if self.answer.startswith("200"):
                    with self._secure.wrap_socket(connection, server_side=True) as inside:
                        self._be_endpoint(inside)
        except OSError:
            return  # whoever came does not trust us, or nobody came at all

    def _be_endpoint(self, connection: ssl.SSLSocket) -> None:
        self.heads.append(_head(connection))
        asked = self.heads[-1].split("\r\n")
        key = next(line.partition(": ")[2] for line in asked if line.startswith("Sec-WebSocket-Key"))
        lines = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        opened = f"{lines}Sec-WebSocket-Accept: {accept_of(key)}\r\n\r\n".encode()
        connection.sendall(opened + close_frame(1011, "Unable to connect to target", is_client=False))
        while connection.recv(65536):
            pass

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)


def _head(connection: socket.socket) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = connection.recv(65536)
        if not part:
            raise ConnectionResetError
        head += part
    return head.decode()


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    for name in [*os.environ]:
        if name.casefold().endswith("_proxy") or name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    found = Company(tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:pass%40word@{found.place}")
    yield found
    found.end()


def lead() -> None:
    async def run() -> None:
        async with open_tunnel(TARGET, keys=("AKIATEST", "secret")) as stream:
            await stream.carry()

    asyncio.run(run())


@pytest.mark.parametrize("by", ["variable", "configuration"])
def test_it_is_asked_by_tls_through_the_proxy(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "variable":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(company.certificate))
    else:
        (tmp_path / "AWS_CONFIG_FILE").write_text(f"[default]\nca_bundle = {company.certificate}\n")
    with pytest.raises(UserError, match="Unable to connect to target"):
        lead()
    asked, inside = company.heads
    assert asked.startswith(f"CONNECT {NAME}:443 HTTP/1.1\r\nHost: {NAME}:443\r\n")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'ada:pass@word').decode()}\r\n" in asked
    assert inside.startswith("GET /openTunnel?instanceConnectEndpointId=eice-1&")
    assert f"\r\nHost: {NAME}\r\n" in inside
    assert "Proxy-Authorization" not in inside  # the proxy's secret is for the proxy


def test_a_certificate_that_nobody_vouches_for_is_not_talked_to(company: Company) -> None:
    with pytest.raises(TunnelRefused, match="certificate"):
        lead()
    assert len(company.heads) == 1


def test_a_proxy_that_refuses_is_named(company: Company) -> None:
    company.answer = "407 Proxy Authentication Required"
    with pytest.raises(UserError, match="leads nowhere: 407 Proxy Authentication Required") as caught:
        lead()
    assert "pass" not in str(caught.value)


def test_one_that_is_for_others_is_passed_by(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", ".invalid")
    target = dataclasses.replace(TARGET, name="eice-1.invalid")

    async def run() -> None:
        async with open_tunnel(target, keys=("AKIATEST", "secret")):
            pass

    with pytest.raises(UserError, match="the endpoint cannot be reached"):
        asyncio.run(run())
    assert company.heads == []


def test_a_proxy_by_tls_is_refused(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"https://{company.place}")
    with pytest.raises(TunnelRefused, match="tunnels go through no proxy of https"):
        lead()
