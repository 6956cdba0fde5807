"""A run that fills the disk to its end: a small file system in memory, mounted where runs are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.api.runs import list_runs
from launchbay.errors import UserError
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.runs.train import RunSpec, submit_run
from launchbay.transport.onboard import install_onboard
from tests.runs.running import Project, run_it

pytestmark = pytest.mark.all

FILL = """
import zipfile
with zipfile.ZipFile('model.keras', 'w') as z:
    z.writestr('config.json', '{}'); z.writestr('metadata.json', '{}')
with open('large', 'wb', buffering=0) as file:
    for size in (1 << 16, 1 << 10, 1):
        try:
            while file.write(bytes(size)): pass
        except OSError:
            pass
raise SystemExit(3)
"""


@pytest.fixture
def small(bay: Bay, mount: Callable[[Path, int], None], monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that leaves so many KiB for runs; drafts lie there as well, to be renamed."""

    def make(size_kib: int) -> None:
        install_onboard(bay.home)  # its draft is renamed to where the disk is another
        mount(bay.home.runs, size_kib)
        monkeypatch.setattr(type(bay.home), "tmp", property(lambda home: home.runs.parent / "runs" / "tmp"))
        bay.home.tmp.mkdir()

    return make


def test_how_it_ended_and_what_it_made_is_known(
    bay: Bay, instance: Instance, project: Project, small: Callable[[int], None]
) -> None:
    small(2_000)
    run, _ = run_it(bay, instance, project({"train.py": FILL}))
    assert shutil.disk_usage(bay.home.runs).free < 70_000, "what was kept for the result, and no more"
    assert (run.state, run.exit_code) == ("failed", 3)
    assert [item.path.name for item in run.artifacts] == ["model.keras", "large"]
    left = sorted(path.name for path in run.folder.iterdir())
    assert left == ["checkpoints", "output.log", "process.json", "record.json", "result.json", "supervisor.log", "work"]


def test_a_run_that_has_no_room_for_its_result_does_not_begin(
    bay: Bay, instance: Instance, project: Project, small: Callable[[int], None]
) -> None:
    small(60)
    with pytest.raises(UserError, match="No space left on device"):
        submit_run(bay, instance, RunSpec(script=project({"train.py": "open('began', 'w')"})))
    (run,) = list_runs(bay)
    assert run.state == "failed"
    assert not (run.work / "began").exists()
