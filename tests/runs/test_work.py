"""What of a script's folder comes into the run, and what stays behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launchbay.api.runs import list_runs
from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.runs.train import RunSpec, submit_run
from tests.runs.running import Project, run_it


def test_data_is_linked_and_replaces_what_was_there(
    bay: Bay, instance: Instance, project: Project, tmp_path: Path
) -> None:
    script = project({"train.py": "print(open('data/a').read())", "data/a": "old", "data/b": "old"})
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a").write_text("new", encoding="utf-8")
    run, printed = run_it(bay, instance, script, data=tmp_path / "new")
    assert printed == "new\n"
    assert os.readlink(run.work / "data") == str(tmp_path / "new")
    run, printed = run_it(bay, instance, script)
    assert printed == "old\n"
    assert not (run.work / "data").is_symlink()
    run, printed = run_it(bay, instance, script, data=script.parent / "data")
    assert printed == "old\n"
    assert os.readlink(run.work / "data") == str(script.parent / "data")


def test_what_is_not_the_script_stays_behind(bay: Bay, instance: Instance, project: Project) -> None:
    files = [
        ".git/config",
        "__pycache__/x.pyc",
        ".venv/pyvenv.cfg",
        "myenv/pyvenv.cfg",
        "node_modules/x",
        "kept/.hidden",
    ]
    script = project({"train.py": "", **dict.fromkeys(files, "x")})
    os.mkfifo(script.parent / "pipe")
    (script.parent / "link").symlink_to("kept")
    run, _ = run_it(bay, instance, script)
    assert {path.name for path in run.work.iterdir()} == {"train.py", "kept", "link"}
    assert (run.work / "kept" / ".hidden").read_text(encoding="utf-8") == "x"


def test_a_home_inside_the_scripts_folder_is_not_copied_into_itself(
    bay: Bay, instance: Instance, tmp_path: Path
) -> None:
    assert bay.home.root.parent == tmp_path
    (tmp_path / "train.py").write_text("print('fine')", encoding="utf-8")
    run, printed = run_it(bay, instance, tmp_path / "train.py")
    assert (run.state, printed) == ("done", "fine\n")
    assert not (run.work / bay.home.root.name).exists()


def test_event_files_of_an_earlier_training_stay_behind(bay: Bay, instance: Instance, project: Project) -> None:
    """Curves would take both trainings for one that was started again."""
    code = "open('logs/events.out.tfevents.2.host', 'w').close()"
    run, _ = run_it(bay, instance, project({"train.py": code, "logs/events.out.tfevents.1.host": "x", "logs/a": "x"}))
    assert run.state == "done"
    assert {path.name for path in (run.work / "logs").iterdir()} == {"events.out.tfevents.2.host", "a"}


def test_a_script_or_module_may_have_event_files_in_its_name(bay: Bay, instance: Instance, project: Project) -> None:
    main = "import read_tfevents; open('notes_tfevents.txt', 'w').write('x'); print(read_tfevents.WORD)"
    script = project({"train.py": "", "read_tfevents.py": "WORD = 'found'"})
    for name in ("plot_tfevents.py", "events.out.tfevents.1.py"):
        script.with_name(name).write_text(main, encoding="utf-8")
        run, printed = run_it(bay, instance, script.with_name(name))
        assert (run.state, printed) == ("done", "found\n")
        assert ([item.path.name for item in run.artifacts], run.logdirs) == (["notes_tfevents.txt"], ())


def test_a_folder_too_large_to_copy(bay: Bay, instance: Instance, project: Project, tmp_path: Path) -> None:
    script = project({"train.py": "", "data/x": ""})
    with (script.parent / "data" / "large.bin").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(UsageError, match="more than 1 GiB") as caught:
        submit_run(bay, instance, RunSpec(script=script))
    assert "--data DIR" in caught.value.hint
    assert list_runs(bay) == []
    run, _ = run_it(bay, instance, script, data=script.parent / "data")  # given as data, it is not copied
    assert run.data_files["large.bin"] == {"bytes": (1 << 30) + 1, "sha256": None}
    assert tmp_path.exists()
