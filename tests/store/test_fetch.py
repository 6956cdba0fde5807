from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from launchbay.errors import Conflict, NotFound, UsageError, UserError
from launchbay.ports import SilentReporter
from launchbay.store.fetch import Fetched, Patience, fetch, safe_name
from tests.store.site import Listener, Request, Site, VirtualClock, left, sha

CSV = b"size,price\n1,2\n3,4\n5,6\n"
PAGE = b"<!DOCTYPE html><html><head><title>Sign in &amp; go\n on</title></head></html>"


def get(source: str | Path, into: Path, sha256: str | None = None, tries: int = 3) -> Fetched:
    return fetch(
        str(source),
        into=into,
        sha256=sha256,
        reporter=SilentReporter(),
        patience=Patience(timeout_s=5, tries=tries),
        clock=VirtualClock(),
    )


# --- what comes back ---


def test_a_csv_file_is_fetched_and_described(site: Site, tmp_path: Path) -> None:
    found = get(site.file("/a/train.csv?sign=secret", CSV), tmp_path / "new" / "data", sha(CSV))
    assert found.path == tmp_path / "new" / "data" / "train.csv"
    assert found.path.read_bytes() == CSV
    assert (found.sha256, found.bytes, found.rows, found.columns) == (sha(CSV), len(CSV), 3, 2)
    assert (found.nan_cells, found.is_new, found.resumed_from, found.notes) == (0, True, 0, ())
    assert left(found.path.parent) == ["train.csv"]


def test_other_files_have_no_rows_rather_than_none(site: Site, tmp_path: Path) -> None:
    found = get(site.file("/model.bin", b"\0\1\2"), tmp_path)
    assert (found.rows, found.columns, found.nan_cells, found.bytes) == (None, None, None, 3)


def test_without_a_sha256_it_is_said_how_to_pin_it(site: Site, tmp_path: Path) -> None:
    found = get(site.file("/x.csv", CSV), tmp_path)
    assert any(f"--sha256 {sha(CSV)}" in note for note in found.notes)


def test_the_query_of_a_url_is_shown_nowhere(site: Site, tmp_path: Path) -> None:
    secret = "?X-Signature=s3cr3t"
    found = get(site.file("/x.csv" + secret, CSV), tmp_path)
    assert found.source == f"{site.url}/x.csv?..."
    site.page("/gone.csv", lambda request, _: request.head(404, Content_Length=0))
    with pytest.raises(NotFound) as caught:
        get(f"{site.url}/gone.csv{secret}", tmp_path)
    assert "s3cr3t" not in str(caught.value)
    site.page("/cut.csv", lambda request, _: request.serve(CSV, stop=5))
    with pytest.raises(UserError):
        get(f"{site.url}/cut.csv{secret}", tmp_path)
    [record] = tmp_path.glob(".cut.csv.part.json")
    assert "s3cr3t" not in record.read_text()


def test_progress_is_in_bytes_with_a_total_and_an_end(site: Site, tmp_path: Path) -> None:
    listener = Listener()
    fetch(site.file("/x.bin", bytes(3_000_000)), into=tmp_path, reporter=listener)
    assert {event.task for event in listener.events} == {"fetch x.bin"}
    assert {event.unit for event in listener.events} == {"bytes"}
    last = listener.events[-1]
    assert (last.done, last.total, last.finished) == (3_000_000, 3_000_000, True)
    assert [event.finished for event in listener.events].count(True) == 1


def test_an_error_ends_the_progress_too(site: Site, tmp_path: Path) -> None:
    listener = Listener()
    site.page("/x.csv", lambda request, _: request.head(404, Content_Length=0))
    with pytest.raises(NotFound):
        fetch(f"{site.url}/x.csv", into=tmp_path, reporter=listener)
    assert listener.events[-1].finished


# --- sha256, and files that are there ---


def test_a_wrong_sha256_names_both_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        get(site.file("/x.csv", CSV), tmp_path, "0" * 64)
    assert f"expected {'0' * 64}, got {sha(CSV)}" in caught.value.what
    assert left(tmp_path) == []


@pytest.mark.parametrize("bad", ["", "abc", "g" * 64, "0" * 63, "md5:" + "0" * 32])
def test_a_sha256_that_cannot_be_is_wrong_usage(tmp_path: Path, bad: str) -> None:
    with pytest.raises(UsageError, match="64 hexadecimal"):
        get("http://localhost:1/x.csv", tmp_path, bad)


def test_a_sha256_may_be_written_in_capitals_with_its_name(site: Site, tmp_path: Path) -> None:
    assert get(site.file("/x.csv", CSV), tmp_path, f"SHA256:{sha(CSV).upper()}").is_new


def test_the_same_file_is_left_alone_without_asking(site: Site, tmp_path: Path) -> None:
    url = site.file("/x.csv", CSV)
    get(url, tmp_path)
    before = (tmp_path / "x.csv").stat()
    found = get(url, tmp_path, sha(CSV))
    assert (found.is_new, found.rows) == (False, 3)
    assert "it is there already, with this sha256" in found.notes
    assert len(site.asked) == 1
    after = (tmp_path / "x.csv").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_same_file_is_known_without_a_sha256(site: Site, tmp_path: Path) -> None:
    url = site.file("/x.csv", CSV)
    get(url, tmp_path)
    assert not get(url, tmp_path).is_new
    assert left(tmp_path) == ["x.csv"]


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("mine", [b"mine", CSV.replace(b"6", b"7")])
def test_another_file_of_that_name_is_never_touched(site: Site, tmp_path: Path, mine: bytes, *, pinned: bool) -> None:
    (tmp_path / "x.csv").write_bytes(mine)
    with pytest.raises(Conflict, match="left as it is") as caught:
        get(site.file("/x.csv", CSV), tmp_path, sha(CSV) if pinned else None)
    assert "-o DIR" in caught.value.hint
    assert (tmp_path / "x.csv").read_bytes() == mine
    assert left(tmp_path) == ["x.csv"]


@pytest.mark.parametrize(("mine", "pinned"), [(b"mine", False), (CSV.replace(b"6", b"7"), True)])
def test_another_file_is_seen_before_anything_is_loaded(
    site: Site, tmp_path: Path, mine: bytes, *, pinned: bool
) -> None:
    def answer(request: Request, _: int) -> None:
        request.head(200, Content_Length=len(CSV))
        request.send(CSV[:5])

    (tmp_path / "x.csv").write_bytes(mine)
    with pytest.raises(Conflict):
        get(site.page("/x.csv", answer), tmp_path, sha(CSV) if pinned else None)
    assert len(site.asked) == 1


def test_a_folder_of_that_name_is_a_conflict(site: Site, tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(Conflict, match="not a file"):
        get(site.file("/x.csv", CSV), tmp_path)


# --- content ---


@pytest.mark.parametrize("path", ["/x.csv", "/x.zip", "/data", "/get.php"])
@pytest.mark.parametrize("media_type", ["text/html; charset=utf-8", "text/csv"])
def test_a_web_page_in_place_of_data_is_refused(site: Site, tmp_path: Path, path: str, media_type: str) -> None:
    with pytest.raises(UserError) as caught:
        get(site.file(path, PAGE, headers={"Content_Type": media_type}), tmp_path)
    assert "'Sign in & go on'" in caught.value.what
    assert caught.value.where == site.url + path
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "page",
    [
        b"\xef\xbb\xbf\n <html>",
        b"<!-- proxy --><HTML>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "">',
        b"<head><title>Wi-Fi</title>",
        b"<script>location='/login'</script>",
    ],
)
def test_a_web_page_is_known_by_its_first_bytes(site: Site, tmp_path: Path, page: bytes) -> None:
    with pytest.raises(UserError, match="web page"):
        get(site.file("/x.csv", page), tmp_path)


def test_a_page_that_says_html_is_refused_whatever_it_holds(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="web page"):
        get(site.file("/x.csv", b"Please log in", headers={"Content_Type": "text/html"}), tmp_path)


def test_a_script_that_sends_data_as_html_is_believed_by_its_content(site: Site, tmp_path: Path) -> None:
    url = site.file("/get.php", CSV, headers={"Content_Type": "text/html"})
    assert get(url, tmp_path).rows == 3


def test_a_web_page_that_is_asked_for_is_fetched(site: Site, tmp_path: Path) -> None:
    url = site.file("/index.html", PAGE, headers={"Content_Type": "text/html"})
    assert get(url, tmp_path).path.read_bytes() == PAGE


def test_a_title_cannot_write_on_the_terminal(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        get(site.file("/x.csv", b"<html><title>a\x1b[2J&#27;b" + b"c" * 500 + b"</title>"), tmp_path)
    assert caught.value.what.isprintable()
    assert len(caught.value.what) < 150


@pytest.mark.parametrize("has_length", [True, False])
def test_an_empty_answer_is_refused(site: Site, tmp_path: Path, *, has_length: bool) -> None:
    headers = {"Content_Length": 0} if has_length else {}
    url = site.page("/x.csv", lambda request, _: request.head(200, **headers))
    with pytest.raises(UserError, match="empty"):
        get(url, tmp_path)
    assert left(tmp_path) == []


def test_a_ragged_table_gets_no_name(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected 2 columns, got 3") as caught:
        get(site.file("/x.csv", b"1,2\n3,4,5\n6,7\n"), tmp_path)
    assert caught.value.where == "x.csv:2"
    assert left(tmp_path) == []


def test_nan_and_text_are_notes(site: Site, tmp_path: Path) -> None:
    found = get(site.file("/x.csv", b"1,a\nnan,b\n"), tmp_path, sha(b"1,a\nnan,b\n"))
    assert (found.nan_cells, found.text_columns) == (1, ("2",))
    assert len(found.notes) == 2


# --- names ---


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("train.csv", "train.csv"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        (".bashrc", "bashrc"),
        ("..", "data"),
        ("", "data"),
        ("a\r\nb\0\x1b[2J.csv", "ab[2J.csv"),
        ("fdp.\u202evsc", "fdp.vsc"),
        ("-rf", "rf"),
        ("x" * 500 + ".csv.gz", "x" * 193 + ".csv.gz"),
        ("é" * 500 + ".csv", "é" * 98 + ".csv"),
        ("two words.csv", "two words.csv"),
    ],
)
def test_names_are_made_safe(text: str, name: str) -> None:
    assert safe_name(text) == name


@pytest.mark.parametrize(
    ("path", "disposition", "name"),
    [
        ("/d/train.csv?x=/y.csv", "", "train.csv"),
        ("/d/my%20data.csv", "", "my data.csv"),
        ("/d/..%2F..%2Fevil.csv", "", "evil.csv"),
        ("/download", 'attachment; filename="train.csv"', "train.csv"),
        ("/download", 'attachment; filename="../../.ssh/key.csv"', "key.csv"),
        ("/download", "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.csv", "größe.csv"),
        ("/download", 'attachment; filename="gr\u00f6.csv"', "grö.csv"),
        ("/", "", "data"),
    ],
)
def test_the_name_is_the_servers_or_the_urls(
    site: Site, tmp_path: Path, path: str, disposition: str, name: str
) -> None:
    headers = {"Content_Disposition": disposition} if disposition else {}
    assert get(site.file(path, CSV, headers=headers), tmp_path).path == tmp_path / name


def test_a_short_link_gets_the_name_it_leads_to(site: Site, tmp_path: Path) -> None:
    site.file("/long/train.csv", CSV)
    short = site.page("/2vK9x", lambda request, _: request.head(301, Location="/long/train.csv"))
    assert get(short, tmp_path).path.name == "train.csv"


def test_a_store_behind_a_named_link_does_not_rename_it(site: Site, tmp_path: Path) -> None:
    site.file("/blob/0a1b2c", CSV)
    link = site.page("/train.csv", lambda request, _: request.head(302, Location="/blob/0a1b2c?sig=1"))
    assert get(link, tmp_path).path.name == "train.csv"


@pytest.mark.parametrize("path", ["/größe.csv", "/a b.csv", "/a%20b.csv", "/x.csv?q=ä b"])
def test_a_url_may_hold_what_people_paste(site: Site, tmp_path: Path, path: str) -> None:
    site.pages = {key: lambda request, _: request.serve(CSV) for key in ("/x.csv", "/a%20b.csv")}
    site.pages["/gr%C3%B6%C3%9Fe.csv"] = site.pages["/x.csv"]
    assert get(site.url + path, tmp_path).rows == 3


@pytest.mark.parametrize(
    "source",
    [
        "",
        "ftp://localhost/x.csv",
        "s3://bucket/x.csv",
        "http:///x.csv",
        "http://localhost:port/x.csv",
        "http://[::1/x.csv",
        "http://me:secret@localhost/x.csv",
        "file://elsewhere/x.csv",
        "x\0.csv",
        "http://" + "ä" * 80 + "/x.csv",
    ],
)
def test_a_source_that_cannot_be_is_wrong_usage(tmp_path: Path, source: str) -> None:
    with pytest.raises(UsageError) as caught:
        get(source, tmp_path)
    assert "secret" not in str(caught.value)


# --- from a path ---


@pytest.mark.parametrize("as_url", [True, False])
def test_a_local_file_is_copied(tmp_path: Path, *, as_url: bool) -> None:
    source = tmp_path / "two words.csv"
    source.write_bytes(CSV)
    found = get(source.as_uri() if as_url else source, tmp_path / "data", sha(CSV))
    assert (found.path, found.rows, found.is_new) == (tmp_path / "data" / "two words.csv", 3, True)
    assert found.source == str(source)
    assert left(tmp_path / "data") == ["two words.csv"]
    assert not get(source, tmp_path / "data").is_new


def test_a_local_file_is_checked_like_any_other(tmp_path: Path) -> None:
    source, into = tmp_path / "x.csv", tmp_path / "data"
    for data, sha256, what in (
        (PAGE, None, "web page"),
        (b"", None, "empty"),
        (CSV, "0" * 64, "wrong sha256"),
    ):
        source.write_bytes(data)
        with pytest.raises(UserError, match=what):
            get(source, into, sha256)
        assert left(into) == []
    into.joinpath("x.csv").write_bytes(b"mine")
    with pytest.raises(Conflict):
        get(source, into)


def test_a_file_in_its_place_is_only_checked(tmp_path: Path) -> None:
    source = tmp_path / "x.csv"
    source.write_bytes(CSV)
    assert get(source, tmp_path).is_new is False
    with pytest.raises(UserError, match="wrong sha256"):
        get(source, tmp_path, "0" * 64)
    assert source.read_bytes() == CSV


def test_what_is_no_local_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        get(tmp_path / "none.csv", tmp_path)
    with pytest.raises(UsageError, match="folder") as caught:
        get(tmp_path, tmp_path / "data")
    assert "bay train" in caught.value.hint
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="regular"):
        get(tmp_path / "pipe", tmp_path / "data")


# --- the disk ---


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    (tmp_path / "x.csv").write_bytes(CSV)
    with pytest.raises(UserError, match="while fetching"):
        get(tmp_path / "x.csv", tmp_path / "data")


def test_a_planted_link_is_not_written_through(site: Site, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".x.csv.part").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError):
        get(site.file("/x.csv", CSV), tmp_path)
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_file_that_cannot_fit_is_refused_before_it_is_loaded(site: Site, tmp_path: Path) -> None:
    def answer(request: Request, _: int) -> None:
        request.head(200, Content_Length=10**17)
        request.send(bytes(10_000))

    with pytest.raises(UserError, match="free") as caught:
        get(site.page("/x.bin", answer), tmp_path)
    assert "-o DIR" in caught.value.hint
    assert len(site.asked) == 1
    assert left(tmp_path) == []


def test_a_write_that_fails_is_one_clear_error(site: Site, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    url = site.file("/x.bin", bytes(400_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UserError, match="too large"):
            get(url, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "x.bin").exists()
    assert get(url, tmp_path).resumed_from == 100_000


DISK_FULL = """
import sys, pathlib
from launchbay.errors import UserError
from launchbay.ports import SilentReporter
from launchbay.store.fetch import fetch
into = pathlib.Path(sys.argv[2])
try:
    fetch(sys.argv[1], into=into, reporter=SilentReporter())
except UserError as error:
    print(error.what, error.hint, *sorted(path.name for path in into.iterdir()), sep="\\n")
"""


@pytest.mark.all
@pytest.mark.parametrize("local", [True, False])
def test_a_full_disk_is_one_clear_error(site: Site, tmp_path: Path, *, local: bool) -> None:
    body = bytes(3 << 20)
    (tmp_path / "x.bin").write_bytes(body)
    disk = tmp_path / "disk"
    disk.mkdir()

    def answer(request: Request, _: int) -> None:
        request.head(200, Connection="close")  # no length: that it does not fit shows when the disk is full
        request.send(body)

    url = site.page("/x.bin", answer)
    script = 'mount -t tmpfs -o size=1m none "$4" && exec "$0" -c "$1" "$2" "$4"'
    source = str(tmp_path / "x.bin") if local else url
    alone = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script)
    arguments = (sys.executable, DISK_FULL, source, "", str(disk))
    done = subprocess.run([*alone, *arguments], capture_output=True, text=True, timeout=60, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no private mount can be made here: {done.stderr.strip()}")
    kept = "nothing of it was left" if local else "what came is kept, and the same command continues"
    files = [] if local else [".x.bin.part", ".x.bin.part.json"]
    hint = "free some space there, or choose another disk with -o DIR"
    assert done.stdout.splitlines() == [f"the disk is full; {kept}", hint, *files], done.stderr
