"""What a run made, told by content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import socket
import zipfile
from pathlib import Path

import pytest

from launchbay.onboard import artifacts as artifacts_module
from launchbay.onboard.artifacts import model_format, snapshot, take_stock

HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(32)
SAFETENSORS = (16).to_bytes(8, "little") + b'{"a":1}         ' + bytes(8)


def write(path: Path, content: bytes = b"x", *, age_s: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    age(path, age_s)
    return path


def age(path: Path, age_s: float) -> None:
    now = path.stat().st_mtime
    os.utime(path, (now - age_s, now - age_s))


def write_zip(path: Path, *names: str, age_s: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    return write(path, path.read_bytes(), age_s=age_s)


def keras(path: Path, *, age_s: float = 0.0) -> Path:
    return write_zip(path, "metadata.json", "config.json", "model.weights.h5", age_s=age_s)


def found(folder: Path) -> list[tuple[str, str]]:
    artifacts = take_stock(str(folder), {})["artifacts"]
    return [(item["path"], item["format"]) for item in artifacts]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("model.weights.h5", HDF5, "hdf5"),
        ("model.keras", HDF5, "hdf5"),  # an old Keras writes HDF5 whatever the file is called
        ("array.npy", b"\x93NUMPY\x01\x00" + bytes(20), "file"),
        ("model.safetensors", SAFETENSORS, "safetensors"),
        ("notes.txt", SAFETENSORS, "safetensors"),
        ("model.pkl", pickle.dumps([1], protocol=4), "pickle"),
        ("model.bin", pickle.dumps([1], protocol=2), "pickle"),
        ("graph.bin", b"\x08\x08\x3a\x02\x0a\x00", "onnx"),
        ("model.onnx", b"\x08\x07", "file"),
        ("model.h5", HDF5 + bytes(900) + b"model_config", "keras-h5"),
        ("model.keras", b"not a zip", "file"),
        ("empty.keras", b"", "file"),
        ("train.py", b"print()", "file"),
    ],
)
def test_a_file_is_what_its_content_says(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    assert model_format(str(write(tmp_path / name, content))) == kind


def test_zips_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    assert model_format(str(keras(tmp_path / "named-otherwise.bin"))) == "keras"
    assert model_format(str(write_zip(tmp_path / "weights.pt", "weights/data.pkl", "weights/version"))) == "torch"
    assert model_format(str(write_zip(tmp_path / "data.zip", "a.csv"))) == "file"


def test_only_what_the_script_made_or_changed_counts(tmp_path: Path) -> None:
    for name in ("train.py", "old.keras", "kept.txt"):
        write(tmp_path / name, age_s=60)
    before = snapshot(str(tmp_path))
    keras(tmp_path / "old.keras")
    write(tmp_path / "out" / "new.txt")
    write(tmp_path / "__pycache__" / "train.pyc")
    artifacts, logdirs, _ = take_stock(str(tmp_path), before).values()
    assert [item["path"] for item in artifacts] == ["old.keras", "out/new.txt"]
    assert logdirs == []


def test_sha256_and_size_are_those_of_the_file(tmp_path: Path) -> None:
    path = keras(tmp_path / "model.keras")
    artifacts = take_stock(str(tmp_path), {})["artifacts"]
    assert artifacts == [
        {
            "path": "model.keras",
            "format": "keras",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
    ]


def test_the_best_comes_first(tmp_path: Path) -> None:
    keras(tmp_path / "checkpoints" / "epoch-9.keras")
    keras(tmp_path / "checkpoints" / "best.keras", age_s=50)
    keras(tmp_path / "final.keras", age_s=20)
    keras(tmp_path / "earlier.keras", age_s=40)
    write(tmp_path / "a-note.txt")
    assert [path for path, _ in found(tmp_path)] == [
        "checkpoints/best.keras",  # named best, wherever it lies and however old
        "final.keras",  # no checkpoint, the newest
        "earlier.keras",
        "checkpoints/epoch-9.keras",
        "a-note.txt",  # other files after the models
    ]


def test_what_can_be_loaded_comes_before_what_is_named_best(tmp_path: Path) -> None:
    write(tmp_path / "best_scaler.pkl", pickle.dumps([1], protocol=4))
    keras(tmp_path / "model.keras", age_s=50)
    assert found(tmp_path) == [("model.keras", "keras"), ("best_scaler.pkl", "pickle")]


SYMBOL = b'{"nodes": [{"op": "null", "name": "data", "inputs": []}], "heads": [[0, 0, 0]]}'
PARAMS = b"\x12\x01" + bytes(30)


def test_parameters_of_mxnet_and_their_symbol_are_one_model(tmp_path: Path) -> None:
    for number in (0, 3):
        write(tmp_path / f"net-{number:04}.params", PARAMS + bytes([number]), age_s=10 - number)
    write(tmp_path / "net-symbol.json", SYMBOL)
    write(tmp_path / "alone-symbol.json", SYMBOL)
    artifacts = take_stock(str(tmp_path), {})["artifacts"]
    assert [(item["path"], item["format"], item["bytes"]) for item in artifacts] == [
        ("net-0003.params", "mxnet", 33 + len(SYMBOL)),
        ("net-0000.params", "mxnet", 33 + len(SYMBOL)),
        ("alone-symbol.json", "file", len(SYMBOL)),
    ]
    write(tmp_path / "net-symbol.json", SYMBOL + b" ")
    again = take_stock(str(tmp_path), {})["artifacts"]
    assert again[0]["sha256"] != artifacts[0]["sha256"], "another network is another model"


def test_programs_come_before_weights_alone(tmp_path: Path) -> None:
    write_zip(tmp_path / "best-state.pt", "best-state/data.pkl")
    write_zip(tmp_path / "model.pt", "model/data.pkl", "model/constants.pkl", age_s=30)
    write_zip(tmp_path / "model.pt2", "model/models/model.json", age_s=20)
    write(tmp_path / "alone.params", PARAMS)
    assert found(tmp_path) == [
        ("model.pt2", "torch-export"),
        ("model.pt", "torchscript"),
        ("best-state.pt", "torch"),
        ("alone.params", "mxnet-params"),
    ]


def test_a_saved_model_is_one_thing_with_one_hash(tmp_path: Path) -> None:
    for root, age_s in (("a", 0.0), ("b", 10.0)):
        write(tmp_path / root / "export" / "saved_model.pb", b"graph")
        write(tmp_path / root / "export" / "variables" / "variables.index", b"index")
        age(tmp_path / root / "export", age_s)
    artifacts = take_stock(str(tmp_path), {})["artifacts"]
    assert [(item["path"], item["format"], item["bytes"]) for item in artifacts] == [
        ("a/export", "savedmodel", 10),
        ("b/export", "savedmodel", 10),
    ]
    assert artifacts[0]["sha256"] == artifacts[1]["sha256"]
    (tmp_path / "b" / "export" / "variables" / "variables.index").rename(
        tmp_path / "b" / "export" / "variables" / "other"
    )
    renamed = take_stock(str(tmp_path / "b"), {})["artifacts"]
    assert renamed[0]["sha256"] != artifacts[1]["sha256"]
    hashes = set()
    for name in ("variables/variables.index", "assets/words.txt", "__pycache__/x", ".hidden"):
        write(tmp_path / "a" / "export" / name, b"another")
        hashes.add(take_stock(str(tmp_path / "a"), {})["artifacts"][0]["sha256"])
    assert len(hashes - {artifacts[0]["sha256"]}) == 4, "every file of the folder counts"


def test_folders_of_event_files_are_log_folders_and_these_no_artifacts(tmp_path: Path) -> None:
    for folder in ("logs/train", "logs/validation"):
        write(tmp_path / folder / "events.out.tfevents.1.host")
    write(tmp_path / "logs" / "notes.txt")
    artifacts, logdirs, _ = take_stock(str(tmp_path), {}).values()
    assert logdirs == ["logs/train", "logs/validation"]
    assert [item["path"] for item in artifacts] == ["logs/notes.txt"]


def test_models_in_and_below_log_folders_are_found(tmp_path: Path) -> None:
    for folder in ("out", "lightning_logs/version_0"):
        write(tmp_path / folder / "events.out.tfevents.1.host")
    keras(tmp_path / "out" / "best.keras")
    write(tmp_path / "out" / "export" / "saved_model.pb")
    write(tmp_path / "out" / "export" / "variables" / "variables.index")
    write(tmp_path / "lightning_logs" / "version_0" / "hparams.yaml")
    write_zip(tmp_path / "lightning_logs" / "version_0" / "checkpoints" / "x.ckpt", "x/data.pkl")
    assert found(tmp_path) == [
        ("out/best.keras", "keras"),
        ("out/export", "savedmodel"),
        ("lightning_logs/version_0/checkpoints/x.ckpt", "torch"),
        ("lightning_logs/version_0/hparams.yaml", "file"),
    ]


def test_notes_on_event_files_are_no_event_files(tmp_path: Path) -> None:
    write(tmp_path / "read_tfevents_notes.txt", b"how to read them")
    artifacts, logdirs, _ = take_stock(str(tmp_path), {}).values()
    assert ([item["path"] for item in artifacts], logdirs) == (["read_tfevents_notes.txt"], [])


def test_event_files_beside_the_script_hide_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "events.out.tfevents.1.host")
    keras(tmp_path / "model.keras")
    artifacts, logdirs, _ = take_stock(str(tmp_path), {}).values()
    assert logdirs == ["."]
    assert [item["path"] for item in artifacts] == ["model.keras"]


def test_links_and_their_data_are_not_artifacts(tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    write(data / "train.csv")
    work = tmp_path / "work"
    work.mkdir()
    (work / "data").symlink_to(data)
    (work / "latest.keras").symlink_to(data / "train.csv")
    (work / "broken").symlink_to("nowhere")
    assert found(work) == []


@pytest.mark.timeout(20)
def test_pipes_and_sockets_stop_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "export" / "saved_model.pb")
    for folder in (tmp_path, tmp_path / "export"):
        os.mkfifo(folder / "pipe")
        monkeypatch.chdir(folder)  # a socket's path is short
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind("socket")
    write(tmp_path / "a.txt")
    assert found(tmp_path) == [("export", "savedmodel"), ("a.txt", "file")]


def test_of_thousands_of_files_the_models_are_kept(tmp_path: Path) -> None:
    for number in range(600):
        write(tmp_path / "out" / f"{number:04}.txt")
    keras(tmp_path / "zz.keras")
    artifacts = found(tmp_path)
    assert artifacts[0] == ("zz.keras", "keras")
    assert len(artifacts) == 501


# --- whatever a script leaves behind ---


def too_new_a_zip(path: Path) -> Path:
    write_zip(path, "a")
    content = path.read_bytes()
    entry = content.index(b"PK\x01\x02")
    return write(path, content[: entry + 6] + (99).to_bytes(2, "little") + content[entry + 8 :])


def test_a_zip_from_the_future_hides_nothing_else(tmp_path: Path) -> None:
    too_new_a_zip(tmp_path / "a\x1b.zip")
    keras(tmp_path / "model.keras")
    artifacts, _, notes = take_stock(str(tmp_path), {}).values()
    assert [(item["path"], item["format"]) for item in artifacts] == [("model.keras", "keras"), ("a\x1b.zip", "file")]
    assert notes == ["a?.zip: a damaged zip file: NotImplementedError: zip file version 9.9"]


def test_names_that_are_no_text_are_left_out_and_counted(tmp_path: Path) -> None:
    export = write(tmp_path / "export" / "saved_model.pb").parent
    for folder in (tmp_path, export, tmp_path / os.fsdecode(b"\xfe")):
        write(folder / os.fsdecode(b"\xff"))
    artifacts, _, notes = take_stock(str(tmp_path), {}).values()
    assert [(item["path"], item["bytes"]) for item in artifacts] == [("export", 2)]
    assert notes == ["files whose names are no UTF-8 text are not listed: 3"]


@pytest.mark.timeout(20)
def test_what_is_too_large_is_not_hashed_and_that_is_said(tmp_path: Path) -> None:
    keras(tmp_path / "model.keras")
    for name, size in (("disk.img", 8 << 40), ("a.txt", 1)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    large = keras(tmp_path / "large.keras", age_s=9)
    with large.open("ab") as file:
        file.truncate(5 << 30)
    artifacts, _, notes = take_stock(str(tmp_path), {}).values()
    assert [(item["path"], item["sha256"] is not None) for item in artifacts] == [
        ("model.keras", True),
        ("a.txt", True),
        ("disk.img", False),
        ("large.keras", False),  # what was appended hides the zip's directory
    ]
    assert notes[-1] == "too large to be hashed: disk.img, large.keras"


def test_models_have_a_budget_of_bytes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = keras(tmp_path / "first.keras").stat().st_size
    keras(tmp_path / "second.keras", age_s=9)
    write(tmp_path / "a.txt", b"x" * 50)
    write(tmp_path / "b.txt", b"x" * 51)
    monkeypatch.setattr(artifacts_module, "_HASHED_MODELS", size)
    monkeypatch.setattr(artifacts_module, "_HASHED_FILES", 100)
    artifacts, _, notes = take_stock(str(tmp_path), {}).values()
    assert [(item["path"], item["sha256"] is not None) for item in artifacts] == [
        ("first.keras", True),
        ("second.keras", False),
        ("a.txt", True),
        ("b.txt", False),
    ]
    assert notes == ["too large to be hashed: second.keras, b.txt"]


def test_whatever_goes_wrong_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> str:
        raise RuntimeError("of all things")

    write(tmp_path / "a.txt")
    monkeypatch.setattr(artifacts_module, "model_format", broken)
    assert take_stock(str(tmp_path), {}) == {
        "artifacts": [],
        "logdirs": [],
        "notes": ["what the script made could not be looked at: RuntimeError: of all things"],
    }
