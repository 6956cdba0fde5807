"""Images on EC2 as text."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from launchbay.cli.texts.cloudimages import cloud_baked_text, cloud_images_text, cloud_removed_text
from launchbay.cloud.bake import FarBaked
from launchbay.planning.imagereading import read_image
from launchbay.providers.ec2.baking import RemovedImage
from tests.planning.listings import row_of

TODAY = date(2026, 11, 27)
IMAGE = read_image(row_of())


def cells(*images: object, width: int | None = None) -> dict[str, str]:
    """Return the cells of the one row, by head."""
    head, row, *_ = cloud_images_text(list(images), TODAY, width).splitlines()  # type: ignore[arg-type]
    names = [name.strip() for name in head.split("  ") if name.strip()]
    return {name: row[head.index(name) :].split("  ")[0].strip() for name in names if name not in ("GIB", "EXTRA $/H")}


def test_one_image() -> None:
    shown = cells(IMAGE)
    assert shown == {
        "ID": IMAGE.id,
        "NAME": IMAGE.name,
        "KIND": "quick start",
        "FRAMEWORKS": "-",
        "DRIVER": "595.71.05",
        "CUDA": "13.2",
        "BUILT": "2026-07-17",
        "SUPPORT ENDS": "2029-04-30",
        "OWNER": "898082745236",
    }
    assert len(cloud_images_text([IMAGE], TODAY).splitlines()) == 2, "nothing has to be explained"


def test_what_is_unknown_is_neither_none_nor_nothing() -> None:
    image = replace(IMAGE, driver=None, driver_floor=None, cuda=None, support_ends=None, ends_by=None, created=None)
    shown = cells(replace(image, usd_per_hour=None, disks=()))
    assert {shown[name] for name in ("DRIVER", "CUDA", "SUPPORT ENDS", "BUILT")} == {"unknown"}
    row = cloud_images_text([replace(image, usd_per_hour=None, disks=())], TODAY).splitlines()[1]
    assert row.count("unknown") == 6


def test_an_image_without_a_driver() -> None:
    shown = cells(replace(IMAGE, driver="", driver_floor=None, cuda=None))
    assert (shown["DRIVER"], shown["CUDA"]) == ("-", "-")


def test_a_least_driver_is_marked_and_explained() -> None:
    image = replace(IMAGE, driver=None)
    assert cells(image)["DRIVER"] == "595.71.05+"
    assert "or a newer one" in cloud_images_text([image], TODAY)


def test_the_end_of_support() -> None:
    over = replace(IMAGE, support_ends=date(2026, 11, 26), ends_by=date(2026, 11, 26))
    assert cells(over)["SUPPORT ENDS"] == "ended 2026-11-26"
    assert "1 image can be launched, but without patches" in cloud_images_text([over], TODAY)
    part = replace(IMAGE, support_ends=None)
    assert cells(part)["SUPPORT ENDS"] == "by 2029-04-30"
    assert "may end before" in cloud_images_text([part], TODAY)
    last = replace(IMAGE, support_ends=TODAY, ends_by=TODAY)
    assert cells(last)["SUPPORT ENDS"] == "2026-11-27"


def test_what_it_costs_besides() -> None:
    priced = replace(IMAGE, usd_per_hour=Decimal("0.0512345"))
    assert "0.0512345" in cloud_images_text([priced], TODAY)
    assert "somebody sells it by the hour" in cloud_images_text([replace(IMAGE, usd_per_hour=None)], TODAY)


def test_a_lookalike_is_told_loudly_however_narrow_the_terminal() -> None:
    theirs = read_image(row_of(OwnerId="111122223333", ImageOwnerAlias=None))
    for width in (None, 200, 60):
        text = cloud_images_text([IMAGE, theirs], TODAY, width)
        assert f"WARNING  {theirs.id}: named like Amazon's, published by 111122223333" in text.splitlines()


def test_a_narrow_terminal_keeps_id_kind_support_and_price() -> None:
    text = cloud_images_text([IMAGE], TODAY, 100)
    assert all(len(line) <= 100 for line in text.splitlines()[:2])
    head = text.splitlines()[0]
    assert all(name in head for name in ("ID", "KIND", "SUPPORT ENDS", "EXTRA $/H"))
    assert IMAGE.id in text


def test_none() -> None:
    assert cloud_images_text([], TODAY) == "No image matches."


def test_a_baked_image_says_what_it_costs_and_what_went_along() -> None:
    baked = FarBaked(
        instance="exp-1",
        image="tensorflow",
        digest="ab" * 32,
        provider="twin",
        region="eu-west-1",
        machine_image=IMAGE,
        usd_per_month=Decimal("5.00"),
        notes=["homes went along"],
    )
    shown = cloud_baked_text(baked)
    assert f"{IMAGE.id} made of exp-1: the next launch of tensorflow abababababab begins with it" in shown
    assert "at most $5.00 a month" in shown
    assert "homes went along" in shown
    assert shown.endswith(f"bay image remove {IMAGE.id} --provider twin --region eu-west-1")
    assert baked.as_json()["provider"] == "twin"
    assert "unknown a month" in cloud_baked_text(replace(baked, usd_per_month=None))


def test_an_image_that_is_removed_says_which_snapshots_stay() -> None:
    removed = RemovedImage(id="ami-1", snapshots=("snap-1",), kept={"snap-2": "another image uses it"})
    assert cloud_removed_text(removed).splitlines() == [
        "ami-1 removed, with 1 snapshot",
        "  snap-2 stays, and costs: another image uses it",
    ]
