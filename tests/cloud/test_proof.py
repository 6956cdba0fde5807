"""Two instances on the twin: identical, then one of them otherwise, silent, stopped."""

from __future__ import annotations

import json
import shutil

import pytest

import launchbay
from launchbay.cli.main import main
from launchbay.cloud.fleet import know, known_by
from launchbay.errors import Conflict
from launchbay.lifecycle.bay import Bay
from launchbay.transport.keypair import make_key_pair
from tests.cloud.fleets import exec_there, row_of, set_power

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

PACKAGE = """
import site, pathlib
here = pathlib.Path(site.getsitepackages()[0])
(here / "odd.py").write_text("x = 1")
info = here / "odd-1.2.dist-info"
info.mkdir(exist_ok=True)
(info / "METADATA").write_text("Metadata-Version: 2.1\\nName: odd\\nVersion: 1.2\\n")
(info / "RECORD").write_text("odd.py,,\\nodd-1.2.dist-info/METADATA,,\\nodd-1.2.dist-info/RECORD,,\\n")
"""
REMOVED = "import site, shutil; f = site.getsitepackages()[0]; shutil.rmtree(f + '/odd-1.2.dist-info')"
REMOVED += "; __import__('os').unlink(f + '/odd.py')"


@pytest.fixture(scope="module")
def bay(standing: Bay) -> Bay:
    return standing


def test_two_are_identical_and_the_twins_gpus_are_called_declared(
    bay: Bay, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = launchbay.verify(bay, "exp")
    assert (proof.identical, proof.gpu_proven, list(proof.differences)) == (True, None, [])
    assert [item["instance"] for item in proof.fingerprints] == ["exp-1", "exp-2"]
    assert list(proof.declared) == ["exp-1", "exp-2"]
    monkeypatch.setenv("LAUNCHBAY_HOME", str(bay.home.root))
    assert main(["verify", "exp-2"]) == 0
    assert "declared by the twin on 1 instance" in capsys.readouterr().out


def test_a_package_more_in_one_of_them_is_named(
    bay: Bay, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exec_there(bay, "exp-2", "python", "-c", PACKAGE)
    monkeypatch.setenv("LAUNCHBAY_HOME", str(bay.home.root))
    assert main(["--json", "verify", "exp"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["identical"] is False
    assert {item["instance"] for item in said["differences"]} == {"exp-2"}
    assert any("odd" in item["what"] for item in said["differences"])
    assert {"gpu_proven", "fingerprints", "image_problems", "declared"} <= said.keys()
    exec_there(bay, "exp-2", "python", "-c", REMOVED)
    assert launchbay.verify(bay, "exp").identical


def test_one_that_shows_another_host_key_is_a_difference_and_the_other_is_looked_at(bay: Bay) -> None:
    row = row_of(bay, "exp-2")
    (right,) = known_by(bay.home, "exp", row.id)
    know(bay.home, "exp", row.id, make_key_pair().public)
    try:
        proof = launchbay.verify(bay, "exp")
    finally:
        know(bay.home, "exp", row.id, right)
    assert not proof.identical
    assert [(item.instance, item.kind) for item in proof.differences] == [("exp-2", "machine")]
    assert "does not answer" in proof.differences[0].what
    assert [item["instance"] for item in proof.fingerprints] == ["exp-1"]


def test_a_stopped_one_is_said_before_anything_is_asked(bay: Bay) -> None:
    set_power(bay, "exp-2", "stop")
    with pytest.raises(Conflict, match="exp-2 is stopped") as caught:
        launchbay.verify(bay, "exp")
    assert caught.value.hint.startswith("bay start exp")
    set_power(bay, "exp-2", "start")
