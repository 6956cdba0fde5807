"""Before a run: what is certain to fail in this very instance is not started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.api.fleet import execute
from launchbay.api.runs import explain, train
from launchbay.errors import WillFail
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from launchbay.runs.foresee import Problem
from launchbay.runs.preview import choose_environment
from launchbay.store.records import list_runs
from launchbay.testing import RecordingReporter
from tests.runs.running import Project, make_instance, run_it


def write_module(bay: Bay, instance: Instance, name: str) -> None:
    """Put a module among the packages of an instance, in a way that no list of packages shows."""
    code = f"import sysconfig, pathlib; pathlib.Path(sysconfig.get_path('purelib'), '{name}.py').write_text('')"
    assert execute(bay, instance.name, ["python", "-c", code], capture=True)[0] == 0


def test_a_missing_module_is_said_before(bay: Bay, instance: Instance, project: Project) -> None:
    script = project({"train.py": "print('up')\nimport scipy\n"})
    with pytest.raises(WillFail, match=rf"train.py was not started: it will fail in {instance.name}") as caught:
        run_it(bay, instance, script)
    assert f"train.py:2  imports scipy, which {instance.name} does not have" in caught.value.what
    assert f"bay exec {instance.name} -- pip install scipy" in caught.value.hint
    assert "--force" in caught.value.hint
    assert [problem.line for problem in caught.value.problems if isinstance(problem, Problem)] == [2]
    assert list(list_runs(bay.home)) == []


def test_forced_it_runs_and_the_record_tells_what_was_foreseen(
    bay: Bay, instance: Instance, project: Project, reporter: RecordingReporter
) -> None:
    script = project({"train.py": "print('up')\nimport scipy\n"})
    run, said = run_it(bay, instance, script, force=True)
    assert run.state == "failed"
    assert said.startswith("up\n")
    assert run.foreseen == (f"train.py:2  imports scipy, which {instance.name} does not have",)
    assert "pip install scipy" in explain(run)
    assert any("imports scipy" in note for note in reporter.notes)


def test_a_framework_that_is_missing_names_the_image_that_has_it(
    bay: Bay, instance: Instance, project: Project
) -> None:
    with pytest.raises(WillFail) as caught:
        run_it(bay, instance, project({"train.py": "import torch\n"}))
    assert "in the image pytorch: bay launch pytorch, then bay train pytorch SCRIPT; or" in caught.value.hint
    assert "pip" not in caught.value.hint


@pytest.mark.image("multi")
def test_an_instance_of_several_environments_is_told_which_one_fits(
    bay: Bay, with_image: Callable[[str], Image], project: Project
) -> None:
    instance = make_instance(bay, with_image("multi"))
    script = project({"train.py": "import mxnet, tensorboardX\n"})
    with pytest.raises(WillFail, match=r"it will fail in .* \(environment tensorflow\)") as caught:
        run_it(bay, instance, script, env="tensorflow")
    assert "or run it as it is with --env mxnet" in caught.value.hint
    for env in ("mxnet", None):
        run, _ = run_it(bay, instance, script, env=env)
        assert (run.state, run.foreseen, run.image) == ("done", (), "mxnet")


def test_of_several_environments_a_script_runs_in_the_one_that_it_fits(
    bay: Bay, with_image: Callable[[str], Image], project: Project, reporter: RecordingReporter
) -> None:
    instance = make_instance(bay, with_image("pair"))
    script = project({"train.py": "import six, tabulate\nprint(six.__version__)\n"})
    assert choose_environment(bay, instance, script) == "tiny"  # neither has it: the first
    info = instance.root / "env/older/lib/python3.11/site-packages/tabulate-1.0.dist-info"
    info.mkdir()
    (info.parent / "tabulate.py").touch()
    run = train(bay, instance.name, script)
    assert (run.state, run.image, run.log.read_text()) == ("done", "older", "1.16.0\n")
    assert any("train.py fits older best" in note for note in reporter.notes)
    assert train(bay, instance.name, project({"train.py": "import six\n"})).image == "tiny"


def test_what_the_instance_s_own_python_finds_is_there(bay: Bay, instance: Instance, project: Project) -> None:
    write_module(bay, instance, "scipy")
    run, _ = run_it(bay, instance, project({"train.py": "import scipy\n"}))
    assert (run.state, run.foreseen) == ("done", ())


@pytest.mark.parametrize(
    "text",
    [
        "if False:\n    import scipy\n",
        "def later():\n    import scipy\n",
        "try:\n    import scipy\nexcept ImportError:\n    pass\n",
        "import mine\n",
        "import six\n",
    ],
)
def test_what_is_right_is_run_without_a_word(
    bay: Bay, instance: Instance, project: Project, reporter: RecordingReporter, text: str
) -> None:
    run, _ = run_it(bay, instance, project({"train.py": text, "mine.py": ""}))
    assert (run.state, run.foreseen) == ("done", ())
    assert reporter.notes == []


@pytest.mark.parametrize(
    "text",
    [
        "import sys\nsys.path.insert(0, 'lib')\nimport found\n",
        "import os\nif not os.path.exists('train.py'):\n    import scipy\n",
    ],
)
def test_a_doubt_is_told_and_stops_nothing(
    bay: Bay, instance: Instance, project: Project, reporter: RecordingReporter, text: str
) -> None:
    run, _ = run_it(bay, instance, project({"train.py": text, "lib/found.py": ""}))
    assert run.state == "done"
    assert len(run.foreseen) == 1
    assert "may import" in run.foreseen[0] or " imports found" in run.foreseen[0]
    assert any("Try: " in note for note in reporter.notes)


def test_what_a_condition_chooses_is_not_told(
    bay: Bay, instance: Instance, project: Project, reporter: RecordingReporter
) -> None:
    text = "import sys\nif sys.platform == 'scipy':\n    import scipy\n"
    run, _ = run_it(bay, instance, project({"train.py": text}))
    assert (run.state, run.foreseen) == ("done", ())
    assert not any("scipy" in note for note in reporter.notes)


def test_what_cannot_be_read_says_so_itself(bay: Bay, instance: Instance, project: Project) -> None:
    run, said = run_it(bay, instance, project({"train.py": "print 'old'\n"}))
    assert run.state == "failed"
    assert "SyntaxError" in said


def test_nothing_of_a_script_is_executed(bay: Bay, instance: Instance, project: Project, tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    text = f"open({str(sign)!r}, 'w')\nimport mine, scipy\n"
    script = project({"train.py": text, "mine.py": text, "scipy.py/x": ""})
    with pytest.raises(WillFail):
        run_it(bay, instance, script)
    assert not sign.exists()
