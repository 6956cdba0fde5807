"""Data goes to the store once, whatever happens meanwhile, and is on each instance what it is here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from launchbay.afar.sending import read_tree, send_tree
from launchbay.cloud import data as module
from launchbay.cloud.data import STORE_FROM_BYTES, is_for_store, publish_tree, send_tree_by_store
from launchbay.cloud.source import fetch_source, list_source, read_url
from launchbay.cloud.store import Store, open_store
from launchbay.errors import Conflict, NotFound, UsageError, UserError
from launchbay.home import Home
from launchbay.providers.ec2.bucket import list_kept, remove_kept, write_kept
from launchbay.providers.ec2.client import Client, open_client
from tests.cloud.machines import far_machine
from tests.twin.conftest import TwinProcess


@pytest.fixture
def client(twin: TwinProcess) -> Client:
    return open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))


@pytest.fixture
def store(client: Client) -> Store:
    return open_store(client)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of data in several pieces: a large file, small ones, an empty one, one that runs, and a link."""
    monkeypatch.setattr(module, "_PIECE", 1 << 16)
    folder = tmp_path / "rows"
    (folder / "part").mkdir(parents=True)
    (folder / "large.bin").write_bytes(os.urandom(300_000))
    for number in range(20):
        (folder / "part" / f"{number}.csv").write_text(f"{number},1\n" * 2000)
    (folder / "empty").write_bytes(b"")
    (folder / "run.sh").write_text("true\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "latest").symlink_to("part/1.csv")
    return folder


def calls(twin: TwinProcess) -> Counter[str]:
    return Counter(twin.ask("calls"))


def test_a_tree_goes_to_the_store_once_and_to_each_machine_whole(
    twin: TwinProcess, store: Store, rows: Path, tmp_path: Path
) -> None:
    tree = read_tree(rows)
    before = calls(twin)
    machines = [far_machine(tmp_path / f"far-{number}")[0] for number in range(3)]
    sent = send_tree_by_store(machines, tree, store, home=Home(tmp_path / "home"))
    total = sum(size for size, _, _ in tree.files.values())
    pieces = -(-total // (1 << 16))
    done = calls(twin) - before
    assert done["s3:PutObject"] == pieces + 1  # and what says to people what it is
    assert done["s3:GetObject"] == 3 * pieces
    assert [item.bytes for item in sent] == [total] * 3
    by_ssh, _ = far_machine(tmp_path / "far-by-ssh")
    other = send_tree(by_ssh, tree)
    for item in sent:
        folder = Path(item.folder)
        assert folder.name == Path(other.folder).name == tree.name
        assert read_tree(folder).name == tree.name
        assert not os.access(folder / "empty", os.X_OK)
        assert os.access(folder / "run.sh", os.X_OK)
        assert os.readlink(folder / "latest") == "part/1.csv"
    assert send_tree(machines[0], tree).bytes == 0  # training finds it by its hash
    before = calls(twin)
    again = send_tree_by_store(machines, tree, store, home=Home(tmp_path / "home"))
    assert [item.folder for item in again] == [item.folder for item in sent]
    assert calls(twin) == before  # nothing was asked of S3


def test_what_is_missing_is_fetched_from_where_it_ends(store: Store, rows: Path, tmp_path: Path) -> None:
    tree = read_tree(rows)
    machine, _ = far_machine(tmp_path / "far")
    half = tmp_path / "far" / "home" / "afar" / "half" / tree.name
    (half / "part").mkdir(parents=True)
    (half / "large.bin").write_bytes((rows / "large.bin").read_bytes()[:200_000])
    (half / "part" / "3.csv").write_bytes((rows / "part" / "3.csv").read_bytes())
    (sent,) = send_tree_by_store([machine], tree, store, home=Home(tmp_path / "home"))
    total = sum(size for size, _, _ in tree.files.values())
    assert sent.bytes == total - 200_000 - (rows / "part" / "3.csv").stat().st_size
    assert read_tree(Path(sent.folder)).name == tree.name


def test_pieces_that_went_bad_are_sent_anew(twin: TwinProcess, store: Store, rows: Path, tmp_path: Path) -> None:
    tree = read_tree(rows)
    home = Home(tmp_path / "home")
    publish_tree(store, tree, home=home)
    second = list(list_kept(store.client, store.name, f"data/{tree.name}/0"))[1]
    write_kept(store.client, store.name, second.key, b"x" * second.bytes)
    before = calls(twin)
    machine, _ = far_machine(tmp_path / "far")
    (sent,) = send_tree_by_store([machine], tree, store, home=home)
    assert read_tree(Path(sent.folder)).name == tree.name
    assert 1 <= (calls(twin) - before)["s3:PutObject"] <= 6  # those that hold the large file, and no other


def test_a_file_that_changes_meanwhile_is_said(store: Store, rows: Path, tmp_path: Path) -> None:
    tree = read_tree(rows)
    (rows / "part" / "7.csv").write_text("other,1\n" * 1000)
    machine, _ = far_machine(tmp_path / "far")
    with pytest.raises(UserError, match="do not arrive as they are"):
        send_tree_by_store([machine], tree, store, home=Home(tmp_path / "home"))
    assert not (tmp_path / "far" / "home" / "afar" / "trees").exists()


def test_an_upload_that_is_killed_goes_on(twin: TwinProcess, store: Store, rows: Path, tmp_path: Path) -> None:
    tree = read_tree(rows)
    script = f"""
import sys, time
from pathlib import Path
from launchbay.afar.sending import read_tree
from launchbay.cloud import data
from launchbay.cloud.store import open_store
from launchbay.home import Home
from launchbay.providers.ec2.client import open_client
data._PIECE, data._AT_ONCE = 1 << 16, 1
whole = data.write_kept
def slow(*args):
    whole(*args)
    print("sent", flush=True)
    time.sleep(0.3)
data.write_kept = slow
client = open_client("us-east-1", endpoint={twin.url!r}, keys=("twin", "twin"))
data.publish_tree(open_store(client), read_tree(Path({str(rows)!r})), home=Home(Path({str(tmp_path / "home")!r})))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout
    for _ in range(3):
        assert process.stdout.readline() == b"sent\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.3)
    there = len([*list_kept(store.client, store.name, f"data/{tree.name}/0")])
    assert 3 <= there <= 4
    before = calls(twin)
    published = publish_tree(store, tree, home=Home(tmp_path / "home"))
    assert (calls(twin) - before)["s3:PutObject"] == published.pieces - there + 1
    machine, _ = far_machine(tmp_path / "far")
    (sent,) = send_tree_by_store([machine], tree, store, home=Home(tmp_path / "home"))
    assert read_tree(Path(sent.folder)).name == tree.name


def test_what_was_removed_in_part_is_not_taken_for_whole(store: Store, rows: Path, tmp_path: Path) -> None:
    tree = read_tree(rows)
    home = Home(tmp_path / "home")
    pieces = publish_tree(store, tree, home=home).pieces
    remove_kept(store.client, store.name, f"data/{tree.name}/00000000")
    assert publish_tree(store, tree, home=home).sent_bytes == 1 << 16
    assert publish_tree(store, tree, home=home).sent_bytes == 0
    assert pieces > 5


def test_small_data_goes_without_a_store(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.bin").write_bytes(b"x" * (STORE_FROM_BYTES - 1))
    assert not is_for_store(read_tree(tmp_path / "rows"))
    (tmp_path / "rows" / "b").write_bytes(b"x")
    assert is_for_store(read_tree(tmp_path / "rows"))


def test_no_address_is_in_what_goes_wrong(store: Store, rows: Path, tmp_path: Path) -> None:
    tree = read_tree(rows)
    publish_tree(store, tree, home=Home(tmp_path / "home"))
    machine, _ = far_machine(tmp_path / "far")
    groups = [
        [
            {
                "url": f"{store.client.raw('s3').meta.endpoint_url}/{store.name}/data/x?X-Amz-Signature=secret",
                "from": 0,
                "spans": [["a", 0, 5]],
            }
        ]
    ]
    with pytest.raises(UserError) as caught:
        machine.there({"do": "fetch", "tree": tree.name, "groups": groups})
    assert "data/x" in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match="stay in it"):
        machine.there({"do": "fetch", "tree": tree.name, "groups": [[{**groups[0][0], "spans": [["../a", 0, 5]]}]]})


# --- a bucket of the person's ------------------------------------------------------------------------------------------


@pytest.fixture
def own(twin: TwinProcess) -> str:
    s3 = twin.client("s3")
    s3.create_bucket(Bucket="someones-own")
    for path, body in {"day/a.csv": b"1,2\n" * 1000, "day/deep/b.csv": b"3\n", "day/none": b"", "day/": b""}.items():
        s3.put_object(Bucket="someones-own", Key=path, Body=body)
    return "s3://someones-own/day"


def test_data_of_a_bucket_goes_straight_to_the_machines(
    twin: TwinProcess, client: Client, own: str, tmp_path: Path
) -> None:
    source = list_source(client, own)
    assert {path: size for path, (size, _) in source.files.items()} == {"a.csv": 4000, "deep/b.csv": 2, "none": 0}
    machines = [far_machine(tmp_path / f"far-{number}") for number in range(2)]
    sent = fetch_source([machine for machine, _ in machines], source, client)
    assert (Path(sent[0].folder) / "a.csv").read_bytes() == b"1,2\n" * 1000
    assert (Path(sent[0].folder) / "none").read_bytes() == b""
    assert read_tree(Path(sent[0].folder)).name == Path(sent[1].folder).name  # named as any tree is
    assert all(way.sent < 3000 for _, way in machines)  # no data went over SSH
    before = calls(twin)["s3:GetObject"]
    assert fetch_source([machines[0][0]], source, client)[0].bytes == 0
    assert calls(twin)["s3:GetObject"] == before


def test_what_is_not_what_s3_said_is_refused(twin: TwinProcess, client: Client, own: str, tmp_path: Path) -> None:
    source = list_source(client, own)
    twin.client("s3").put_object(Bucket="someones-own", Key="day/deep/b.csv", Body=b"4\n")
    machine, _ = far_machine(tmp_path / "far")
    with pytest.raises(UserError, match="does not arrive as S3 says"):
        fetch_source([machine], source, client)
    assert not (tmp_path / "far" / "home" / "afar" / "trees").exists()


def test_addresses_that_are_none(twin: TwinProcess, client: Client, own: str) -> None:
    assert read_url("s3://abc") == ("abc", "")
    assert read_url("s3://abc/x/y/") == ("abc", "x/y/")
    for wrong in ("s3://", "s3:/abc/x", "https://abc/x", "s3://AB/x"):
        with pytest.raises(UsageError):
            read_url(wrong)
    with pytest.raises(NotFound, match="nothing lies there"):
        list_source(client, f"{own}-not")
    with pytest.raises(NotFound, match="no bucket"):
        list_source(client, "s3://nobody-has-this/x")
    elsewhere = open_client("eu-west-1", endpoint=twin.url, keys=("twin", "twin"))
    with pytest.raises(Conflict, match="is in us-east-1"):
        list_source(elsewhere, own)
    twin.client("s3").put_object(Bucket="someones-own", Key="bad/../x", Body=b"4\n")
    with pytest.raises(UsageError, match="cannot be a file"):
        list_source(client, "s3://someones-own/bad")
    assert json.dumps(list_source(client, own).files)
