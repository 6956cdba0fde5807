"""Tunnels through Instance Connect Endpoints: a WebSocket by a signed address, behind it the SSH server of a host.

What is asked for, by whom, and through which endpoint is judged before the WebSocket, and refused as HTTP. What only the network
shows (no such instance, groups that let nobody through, no server) is seen as on EC2: the WebSocket opens, and is closed with
"Unable to connect to target".

Known from AWS CLI v2: the address and its parameters, `ec2-instance-connect` as the name that signs, an empty body signed with
it. From EC2's user guide: ports 22 and 3389, an hour at most, 20 at a time, the groups on both sides. Seen in issues of other
tools: the refusal of a port (aidansteele/rdsconn 5), the close (gravitational/teleport 32899). Other codes, and the numbers of
closes, are not known. Peered networks are not modelled: the instance is in the endpoint's own VPC.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from launchbay.twin.backend import ec2, instances
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.permissions import permissions_of
from launchbay.twin.rules.endpoints import ENDPOINTS
from launchbay.twin.rules.groups import lets_through
from launchbay.twin.rules.iam import check_permission
from launchbay.twin.signing import EMPTY, has_expired, is_signed
from launchbay.twin.wire import new_request_id
from launchbay.websocket import (
    BINARY,
    CLOSE,
    NORMAL,
    PING,
    PONG,
    Broken,
    Frames,
    accept_of,
    close_frame,
    frame,
    is_upgrade,
)

if TYPE_CHECKING:
    from launchbay.twin.world import World

__all__ = ["LONGEST_S", "MOST", "PATH", "Tunnel", "TunnelOver", "Tunnels", "refuse_tunnel"]

PATH = "/openTunnel"
LONGEST_S = 3600
"""How long a tunnel lasts at most, in seconds of the twin's clock."""
MOST = 20
"""How many tunnels go through one endpoint at a time."""

_SERVICE, _ACTION = "ec2-instance-connect", "OpenTunnel"
_SSH, _PORTS = 22, ("22", "3389")
_VERSION = "13"
_KEY_BYTES, _SCOPE_PARTS = 16, 5
_CHUNK = 1 << 16
_LOOK_MS = 250
_CLOSING_S = 5.0
_FAILED = 1011
_UNREACHED = "Unable to connect to target"


class TunnelOver(ConnectionError):
    """A tunnel's connection is closed; the server has nothing to answer on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """What was let through: the client's connection, that to the host (None: nobody is there), and when it has to end."""

    endpoint: str
    client: socket.socket
    key: str
    host: socket.socket | None
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What an address asks for."""

    endpoint: str
    address: str
    port: str
    seconds: str
    region: str
    key: str
    peer: str


class Tunnels:
    """Opens tunnels, under the twin's lock, and carries them, without it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: Counter[str] = Counter()
        self._counting = threading.Lock()

    def open(self, environ: Mapping[str, Any]) -> Tunnel:
        """Judge a request. Raises Refused for what is not let through. The tunnel has to be carried then: it counts already."""
        world = self._world
        world.truth.calls[f"{_SERVICE}:{_ACTION}"] += 1
        key = _handshake(environ)
        wanted = _read(environ)
        _check_signature(environ, world)
        _check_permission(wanted, world)
        endpoint = _endpoint(wanted, environ, world)
        duration = _duration(wanted)
        if wanted.port not in _PORTS:
            what = "The specified RemotePort is not valid. Specify either 22 or 3389 as the RemotePort and retry your request."
            raise Refused("InvalidParameter", what)
        with self._counting:
            if self._open[wanted.endpoint] >= MOST:
                raise Refused("LimitExceeded", f"{wanted.endpoint} has {MOST} connections, and no more at a time")
            self._open[wanted.endpoint] += 1
        try:
            host = _dial(wanted, endpoint, world)
        except BaseException:
            self._closed(wanted.endpoint)
            raise
        return Tunnel(
            endpoint=wanted.endpoint,
            client=environ["werkzeug.socket"],
            key=key,
            host=host,
            until=world.now() + timedelta(seconds=duration),
        )

    def carry(self, tunnel: Tunnel) -> None:
        """Open the WebSocket and pass on what comes, until either side ends it or its time is over."""
        try:
            with contextlib.suppress(OSError):
                _Carrier(tunnel, self._world).carry()
        finally:
            self._closed(tunnel.endpoint)
            for end in (tunnel.client, tunnel.host):
                if end is not None:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
            if tunnel.host is not None:
                tunnel.host.close()  # the client's is the server's to close

    def _closed(self, endpoint: str) -> None:
        with self._counting:
            self._open[endpoint] -= 1


class _Carrier:
    """One tunnel under way: this thread reads the client, and one more the host."""

    def __init__(self, tunnel: Tunnel, world: World) -> None:
        self._tunnel = tunnel
        self._world = world
        self._sending = threading.Lock()
        self._is_closed = False
        self._closed_at = 0.0

    def carry(self) -> None:
        tunnel = self._tunnel
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_of(tunnel.key)}\r\nx-amzn-RequestId: {new_request_id()}\r\n\r\n"
        )
        tunnel.client.sendall(head.encode())
        back = None
        if tunnel.host is None:
            self._close(_FAILED, _UNREACHED)
        else:
            back = threading.Thread(target=self._pass_back, args=(tunnel.host,), name="twin-tunnel", daemon=True)
            back.start()
        try:
            self._pass_there()
        except Broken as error:
            self._close(error.code, str(error))
        finally:
            if tunnel.host is not None and back is not None:
                with contextlib.suppress(OSError):
                    tunnel.host.shutdown(socket.SHUT_RDWR)
                with contextlib.suppress(OSError):
                    tunnel.client.shutdown(socket.SHUT_RDWR)  # what is sent to one who does not read ends by this
                back.join()

    def _pass_there(self) -> None:
        """Pass on what the client sends, until it ends or is ended."""
        tunnel, frames = self._tunnel, Frames(from_client=True)
        looking = select.poll()  # unlike select it knows any number of a descriptor
        looking.register(tunnel.client, select.POLLIN)
        while True:
            is_late = self._closed_at and time.monotonic() > self._closed_at + _CLOSING_S
            if is_late:
                return
            if not self._is_closed and self._world.now() >= tunnel.until:
                self._close(NORMAL, "the tunnel's time is over")
            if not looking.poll(_LOOK_MS):
                continue
            data = tunnel.client.recv(_CHUNK)
            if not data:
                return
            for found in frames.feed(data):
                if found.opcode == CLOSE:
                    self._close(NORMAL)
                    return
                if found.opcode == PING:
                    self._send(frame(PONG, found.data, is_client=False))
                elif found.opcode == BINARY and tunnel.host is not None and not self._is_closed:
                    with contextlib.suppress(OSError):  # it is gone, which the other thread tells
                        tunnel.host.sendall(found.data)

    def _pass_back(self, host: socket.socket) -> None:
        """Pass on what the host sends, and tell its end."""
        with contextlib.suppress(OSError):
            try:
                while data := host.recv(_CHUNK):
                    self._send(frame(BINARY, data, is_client=False))
            finally:
                self._close(NORMAL)

    def _send(self, data: bytes) -> None:
        with self._sending:
            if not self._is_closed:
                self._tunnel.client.sendall(data)

    def _close(self, code: int, why: str = "") -> None:
        """Send the last frame, once; the client answers it with its own."""
        with self._sending:
            if not self._is_closed:
                self._is_closed, self._closed_at = True, time.monotonic()
                self._tunnel.client.sendall(close_frame(code, why, is_client=False))


def refuse_tunnel(refused: Refused) -> Answer:
    """Return an error as an endpoint writes it."""
    body = json.dumps({"ErrorCode": refused.code, "Message": refused.message}).encode()
    headers = (("Content-Type", "application/json"), ("x-amzn-RequestId", new_request_id()))
    return Answer(status=refused.status, headers=headers, body=body)


def _handshake(environ: Mapping[str, Any]) -> str:
    """Return a client's key. Raises Refused for what asks for no WebSocket."""
    headers = {name: str(environ.get(f"HTTP_{name.upper()}", "")) for name in ("connection", "upgrade")}
    key = str(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")).strip()
    try:
        is_key = len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        is_key = False
    is_asked = environ.get("REQUEST_METHOD") == "GET" and is_upgrade(headers)
    if not is_asked or not is_key or environ.get("HTTP_SEC_WEBSOCKET_VERSION") != _VERSION:
        raise Refused("InvalidRequest", "The request must be a WebSocket handshake, of version 13.")
    return key


def _query(environ: Mapping[str, Any]) -> dict[str, str]:
    return dict(parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True))


def _read(environ: Mapping[str, Any]) -> _Wanted:
    query = _query(environ)
    scope = query.get("X-Amz-Credential", "").split("/")
    if len(scope) != _SCOPE_PARTS or not query.get("X-Amz-Signature"):
        raise Refused("MissingAuthenticationToken", "Missing Authentication Token", status=403)
    if scope[3] != _SERVICE:
        what = f"Credential should be scoped to correct service: '{_SERVICE}'."
        raise Refused("InvalidSignatureException", what, status=403)
    for name in ("instanceConnectEndpointId", "privateIpAddress", "remotePort"):
        if not query.get(name):
            raise Refused("InvalidParameter", f"The request must contain the parameter {name}.")
    try:
        is_address = isinstance(ip_address(query["privateIpAddress"]), IPv4Address)
    except ValueError:
        is_address = False
    if not is_address:
        raise Refused("InvalidParameter", "The specified PrivateIpAddress is not valid.")
    return _Wanted(
        endpoint=query["instanceConnectEndpointId"],
        address=query["privateIpAddress"],
        port=query["remotePort"],
        seconds=query.get("maxTunnelDuration", ""),
        region=scope[2],
        key=scope[0],
        peer=str(environ.get("REMOTE_ADDR", "")),
    )


def _check_signature(environ: Mapping[str, Any], world: World) -> None:
    query = _query(environ)
    stamp, seconds = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
    if has_expired(stamp, seconds, datetime.now(UTC), world.clock.set_forward_since):
        raise Refused("InvalidSignatureException", f"Signature expired: {stamp} and {seconds} seconds", status=403)
    if not is_signed(environ, body=EMPTY):
        what = "The request signature we calculated does not match the signature you provided."
        raise Refused("InvalidSignatureException", f"{what} Check your key and signing method.", status=403)


def _check_permission(wanted: _Wanted, world: World) -> None:
    params = {
        "InstanceConnectEndpointId": wanted.endpoint,
        "PrivateIpAddress": wanted.address,
        "RemotePort": wanted.port,
        **({"MaxTunnelDuration": wanted.seconds} if wanted.seconds else {}),
    }
    call = Call(service=_SERVICE, action=_ACTION, region=wanted.region, key=wanted.key, peer=wanted.peer, params=params)
    try:
        for asked in permissions_of(call, world):
            check_permission(call, world, asked)
    except Refused as refused:
        raise Refused(refused.code, refused.message, status=403) from None


def _endpoint(wanted: _Wanted, environ: Mapping[str, Any], world: World) -> Mapping[str, Any]:
    """Return the endpoint that is asked for. Raises Refused where it is none, is not ready, or is asked by another's name."""
    found: Mapping[str, Any] | None = world.truth.noted(ENDPOINTS).get(wanted.endpoint)
    if found is None or found["region"] != wanted.region:
        what = f"The EC2 Instance Connect Endpoint ID '{wanted.endpoint}' does not exist"
        raise Refused("InvalidInstanceConnectEndpointId.NotFound", what)
    name = str(environ.get("HTTP_HOST", "")).partition(":")[0]
    if name not in (found["DnsName"], "127.0.0.1", "localhost"):
        raise Refused("InvalidParameter", f"{wanted.endpoint} is not asked at {name}")
    if found["State"] != "create-complete":
        raise Refused("InvalidState", f"{wanted.endpoint} is in state {found['State']}")
    return found


def _duration(wanted: _Wanted) -> int:
    if not wanted.seconds:
        return LONGEST_S
    if not wanted.seconds.isdecimal() or not 1 <= int(wanted.seconds) <= LONGEST_S:
        raise Refused("InvalidParameter", f"The MaxTunnelDuration must be 1 to {LONGEST_S}.")
    return int(wanted.seconds)


def _dial(wanted: _Wanted, endpoint: Mapping[str, Any], world: World) -> socket.socket | None:
    """Return a connection to the host that has the address in the endpoint's network, None where nobody can be reached."""
    interface = ec2(wanted.region).enis.get(endpoint["NetworkInterfaceIds"][0])
    found = next(
        (
            item
            for item in instances(wanted.region)
            if item.state == "running" and item.vpc_id == endpoint["VpcId"] and item.private_ip == wanted.address
        ),
        None,
    )
    if found is None or interface is None or int(wanted.port) != _SSH:
        return None
    keeps = bool(endpoint["PreserveClientIp"])
    if not lets_through(interface, found, wanted.peer, int(wanted.port), keeps_client=keeps):
        return None
    peer = wanted.peer if keeps else str(interface.private_ip_address)
    return world.hosts.reach(found.id, peer)
