"""The verbs of the store, on the twin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from launchbay.api.store import remove_stored, restore, show_store
from launchbay.cli.console import ConsoleReporter
from launchbay.cli.context import Context
from launchbay.cli.grammar import Parser
from launchbay.cli.store_options import add_store
from launchbay.cli.verbs.store import COMMANDS
from launchbay.cloud.store import fleet_stay, open_store
from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.lifecycle.twin import start_twin, stop_twin
from launchbay.planning.store import CLOSED
from launchbay.providers.ec2.bucket import read_kept, write_kept

SHOWS = "bay store show --provider twin --region us-east-1"
LISTS = f"`{SHOWS}` lists what is"


@pytest.fixture
def here(bay: Bay) -> Iterator[Bay]:
    start_twin(bay, clock="virtual", has_hosts=False)
    yield bay
    stop_twin(bay, forget=True)


@pytest.fixture
def run(here: Bay) -> Callable[..., int]:
    """Return a function that does what `bay store` and some words do."""
    parser = Parser(prog="bay")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add_store(verbs)

    def do(*words: str) -> int:
        given = parser.parse_args(["store", *words])
        for name in ("json", "yes"):
            setattr(given, name, getattr(given, name, False))
        return COMMANDS[f"store {given.action}"](Context(given, here, ConsoleReporter()))

    return do


def test_a_store_is_shown_and_removed(here: Bay) -> None:
    bay = here
    view = show_store(bay, "twin")
    assert (view.bucket, view.objects, view.usd_per_month) == (None, 0, Decimal(0))
    with pytest.raises(NotFound, match="no store") as none:
        remove_stored(bay, "twin", everything=True)
    assert none.value.hint == "another region: bay store show --provider twin --region REGION"
    with pytest.raises(NotFound, match="no run of 'exp'") as lost:
        restore(bay, "twin", "exp")
    assert lost.value.hint == LISTS
    store = open_store(open_cloud(bay, "twin", "us-east-1"))
    tree = "ab" * 32
    write_kept(store.client, store.name, f"data/{tree}/00000000", b"x" * 1000)
    write_kept(store.client, store.name, "runs/exp/run-1/list.json", b"{}")
    view = show_store(bay, "twin", region="us-east-1")
    assert [(shelf.prefix, shelf.objects, shelf.bytes) for shelf in view.shelves] == [
        (f"data/{tree}/", 1, 1000),
        ("runs/exp/run-1/", 1, 2),
    ]
    assert view.price is not None
    assert view.usd_per_month == view.price.usd * 1002 / (1 << 30)  # the catalogue's price of S3
    assert view.as_json()["usd_per_month"] == f"{view.usd_per_month:.6f}"
    client = open_cloud(bay, "twin", "us-east-1")
    stay = fleet_stay(bay, client, "exp")
    assert stay is not None
    assert (stay.runs.bytes, stay.data.bytes, stay.usd_per_month) == (2, 1000, view.usd_per_month)
    for wrong in (("", False), ("data/", True)):
        with pytest.raises(UsageError, match="must be said"):
            remove_stored(bay, "twin", wrong[0], everything=wrong[1])
    with pytest.raises(UsageError, match="begins with data/ or runs/"):
        remove_stored(bay, "twin", "x")
    with pytest.raises(NotFound, match="nothing in the store begins") as other:
        remove_stored(bay, "twin", "runs/other/")
    assert other.value.hint == LISTS
    with pytest.raises(NotFound, match="nothing of run-2") as missed:
        restore(bay, "twin", "exp", run="run-2")
    assert missed.value.hint == LISTS
    with pytest.raises(NotFound, match="no such bucket or object") as nothing:
        read_kept(store.client, store.name, "runs/exp/run-2/list.json")
    assert nothing.value.hint == LISTS
    assert remove_stored(bay, "twin", f"data/{tree[:12]}").objects == 1  # as it is listed
    assert remove_stored(bay, "twin", everything=True).is_bucket_gone
    assert show_store(bay, "twin").bucket is None
    assert fleet_stay(bay, client, "exp") is None


def test_the_verbs_are_there_and_ask_before_they_remove(
    here: Bay, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", "--provider", "twin") == 0
    assert "There is no store in us-east-1" in capsys.readouterr().out
    open_store(open_cloud(here, "twin", "us-east-1"))
    with pytest.raises(UsageError, match="Everything in the store is removed for good: this needs your consent"):
        run("remove", "--all", "--provider", "twin")
    assert run("remove", "--all", "--provider", "twin", "-y") == 0
    assert "and the bucket itself" in capsys.readouterr().out


def test_what_is_stored_is_shown_as_json_with_the_day_of_its_price(
    here: Bay, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(open_cloud(here, "twin", "us-east-1"))
    write_kept(store.client, store.name, "runs/exp/run-1/list.json", b"{}")
    price = show_store(here, "twin").price
    assert price is not None
    assert run("show", "--provider", "twin", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["objects"], shown["priced_on"]) == (1, price.as_of.isoformat())


def test_a_run_of_a_fleet_that_is_gone_is_looked_for_in_the_store(here: Bay, run: Callable[..., int]) -> None:
    open_store(open_cloud(here, "twin", "us-east-1"))
    with pytest.raises(NotFound, match="no run of 'gone' is in a store"):
        run("restore", "gone", "--provider", "twin")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "must be said, once"),
        (["data/", "--all"], "must be said, once"),
        (["nope/"], "begins with data/ or runs/, got 'nope/'"),
    ],
)
def test_nobody_is_asked_to_agree_to_what_cannot_be(run: Callable[..., int], words: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        run("remove", *words, "--provider", "twin")
    assert says in caught.value.what


def test_a_bucket_of_ones_own_is_chosen_for_everything(here: Bay) -> None:
    for name, error in (("nosuch-bucket", NotFound), ("BAD_name", UsageError), ("data", Conflict)):
        with pytest.raises(error):
            show_store(here, "twin", bucket=name)
    client = open_cloud(here, "twin", "us-east-1")
    client.raw("s3").create_bucket(Bucket="mine-own")
    client.raw("s3").put_public_access_block(Bucket="mine-own", PublicAccessBlockConfiguration=dict(CLOSED))
    write_kept(client, "mine-own", "runs/exp/run-1/list.json", b"{}")
    chosen = replace(here, environ={**here.environ, "LAUNCHBAY_BUCKET": "mine-own"})
    assert show_store(chosen, "twin").bucket == "mine-own"
    stay = fleet_stay(chosen, client, "exp")
    assert stay is not None
    assert (stay.bucket, stay.runs.objects) == ("mine-own", 1)
    with pytest.raises(NotFound, match="nothing in the store begins") as other:
        remove_stored(chosen, "twin", "data/")
    assert other.value.hint == f"`{SHOWS} --bucket mine-own` lists what is"
    assert remove_stored(chosen, "twin", everything=True).is_bucket_gone is False
    assert show_store(here, "twin").bucket is None
