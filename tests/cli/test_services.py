"""What is shown of boards and notebooks, and how wrong input is answered."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.images.image import Image
from launchbay.planning.fleet import Instance
from tests.cli.conftest import Said

Says = Callable[..., Said]


def test_a_board_from_the_command_line(says: Says, with_image: Callable[[str], Image]) -> None:
    with_image("tensorflow")
    try:
        said = says("board", "--json")
        assert said.code == 0, said.err
        assert said.value["url"] == f"http://127.0.0.1:{said.value['port']}/"
        assert {"name", "pid", "port", "memory_bytes", "token_file", "url"} <= set(said.value)
        token = Path(said.value["token_file"]).read_text(encoding="ascii").strip()
        assert token not in said.out + said.err
        again = says("board", "--no-browser")
        assert said.value["url"] in again.out
        assert token not in again.out + again.err
    finally:
        ended = says("board", "--stop", "--json")
    assert (ended.code, ended.value["pid"], ended.value["running"]) == (0, None, False)


def test_wrong_names_and_ports(says: Says, two: list[Instance]) -> None:
    said = says("notebook", "exp-9")
    assert (said.code, said.out) == (1, "")
    said = says("notebook", two[0].name)
    assert said.code == 1
    assert "has no JupyterLab" in said.err
    said = says("notebook", two[0].name, "--stop")
    assert (said.code, said.err.splitlines()[0]) == (1, "bay: exp-1 has no notebook")
    said = says("board", "--stop")
    assert (said.code, said.err.splitlines()[0]) == (1, "bay: there is no board")
    said = says("board")
    assert said.code == 1
    assert "bay image build tensorflow" in said.err


@pytest.mark.parametrize("port", ["0", "70000"])
def test_a_port_that_cannot_be(says: Says, with_image: Callable[[str], Image], port: str) -> None:
    with_image("tensorflow")
    said = says("board", "--port", port)
    assert (said.code, said.err.splitlines()[0]) == (2, f"bay: a port must be 1 to 65535, got {port}")


def test_a_port_in_use_says_what_to_do(says: Says, with_image: Callable[[str], Image]) -> None:
    with_image("tensorflow")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = says("board", "--port", str(port))
    assert said.code == 1
    assert said.err.startswith(f"bay: port {port} is in use by another program")
    assert "--port N" in said.err
