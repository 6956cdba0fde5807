"""What was typed of a launch on EC2, and a plan of it in a file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from launchbay.api.cloud import CloudOptions, ask_cloud, plan_launch, read_plan, save_plan
from launchbay.cli.main import main
from launchbay.errors import NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from tests.cloud.fleets import asked, recipe_of


def test_a_plan_is_saved_where_a_file_can_be_and_makes_no_folder(place: Bay, tmp_path: Path) -> None:
    plan = plan_launch(place, asked(place))
    for folder in (Path("/"), tmp_path):
        with pytest.raises(UsageError, match="that is a folder"):
            save_plan(plan, folder)
    with pytest.raises(UsageError, match="no such folder") as caught:
        save_plan(plan, tmp_path / "no" / "such" / "p.json")
    assert caught.value.where == str(tmp_path / "no" / "such")
    assert list(tmp_path.iterdir()) == []
    save_plan(plan, tmp_path / "p.json")
    assert read_plan(place, tmp_path / "p.json").worst == plan.worst


def test_what_is_no_plan_is_not_called_damaged(place: Bay, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text("packages: [six]\n", encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    for path in (tmp_path, tmp_path / "tiny.yaml", tmp_path / "list.json"):
        with pytest.raises(UsageError, match="no plan of a launch") as caught:
            read_plan(place, path)
        assert (caught.value.where, "-o plan.json" in caught.value.hint) == (str(path), True)
    with pytest.raises(NotFound, match="there is no plan"):
        read_plan(place, tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"disk": "0"}, "a disk's size"),
        ({"disk": "0GiB"}, "a disk's size"),
        ({"volumes": ("0:/data",)}, "a disk's size"),
        ({"budget": "0.0001"}, "of a cent at least"),
        ({"budget": "0"}, "of a cent at least"),
    ],
)
def test_nothing_is_no_size_and_no_budget(bay: Bay, typed: dict[str, Any], wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        ask_cloud(bay, "tensorflow", provider="twin", options=CloudOptions(type="c5.large", **typed))


def test_the_least_that_can_be_said(bay: Bay) -> None:
    options = CloudOptions(type="c5.large", disk="1", budget="0.01usd")
    said = ask_cloud(bay, "tensorflow", provider="twin", options=options)
    assert (said.disk_gib, said.budget) == (1, Decimal("0.01"))


@pytest.mark.parametrize(
    ("option", "said"), [("--disk", "a disk's size must look like"), ("--fill-rate", "disks are filled at 100 to 300")]
)
def test_a_zero_is_not_taken_for_nothing_said(
    place: Bay, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, said: str
) -> None:
    monkeypatch.setenv("LAUNCHBAY_HOME", str(place.home.root))
    words = ["plan", recipe_of(place, "tiny"), "--provider", "twin", "--type", "c5.large", option, "0"]
    assert main(words) == 2
    assert said in capsys.readouterr().err
