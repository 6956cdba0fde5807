from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.errors import UserError
from launchbay.store.fetch import Fetched, fetch
from tests.store.site import BODY, HALF, OTHER, Get, Listener, Request, Site, begin, left, sha

# --- what lies there ---


def test_a_part_that_was_whole_when_the_fetch_died_is_only_confirmed(site: Site, get: Get, tmp_path: Path) -> None:
    url = begin(site, get)
    with (tmp_path / "data" / ".x.bin.part").open("ab") as file:
        file.write(BODY[HALF:])
    site.file("/x.bin", BODY)
    found = get(url)
    assert found.path.read_bytes() == BODY
    assert (site.sent, found.resumed_from) == ([0], len(BODY))


def test_a_record_without_a_part_does_no_harm(site: Site, get: Get, tmp_path: Path) -> None:
    url = begin(site, get)
    (tmp_path / "data" / ".x.bin.part").rename(tmp_path / "data" / "x.bin")  # killed in the middle of the end
    (tmp_path / "data" / "x.bin").write_bytes(BODY)
    site.file("/x.bin", BODY)
    assert get(url).is_new is False
    assert left(tmp_path / "data") == ["x.bin"]


def test_a_part_that_is_longer_than_the_file_starts_over(site: Site, get: Get, tmp_path: Path) -> None:
    url = begin(site, get)
    with (tmp_path / "data" / ".x.bin.part").open("ab") as file:
        file.write(BODY)
    site.file("/x.bin", BODY)
    assert get(url).path.read_bytes() == BODY


@pytest.mark.parametrize("record", [b"", b"{}", b"[1]", b'{"key": 1', None])
def test_a_part_without_a_good_record_is_not_trusted(
    site: Site, get: Get, tmp_path: Path, record: bytes | None
) -> None:
    url = begin(site, get)
    path = tmp_path / "data" / ".x.bin.part.json"
    path.unlink()
    if record is not None:
        path.write_bytes(record)
    site.file("/x.bin", BODY)
    found = get(url)
    assert (found.path.read_bytes(), found.resumed_from) == (BODY, 0)
    assert left(tmp_path / "data") == ["x.bin"]


def test_a_part_of_another_url_is_not_continued(site: Site, get: Get) -> None:
    begin(site, get, "/a/x.bin")
    assert get(site.file("/c.bin", OTHER)).path.name == "c.bin"
    found = get(site.file("/b/x.bin", OTHER))
    assert found.path.read_bytes() == OTHER
    assert all("Range" not in asked.headers for asked in site.asked)


def test_a_login_page_does_not_cost_what_is_there(site: Site, get: Get, tmp_path: Path) -> None:
    url = begin(site, get, "/x.csv")
    for page, headers in ((b"<html><title>Wi-Fi", {}), (b"log in", {"Content_Type": "text/html"}), (b"", {})):
        site.file("/x.csv", page, etag='"v2"', headers=headers)
        with pytest.raises(UserError):
            get(url)
        assert (tmp_path / "data" / ".x.csv.part").stat().st_size == HALF


def test_the_record_names_the_version(site: Site, get: Get, tmp_path: Path) -> None:
    url = begin(site, get)
    record = json.loads((tmp_path / "data" / ".x.bin.part.json").read_text())
    assert record == {"key": sha(url.encode()), "etag": '"v1"', "last_modified": None, "total": len(BODY)}


# --- two at once, and death ---

CHILD = """
import sys, pathlib
from launchbay.ports import SilentReporter
from launchbay.store.fetch import fetch
print(fetch(sys.argv[1], into=pathlib.Path(sys.argv[2]), reporter=SilentReporter()).resumed_from)
"""


def start_child(url: str, into: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(into)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_fetches_of_one_file_do_not_mix(site: Site, tmp_path: Path) -> None:
    url = site.file("/x.bin", BODY, pause_s=0.01)
    children = [start_child(url, tmp_path) for _ in range(4)]
    for child in children:
        output, errors = child.communicate(timeout=60)
        assert (child.returncode, output) == (0, "0\n"), errors
    assert (tmp_path / "x.bin").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"]


def test_the_second_fetch_waits_for_the_first(site: Site, tmp_path: Path) -> None:
    free = threading.Event()

    def answer(request: Request, attempt: int) -> None:
        request.head(200, Content_Length=len(BODY), ETag='"v1"')
        request.send(BODY[:HALF])
        if attempt == 1:
            free.wait(10)
        request.send(BODY[HALF:])

    url = site.page("/x.bin", answer)
    listeners = [Listener(), Listener()]
    results: list[Fetched] = []

    def run(listener: Listener) -> None:
        results.append(fetch(url, into=tmp_path, sha256=sha(BODY), reporter=listener))

    threads = [threading.Thread(target=run, args=[listener]) for listener in listeners]
    threads[0].start()
    wait_for(lambda: (tmp_path / ".x.bin.part").exists() and (tmp_path / ".x.bin.part").stat().st_size > 0)
    threads[1].start()
    wait_for(lambda: "waiting for another fetch of this file" in listeners[1].messages)
    assert results == []
    free.set()
    for thread in threads:
        thread.join(20)
    assert [found.is_new for found in results] == [True, False]


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_killed_fetch_continues(site: Site, tmp_path: Path) -> None:
    url = site.file("/x.bin", BODY, pause_s=0.05)
    child = start_child(url, tmp_path)
    part = tmp_path / ".x.bin.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 300_000)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    there = part.stat().st_size
    assert not (tmp_path / "x.bin").exists()
    site.asked.clear()
    site.file("/x.bin", BODY)
    found = fetch(url, into=tmp_path, reporter=Listener())
    assert found.path.read_bytes() == BODY
    assert found.resumed_from == there
    assert site.sent == [len(BODY) - there]


def test_a_fetch_killed_again_and_again_gets_there(site: Site, tmp_path: Path) -> None:
    seeded = random.Random(11)
    url = site.file("/x.bin", BODY, pause_s=0.02)
    part, sizes = tmp_path / ".x.bin.part", [0]
    for _ in range(12):
        child = start_child(url, tmp_path)
        try:
            _, errors = child.communicate(timeout=seeded.uniform(0.05, 0.5))
            assert child.returncode == 0, errors
            break
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        if (tmp_path / "x.bin").exists():
            break  # killed between its work and its end
        sizes.append(part.stat().st_size if part.exists() else sizes[-1])
    assert sizes == sorted(sizes)
    found = fetch(url, into=tmp_path, sha256=sha(BODY), reporter=Listener())
    assert found.path.read_bytes() == BODY
    assert left(tmp_path) == ["x.bin"]
