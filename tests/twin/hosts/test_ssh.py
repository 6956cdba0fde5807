"""The system's own OpenSSH client against a host: what it does on an instance, it does here."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launchbay.errors import NotFound, UsageError
from launchbay.twin.hosts import Host, Hosts
from tests.twin.hosts.conftest import Client, Site, wait_for


@pytest.fixture
def client(site: Site, make_host: Callable[..., Host]) -> Client:
    return site.open(make_host())


def test_a_command_has_its_output_and_its_exit_code(any_client: Client) -> None:
    done = any_client.run("echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_a_login_is_the_user_in_its_home_on_the_instance(any_client: Client) -> None:
    assert any_client.out("whoami; pwd; hostname; id -u").split() == [
        "ubuntu",
        "/home/ubuntu",
        any_client.host.instance,
        "1000",
    ]


def test_a_login_shell_reads_its_commands(any_client: Client) -> None:
    done = subprocess.run(
        any_client.command(), input=b"echo $0; exit 4\n", capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (4, b"-bash\n")


def test_a_program_that_is_not_there_is_127(any_client: Client) -> None:
    done = any_client.run("no-such-program")
    assert done.returncode == 127
    assert "not found" in done.stderr


def test_a_process_ended_by_a_signal_is_255_as_with_sshd(any_client: Client) -> None:
    assert any_client.run("kill -9 $$").returncode == 255


def test_megabytes_go_in_and_come_back(any_client: Client) -> None:
    data = os.urandom(1 << 16) * 160  # 10 MB
    done = subprocess.run(any_client.command("cat"), input=data, capture_output=True, timeout=60, check=False)
    assert done.stdout == data
    assert any_client.out("sha256sum", data).split()[0] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [700_000, 1_000_000, 1_300_000])
def test_the_end_of_input_waits_for_what_comes_before_it(any_client: Client, size: int) -> None:
    """The end is often there while the process still reads slowly, and everything is held somewhere on the way."""
    script = "import os, time\nn = 0\nwhile got := os.read(0, 4096):\n    n += len(got); time.sleep(0.0005)\nprint(n)"
    command = f"echo ready; sleep 0.3; exec /usr/bin/python3 -c '{script}'"
    with subprocess.Popen(any_client.command(command), stdin=-1, stdout=-1) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        out, _ = process.communicate(b"x" * size, timeout=60)
    assert out == f"{size}\n".encode()


def test_input_that_nobody_reads_does_not_hang(any_client: Client) -> None:
    assert any_client.run("exit 3", b"x" * (4 << 20)).returncode == 3


def test_output_may_be_opened_anew(any_client: Client) -> None:
    done = any_client.run("echo out > /dev/stdout; echo err > /dev/stderr")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("mode", [["-O"], ["-s"]], ids=["scp protocol", "sftp protocol"])
def test_scp_both_ways(client: Client, tmp_path: Path, mode: list[str]) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_bytes(os.urandom(3 << 20))
    command = ["scp", "-q", *mode, "-r", *client.options(), "-P", str(client.listening.port)]
    subprocess.run([*command, str(tmp_path / "tree"), f"{client.target}:copied"], check=True, timeout=60)
    subprocess.run([*command, f"{client.target}:copied", str(tmp_path / "back")], check=True, timeout=60)
    assert (tmp_path / "back/deep/file").read_bytes() == (tmp_path / "tree/deep/file").read_bytes()


def test_sftp(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("by sftp\n")
    batch = f"mkdir made\nput {tmp_path / 'file'} made/file\nchmod 600 made/file\nls -l made\n"
    command = ["sftp", "-b", "-", *client.options(), "-P", str(client.listening.port), client.target]
    subprocess.run(command, input=batch.encode(), check=True, capture_output=True, timeout=60)
    assert client.out("cat made/file; stat -c %a made/file") == "by sftp\n600\n"


def test_a_terminal_is_one_inside(any_client: Client) -> None:
    done = any_client.run("tty; stty size; echo $TERM", options=("-tt",))
    tty, size, term = done.stdout.split("\r\n")[:3]
    assert tty.startswith("/dev/pts/")
    assert size.split()[0].isdigit()
    assert term
    assert any_client.run("exit 9", options=("-tt",)).returncode == 9


def test_an_interrupt_typed_at_a_terminal_arrives(any_client: Client) -> None:
    process = subprocess.Popen(
        any_client.command("trap 'echo interrupted; exit 5' INT; echo ready; sleep 60 & wait", options=("-tt",)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == b"ready\r\n"
    process.stdin.write(b"\x03")
    process.stdin.flush()
    assert b"interrupted" in process.stdout.read()
    assert process.wait(timeout=20) == 5
    process.stdin.close()
    process.stdout.close()


def test_a_terminal_that_is_closed_hangs_up(any_client: Client) -> None:
    process = subprocess.Popen(any_client.command("sleep 987.5", options=("-tt",)), stdin=subprocess.PIPE)
    wait_for(lambda: any_client.run("pgrep -f '^sleep 987.5'").returncode == 0)
    process.kill()
    process.wait()
    wait_for(lambda: any_client.run("pgrep -f '^sleep 987.5'").returncode == 1)
    assert process.stdin
    process.stdin.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_forwarded_port_reaches_a_server_inside(client: Client) -> None:
    client.out("mkdir www && head -c 5000000 /dev/urandom > www/file")
    client.out("cd www && (setsid nohup /usr/bin/python3 -m http.server 8888 --bind 127.0.0.1 > /dev/null 2>&1 &)")
    wait_for(lambda: client.run("echo > /dev/tcp/127.0.0.1/8888").returncode == 0)
    port = free_port()
    forward = subprocess.Popen(client.command(options=("-N", "-L", f"127.0.0.1:{port}:localhost:8888")))
    try:
        wait_for(lambda: _connects(port))
        got = urllib.request.urlopen(f"http://127.0.0.1:{port}/file", timeout=20).read()
        assert hashlib.sha256(got).hexdigest() == client.out("sha256sum www/file").split()[0]
    finally:
        forward.kill()
        forward.wait()


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_port_where_nobody_listens_is_refused(any_client: Client) -> None:
    done = any_client.run("", options=("-W", "localhost:9"))
    assert done.returncode == 255
    assert "refused" in done.stderr.lower()


def test_one_connection_may_carry_several_sessions(
    any_client: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    control = f"ControlPath={tmp_path_factory.mktemp('c')}/s"
    master = subprocess.Popen(any_client.command(options=("-N", "-M", "-o", control)))
    try:
        check = any_client.command(options=("-o", control, "-O", "check"))
        wait_for(lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda n: any_client.run(f"cat; exit {n}", b"x", options=("-o", control)), range(4)))
        assert [(item.returncode, item.stdout) for item in done] == [(number, "x") for number in range(4)]
    finally:
        master.kill()
        master.wait()


def test_twenty_hosts_at_once(site: Site, make_host: Callable[..., Host]) -> None:
    clients = [site.open(make_host()) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        names = list(pool.map(lambda client: client.out("hostname").strip(), clients))
    assert names == [client.host.instance for client in clients]


def test_many_sessions_of_one_host_share_its_processes(any_client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        firsts = set(pool.map(lambda _: any_client.out("stat -L -c %i /proc/1/ns/pid"), range(8)))
    assert len(firsts) == 1


# --- keys -------------------------------------------------------------------------------------------------------------


def test_another_key_or_user_is_refused(client: Client, keys: Callable[[str], Path]) -> None:
    done = client.run("true", key=keys("stranger"))
    assert (done.returncode, "Permission denied" in done.stderr) == (255, True)
    root = subprocess.run(
        ["ssh", *client.options(), "-p", str(client.listening.port), f"root@{client.listening.address}", "true"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (root.returncode, b"Permission denied" in root.stderr) == (255, True)


def test_a_host_key_that_is_not_the_known_one_is_refused_by_the_client(
    client: Client, site: Site, make_host: Callable[..., Host]
) -> None:
    other = site.open(make_host())
    client.known.write_text(f"{client.host.instance} {other.listening.host_key}\n")
    assert "HOST IDENTIFICATION HAS CHANGED" in client.run("true").stderr


def test_a_one_time_key_lasts_its_seconds(site: Site, client: Client, keys: Callable[[str], Path]) -> None:
    visitor = keys("visitor")
    line = visitor.with_suffix(".pub").read_text()
    assert client.run("true", key=visitor).returncode == 255
    site.hosts.authorize(client.host.instance, "ubuntu", line, seconds=60)
    assert client.run("true", key=visitor).returncode == 0
    site.clock.at += 59
    assert client.run("true", key=visitor).returncode == 0
    site.clock.at += 1
    assert client.run("true", key=visitor).returncode == 255


def test_a_one_time_key_is_for_its_user(site: Site, client: Client, keys: Callable[[str], Path]) -> None:
    line = keys("visitor").with_suffix(".pub").read_text()
    site.hosts.authorize(client.host.instance, "ec2-user", line)
    assert client.run("true", key=keys("visitor")).returncode == 255


def test_a_one_time_key_must_be_one_and_its_host_run(site: Site, client: Client, public_key: str) -> None:
    with pytest.raises(UsageError, match="not a public key"):
        site.hosts.authorize(client.host.instance, "ubuntu", "rot13 AAAA")
    with pytest.raises(NotFound, match="does not run"):
        site.hosts.authorize("i-ffffffff", "ubuntu", public_key)


def test_the_users_own_file_of_keys_counts(client: Client, keys: Callable[[str], Path]) -> None:
    friend = keys("friend")
    client.out("cat >> .ssh/authorized_keys", "# a friend\n" + friend.with_suffix(".pub").read_text())
    assert client.run("true", key=friend).returncode == 0
    client.out("echo > .ssh/authorized_keys")
    assert client.run("true", key=friend).returncode == 255


def test_a_key_with_restrictions_does_not_come_in_without_them(client: Client, keys: Callable[[str], Path]) -> None:
    friend = keys("friend")
    client.out("cat >> .ssh/authorized_keys", 'command="false" ' + friend.with_suffix(".pub").read_text())
    assert client.run("true", key=friend).returncode == 255


# --- security groups --------------------------------------------------------------------------------------------------


def banner(client: Client, source: str) -> bytes:
    """Return what a peer hears first: nothing where it is refused, or where its packets are dropped."""
    place = (client.listening.address, client.listening.port)
    try:
        with socket.create_connection(place, timeout=1, source_address=(source, 0)) as connection:
            return connection.recv(100)
    except OSError:
        return b""


def test_a_peer_that_is_not_allowed_gets_no_banner(site: Site, client: Client) -> None:
    assert banner(client, "127.0.0.1").startswith(b"SSH-2.0-")
    site.refused.add("127.0.0.9")
    assert banner(client, "127.0.0.9") == b""
    assert banner(client, "127.0.0.1").startswith(b"SSH-2.0-")
    told = [(knock.peer, knock.is_allowed, knock.banner) for knock in site.hosts.knocks()]
    assert told == [("127.0.0.1", True, True), ("127.0.0.9", False, False), ("127.0.0.1", True, True)]


def test_rules_that_change_count_at_once(site: Site, client: Client) -> None:
    with site.lock:  # as the twin calls it
        site.refused.add("127.0.0.1")
        site.hosts.rules_changed()
    assert banner(client, "127.0.0.1") == b""
    with site.lock:
        site.refused.clear()
        site.hosts.rules_changed()
    assert banner(client, "127.0.0.1").startswith(b"SSH-2.0-")


def test_a_session_that_stands_outlives_a_change_of_the_rules(site: Site, client: Client) -> None:
    process = subprocess.Popen(client.command("echo begun; read line; echo got $line"), stdin=-1, stdout=-1)
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == b"begun\n"
    site.refused.add("127.0.0.1")
    site.hosts.rules_changed()
    out, _ = process.communicate(b"still\n", timeout=20)
    assert out == b"got still\n"


def test_a_verdict_that_takes_long_holds_up_nobody_else(
    tmp_path: Path, make_host: Callable[..., Host], key: Path
) -> None:
    def allows(_: str, peer: str, __: int) -> bool:
        if peer == "127.0.0.7":
            time.sleep(3)
        return True

    hosts = Hosts(tmp_path / "hosts", allows=allows, metadata=lambda *_: None, power=lambda *_: None)
    try:
        host = make_host()
        client = Client(tmp_path, host, hosts.open(host), key)
        with socket.create_connection(("127.0.0.1", client.listening.port), source_address=("127.0.0.7", 0)):
            began = time.monotonic()
            assert banner(client, "127.0.0.1").startswith(b"SSH-2.0-")
            assert time.monotonic() - began < 2
    finally:
        hosts.close()
