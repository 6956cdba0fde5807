"""What a host may be, the command line of its box, and the filter of its door."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import UsageError
from launchbay.twin.hosts import Host
from launchbay.twin.hosts.box import Bind, arguments, binds_of, mountpoints
from launchbay.twin.hosts.filter import MOST, drop_from, program
from launchbay.twin.hosts.ssh import read_keys


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"instance": "../i-01234567"}, "an instance is called"),
        ({"instance": "i-0123"}, "an instance is called"),
        ({"user": "root"}, "user must be ubuntu or ec2-user"),
        ({"address": "localhost"}, "address: "),
        ({"private_ip": "10.0.0"}, "private_ip: "),
        ({"port": 65536}, "port must be 0 to 65535"),
        ({"binds": ((Path("/usr"), "image"),)}, "nothing can be shown at 'image'"),
        ({"binds": ((Path("/usr"), "/image/../etc"),)}, "nothing can be shown"),
        ({"binds": ((Path("/usr"), "/proc"),)}, "nothing can be shown"),
        ({"binds": ((Path("/usr"), "/"),)}, "nothing can be shown"),
    ],
)
def test_what_could_not_be_a_host(make_host: Callable[..., Host], wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make_host(**wrong)


def test_a_box_gives_nothing_away(make_host: Callable[..., Host], tmp_path: Path) -> None:
    host = make_host(binds=((tmp_path, "/image"),))
    binds = binds_of(host, tmp_path / "root", tmp_path / "shared")
    words = arguments(host, binds, [str(bind.source) for bind in binds], {"A": "b"})
    for namespace in ("user", "pid", "ipc", "uts"):
        assert f"--unshare-{namespace}" in words
    assert {"--disable-userns", "--die-with-parent", "--new-session", "--clearenv"} <= set(words)
    assert words[words.index("--cap-drop") + 1] == "ALL"
    for name in ("sys", "sysrq-trigger", "irq", "bus"):
        position = words.index(f"/proc/{name}")
        assert words[position - 1] == "--ro-bind-try"
        assert position > words.index("--proc")  # else the new /proc would cover it
    writable = [words[position + 2] for position, word in enumerate(words) if word == "--bind"]
    assert writable == ["/"]
    assert [words[position + 2] for position, word in enumerate(words) if word == "--dev-bind"] == []


def test_what_is_mounted_on_is_made_before(make_host: Callable[..., Host], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    host = make_host(binds=((tmp_path, "/image/"), (tmp_path / "file", "/srv/deep/file")))
    places = mountpoints(binds_of(host, tmp_path / "root", tmp_path / "shared"))
    assert {("image", True), ("srv/deep/file", False), ("usr", True), ("proc", True), ("run", True)} <= set(places)
    assert not [path for path, _ in places if path.startswith(("usr/", "run/"))]


def test_own_folders_are_known(make_host: Callable[..., Host], tmp_path: Path) -> None:
    host = make_host(binds=((tmp_path, "/image"),))
    binds = binds_of(host, tmp_path / "root", tmp_path / "shared")
    assert {bind.at for bind in binds if bind.is_own} >= {"/", "/image", "/run/twin/inside"}
    assert Bind(source=Path("/usr"), at="/usr") in binds


# --- the filter -------------------------------------------------------------------------------------------------------


def run(code: bytes, source: str) -> int:
    """Do what the kernel does with a classic BPF program of these three instructions."""
    steps = [struct.unpack("HBBI", code[position : position + 8]) for position in range(0, len(code), 8)]
    accumulator, at = 0, 0
    while True:
        kind, if_true, if_false, value = steps[at]
        at += 1
        if kind == 0x20:
            assert value == (-0x100000 + 12) & 0xFFFFFFFF
            accumulator = int.from_bytes(socket.inet_aton(source), "big")
        elif kind == 0x15:
            at += if_true if accumulator == value else if_false
        else:
            assert kind == 0x06
            return int(value)


def test_the_filter_drops_what_it_names_alone() -> None:
    code = program({"127.0.0.9", "127.1.2.3"})
    assert [run(code, source) > 0 for source in ("127.0.0.9", "127.1.2.3", "127.0.0.1")] == [False, False, True]
    assert run(program(set()), "127.0.0.9") > 0
    many = program({f"127.1.{number // 250}.{number % 250}" for number in range(3000)})
    assert len(many) // 8 == 2 * MOST + 2  # the kernel takes 4,096 instructions


def test_a_dropped_caller_hears_nothing_where_the_kernel_permits_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        is_permitted = drop_from(server, {"127.0.0.9"})
        place = server.getsockname()
        socket.create_connection(place, timeout=5, source_address=("127.0.0.8", 0)).close()
        if is_permitted:
            with pytest.raises(TimeoutError):
                socket.create_connection(place, timeout=0.3, source_address=("127.0.0.9", 0))
            assert drop_from(server, set())
            assert drop_from(server, set())
        socket.create_connection(place, timeout=5, source_address=("127.0.0.9", 0)).close()


# --- keys -------------------------------------------------------------------------------------------------------------


def test_lines_of_keys_are_read() -> None:
    lines = [
        "# ssh-ed25519 AAAA",
        "",
        "ssh-ed25519 AAAA me@here",
        "ssh-rsa",
        'from="10.0.0.1" ssh-rsa BBBB',
        "  ssh-rsa CCCC",
    ]
    assert read_keys(lines) == {"ssh-ed25519 AAAA", "ssh-rsa CCCC"}
