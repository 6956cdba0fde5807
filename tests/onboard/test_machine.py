"""What a machine says of itself, and what it does not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launchbay.onboard import machine
from launchbay.onboard.machine import describe_machine


def test_this_machine_has_processors() -> None:
    found = describe_machine()
    assert found["processors"] == len(os.sched_getaffinity(0))
    assert found.keys() == {"processors", "processor", "type"}


@pytest.mark.parametrize(
    ("vendor", "product", "kind"),
    [
        ("Amazon EC2\n", "g5.xlarge\n", "g5.xlarge"),
        ("Amazon EC2\n", "", None),
        ("QEMU\n", "Standard PC\n", None),
        (None, "g5.xlarge\n", None),
    ],
)
def test_an_instance_of_ec2_says_its_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendor: str | None, product: str, kind: str | None
) -> None:
    for name, text in (("_VENDOR", vendor), ("_PRODUCT", product)):
        path = tmp_path / name
        monkeypatch.setattr(machine, name, str(path))
        if text is not None:
            path.write_text(text, encoding="utf-8")
    assert describe_machine()["type"] == kind
