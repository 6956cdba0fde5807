"""What a model's files say of it, read as data; and that no damage does more than end in one clear error."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launchbay.onboard import inspecting, mxnet_file, onnx_file, savedmodel, torch_file
from launchbay.onboard.formats import find_format
from launchbay.onboard.inspecting import guarded, inspect
from launchbay.onboard.modelfiles import find_files, hash_model
from launchbay.onboard.pickled import read_pickle
from launchbay.onboard.refused import Refused
from tests.onboard import handmade
from tests.onboard.handmade import message


def show(path: Path) -> dict[str, Any]:
    return inspect({"model": str(path)})


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def attempt(read: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], Refused | None]:
    """Return what was read and what was refused: anything else that is raised is a bug."""
    try:
        return read(), None
    except Refused as refusal:
        return {}, refusal


def layers(card: dict[str, Any]) -> list[tuple[str, str, list[int | None] | None, int | None]]:
    return [(item["name"], item["class"], item["output_shape"], item["parameters"]) for item in card["layers"]]


# --- each format ---


def test_onnx(tmp_path: Path) -> None:
    path = write(tmp_path / "m", handmade.onnx())
    card = show(path)
    assert (card["format"], card["framework_version"]) == ("onnx", "maker 1.0 opset 17")
    assert layers(card) == [("first", "MatMul", [None, 1], 3)]
    assert card["inputs"] == [{"name": "x", "shape": [None, 3], "dtype": "float32"}]
    assert card["outputs"] == [{"name": "y", "shape": [None, 1], "dtype": "float32"}]
    assert (card["parameters"], card["loss"], card["safe"]) == (3, None, None)
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_onnx_with_weights_beside_it_is_both_files(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", handmade.onnx(outside="m.onnx.data"))
    with pytest.raises(Refused, match=r"m\.onnx\.data, which is missing"):
        show(path)
    write(tmp_path / "m.onnx.data", bytes(12))
    card = show(path)
    assert card["bytes"] == path.stat().st_size + 12
    write(tmp_path / "m.onnx.data", bytes(11) + b"x")
    assert show(path)["sha256"] != card["sha256"]


@pytest.mark.parametrize("outside", ["/etc/passwd", "../secret", "a/b", "..", "m.onnx"])
def test_onnx_with_weights_elsewhere_is_refused(tmp_path: Path, outside: str) -> None:
    with pytest.raises(Refused, match="outside of its folder"):
        show(write(tmp_path / "m.onnx", handmade.onnx(outside=outside)))


def test_savedmodel(tmp_path: Path) -> None:
    card = show(handmade.savedmodel(tmp_path / "m"))
    assert (card["format"], card["framework_version"], card["parameters"]) == ("savedmodel", "2.15.1", 4)
    assert layers(card) == [("dense", "Dense", [None, 1], 4)]
    assert card["inputs"] == [{"name": "x", "shape": [None, 3], "dtype": "float32"}]
    assert card["outputs"] == [{"name": "dense", "shape": None, "dtype": "float32"}]
    assert (card["loss"], card["optimizer"]) == ("mse", {"name": "Adam", "settings": {}})


def test_a_savedmodel_without_keras_tells_its_variables(tmp_path: Path) -> None:
    folder = handmade.savedmodel(tmp_path / "m")
    (folder / "keras_metadata.pb").unlink()
    card = show(folder)
    assert (card["layers"], card["parameters"], card["trainable_parameters"]) == ([], 4, 4)
    assert [(item["name"], item["shape"]) for item in card["tensors"]] == [
        ("dense/kernel", [3, 1]),
        ("dense/bias", [1]),
    ]


def test_mxnet(tmp_path: Path) -> None:
    params = write(tmp_path / "net-0000.params", handmade.parameters(**{"arg:w": (1, 3), "aux:mean": (3,)}))
    symbol = write(tmp_path / "net-symbol.json", json.dumps(handmade.SYMBOL).encode())
    card = show(symbol)
    assert card == show(params)
    assert (card["format"], card["framework_version"]) == ("mxnet", "1.9.1")
    assert layers(card) == [("fc", "FullyConnected", None, 3)]
    assert (card["parameters"], card["trainable_parameters"]) == (6, 3)
    assert [item["name"] for item in card["inputs"] + card["outputs"]] == ["data", "fc"]
    symbol.unlink()
    assert (show(params)["format"], show(params)["layers"]) == ("mxnet-params", [])


def test_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = handmade.torch_pickle(monkeypatch, "0.weight")
    card = show(write(tmp_path / "m", handmade.zipped({"m/data.pkl": pickled})))
    assert card["tensors"] == [{"name": "0.weight", "shape": [1, 3], "dtype": "float32"}]
    assert (card["format"], card["parameters"]) == ("torch", 3)
    assert [finding["level"] for finding in card["findings"]] == ["note"]
    buffers = handmade.torch_pickle(monkeypatch, "0.running_mean")
    assert show(write(tmp_path / "m", handmade.zipped({"m/data.pkl": buffers})))["parameters"] == 0


def test_exported_torch(tmp_path: Path) -> None:
    card = show(write(tmp_path / "m", handmade.exported()))
    assert (card["format"], card["framework_version"], card["parameters"]) == ("torch-export", "2.13.0", 3)
    assert layers(card) == [("mm", "aten.mm.default", [None, 1], 3)]
    assert card["inputs"] == [{"name": "x", "shape": [None, 3], "dtype": "float32"}]
    assert card["outputs"] == [{"name": "mm", "shape": [None, 1], "dtype": "float32"}]


def test_a_pickle_inside_an_exported_program_is_named_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    payload = b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker)
    card = show(write(tmp_path / "m", handmade.exported(payload)))
    assert [finding["what"] for finding in card["findings"]] == ["asks for posix.system"]
    assert not marker.exists()


# --- one hash for all files ---


def test_the_hash_of_a_folder_is_that_of_its_names_and_files(tmp_path: Path) -> None:
    folder = handmade.savedmodel(tmp_path / "m")
    expected = hashlib.sha256()
    for name in ("keras_metadata.pb", "saved_model.pb", "variables/variables.index"):
        expected.update(
            name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).hexdigest().encode() + b"\n"
        )
    assert show(folder)["sha256"] == expected.hexdigest()
    assert hash_model(find_files(str(folder), "savedmodel")) == expected.hexdigest()


def test_bytes_cannot_move_from_one_file_to_the_next_unseen(tmp_path: Path) -> None:
    hashes = set()
    for name, contents in (("a", (b"1b\x002", b"")), ("b", (b"1", b"2"))):
        folder = tmp_path / name
        folder.mkdir()
        for file, content in zip("ab", contents, strict=True):
            write(folder / file, content)
        hashes.add(hash_model(find_files(str(folder), "savedmodel")))
    assert len(hashes) == 2


def test_a_file_that_changes_while_it_is_read_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown must be what the sha256 is of, because somebody may trust it for that."""
    path = write(tmp_path / "m.onnx", handmade.onnx())
    status = path.stat()

    def swap(*_: Any) -> dict[str, Any]:
        path.write_bytes(path.read_bytes()[::-1])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return {}

    monkeypatch.setitem(inspecting.READERS, "onnx", swap)
    with pytest.raises(Refused, match="changed while it was read"):
        show(path)


# --- pickles ---


def test_nothing_that_a_pickle_names_is_called(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    payloads = {
        "posix.system": b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker),
        "builtins.exec": b"cbuiltins\nexec\n(S'open(%r, \"w\")'\ntR." % str(marker).encode(),
        "os.mkdir": b"(S'%s'\nios\nmkdir\n." % os.fsencode(marker),
        "pathlib.Path": pickle.dumps(tmp_path.__class__("x"), protocol=2),
        "functools.partial": b"\x80\x02cfunctools\npartial\ncos\nmkdir\n\x85R(X\x01\x00\x00\x00atb.",
    }
    for name, payload in payloads.items():
        card = show(write(tmp_path / "m", handmade.zipped({"m/data.pkl": payload})))
        warned = " ".join(finding["what"] for finding in card["findings"] if finding["level"] == "warning")
        assert name in warned or name == "pathlib.Path", warned
        assert not marker.exists()


def test_the_reader_of_pickles_makes_nothing_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    value, foreign = read_pickle(handmade.torch_pickle(monkeypatch, extra=Path("x")))
    assert type(value["extra"]).__mro__[1].__module__ == "launchbay.onboard.pickled"
    assert [name.startswith("pathlib.") for name in foreign] == [True]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "payload",
    [
        b"\x80\x02]q\x00" + b"(h\x00h\x00h\x00e" * 10 + b".",  # a list that holds itself
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",  # deep
        b"\x80\x04\x8c\x01ar\xff\xff\xff\x7f.",  # a memo of gigabytes
        b"\x80\x04B\xff\xff\xff\x7f.",  # bytes that are not there
        b"\x80\x02" + b"".join(b"cm\nc%d\n0" % number for number in range(2000)) + b"N.",  # names without end
        b"",
        b".",
    ],
)
def test_hostile_pickles_end_in_an_error_or_a_card(tmp_path: Path, payload: bytes) -> None:
    path = write(tmp_path / "m", handmade.zipped({"m/data.pkl": payload}))
    card, refusal = attempt(lambda: show(path))
    assert card.get("parameters") in (None, 0)
    assert refusal is None or (refusal.where == str(path) and refusal.hint)


# --- damage ---

Describe = Callable[[str], dict[str, Any]]


def make_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path, Describe]]:
    """Write one model of each format: the file to be damaged, the path to be shown, and how it is described."""
    folder.mkdir()
    saved = handmade.savedmodel(folder / "saved")
    params = write(folder / "net-0000.params", handmade.parameters(**{"arg:w": (1, 3)}))
    symbol = write(folder / "net-symbol.json", json.dumps(handmade.SYMBOL).encode())
    module = handmade.zipped({"m/data.pkl": handmade.torch_pickle(monkeypatch), "m/constants.pkl": b"."})

    def mxnet(path: str) -> dict[str, Any]:
        return mxnet_file.describe_mxnet(find_files(path, "mxnet"))

    one: list[tuple[Path, Describe]] = [
        (write(folder / "m.onnx", handmade.onnx()), onnx_file.describe_onnx),
        (write(folder / "m.pt2", handmade.exported()), torch_file.describe_exported),
        (write(folder / "m.pt", module), torch_file.describe_script),
        (params, mxnet),
    ]
    several: list[tuple[Path, Path, Describe]] = [
        (saved / "saved_model.pb", saved, savedmodel.describe_savedmodel),
        (saved / "keras_metadata.pb", saved, savedmodel.describe_savedmodel),
        (symbol, symbol, mxnet),
    ]
    return [(path, path, describe) for path, describe in one] + several


@pytest.mark.parametrize("number", range(7))
def test_damaged_files_never_end_in_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Cut at every length, and flipped at random: `guarded` is what turns whatever comes of it into a refusal."""
    damaged, shown, describe = make_all(tmp_path / "f", monkeypatch)[number]
    whole = damaged.read_bytes()
    chance = random.Random(number)
    cases = [whole[:length] for length in range(0, len(whole), max(1, len(whole) // 150))]
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        cases.append(bytes(changed))
    outcomes = {"card": 0, "refused": 0}
    for content in cases:
        damaged.write_bytes(content)
        card, refusal = attempt(lambda: guarded(describe, str(shown), str(shown)))
        json.dumps(card)
        outcomes["card" if refusal is None else "refused"] += 1
        assert refusal is None or (refusal.what and "\n" not in refusal.what)
    assert outcomes["refused"] > 20, "damage is noticed"


@pytest.mark.parametrize("number", range(7))
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    damaged, shown, _ = make_all(tmp_path / "f", monkeypatch)[number]
    kind = find_format(str(shown))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(Refused) as caught:
        inspect({"model": str(shown), "format": kind})
    assert "damaged" in caught.value.what
    assert caught.value.where == str(shown)
    assert caught.value.hint


@pytest.mark.parametrize(
    "data",
    [
        message((1, 8), (7, message(*((5, message((1, 1 << 62), (1, 1 << 62), (2, 1), (8, "w"))),)))),  # absurd sizes
        message((1, 8), (7, message(*((1, b""),) * 20_001))),  # more nodes than any model has
    ],
)
def test_absurd_onnx(tmp_path: Path, data: bytes) -> None:
    path = write(tmp_path / "m", data)
    card, refusal = attempt(lambda: show(path))
    assert card.get("parameters") is None
    assert refusal is None or "more than" in refusal.what


@pytest.mark.parametrize(
    "arrays",
    [
        struct.pack("<QQQ", 0x112, 0, 1 << 60),
        struct.pack("<QQQIiiqq", 0x112, 0, 1, 0xF993FAC9, 0, 2, 1 << 40, 1 << 40) + struct.pack("<iii", 1, 0, 0),
        struct.pack("<QQQIii", 0x112, 0, 1, 0xF993FAC9, 0, 1 << 30),
        struct.pack("<QQQIiiq", 0x112, 0, 1, 0xF993FAC9, 0, 1, -5) + struct.pack("<iii", 1, 0, 0),
    ],
)
def test_absurd_parameters_of_mxnet_are_refused(tmp_path: Path, arrays: bytes) -> None:
    with pytest.raises(Refused, match="damaged"):
        show(write(tmp_path / "m.params", arrays))


def test_what_is_no_model_says_what_would_be(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no model format") as caught:
        show(write(tmp_path / "notes.txt", b"notes"))
    assert "savedmodel" in caught.value.hint
    with pytest.raises(Refused, match="cannot be shown: tensors in safetensors form"):
        show(write(tmp_path / "m.safetensors", struct.pack("<Q", 2) + b"{}"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match="not a regular file"):
        show(tmp_path / "pipe")
