"""What a host may not do to the laptop, tried from inside, with the hosts' process as root and as an ordinary user.

No probe does harm where a safeguard fails: files are opened for writing and not written, unnamed files vanish by
themselves, signals have number 0, and a power switch is pressed only where it is ours.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.twin.hosts import Host, Hosts
from launchbay.twin.hosts.host import Limits
from tests.twin.hosts.conftest import Client, Driven, Site, driving, ordinary_python, wait_for

_ORDINARY = ordinary_python()
_WHO = ["this process's user", *(["an ordinary user"] if _ORDINARY else [])]

BOOT = b"""#!/bin/bash
press() { grep -q 'from inside' "$1" && "$@"; echo "$1 $?"; }
press /usr/bin/apt-get install -y hello
press /usr/bin/systemctl poweroff
press /usr/sbin/reboot -f
press /sbin/shutdown now
"""


@pytest.fixture(scope="module", params=_WHO)
def driven(request: pytest.FixtureRequest, key: Path, make_host: Callable[..., Host]) -> Iterator[Driven]:
    with driving(key) as start:
        yield start(make_host(user_data=BOOT), python=_ORDINARY if request.param == "an ordinary user" else None)


@pytest.fixture
def client(driven: Driven) -> Client:
    return driven.client


def test_a_boot_script_cannot_turn_the_laptop_off(client: Client) -> None:
    client.out("cloud-init status --wait")
    log = client.out("cat /var/log/cloud-init-output.log").splitlines()
    assert log == [
        "twin: apt-get is a stand-in, nothing was installed",
        "/usr/bin/apt-get 0",
        "/usr/bin/systemctl 0",
        "/usr/sbin/reboot 0",
        "/sbin/shutdown 0",
    ]
    token = "curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/api/token"
    url = "$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/meta-data/asked"
    asked = client.out(f'curl -s -H "X-aws-ec2-metadata-token: $({token})" {url}')
    assert asked.split() == ["stop", "reboot", "stop"]  # of the instance, by its twin


def test_every_name_of_the_power_switch_is_ours(client: Client) -> None:
    names = [
        "shutdown",
        "poweroff",
        "reboot",
        "halt",
        "systemctl",
        "sudo",
        "apt",
        "apt-get",
        "dnf",
        "yum",
        "nvidia-smi",
    ]
    paths = [f"{folder}/{name}" for folder in ("/bin", "/sbin", "/usr/bin", "/usr/sbin") for name in names]
    ours = client.out(f"grep -l 'from inside' {' '.join(paths)}").split()
    assert sorted(ours) == sorted(paths)


def test_no_right_is_left_and_none_can_be_had(client: Client) -> None:
    status = dict(line.split(":\t") for line in client.out("cat /proc/self/status").splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert client.run("unshare --user true").returncode != 0
    assert client.run("unshare --net true").returncode != 0
    assert client.run("mount -t tmpfs none /mnt").returncode != 0


def test_no_setting_of_the_kernel_can_be_written(client: Client) -> None:
    opened = client.python("""
import json, os
settings = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches"]
settings += ["/proc/sysrq-trigger", "/proc/sys/net/ipv4/ip_forward", "/proc/acpi/wakeup", "/proc/irq/default_smp_affinity"]
opened = []
for path in settings:
    try:
        os.close(os.open(path, os.O_WRONLY))
        opened.append(path)
    except OSError:
        pass
print(json.dumps(opened + [path for path in ("/sys/kernel", "/sys/fs/cgroup", "/dev/kmsg", "/dev/mem") if os.path.exists(path)]))
""")
    assert opened == []


def test_the_settings_are_mounted_read_only(client: Client) -> None:
    mounts = [line.split() for line in client.out("cat /proc/self/mountinfo").splitlines()]
    flags = {fields[4]: fields[5].split(",") for fields in mounts}
    assert "ro" in flags["/proc/sys"]
    assert all("nosuid" in flag and "nodev" in flag for place, flag in flags.items() if not place.startswith("/dev"))


def test_no_process_of_a_box_is_roots(client: Client) -> None:
    mark = f"{uuid.uuid4().int % 10**9}.5"
    process = subprocess.Popen(client.command(f"sleep {mark}"), stdin=subprocess.DEVNULL)
    wait_for(lambda: processes(mark))
    for pid in processes(mark):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            uids = next(line for line in file if line.startswith("Uid:")).split()[1:]
        assert "0" not in uids
    process.kill()
    process.wait()


def processes(mark: str) -> list[int]:
    """Return processes in boxes that have a mark in their command, as the laptop sees them."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", encoding="utf-8") as file:
                words = file.read().split("\0")
        except OSError:
            continue
        if words[:2] == ["sleep", mark]:
            found.append(int(name))
    return found


def test_nothing_of_the_laptop_can_be_written(client: Client, driven: Driven) -> None:
    hosts = Path(str(driven.process.args[2]))  # type: ignore[index]
    found = client.python(
        """
import json, os, sys
def opens(path):
    try:
        os.close(os.open(path, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        return False
    return True
mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
places = ["/usr", "/usr/lib", "/usr/local", "/run/twin/usr/bin"]
places += [mount for mount in mounts if mount.startswith(("/usr", "/run/twin"))]
print(json.dumps({"opened": [path for path in places if opens(path)],
                  "mounts": len(places),
                  "seen": [path for path in sys.argv[1:] if os.path.exists(path)],
                  "own": opens("/etc") and opens("/var/log") and opens("/opt") and opens("/")}))
""",
        str(hosts),
        str(hosts.parent),
        str(Path(__file__).resolve()),
    )
    assert found["opened"] == []
    assert found["mounts"] > 5
    assert found["seen"] == []
    assert found["own"] is True
    assert client.out("ls -A /home /root").split() == ["/home:", "ubuntu", "/root:"]


def test_the_laptops_processes_cannot_be_seen_or_signalled(client: Client) -> None:
    mark = f"{uuid.uuid4().int % 10**9}.25"
    outer = subprocess.Popen(["sleep", mark])
    try:
        found = client.python(
            """
import glob, json, os, sys
words = [open(path).read().split("\\0") for path in glob.glob("/proc/[0-9]*/cmdline")]
try:
    os.kill(int(sys.argv[2]), 0)
    reached = sys.argv[1] in open(f"/proc/{sys.argv[2]}/cmdline").read()
except OSError:
    reached = False
print(json.dumps({"seen": [item for item in words if item[:2] == ["sleep", sys.argv[1]]], "reached": reached}))
""",
            mark,
            str(outer.pid),
        )
        assert found == {"seen": [], "reached": False}
    finally:
        outer.kill()
        outer.wait()


def test_killing_everything_kills_the_host_alone(client: Client) -> None:
    client.run("kill -9 -1")
    assert client.out("echo again") == "again\n"


@pytest.fixture
def outer_server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_laptops_loopback_cannot_be_reached(client: Client, outer_server: int) -> None:
    assert client.run(f"echo > /dev/tcp/127.0.0.1/{outer_server}").returncode != 0
    assert client.run("", options=("-W", f"127.0.0.1:{outer_server}")).returncode != 0
    addresses = client.out("cat /proc/net/fib_trie")
    assert "169.254.169.254" in addresses
    assert client.out("ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1").split() == ["lo"]


def test_what_the_first_process_shows_tells_nothing_of_the_laptop(client: Client, driven: Driven) -> None:
    shown = client.out("tr '\\0' '\\n' < /proc/1/environ; tr '\\0' ' ' < /proc/1/cmdline; ls -l /proc/1/fd /proc/1/cwd")
    assert "of-the-laptop" not in shown
    assert str(Path(str(driven.process.args[2]))) not in shown  # type: ignore[index]


def test_no_descriptor_leads_out(client: Client) -> None:
    links = client.out("cloud-init status --wait >&2; for fd in /proc/[0-9]*/fd/*; do readlink $fd; done; true").split()
    harmless = ("pipe:", "socket:", "anon_inode:", "/dev/null", "/dev/pts", "/proc/", "/home/ubuntu")
    assert [link for link in links if not link.startswith(harmless)] == []
    assert client.run("ls /proc/2/fd").returncode != 0  # the agent cannot be looked into


@pytest.mark.parametrize("who", _WHO)
def test_a_dead_twin_leaves_no_process(drive: Callable[..., Driven], make_host: Callable[..., Host], who: str) -> None:
    driven = drive(make_host(), python=_ORDINARY if who == "an ordinary user" else None)
    mark = f"{uuid.uuid4().int % 10**9}.75"
    driven.client.out(f"setsid nohup sleep {mark} > /dev/null 2>&1 &")
    wait_for(lambda: processes(mark))
    driven.kill()
    wait_for(lambda: not processes(mark), seconds=5)


# --- what the twin's own process could be led to do -------------------------------------------------------------------


def test_sftp_follows_links_inside_only(site: Site, make_host: Callable[..., Host], tmp_path: Path) -> None:
    client = site.open(make_host())
    (tmp_path / "secret").write_text("of the laptop")
    client.out(f"ln -s {tmp_path / 'secret'} secret; ln -s / top")
    command = ["sftp", "-b", "-", *client.options(), "-P", str(client.listening.port), client.target]
    stolen = tmp_path / "stolen"
    batch = f"-get secret {stolen}\n-get top{tmp_path}/secret {stolen}\nget /etc/hostname {tmp_path / 'name'}\n"
    subprocess.run(command, input=batch.encode(), check=True, capture_output=True, timeout=60)
    assert not stolen.exists()
    assert (tmp_path / "name").read_text().strip() == client.host.instance


def test_authorized_keys_are_not_read_through_a_link(
    site: Site, make_host: Callable[..., Host], tmp_path: Path, keys: Callable[[str], Path]
) -> None:
    client = site.open(make_host())
    outside = tmp_path / "outside"
    outside.mkdir()
    line = keys("outsider").with_suffix(".pub").read_text()
    (outside / "authorized_keys").write_text(line)
    client.out(f"mv .ssh .ssh-old; ln -s {outside} .ssh")
    assert client.run("true", key=keys("outsider")).returncode == 255
    site.hosts.authorize(client.host.instance, "ubuntu", client.key.with_suffix(".pub").read_text())
    client.out(f"rm .ssh; mv .ssh-old .ssh; ln -sf {outside}/authorized_keys .ssh/authorized_keys")
    assert client.run("true", key=keys("outsider")).returncode == 255
    client.out("rm .ssh/authorized_keys; mkfifo .ssh/authorized_keys")
    assert client.run("true", key=keys("outsider")).returncode == 255  # and nothing waits for a writer


def test_a_link_in_place_of_a_mount_does_not_lead_out(
    site: Site, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "victim").mkdir(mode=0o777)
    (tmp_path / "victim").chmod(0o777)
    host = make_host(binds=((tmp_path / "image", "/opt-of-twin/image"),))
    client = site.open(host)
    assert client.out("ls -d /opt-of-twin/image").strip() == "/opt-of-twin/image"
    site.hosts.shut(host.instance)
    client = site.open(make_host(instance=host.instance))  # without it, the host may do what it likes there
    client.out(f"rmdir /opt-of-twin/image /opt-of-twin; ln -s /oldroot{tmp_path / 'victim'} /opt-of-twin")
    site.hosts.shut(host.instance)
    client = site.open(host)
    done = client.run("true")
    assert done.returncode == 255
    assert "the host's root is damaged" in done.stderr
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_host_cannot_put_links_where_its_own_mounts_are(site: Site, make_host: Callable[..., Host]) -> None:
    client = site.open(make_host())
    for place in ("/usr", "/proc", "/dev", "/run"):
        assert client.run(f"mv {place} /elsewhere || rmdir {place}").returncode != 0


def test_removing_a_host_follows_no_link(site: Site, make_host: Callable[..., Host], tmp_path: Path) -> None:
    host = make_host()
    client = site.open(host)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("of the laptop")
    client.out(f"ln -s {tmp_path / 'kept'} link; ln -s /oldroot /link; mkdir deny; touch deny/x; chmod 0 deny")
    client.out("""/usr/bin/python3 -c '
import os
for _ in range(3000):
    os.mkdir("d"); os.chdir("d")'""")
    site.hosts.forget(host.instance)
    assert (tmp_path / "kept" / "file").read_text() == "of the laptop"
    assert not (site.folder / "hosts" / host.instance).exists()
    site.hosts.forget(host.instance)  # again does nothing


@pytest.mark.parametrize("name", ["..", "i-../../kept", "i-0123abcd/../../kept", "", "."])
def test_only_a_host_can_be_removed(site: Site, name: str, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(UsageError, match="instance"):
        site.hosts.forget(name)
    assert (tmp_path / "kept").is_dir()


def test_hosts_are_never_run_as_root(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="root"):
        Hosts(
            tmp_path / "hosts",
            allows=lambda *_: True,
            metadata=lambda *_: None,
            power=lambda *_: None,
            run_as=(0, 0),
        )


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.all  # where tests run one at a time: the processes of all hosts on the machine count together
def test_a_box_may_have_only_so_many_processes(make_site: Callable[..., Site], make_host: Callable[..., Host]) -> None:
    site = make_site(limits=Limits(processes=30))
    client = site.open(make_host())
    made = client.python("""
import json, os, signal, time
children = []
try:
    for _ in range(60):
        pid = os.fork()
        if pid == 0:
            time.sleep(5)
            os._exit(0)
        children.append(pid)
except OSError:
    pass
for pid in children:
    os.kill(pid, signal.SIGKILL)
print(json.dumps(len(children)))
""")
    assert 10 < made < 30


def test_memory_that_runs_out_is_taken_from_boxes_first(site: Site, make_host: Callable[..., Host]) -> None:
    assert int(site.open(make_host()).out("cat /proc/self/oom_score_adj; umask").split()[0]) > 0


def test_a_file_may_have_only_so_many_bytes(make_site: Callable[..., Site], make_host: Callable[..., Host]) -> None:
    site = make_site(limits=Limits(file_bytes=1 << 20))
    client = site.open(make_host())
    assert client.run("truncate -s 1M small && ! truncate -s 2M large").returncode == 0
    assert client.out("ulimit -c").strip() == "0"


def test_a_stolen_agent_ends_its_box_and_harms_nobody(site: Site, make_host: Callable[..., Host]) -> None:
    """The control socket is the box's first process's as well, which others in the box could take over."""
    client = site.open(make_host())
    done = client.run(
        "/usr/bin/python3 -",
        """
import ctypes, os, socket, time
pidfd = os.pidfd_open(1)
stolen = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, 0, 0)
if stolen < 0:
    raise SystemExit(3)  # the kernel does not let it
control = socket.socket(fileno=stolen)
for message in (b'{"id": 1, "exit": "x"}', b"nonsense", b"{}", b"[1]"):
    control.send(message)
time.sleep(1)
""",
    )
    assert done.returncode in (3, 255)
    began = time.monotonic()
    assert client.out("echo again") == "again\n"
    assert time.monotonic() - began < 10
