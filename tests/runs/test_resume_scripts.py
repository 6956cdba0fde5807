"""The scripts that the documentation shows for resuming: killed in the middle, each ends as if it had been left alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.api.runs import resume
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from tests.runs.running import Project, make_instance, run_it

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "resume.md"
SCRIPTS = {
    match[1]: match[0]
    for match in re.finditer(r"(?<=```python\n)# (\w+\.py)\n.*?(?=```)", PAGE.read_text("utf-8"), re.DOTALL)
}
KILLED = """
import {module}, os, signal
real, count = {module}.{name}, 0
def killed(*args, **named):
    global count
    value = real(*args, **named)
    count += 1
    if count == 3 and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return value
{module}.{name} = killed
"""


@pytest.mark.all
@pytest.mark.parametrize(
    ("script", "module", "name"),
    [
        pytest.param(
            "keras_script.py", "keras", "callbacks.BackupAndRestore.on_epoch_end", marks=pytest.mark.image("tensorflow")
        ),
        pytest.param(
            "tensorflow_script.py", "tensorflow", "train.CheckpointManager.save", marks=pytest.mark.image("tensorflow")
        ),
        pytest.param("pytorch_script.py", "os", "replace", marks=pytest.mark.image("pytorch")),
        pytest.param("jax_script.py", "os", "replace", marks=pytest.mark.image("jax")),
    ],
)
def test_a_script_of_the_page(
    bay: Bay,
    with_image: Callable[[str], Image],
    project: Project,
    request: pytest.FixtureRequest,
    *,
    script: str,
    module: str,
    name: str,
) -> None:
    (mark,) = request.node.iter_markers("image")
    instance = make_instance(bay, with_image(mark.args[0]))
    whole, printed = run_it(bay, instance, project({"train.py": SCRIPTS[script]}))
    assert whole.state == "done", printed
    run, printed = run_it(
        bay, instance, project({"train.py": KILLED.format(module=module, name=name) + SCRIPTS[script]})
    )
    assert (run.state, run.signal) == ("failed", "SIGKILL"), printed
    assert run.checkpoint_sizes
    again = resume(bay, run.id)
    last = [item.log.read_text(encoding="utf-8").splitlines()[-1] for item in (whole, again)]
    assert again.state == "done", again.log.read_text(encoding="utf-8")
    assert last[1] == last[0]
    assert last[0].startswith(("loss ", "weights "))


def test_every_script_of_the_page_is_tried() -> None:
    assert sorted(SCRIPTS) == ["jax_script.py", "keras_script.py", "pytorch_script.py", "tensorflow_script.py"]
