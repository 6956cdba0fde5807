from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import NotFound, UserError
from launchbay.store.fetch import fetch
from tests.store.site import (
    BODY,
    HALF,
    OTHER,
    Get,
    Listener,
    Request,
    Site,
    VirtualClock,
    begin,
    left,
    run_site,
    sha,
)

MONDAY, TUESDAY = "Mon, 06 Jul 2026 10:00:00 GMT", "Tue, 07 Jul 2026 10:00:00 GMT"


def faulty_first(*faults: dict[str, Any], **good: Any) -> Callable[[Request, int], None]:
    """Serve BODY with each fault once, then as it should be."""
    return lambda request, attempt: request.serve(BODY, **(faults[attempt - 1] if attempt <= len(faults) else good))


# --- connections that break ---


def test_a_dropped_connection_continues_where_it_broke(site: Site, get: Get, tmp_path: Path) -> None:
    found = get(site.page("/x.bin", faulty_first({"stop": HALF}, {"stop": 1000})))
    assert found.path.read_bytes() == BODY
    assert site.sent == [HALF, 1000, len(BODY) - HALF - 1000]
    assert site.asked[1].headers["If-Range"] == '"v1"'
    assert found.resumed_from == 0
    assert left(tmp_path / "data") == ["x.bin"]


def test_the_next_fetch_continues_and_says_so(site: Site, get: Get) -> None:
    url = begin(site, get)
    site.file("/x.bin", BODY)
    found = get(url)
    assert found.path.read_bytes() == BODY
    assert (site.sent, found.resumed_from) == ([len(BODY) - HALF], HALF)


def test_what_is_missing_is_asked_for_through_redirects_too(site: Site, get: Get) -> None:
    begin(site, get)
    link = site.page("/link", lambda request, _: request.head(302, Location="/x.bin"))
    with pytest.raises(UserError, match="gave up"):
        get(link, tries=1)
    site.asked.clear()
    site.file("/x.bin", BODY)
    assert get(link).resumed_from == HALF
    assert site.sent == [0, len(BODY) - HALF]


def test_giving_up_says_how_far_it_came(site: Site, get: Get, clock: VirtualClock, tmp_path: Path) -> None:
    url = site.page("/x.bin", lambda request, _: request.serve(BODY, stop=0 if request.headers["Range"] else 9))
    with pytest.raises(UserError) as caught:
        get(url, tries=4)
    assert caught.value.what == "the connection closed after 9 of 1,000,000 bytes; gave up after 4 tries"
    assert "continues from 9 B" in caught.value.hint
    assert clock.slept == [1, 2, 4]
    assert left(tmp_path / "data") == [".x.bin.part", ".x.bin.part.json"]


def test_attempts_that_get_on_do_not_count(site: Site, get: Get) -> None:
    url = site.page("/x.bin", lambda request, _: request.serve(BODY, stop=100_000))
    assert get(url, tries=2).sha256 == sha(BODY)
    assert len(site.asked) == 10


def test_a_server_that_never_gets_further_is_given_up(site: Site, get: Get) -> None:
    url = site.page("/x.bin", lambda request, _: request.serve(BODY, stop=HALF, ranges=False))
    with pytest.raises(UserError, match="gave up after 4 tries"):
        get(url, tries=4)
    assert len(site.asked) == 4


def test_a_stalled_connection_is_dropped_and_continued(site: Site, get: Get) -> None:
    def answer(request: Request, attempt: int) -> None:
        request.serve(BODY, stop=HALF if attempt == 1 else None)
        if attempt == 1:
            request.stall()

    assert get(site.page("/x.bin", answer), timeout_s=0.3).sha256 == sha(BODY)
    assert site.sent == [HALF, len(BODY) - HALF]


def test_a_server_that_never_answers_is_given_up(site: Site, get: Get) -> None:
    with pytest.raises(UserError, match="nothing came for 100 ms; gave up after 2 tries"):
        get(site.page("/x.bin", lambda request, _: request.stall()), tries=2, timeout_s=0.1)


def test_a_trickle_is_on_the_disk_as_it_comes(site: Site, tmp_path: Path) -> None:
    url = site.file("/x.bin", BODY[:400_000], pause_s=0.05)
    listener = Listener()
    thread = threading.Thread(target=fetch, args=[url], kwargs={"into": tmp_path, "reporter": listener})
    thread.start()
    part, sizes = tmp_path / ".x.bin.part", set()
    deadline = time.monotonic() + 20
    while thread.is_alive() and time.monotonic() < deadline:
        if part.exists():
            sizes.add(part.stat().st_size)
        time.sleep(0.01)
    thread.join()
    assert (tmp_path / "x.bin").read_bytes() == BODY[:400_000]
    assert len(sizes) >= 4
    assert len({event.done for event in listener.events}) >= 3


@pytest.mark.parametrize("headers", [{}, {"Content_Length": 7}])
def test_a_chunked_answer_that_breaks_is_not_taken_for_whole(site: Site, get: Get, headers: dict[str, int]) -> None:
    def answer(request: Request, attempt: int) -> None:
        request.head(200, Transfer_Encoding="chunked", ETag='"v1"', **headers)
        for block in (BODY[:HALF], BODY[HALF:]):
            request.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
            if attempt == 1:
                return
        request.wfile.write(b"0\r\n\r\n")

    found = get(site.page("/x.bin", answer))
    assert found.path.read_bytes() == BODY
    assert len(site.asked) == 2


def test_a_file_whose_length_comes_later_is_continued(site: Site, get: Get) -> None:
    def answer(request: Request, attempt: int) -> None:
        if attempt == 1:
            request.head(200, Transfer_Encoding="chunked", ETag='"v1"')
            request.wfile.write(f"{HALF:x}\r\n".encode() + BODY[:HALF] + b"\r\n")
        else:
            request.serve(BODY)

    assert get(site.page("/x.bin", answer)).path.read_bytes() == BODY
    assert site.sent[1:] == [len(BODY) - HALF]


def test_an_answer_without_any_length_is_taken_but_noted(site: Site, get: Get) -> None:
    def answer(request: Request, _: int) -> None:
        request.head(200, Connection="close")
        request.send(BODY)

    url = site.page("/x.bin", answer)
    assert any("how long the file is" in note for note in get(url).notes)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_length_that_is_a_lie_is_not_believed(site: Site, get: Get, tmp_path: Path, *, ranges: bool) -> None:
    def answer(request: Request, _: int) -> None:
        if ranges and request.headers["Range"]:
            request.serve(BODY)
        else:
            request.head(200, Content_Length=len(BODY) + 100, ETag='"v1"')
            request.send(BODY)

    with pytest.raises(UserError, match="gave up"):
        get(site.page("/x.bin", answer))
    assert not (tmp_path / "data" / "x.bin").exists()
    assert len(site.asked) < 12


def test_a_longer_body_than_promised_is_cut_as_http_has_it(site: Site, get: Get) -> None:
    def answer(request: Request, _: int) -> None:
        request.head(200, Content_Length=400_000)
        request.send(BODY)
        request.stall()  # whoever waits for the end of the connection waits for long

    before = time.monotonic()
    assert get(site.page("/x.bin", answer)).path.read_bytes() == BODY[:400_000]
    assert time.monotonic() - before < 4


# --- servers that cannot continue, or have another file now ---


def test_a_server_without_ranges_starts_over_and_that_is_said(site: Site, get: Get) -> None:
    url = begin(site, get)
    site.file("/x.bin", BODY, ranges=False)
    found = get(url)
    assert found.path.read_bytes() == BODY
    assert found.resumed_from == 0
    assert "the server cannot continue a download: started over" in found.notes


@pytest.mark.parametrize("ignores_if_range", [True, False])
def test_a_file_that_changed_starts_over_and_that_is_said(site: Site, get: Get, *, ignores_if_range: bool) -> None:
    url = begin(site, get)

    def answer(request: Request, _: int) -> None:
        if ignores_if_range and request.headers["If-Range"]:
            request.headers.replace_header("If-Range", '"v2"')
        request.serve(OTHER, etag='"v2"')

    site.page("/x.bin", answer)
    found = get(url)
    assert found.path.read_bytes() == OTHER
    assert "the file changed at the server: started over" in found.notes


def test_a_file_that_changes_between_two_attempts_is_never_mixed(site: Site, get: Get) -> None:
    def answer(request: Request, attempt: int) -> None:
        if attempt == 1:
            request.serve(BODY, stop=HALF)
        else:
            request.serve(OTHER, etag='"v2"')

    assert get(site.page("/x.bin", answer)).path.read_bytes() == OTHER


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
def test_the_date_stands_in_for_a_missing_or_weak_etag(site: Site, get: Get, etag: str | None) -> None:
    dated: dict[str, Any] = {"etag": etag, "headers": {"Last_Modified": MONDAY}}
    url = begin(site, get, **dated)
    site.file("/x.bin", BODY, **dated)
    assert get(url).resumed_from == HALF
    assert site.asked[0].headers["If-Range"] == MONDAY


def test_another_date_or_size_is_another_file(site: Site, get: Get) -> None:
    for number, (body, date) in enumerate(((OTHER, TUESDAY), (OTHER + b"x", MONDAY))):
        url = begin(site, get, f"/{number}.bin", etag=None, headers={"Last_Modified": MONDAY})

        def answer(request: Request, _: int, body: bytes = body, date: str = date) -> None:
            request.headers.replace_header("If-Range", date) if request.headers["If-Range"] else None
            request.serve(body, etag=None, headers={"Last_Modified": date})

        site.page(f"/{number}.bin", answer)
        assert get(url).path.read_bytes() == body


def test_a_file_without_a_version_is_continued_only_under_a_sha256(site: Site, get: Get) -> None:
    url = begin(site, get, etag=None)
    site.file("/x.bin", BODY, etag=None)
    found = get(url)
    assert (found.resumed_from, site.sent) == (0, [len(BODY)])
    assert any("does not say which version" in note for note in found.notes)

    url = begin(site, get, "/y.bin", etag=None)
    site.file("/y.bin", BODY, etag=None)
    assert get(url, sha(BODY)).resumed_from == HALF


def test_pieces_with_a_wrong_sha256_are_loaded_anew_once(site: Site, get: Get, tmp_path: Path) -> None:
    url = begin(site, get, etag=None)
    site.file("/x.bin", OTHER, etag=None)
    found = get(url, sha(OTHER))
    assert found.path.read_bytes() == OTHER
    assert any("another sha256: started over" in note for note in found.notes)

    url = begin(site, get, "/y.bin")
    site.file("/y.bin", BODY)
    with pytest.raises(UserError, match="wrong sha256"):
        get(url, sha(OTHER))
    assert site.sent == [len(BODY) - HALF, len(BODY)]
    assert left(tmp_path / "data") == ["x.bin"]


@pytest.mark.parametrize("content_range", ["bytes 7-999999/1000000", "lines 1-2/3", ""])
def test_a_piece_that_does_not_fit_is_not_taken(site: Site, get: Get, content_range: str) -> None:
    url = begin(site, get)

    def answer(request: Request, attempt: int) -> None:
        if attempt == 1:
            request.head(206, Content_Range=content_range, Content_Length=1000, ETag='"v1"')
            request.send(bytes(1000))
        else:
            request.serve(BODY)

    site.page("/x.bin", answer)
    assert get(url).path.read_bytes() == BODY
    assert site.sent[0] == 1000


# --- answers that are errors ---


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_a_refusal_is_final(site: Site, get: Get, status: int, tmp_path: Path) -> None:
    url = site.page("/x.csv", lambda request, _: request.head(status, Content_Length=0))
    with pytest.raises(NotFound if status in (404, 410) else UserError, match=f"answered {status}"):
        get(url)
    assert len(site.asked) == 1
    assert left(tmp_path / "data") == []


@pytest.mark.parametrize("status", [204, 304, 202])
def test_an_answer_without_a_file_is_an_error(site: Site, get: Get, status: int) -> None:
    with pytest.raises(UserError, match=f"answered {status}"):
        get(site.page("/x.csv", lambda request, _: request.head(status)))


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_in_trouble_is_asked_again(site: Site, get: Get, clock: VirtualClock, status: int) -> None:
    def answer(request: Request, attempt: int) -> None:
        if attempt == 1:
            request.head(status, Content_Length=0)
        else:
            request.serve(BODY)

    assert get(site.page("/x.bin", answer)).sha256 == sha(BODY)
    assert clock.slept == [1]


@pytest.mark.parametrize("form", ["seconds", "date", "nonsense", "9" * 400])
def test_the_server_may_say_when_to_come_back(site: Site, get: Get, clock: VirtualClock, form: str) -> None:
    date = format_datetime(datetime.fromtimestamp(clock.time + 7, UTC), usegmt=True)
    after = {"seconds": "7", "date": date}.get(form, form)

    def answer(request: Request, attempt: int) -> None:
        if attempt == 1:
            request.head(503, Content_Length=0, Retry_After=after)
        else:
            request.serve(BODY)

    get(site.page("/x.bin", answer))
    assert clock.slept == [7 if form in ("seconds", "date") else 1]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(site: Site, get: Get, clock: VirtualClock) -> None:
    url = site.page("/x.bin", lambda request, _: request.head(429, Content_Length=0, Retry_After=3600))
    with pytest.raises(UserError, match="asks to come back in 1h 00m"):
        get(url)
    assert clock.slept == []


def test_what_is_waited_for_is_shown(site: Site, tmp_path: Path, clock: VirtualClock) -> None:
    listener = Listener()
    fetch(site.page("/x.bin", faulty_first({"stop": HALF})), into=tmp_path, reporter=listener, clock=clock)
    closed = "the connection closed after 500,000 of 1,000,000 bytes; trying again in 500 ms"
    assert closed in listener.messages


def test_a_packed_answer_that_was_not_asked_for_is_refused(site: Site, get: Get) -> None:
    with pytest.raises(UserError, match="packed"):
        get(site.file("/x.csv", BODY, headers={"Content_Encoding": "br"}))
    assert site.asked[0].headers["Accept-Encoding"] == "identity"
    assert get(site.file("/x.tar.gz", BODY, headers={"Content_Encoding": "x-gzip"})).sha256 == sha(BODY)


def test_what_does_not_speak_http_is_an_error(get: Get) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
            connection.recv(10_000)
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(UserError, match="not answer in HTTP"):
            get(f"http://127.0.0.1:{server.getsockname()[1]}/x.csv")
        thread.join()


def test_a_closed_port_is_tried_again_then_an_error(get: Get, clock: VirtualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UserError, match="refused"):
        get(f"http://127.0.0.1:{port}/x.csv", tries=3)
    assert clock.slept == [1, 2]


# --- redirects, proxies, certificates ---


def test_a_redirect_loop_ends(site: Site, get: Get) -> None:
    with pytest.raises(UserError, match="leads nowhere"):
        get(site.page("/x.csv", lambda request, _: request.head(302, Location="/x.csv", Content_Length=0)))
    assert len(site.asked) < 12


@pytest.mark.parametrize(
    "location", ["file:///etc/hostname", "ftp://localhost/x.csv", "http://me:pw@localhost/", "http://[::1/"]
)
def test_a_redirect_out_of_http_is_not_followed(site: Site, get: Get, location: str) -> None:
    with pytest.raises(UserError, match="redirects to"):
        get(site.page("/x.csv", lambda request, _: request.head(302, Location=location, Content_Length=0)))


def test_the_body_of_a_redirect_is_not_waited_for(site: Site, get: Get) -> None:
    def answer(request: Request, _: int) -> None:
        request.head(302, Location="/good.bin", Content_Length=10**9)
        request.stall()

    site.file("/good.bin", BODY)
    before = time.monotonic()
    assert get(site.page("/x.bin", answer)).sha256 == sha(BODY)
    assert time.monotonic() - before < 4


def test_a_proxy_from_the_environment_is_used(site: Site, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    site.file("/x.bin", BODY)
    assert get("http://data.invalid/x.bin").sha256 == sha(BODY)
    assert site.asked[0].path == "http://data.invalid/x.bin"


@pytest.fixture
def secure_site(tmp_path: Path) -> Iterator[Site]:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    files = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run(["openssl", "req", "-x509", *curve, *name, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with run_site(lambda plain: context.wrap_socket(plain, server_side=True)) as running:
        yield running


def test_a_certificate_is_trusted_when_ssl_cert_file_says_so(
    secure_site: Site, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = secure_site.file("/x.bin", BODY)
    with pytest.raises(UserError, match="not trusted") as caught:
        get(url)
    assert "SSL_CERT_FILE" in caught.value.hint
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    assert get(url).sha256 == sha(BODY)


def test_a_redirect_from_https_to_http_is_not_followed(
    secure_site: Site, site: Site, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    plain = site.file("/x.bin", BODY)
    url = secure_site.page("/x.bin", lambda request, _: request.head(302, Location=plain, Content_Length=0))
    with pytest.raises(UserError, match="redirects to"):
        get(url)
    assert site.asked == []
