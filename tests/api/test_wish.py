"""What bay.yaml adds to what was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.api.wish import complete_launch, complete_training
from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.launch import launch_fleet

PROJECT = """\
name: exp
image: tensorflow
count: 4
script: train.py
data: data
args: ["--epochs", "10"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "bay.yaml").write_text(PROJECT, encoding="utf-8")
    return tmp_path


def test_what_was_typed_wins_over_the_file(project: Path) -> None:
    assert complete_launch("jax", count=2, name="mine", folder=project) == ("jax", 2, "mine")
    assert complete_launch("jax", count=None, name=None, folder=project) == ("jax", 1, None)


def test_the_file_fills_in_what_was_not_typed(project: Path) -> None:
    assert complete_launch(None, count=None, name=None, folder=project) == ("tensorflow", 4, "exp")
    assert complete_launch(None, count=2, name="other", folder=project) == ("tensorflow", 2, "other")


def test_a_recipe_file_named_in_the_project_is_found_beside_it(project: Path) -> None:
    (project / "ml.yaml").write_text("packages: [six]\n", encoding="utf-8")
    (project / "bay.yaml").write_text("image: ml.yaml\n", encoding="utf-8")
    assert complete_launch(None, count=None, name=None, folder=project) == (str(project / "ml.yaml"), 1, None)


def test_a_launch_without_image_and_file_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs an image") as caught:
        complete_launch(None, count=None, name=None, folder=tmp_path)
    assert "bay launch tensorflow" in caught.value.hint
    with pytest.raises(UsageError, match=r"^plan needs an image") as caught:
        complete_launch(None, count=None, name=None, folder=tmp_path, verb="plan")
    assert caught.value.hint == "bay plan tensorflow -n 3"


def test_training_takes_all_from_the_project(bay: Bay, project: Path, tiny: str) -> None:
    launch_fleet(bay, tiny, count=2, name="exp")
    wish = complete_training(bay, [], data=None, args=None, folder=project)
    assert (wish.instance, wish.script, wish.data, list(wish.args)) == (
        "exp-1",
        project / "train.py",
        project / "data",
        ["--epochs", "10"],
    )


def test_arguments_typed_replace_those_of_the_project(bay: Bay, project: Path, tiny: str) -> None:
    launch_fleet(bay, tiny, name="exp")
    assert list(complete_training(bay, [], data=None, args=["--epochs", "1"], folder=project).args) == ["--epochs", "1"]
    assert list(complete_training(bay, [], data=None, args=[], folder=project).args) == []


def test_another_script_gets_neither_data_nor_arguments_of_the_project(bay: Bay, project: Path, tiny: str) -> None:
    launch_fleet(bay, tiny, name="exp")
    wish = complete_training(bay, ["exp-1", "other.py"], data=None, args=None, folder=project)
    assert (wish.script, wish.data, list(wish.args)) == (Path("other.py"), None, [])


def test_a_script_alone_runs_in_the_only_instance(bay: Bay, tmp_path: Path, tiny: str) -> None:
    launch_fleet(bay, tiny, name="lonely")
    assert complete_training(bay, ["a.py"], data=None, args=None, folder=tmp_path).instance == "lonely-1"


def test_a_script_alone_is_not_guessed_a_place_among_several(bay: Bay, tmp_path: Path, tiny: str) -> None:
    launch_fleet(bay, tiny, count=2, name="several")
    with pytest.raises(UsageError, match="needs an instance"):
        complete_training(bay, ["a.py"], data=None, args=None, folder=tmp_path)


def test_an_instance_alone_needs_the_project_s_script(bay: Bay, tmp_path: Path, tiny: str) -> None:
    launch_fleet(bay, tiny, name="exp")
    with pytest.raises(UsageError, match="needs a script"):
        complete_training(bay, ["exp-1"], data=None, args=None, folder=tmp_path)


def test_three_names_are_too_many(bay: Bay, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes an instance and a script"):
        complete_training(bay, ["exp-1", "a.py", "--x"], data=None, args=None, folder=tmp_path)


def test_data_on_s3_stays_an_address_and_launches_nothing_here(bay: Bay, tmp_path: Path) -> None:
    (tmp_path / "bay.yaml").write_text("name: exp\nscript: train.py\ndata: s3://rows/day\n", encoding="utf-8")
    assert complete_training(bay, ["exp-1", "train.py"], data=None, args=None, folder=tmp_path).data == "s3://rows/day"
    with pytest.raises(UsageError, match="an instance on this machine cannot read s3://rows/day") as refused:
        complete_training(bay, [], data=None, args=None, folder=tmp_path)
    assert "aws s3 cp --recursive s3://rows/day DIR" in refused.value.hint
