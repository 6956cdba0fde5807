from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar import sending
from launchbay.afar.names import hash_tree
from launchbay.afar.sending import read_tree, send_tree
from launchbay.afar.there import UNTOUCHED_S
from launchbay.errors import UsageError, UserError
from launchbay.files import sha256_file
from tests.afar.wire import fake_machine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / "data"
    (top / "a").mkdir(parents=True)
    (top / "a" / "one.csv").write_text("1,2\n", encoding="utf-8")
    (top / "two.bin").write_bytes(bytes(range(256)) * 40)
    (top / "empty").write_bytes(b"")
    (top / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (top / "run.sh").chmod(0o755)
    return top


def contents(folder: str | Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_folder_arrives_as_it_is_and_only_once(folder: Path, tmp_path: Path) -> None:
    machine, wire = fake_machine(tmp_path / "far")
    tree = read_tree(folder)
    first = send_tree(machine, tree)
    assert contents(first.folder) == contents(folder)
    assert os.access(Path(first.folder) / "run.sh", os.X_OK)
    assert {path.stat().st_mtime for path in Path(first.folder).rglob("*") if path.is_file()} == {UNTOUCHED_S}
    wire.sent.clear()
    again = send_tree(machine, tree)
    assert (again.folder, again.bytes, sum(wire.sent)) == (first.folder, 0, 0)


def test_a_transfer_that_broke_goes_on_where_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_PACK_BYTES", 1000)
    left = 6

    def break_off(request: dict[str, Any], answer: bytes) -> bytes:
        nonlocal left
        if request["do"] == "put":
            left -= 1
            if left == 0:
                raise ConnectionError
        return answer

    machine, wire = fake_machine(tmp_path / "far", break_off)
    tree = read_tree(folder)
    with pytest.raises(ConnectionError):
        send_tree(machine, tree)
    assert not (tmp_path / "far" / "afar" / "trees").exists()
    before = sum(wire.sent)
    wire.sent.clear()
    sent = send_tree(machine, tree)
    total = sum(size for size, _, _ in tree.files.values())
    assert sent.bytes == sum(wire.sent) == total - before
    assert contents(sent.folder) == contents(folder)


def test_a_file_that_a_script_there_wrote_into_is_sent_again(folder: Path, tmp_path: Path) -> None:
    machine, wire = fake_machine(tmp_path / "far")
    tree = read_tree(folder)
    sent = send_tree(machine, tree)
    one = Path(sent.folder) / "a" / "one.csv"
    one.chmod(0o644)
    one.write_text("9,9\n", encoding="utf-8")  # as large as before
    wire.sent.clear()
    assert send_tree(machine, tree).bytes == 4
    assert contents(sent.folder) == contents(folder)


def test_bytes_that_change_on_their_way_do_not_get_the_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_read", lambda _path, _offset, count: b"x" * count)
    machine, _ = fake_machine(tmp_path / "far")
    with pytest.raises(UserError, match="do not arrive as they are"):
        send_tree(machine, read_tree(folder))
    assert not (tmp_path / "far" / "afar" / "trees").exists()


def test_links_inside_stay_links_and_others_become_what_they_lead_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "big.csv").write_text("big", encoding="utf-8")
    (folder / "best").symlink_to("two.bin")
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "one").symlink_to(tmp_path / "elsewhere" / "big.csv")
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    tree = read_tree(folder)
    assert tree.links == {"best": "two.bin"}
    assert {"out/big.csv", "one"} <= tree.files.keys()
    assert not {name for name in tree.files if name.startswith(("round", "pipe"))}
    machine, _ = fake_machine(tmp_path / "far")
    sent = Path(send_tree(machine, tree).folder)
    assert os.readlink(sent / "best") == "two.bin"
    assert sha256_file(sent / "best") == sha256_file(folder / "two.bin")


def test_more_than_anybody_wants_sent_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="would be sent"):
        read_tree(folder, most_bytes=1000)
    assert "two.bin" not in read_tree(folder, without=("two.bin",)).files


@pytest.mark.parametrize("change", [{"tree": "../x"}, {"tree": "a" * 64}, {"files": {"../x": [1, "a", False]}}])
def test_the_other_side_takes_no_other_names(folder: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    machine, _ = fake_machine(tmp_path / "far")
    tree = read_tree(folder)
    what = {"tree": tree.name, "files": tree.files, "links": tree.links}
    with pytest.raises(UsageError, match="a tree must"):
        machine.there({"do": "have", **json.loads(json.dumps(what)), **change})


def test_a_name_that_leads_out_is_refused_though_the_hash_is_right(tmp_path: Path) -> None:
    machine, _ = fake_machine(tmp_path / "far")
    for files, links in (({"../x": [0, "0" * 64, False]}, {}), ({}, {"../x": "y"})):
        what = {"tree": hash_tree(files, links), "files": files, "links": links}
        with pytest.raises(UsageError, match="names that stay in it"):
            machine.there({"do": "finish", **what})


def test_the_other_side_writes_nowhere_else(tmp_path: Path) -> None:
    machine, _ = fake_machine(tmp_path / "far")
    with pytest.raises(UsageError, match="does not stay in the tree"):
        machine.there({"do": "put", "tree": "a" * 64, "pieces": [["../../../x", 0, 1]]}, data=b"x")
    assert not (tmp_path / "far" / "x").exists()
