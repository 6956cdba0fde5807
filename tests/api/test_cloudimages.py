"""What a program gets of images on EC2, and what a person is told besides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launchbay.api import cloudimages
from launchbay.api.cloudimages import list_cloud_images
from launchbay.errors import NotFound
from launchbay.jsonable import to_json
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.testing import RecordingReporter
from tests.planning.listings import row_of


class Shop:
    """An EC2 with one image of Amazon's and one of a stranger."""

    def describe_images(self, **asked: Any) -> dict[str, Any]:
        theirs = row_of(ImageId="ami-0bbbbbbb", OwnerId="111122223333", ImageOwnerAlias=None)
        rows = {"amazon": [row_of()], "self": [], "aws-marketplace": []}
        if "Owners" not in asked:
            return {"Images": [theirs]}
        return {"Images": [row for owner in asked["Owners"] for row in rows[owner]]}

    def get_parameters_by_path(self, **asked: Any) -> dict[str, Any]:
        named = {"Name": f"{asked['Path']}/x", "Value": "ami-0123456789abcdef0"}
        return {"Parameters": [named]}

    def get_parameters(self, **_: Any) -> dict[str, Any]:
        return {"Parameters": []}

    def raw(self, service: str) -> Shop:
        assert service in ("ec2", "ssm")
        return self


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bay:
    monkeypatch.setattr(cloudimages, "open_cloud", lambda *_: Shop())
    return open_bay(reporter=RecordingReporter(), environ={"LAUNCHBAY_HOME": str(tmp_path)})


def told(bay: Bay) -> RecordingReporter:
    assert isinstance(bay.reporter, RecordingReporter)
    return bay.reporter


def test_a_list_is_a_list_also_as_json(bay: Bay) -> None:
    images = list_cloud_images(bay, "ec2", "single")
    (shown,) = to_json(images)
    assert (shown["kind"], shown["owner"]) == ("quick start", "898082745236")
    assert (told(bay).notes, told(bay).events[-1].finished) == ([], True)


def test_what_nothing_matches_is_told_with_what_is_near(bay: Bay) -> None:
    images = list_cloud_images(bay, "ec2", "singel cuda")
    assert list(images) == []
    (note,) = told(bay).notes
    assert "has all of 'singel cuda'; near it: Deep Learning Base AMI with Single CUDA" in note


def test_everybodys_come_with_a_warning(bay: Bay) -> None:
    images = list_cloud_images(bay, "ec2", "single", all_owners=True)
    assert [image.warning for image in images] == ["", "named like Amazon's, published by 111122223333"]
    assert any("stranger" in note for note in told(bay).notes)


def test_the_progress_ends_where_the_search_fails(bay: Bay) -> None:
    with pytest.raises(NotFound):
        list_cloud_images(bay, "ec2", "ami-x")
    assert told(bay).events[-1].finished
