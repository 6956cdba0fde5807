"""Which model files are loaded at all: those that a run of ours made, and no other."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import launchbay
from launchbay.errors import Conflict, NotFound, UnsafeModel, UsageError, UserError
from launchbay.files import remove_tree, sha256_file
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.store.records import find_run


def _keras(comment: bytes = b"") -> bytes:
    """Return a file that is of Keras by its content, and no model."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
        archive.comment = comment
    return buffer.getvalue()


MODEL, OTHER = _keras(), _keras(b"one more")


def _run_that_made(bay: Bay, image: Image, content: bytes, *, name: str = "run-20260101-000000-aaaaa") -> Path:
    folder = bay.home.runs / name
    (folder / "work").mkdir(parents=True)
    model = folder / "work" / "model.keras"
    model.write_bytes(content)
    record: dict[str, object] = {
        "instance": "exp-1", "fleet": "exp", "image": image.name, "digest": image.digest, "script": "/s/train.py",
        "args": [], "data": None, "data_files": {}, "created_at": 0.0,
    }  # fmt: skip
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    made = {"path": "model.keras", "format": "keras", "sha256": sha256_file(model), "bytes": len(content)}
    result = {"state": "done", "exit_code": 0, "artifacts": [made], "logdirs": []}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return model


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "test.csv"
    path.write_text("1,2\n3,4\n", encoding="utf-8")
    return path


def test_a_file_that_no_run_made_is_not_loaded(bay: Bay, tmp_path: Path, rows: Path) -> None:
    foreign = tmp_path / "foreign.keras"
    foreign.write_bytes(MODEL)
    for verb in (launchbay.evaluate, launchbay.predict):
        with pytest.raises(UnsafeModel, match="no run of yours made this model"):
            verb(bay, str(foreign), rows)


def test_a_model_changed_by_one_byte_is_not_loaded(bay: Bay, with_image: Callable[[str], Image], rows: Path) -> None:
    model = _run_that_made(bay, with_image("tiny"), MODEL)
    model.write_bytes(OTHER)
    with pytest.raises(UnsafeModel):
        launchbay.evaluate(bay, str(model), rows)


def test_a_copy_of_a_model_of_ours_is_known_by_its_content(
    bay: Bay, with_image: Callable[[str], Image], tmp_path: Path, rows: Path
) -> None:
    image = with_image("tiny")
    model = _run_that_made(bay, image, MODEL)
    copy = tmp_path / "copy.keras"
    copy.write_bytes(model.read_bytes())
    (bay.home.images / image.digest).unlink()
    with pytest.raises(Conflict, match=r"image .* is gone"):  # trusted, and only then is its image looked for
        launchbay.evaluate(bay, str(copy), rows)


def test_a_missing_image_says_how_to_build_it(bay: Bay, with_image: Callable[[str], Image], rows: Path) -> None:
    image = replace(with_image("tiny"), digest="0" * 64)
    model = _run_that_made(bay, image, MODEL)
    with pytest.raises(Conflict) as caught:
        launchbay.predict(bay, str(model), rows)
    assert "bay image build tiny" in caught.value.hint


def test_a_run_stands_for_its_best_model(bay: Bay, with_image: Callable[[str], Image], rows: Path) -> None:
    _run_that_made(bay, replace(with_image("tiny"), digest="0" * 64), MODEL)
    with pytest.raises(Conflict):  # found, trusted, and stopped only by the image
        launchbay.evaluate(bay, "latest", rows)


def test_a_run_without_a_model_says_so(bay: Bay, with_image: Callable[[str], Image], rows: Path) -> None:
    model = _run_that_made(bay, with_image("tiny"), MODEL)
    result = model.parent.parent / "result.json"
    result.write_text(json.dumps({"state": "done", "exit_code": 0, "artifacts": [], "logdirs": []}), encoding="utf-8")
    with pytest.raises(NotFound, match="made no model"):
        launchbay.evaluate(bay, "latest", rows)


def test_a_model_that_can_be_loaded_goes_before_another(
    bay: Bay, with_image: Callable[[str], Image], rows: Path
) -> None:
    """Results written by an earlier version may list them in another order."""
    model = _run_that_made(bay, replace(with_image("tiny"), digest="0" * 64), MODEL)
    result = model.parent.parent / "result.json"
    content = json.loads(result.read_text(encoding="utf-8"))
    scaler = {"path": "best_scaler.pkl", "format": "pickle", "sha256": "0" * 64, "bytes": 1}
    content["artifacts"].insert(0, scaler)
    result.write_text(json.dumps(content), encoding="utf-8")
    (model.parent / "best_scaler.pkl").write_bytes(b"\x80\x04N.")
    with pytest.raises(Conflict, match="image"):  # it would hold no program, were it the scaler
        launchbay.evaluate(bay, "latest", rows)
    model.unlink()
    content["artifacts"].pop()
    result.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match="got a pickle") as caught:
        launchbay.evaluate(bay, "latest", rows)
    assert caught.value.where.endswith("best_scaler.pkl")


def test_a_model_that_was_deleted_is_gone(bay: Bay, with_image: Callable[[str], Image], rows: Path) -> None:
    model = _run_that_made(bay, with_image("tiny"), MODEL)
    model.unlink()
    with pytest.raises(NotFound, match="the model of run-20260101-000000-aaaaa is gone") as caught:
        launchbay.evaluate(bay, "latest", rows)
    assert caught.value.where == str(model)


def test_a_model_without_a_hash_is_not_loaded_and_the_reason_is_said_at_once(
    bay: Bay, with_image: Callable[[str], Image], rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _run_that_made(bay, with_image("tiny"), MODEL)
    result = model.parent.parent / "result.json"
    content = json.loads(result.read_text(encoding="utf-8"))
    content["artifacts"][0]["sha256"] = None
    result.write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr("launchbay.api.models.find_hash", lambda path, _: pytest.fail(f"{path} was hashed"))
    for reference in ("latest", str(model)):
        with pytest.raises(UnsafeModel, match="too large to be hashed"):
            launchbay.evaluate(bay, reference, rows)


@pytest.mark.timeout(20)
def test_a_pipe_is_no_model(bay: Bay, tmp_path: Path, rows: Path) -> None:
    os.mkfifo(tmp_path / "pipe.keras")
    with pytest.raises(UsageError, match="not a regular file"):
        launchbay.evaluate(bay, str(tmp_path / "pipe.keras"), rows)


def test_a_lost_run_is_looked_at_when_its_model_is_asked_for(
    bay: Bay, with_image: Callable[[str], Image], rows: Path
) -> None:
    model = _run_that_made(bay, replace(with_image("tiny"), digest="0" * 64), MODEL)
    folder = model.parent.parent
    (folder / "result.json").unlink()
    brought = model.with_name("best.keras")
    brought.write_bytes(model.read_bytes())
    os.utime(brought, (-1.0, -1.0))  # older than the run, which began in 1970
    assert find_run(bay.home, "latest").state == "lost"
    with pytest.raises(Conflict, match=r"image .* is gone"):  # found, trusted, and stopped only by the image
        launchbay.evaluate(bay, "latest", rows)
    run = find_run(bay.home, "latest")
    assert (run.state, [item.path for item in run.artifacts]) == ("lost", [model])


def test_a_missing_file_and_a_folder_are_told_apart(bay: Bay, tmp_path: Path, rows: Path) -> None:
    with pytest.raises(NotFound, match="no model file"):
        launchbay.evaluate(bay, "nowhere/model.keras", rows)
    with pytest.raises(UserError, match="got a folder that holds none"):
        launchbay.evaluate(bay, str(tmp_path), rows)


def test_a_model_cannot_be_shown_without_any_image(bay: Bay, tmp_path: Path) -> None:
    remove_tree(bay.home.images)
    model = tmp_path / "model.keras"
    model.write_bytes(MODEL)
    with pytest.raises(Conflict, match="h5py") as caught:
        launchbay.show_model_card(bay, str(model))
    assert "bay image build" in caught.value.hint


# --- models from elsewhere ---


def test_a_model_from_elsewhere_is_loaded_by_its_whole_hash_only(bay: Bay, tmp_path: Path, rows: Path) -> None:
    foreign = tmp_path / "foreign.keras"
    foreign.write_bytes(MODEL)
    right, wrong = sha256_file(foreign), "0" * 64
    for verb in (launchbay.evaluate, launchbay.predict):
        with pytest.raises(UnsafeModel) as caught:
            verb(bay, str(foreign), rows, trust=wrong)
        assert right in caught.value.what
        assert wrong in caught.value.what
        for trust in (right[:16], right + "0", "z" * 64, "", right[:-1] + "\n"):
            with pytest.raises(UsageError, match="64 digits"):
                verb(bay, str(foreign), rows, trust=trust)
        with pytest.raises(Conflict) as missing:  # trusted, and then there is no image to load it
            verb(bay, str(foreign), rows, trust=right.upper())
        assert "needs an image with keras 3.x or keras 2.x" in missing.value.what
        assert missing.value.hint.startswith(
            "bay image build tensorflow; or let an instance on EC2 do it: bay launch tensorflow"
        )


def test_a_wrong_hash_is_refused_also_for_a_model_of_ours(
    bay: Bay, with_image: Callable[[str], Image], rows: Path
) -> None:
    model = _run_that_made(bay, with_image("tiny"), MODEL)
    with pytest.raises(UnsafeModel, match="another model"):
        launchbay.evaluate(bay, str(model), rows, trust="0" * 64)


def test_a_pickle_in_a_torch_file_is_neither_loaded_nor_run(bay: Bay, tmp_path: Path, rows: Path) -> None:
    marker = tmp_path / "executed"
    path = tmp_path / "payload.pt"
    payload = b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker)
    for members in (("m/data.pkl",), ("m/data.pkl", "m/constants.pkl")):
        with zipfile.ZipFile(path, "w") as archive:
            for name in members:
                archive.writestr(name, payload)
        card = launchbay.show_model_card(bay, str(path))
        assert any("posix.system" in finding.what for finding in card.findings)
        with pytest.raises(UserError):
            launchbay.evaluate(bay, str(path), rows)
        assert not marker.exists()


def test_a_file_beside_the_symbol_cannot_stand_for_another(bay: Bay, tmp_path: Path, rows: Path) -> None:
    """The hash of a pair is that of both: the same parameters with another network are not the trusted model."""
    params, symbol = tmp_path / "net-0000.params", tmp_path / "net-symbol.json"
    params.write_bytes(b"\x12\x01" + bytes(30))
    symbol.write_text('{"nodes": [{"op": "null", "name": "data", "inputs": []}], "heads": [[0, 0, 0]]}')
    trusted = launchbay.show_model_card(bay, str(symbol)).sha256
    assert launchbay.show_model_card(bay, str(params)).sha256 == trusted
    with pytest.raises(Conflict, match="mxnet"):
        launchbay.evaluate(bay, str(symbol), rows, trust=trusted)
    symbol.write_text('{"nodes": [{"op": "null", "name": "data", "inputs": [ ]}], "heads": [[0, 0, 0]]}')
    with pytest.raises(UnsafeModel, match="another model"):
        launchbay.evaluate(bay, str(params), rows, trust=trusted)
