"""A host from its first start to its end: boots once, keeps its files, runs only while it is used, survives the twin."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.errors import Conflict
from launchbay.twin.hosts import Host, Hosts
from tests.twin.hosts.conftest import Client, Driven, Site, wait_for
from tests.twin.hosts.test_safety import processes
from tests.twin_process import let_others_in

LOG = "cat /var/log/cloud-init-output.log"


def mark() -> str:
    return f"{uuid.uuid4().int % 10**9}.125"


def boxes() -> int:
    """Return how many boxes run that this process started."""
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", encoding="utf-8") as file:
                words = file.read().split("\0")
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found += parent == os.getpid() and words[0].endswith("bwrap")
    return found


# --- the boot script --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_boot_script_runs_once(site: Site, make_host: Callable[..., Host], pack: Callable[[bytes], bytes]) -> None:
    script = b"#!/bin/bash\necho booted $HOME >> /var/boots; echo to the log; mkdir /data; echo x > /etc/motd\n"
    host = make_host(user_data=pack(script))
    client = site.open(host)
    assert client.out("cloud-init status --wait").strip() == "status: done"
    assert client.out(LOG) == "to the log\n"
    site.hosts.shut(host.instance)
    client = site.open(host)
    assert client.out("cloud-init status --wait; cat /var/boots; ls -d /data; cat /etc/motd").splitlines() == [
        "status: done",
        "booted /root",
        "/data",
        "x",
    ]


@pytest.mark.parametrize(
    ("user_data", "says"),
    [
        (b"#!/bin/sh\nexit 3\n", "twin: the boot script ended with 3"),
        (b"#cloud-config\nruncmd: [[exit, 4]]\n", "twin: runcmd ended with 4"),
        (b"#cloud-config\nruncmd: [\n", "twin: the cloud-config cannot be read"),
        (b"echo no first line", "not user data that begins: echo no first line"),
        (b"'; touch /var/harm #", "not user data that begins: '; touch /var/harm #"),
        (b"\x1f\x8bdamaged", "the user data is damaged"),
    ],
)
def test_a_boot_that_fails_says_so(site: Site, make_host: Callable[..., Host], user_data: bytes, says: str) -> None:
    client = site.open(make_host(user_data=user_data))
    done = client.run("cloud-init status --wait")
    assert (done.returncode, done.stdout.strip()) == (1, "status: error")
    assert says in client.out(LOG)
    assert client.run("ls /var/harm").returncode != 0


def test_a_host_without_a_boot_script_has_booted(site: Site, make_host: Callable[..., Host]) -> None:
    assert site.open(make_host()).out("cloud-init status --wait").strip() == "status: done"


def test_a_boot_script_that_was_cut_off_does_not_run_again(site: Site, make_host: Callable[..., Host]) -> None:
    host = make_host(user_data=b"#!/bin/sh\necho begun >> /var/boots\nsleep 100\n")
    client = site.open(host)
    wait_for(lambda: client.run("grep begun /var/boots").returncode == 0)
    site.hosts.shut(host.instance)
    client = site.open(host)
    assert client.out("sleep 0.5; cat /var/boots") == "begun\n"


def test_a_boot_script_may_put_its_own_host_key_in_place(
    site: Site, make_host: Callable[..., Host], keys: Callable[[str], Path]
) -> None:
    own = keys("host")
    script = f"#!/bin/sh\ncat > /etc/ssh/ssh_host_ed25519_key <<'END'\n{own.read_text()}END\nsystemctl restart ssh\n"
    client = site.open(make_host(user_data=script.encode()))
    client.known.write_text(f"{client.host.instance} {own.with_suffix('.pub').read_text()}")
    wait_for(lambda: client.run("true").returncode == 0)
    assert client.out("cloud-init status --wait").strip() == "status: done"
    line = own.with_suffix(".pub").read_text().rsplit(" ", 1)[0]
    assert site.hosts.open(client.host).host_key == line
    done = client.run("echo damaged > /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh")
    assert done.returncode != 0
    assert "no host key" in done.stderr
    assert client.run("true").returncode == 0  # the old one stays


@pytest.mark.parametrize(
    "harm", ["rm /etc/ssh/ssh_host_*", "echo x > /etc/ssh/ssh_host_ed25519_key", "rm -r /etc/ssh; ln -s / /etc/ssh"]
)
def test_a_damaged_host_key_is_replaced_at_the_next_start(
    site: Site, make_host: Callable[..., Host], harm: str
) -> None:
    host = make_host()
    client = site.open(host)
    client.out(harm)
    site.hosts.shut(host.instance)
    again = site.open(host)
    assert again.listening.host_key != client.listening.host_key
    assert again.out("echo reached") == "reached\n"


# --- boxes ------------------------------------------------------------------------------------------------------------


def test_there_is_a_box_only_while_somebody_uses_it(site: Site, make_host: Callable[..., Host]) -> None:
    client = site.open(make_host())
    assert boxes() == 0
    client.out("true")
    wait_for(lambda: boxes() == 0, seconds=5)
    assert client.out("echo again") == "again\n"


def test_work_that_was_left_running_keeps_its_box(site: Site, make_host: Callable[..., Host]) -> None:
    client = site.open(make_host())
    client.out("nohup sh -c 'sleep 2.5; echo done > result' > /dev/null 2>&1 &")
    time.sleep(2)
    assert boxes() == 1
    assert client.run("cat result").returncode != 0
    wait_for(lambda: boxes() == 0)
    assert client.out("cat result") == "done\n"


def test_shutting_ends_everything_and_keeps_the_files(site: Site, make_host: Callable[..., Host]) -> None:
    host, seconds = make_host(), mark()
    client = site.open(host)
    client.out(f"echo kept > file; setsid nohup sleep {seconds} > /dev/null 2>&1 &")
    wait_for(lambda: processes(seconds))
    began = time.monotonic()
    site.hosts.shut(host.instance)
    assert time.monotonic() - began < 2
    assert processes(seconds) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", client.listening.port), timeout=2)
    site.hosts.shut(host.instance)  # again does nothing
    again = site.open(host)
    assert again.listening == client.listening
    assert again.out("cat file") == "kept\n"


def test_processes_may_tidy_up_before_they_end(site: Site, make_host: Callable[..., Host]) -> None:
    host = make_host()
    client = site.open(host)
    script = "trap 'echo tidy > result; exit' TERM; echo > ready; while :; do sleep 0.05; done"
    client.out(f'nohup bash -c "{script}" > /dev/null 2>&1 &')
    wait_for(lambda: client.run("ls ready").returncode == 0)
    site.hosts.shut(host.instance, grace=5)
    assert site.open(host).out("cat result") == "tidy\n"


def test_one_that_does_not_tidy_up_is_ended(site: Site, make_host: Callable[..., Host]) -> None:
    host, seconds = make_host(), mark()
    client = site.open(host)
    client.out(f"""nohup bash -c "trap '' TERM; exec sleep {seconds}" > /dev/null 2>&1 &""")
    wait_for(lambda: processes(seconds))
    site.hosts.shut(host.instance, grace=0.1)
    assert processes(seconds) == []


def test_a_session_ends_with_its_host(site: Site, make_host: Callable[..., Host]) -> None:
    host = make_host()
    client = site.open(host)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, "touch begun; sleep 60")
        wait_for(lambda: client.run("ls begun").returncode == 0)
        site.hosts.shut(host.instance)
        assert running.result(timeout=10).returncode == 255


# --- opening ----------------------------------------------------------------------------------------------------------


def test_opening_twice_is_opening_once(site: Site, make_host: Callable[..., Host]) -> None:
    host, seconds = make_host(), mark()
    client = site.open(host)
    client.out(f"setsid nohup sleep {seconds} > /dev/null 2>&1 &")
    wait_for(lambda: processes(seconds))
    assert site.open(host).listening == client.listening
    assert len(processes(seconds)) == 1


def test_a_host_may_move_while_it_runs(site: Site, make_host: Callable[..., Host]) -> None:
    host, seconds = make_host(), mark()
    client = site.open(host)
    client.out(f"setsid nohup sleep {seconds} > /dev/null 2>&1 &")
    wait_for(lambda: processes(seconds))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, "touch begun; sleep 1; echo whole")
        wait_for(lambda: client.run("ls begun").returncode == 0)
        moved = site.open(replace(host, address="127.0.0.5"))
        assert running.result(timeout=10).stdout == "whole\n"
    assert (moved.listening.address, moved.listening.host_key) == ("127.0.0.5", client.listening.host_key)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", client.listening.port), timeout=2)
    assert moved.out(f"pgrep -f '^sleep {seconds}'").strip()
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(Conflict, match="cannot listen"):
        site.open(replace(host, port=server.getsockname()[1]))
    assert moved.out("echo still") == "still\n"


def test_a_host_that_differs_otherwise_is_shut_before(site: Site, make_host: Callable[..., Host]) -> None:
    host, seconds = make_host(), mark()
    client = site.open(host)
    client.out(f"echo kept > file; setsid nohup sleep {seconds} > /dev/null 2>&1 &")
    wait_for(lambda: processes(seconds))
    assert site.open(replace(host, private_ip="10.9.9.9")).out("cat file") == "kept\n"
    assert processes(seconds) == []


def test_a_taken_port_is_said(site: Site, make_host: Callable[..., Host]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(Conflict, match="cannot listen"):
        site.open(make_host(port=server.getsockname()[1]))


def test_the_earlier_port_is_left_to_whoever_has_it_meanwhile(site: Site, make_host: Callable[..., Host]) -> None:
    host = make_host()
    client = site.open(host)
    site.hosts.shut(host.instance)
    with socket.create_server(("127.0.0.1", client.listening.port)):
        assert site.open(host).out("echo here") == "here\n"


def test_all_methods_may_be_called_from_many_threads(site: Site, make_host: Callable[..., Host]) -> None:
    hosts = [make_host() for _ in range(4)]

    def work(number: int) -> None:
        host = hosts[number % 4]
        site.hosts.open(host)
        site.hosts.rules_changed()
        site.hosts.shut(host.instance, grace=0)
        site.hosts.open(host)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    for host in hosts:
        assert site.open(host).out("hostname").strip() == host.instance


def test_a_callback_that_waits_for_a_lock_holds_up_no_caller_who_has_it(
    site: Site, make_host: Callable[..., Host]
) -> None:
    client = site.open(make_host())
    with ThreadPoolExecutor(4) as pool:
        with site.lock:  # the security groups' verdict waits for it
            running = [pool.submit(client.run, "echo in") for _ in range(4)]
            time.sleep(0.5)
            other = make_host()
            site.hosts.open(other)
            site.hosts.rules_changed()
            site.hosts.shut(other.instance)
        assert [item.result(timeout=20).stdout for item in running] == ["in\n"] * 4


def test_a_folder_serves_one_process(site: Site, make_site: Callable[..., Site]) -> None:
    with pytest.raises(Conflict, match="another twin"):
        make_site()
    site.hosts.close()
    assert make_site().hosts.knocks() == ()


def test_closed_hosts_say_so(site: Site, make_host: Callable[..., Host]) -> None:
    before = threading.active_count()
    site.hosts.close()
    site.hosts.close()
    assert threading.active_count() <= before
    with pytest.raises(Conflict, match="closed"):
        site.hosts.open(make_host())


def test_a_host_whose_box_cannot_start_says_why(
    tmp_path: Path, make_host: Callable[..., Host], key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (tmp_path / "bin/bwrap").chmod(0o755)
    let_others_in(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    hosts = Hosts(tmp_path / "hosts", allows=lambda *_: True, metadata=lambda *_: None, power=lambda *_: None)
    try:
        host = make_host(user_data=b"#!/bin/sh\n")
        done = Client(tmp_path, host, hosts.open(host), key).run("true")
        assert done.returncode == 255
        assert "did not start: bwrap: No permissions to create new namespace" in done.stderr
    finally:
        hosts.close()


# --- another process of the twin --------------------------------------------------------------------------------------


def test_a_host_outlives_the_process_that_had_it(drive: Callable[..., Driven], make_host: Callable[..., Host]) -> None:
    host = make_host(user_data=b"#!/bin/sh\necho booted >> /var/boots\n")
    first = drive(host)
    first.client.out("cloud-init status --wait; echo kept > file; ssh-keygen -q -t ed25519 -N '' -f other")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    second = drive(host)
    assert second.client.listening == first.client.listening
    assert second.client.out("cat file /var/boots") == "kept\nbooted\n"
