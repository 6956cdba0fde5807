"""What is shown of boards and notebooks, and how wrong input is answered."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.api.listing import Row
from launchbay.cli import render
from launchbay.images.image import Image
from launchbay.planning.fleet import Instance
from launchbay.store.service import Service
from tests.cli.conftest import Said

Says = Callable[..., Said]

NOTEBOOK = Service(
    kind="notebook",
    name="exp-1",
    folder=Path("home/services/notebook-i-1"),
    port=8888,
    created_at=0.0,
    instance="exp-1",
    instance_id="i-1",
    pid=7,
    memory_bytes=210_000_000,
)
BOARD = replace(NOTEBOOK, kind="board", name="runs", port=6006, instance=None, instance_id=None)


def test_where_it_is_and_how_to_get_in() -> None:
    text = render.service_text(NOTEBOOK)
    assert text.splitlines()[0] == "The notebook of exp-1: http://127.0.0.1:8888/lab/tree/start.ipynb"
    assert "210.0 MB" in text
    assert "home/services/notebook-i-1/open.html in a browser" in text
    assert "home/services/notebook-i-1/token" in text
    assert "bay notebook exp-1 --stop" in text
    assert "in your browser, signed in" in render.service_text(NOTEBOOK, is_open=True)
    assert "bay board --stop" in render.service_text(BOARD)


def test_one_that_is_ended() -> None:
    text = render.service_text(replace(BOARD, pid=None, memory_bytes=None))
    assert text == "The board of runs is ended. `bay board` starts it again, with the same port and token."


def test_ps_shows_ports_and_memory() -> None:
    row = Row(
        name="exp-1",
        fleet="exp",
        state="running",
        image="tensorflow",
        provider="local",
        usd_per_hour="0.00",
        cost_so_far="0.00",
        age_s=1.0,
        id="i-1",
        digest="d",
        running=["run-1"],
        services=[NOTEBOOK, replace(BOARD, memory_bytes=None)],
    )
    assert render.ps_text([row]).endswith("run-1 notebook:8888 210.0 MB board:6006")


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
