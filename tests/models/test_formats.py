from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest

from launchbay.errors import NotFound, UserError
from launchbay.models.inspect import detect_format, require_loadable
from launchbay.onboard import model
from launchbay.onboard.formats import FORMATS, LOADABLE, SHOWN
from launchbay.onboard.inspecting import READERS


def zipped(*names: str) -> dict[str, bytes]:
    return dict.fromkeys(names, b"")


CASES: dict[str, bytes | dict[str, bytes]] = {
    "keras": zipped("metadata.json", "config.json", "model.weights.h5"),
    "torch": zipped("archive/data.pkl", "archive/version", "archive/data/0"),
    "torchscript": zipped("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"),
    "numpy": zipped("arr_0.npy"),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "keras-h5": b"\x89HDF\r\n\x1a\n" + bytes(900) + b"model_config",
    "pickle": pickle.dumps([1, 2], protocol=4),
    "torch-export": zipped("m/models/model.json", "m/data/weights/weight_0"),
    "onnx": b"\x08\x08\x12\x07pytorch\x3a\x02\x0a\x00",
    "safetensors": struct.pack("<Q", 2) + b"{}",
    "tflite": b"\x1c\0\0\0TFL3" + bytes(20),
    "gguf": b"GGUF\x03\0\0\0",
    "mxnet-symbol": b'{\n  "nodes": [\n    {\n      "op": "null", "name": "data", "inputs": []}]}',
    "mxnet-params": struct.pack("<QQ", 0x112, 0),
}


def make(path: Path, content: bytes | dict[str, bytes]) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    return path


@pytest.mark.parametrize("found", CASES)
def test_a_format_is_known_by_content_whatever_the_name(found: str, tmp_path: Path) -> None:
    assert detect_format(make(tmp_path / "model.keras", CASES[found])) == found
    assert detect_format(make(tmp_path / "model.txt", CASES[found])) == found


def test_folders(tmp_path: Path) -> None:
    assert detect_format(tmp_path) is None
    for name in ("config.json", "metadata.json", "model.weights.h5"):
        (tmp_path / name).touch()
    assert detect_format(tmp_path) == "keras-folder"
    (tmp_path / "saved_model.pb").touch()
    assert detect_format(tmp_path) == "savedmodel"


@pytest.mark.parametrize("content", [b"", b"1,2\n", b"\x08", json.dumps({"a": 1}).encode(), zipped("a.txt"), zipped()])
def test_other_files_are_of_no_format(content: bytes | dict[str, bytes], tmp_path: Path) -> None:
    assert detect_format(make(tmp_path / "model.keras", content)) is None


@pytest.mark.parametrize("found", sorted(set(CASES) - LOADABLE))
def test_what_holds_no_program_is_named(found: str, tmp_path: Path) -> None:
    path = make(tmp_path / "model.keras", CASES[found])
    with pytest.raises(UserError) as caught:
        require_loadable(path)
    assert FORMATS[found] in caught.value.what
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_a_state_dict_is_refused_with_what_to_save_instead(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing in it says how to compute") as caught:
        require_loadable(make(tmp_path / "state.pt", CASES["torch"]))
    assert "torch.jit.save(" in caught.value.hint
    assert "torch.export.save(" in caught.value.hint


def test_a_pair_of_mxnet_is_one_model_whichever_is_named(tmp_path: Path) -> None:
    for name, found in (("net-symbol.json", "mxnet-symbol"), ("net-0000.params", "mxnet-params")):
        make(tmp_path / name, CASES[found])
    assert detect_format(tmp_path / "net-symbol.json") == detect_format(tmp_path / "net-0000.params") == "mxnet"
    make(tmp_path / "other.params", CASES["mxnet-params"])
    assert detect_format(tmp_path / "other.params") == "mxnet-params"


def test_what_can_be_shown_has_a_reader() -> None:
    assert sorted(READERS) == sorted(SHOWN)
    assert set(model.ADAPTERS) == LOADABLE  # a format in one table and not in the other is a bug


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\x08\x12\x07pytorch",  # no graph
        b"\x08\x08\x3a\x09\x0a\x00",  # a graph that is longer than the file
        b"\x08\x08\x3a\x02\x0a\x00\xfa\x01\x00",  # a field that no model has
        b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # a length that does not end
    ],
)
def test_what_only_begins_like_onnx_is_none(content: bytes, tmp_path: Path) -> None:
    assert detect_format(make(tmp_path / "model.onnx", content)) is None


def test_what_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        detect_format(tmp_path / "none")
    with pytest.raises(UserError, match="not a regular file"):
        detect_format(Path(os.devnull))
    with pytest.raises(UserError, match="damaged zip"):
        detect_format(make(tmp_path / "m.keras", b"PK\x03\x04 and no more"))
