"""The same over SSH: a host of the twin, with a login, a root and processes of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.afar.bundle import find_bundle
from launchbay.afar.compare import compare_machines
from launchbay.afar.machine import FarMachine
from launchbay.afar.prepare import pack_image, prepare
from launchbay.afar.runs import train_afar
from launchbay.errors import NotFound
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.runs.train import RunSpec
from launchbay.transport.ssh import SshTransport
from tests.conftest import STORE
from tests.transport.conftest import HOME, Far


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[FarMachine]:
    """Return a machine behind SSH on which nothing of ours is; the images of here can be seen there, read-only."""
    if shutil.which("bwrap") is None:
        pytest.skip("hosts need bubblewrap")
    python = image_store("tiny").python_path.resolve().parents[1]
    seen = [str(STORE / "images"), *([] if str(python).startswith("/usr") else [str(python)])]
    place = Far(tmp_path_factory.mktemp("host"), binds=[(path, path) for path in seen])
    transport = SshTransport(door=place.door, variables={}, folder=HOME)
    # uv is asked for nothing where the image lies there built
    yield FarMachine(transport=transport, home=f"{HOME}/bay", name="host", uv="/usr/bin/true")
    transport.close()
    place.twin.end()


def test_an_experiment_on_a_host_of_the_twin(
    bay: Bay, host: FarMachine, packed: Path, tiny: str, tmp_path: Path
) -> None:
    bay.home.root.mkdir(parents=True, exist_ok=True)
    (bay.home.root / "bundles").symlink_to(packed / "bundles")
    cargo = pack_image(bay, tiny)
    made = prepare(bay, host, cargo, "exp-1", shared_images=[str(STORE / "images")])
    assert (made.built, made.digest, made.fingerprint["digest"]) == (False, cargo.digest, cargo.digest)
    assert compare_machines({"exp-1": made.verification}).identical
    assert not replace(host).install(find_bundle(bay.home)).installed.new  # type: ignore[union-attr]
    with pytest.raises(NotFound, match="nobody"):
        made.machine.call(["verify", "nobody"])

    (tmp_path / "project").mkdir()
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text("1,2\n", encoding="utf-8")
    script = tmp_path / "project" / "train.py"
    script.write_text(
        "import os\nprint(open('data/a.csv').read(), os.getcwd())\nopen('m.onnx', 'w').write('m')\n", "utf-8"
    )
    said = bytearray()
    run = train_afar(
        bay, made.machine, "exp-1", RunSpec(script=script, data=tmp_path / "rows"), fleet="exp", write=said.extend
    )
    assert (run.state, run.instance, run.data) == ("done", "exp-1", str(tmp_path / "rows"))
    assert said.startswith(b"1,2\n")
    assert f"{HOME}/bay/runs/{run.id}/work" in said.decode()  # it ran there
    assert not os.path.exists(f"{HOME}/bay")  # and not here
    assert [item.path for item in run.artifacts] == [run.work / "m.onnx"]
