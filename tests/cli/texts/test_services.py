"""Boards and notebooks as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from launchbay.api.listing import Row
from launchbay.cli.texts.instances import ps_text
from launchbay.cli.texts.services import service_text
from launchbay.store.service import Service

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
    text = service_text(NOTEBOOK)
    assert text.splitlines()[0] == "The notebook of exp-1: http://127.0.0.1:8888/lab/tree/start.ipynb"
    assert "210.0 MB" in text
    assert "home/services/notebook-i-1/open.html in a browser" in text
    assert "home/services/notebook-i-1/token" in text
    assert "bay notebook exp-1 --stop" in text
    assert "in your browser, signed in" in service_text(NOTEBOOK, is_open=True)
    assert "bay board --stop" in service_text(BOARD)


def test_one_that_is_ended() -> None:
    text = service_text(replace(BOARD, pid=None, memory_bytes=None))
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
    assert ps_text([row]).splitlines()[1].endswith("run-1 notebook:8888 210.0 MB board:6006")


def test_one_on_ec2_says_that_a_tunnel_leads_there() -> None:
    text = service_text(replace(NOTEBOOK, through="tunnel"))
    assert "a tunnel to exp-1, which connects again by itself" in text
    assert "home/services/notebook-i-1/output.log" in text
    assert "memory" not in text  # what is known is what the tunnel takes, not the notebook
