from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.spec.assignment import Assignment
from launchbay.spec.rewrite import write_instances
from launchbay.spec.schedule import ALWAYS, Hours
from launchbay.spec.workload import read_workload

HEAD = """\
# what runs
region: us-west-2   # Oregon
month: 720h
endpoints:
  - {name: api}
  - name: "on"
"""
TAIL = """\
# what lies there
disks:
  - {name: data, size: 10GiB}
"""
NEW = (
    Assignment(
        name="api",
        type="m6i.large",
        region="us-west-2",
        count=2,
        hours=ALWAYS,
        runs=("api", "on"),
        disk_gib=30,
        public_address=True,
        software_usd_per_hour=Decimal("0.10"),
    ),
    Assignment(
        name="3.10",
        type="p2.xlarge",
        region="us-west-2",
        market="spot",
        hours=Hours(amount=Decimal("7.000001")),
        disk_kept=False,
    ),
    Assignment(name="box", type="p2.xlarge", region="us-west-2", hours=Hours(amount=Decimal(10), per="day")),
)
BLOCK = "instances:\n  - name: gpu\n    type: p2.xlarge\n    runs: [api,\n      'on']\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + BLOCK + TAIL,
        HEAD + "instances:\n  - type: p2.xlarge\n    name: |-\n      gpu\n" + TAIL,
        HEAD + TAIL + "instances:\n  - type: p2.xlarge\n    name: |-\n      gpu",
        HEAD + "instances: [{name: gpu, type: p2.xlarge,\n  runs: [api, 'on']}]\n" + TAIL,
        HEAD + "instances:\n" + TAIL,
        HEAD + TAIL,
        HEAD + TAIL + BLOCK.rstrip(),  # without an end of its last line
        HEAD + TAIL + "instances:\n- type: p2.xlarge\n  name: gpu\n\n\n",
    ],
)
def test_other_instances_in_a_file_that_stays_as_it_was_typed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "workload.yaml"
    path.write_text(write_instances(text, "workload.yaml", NEW), encoding="utf-8")
    found = read_workload(path)
    assert found.instances == NEW
    assert [item.name for item in found.beside.disks] == ["data"]
    written = path.read_text(encoding="utf-8")
    assert written.startswith(HEAD)
    assert TAIL in written
    assert "gpu" not in written


def test_no_instances_at_all(tmp_path: Path) -> None:
    path = tmp_path / "workload.yaml"
    path.write_text(write_instances(HEAD + BLOCK + TAIL, "w.yaml", ()), encoding="utf-8")
    assert read_workload(path).instances == ()


@pytest.mark.parametrize("text", ["{region: us-west-2, endpoints: {name: api}}\n", "[]\n"])
def test_a_file_in_braces_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"a workload in braces cannot be written anew \(w.yaml\)"):
        write_instances(text, "w.yaml", NEW)
