"""What a host makes of user data for cloud-init: in its order, each part as often as there, and nothing beyond the host."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import threading
from collections.abc import Callable
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path
from typing import Any

import pytest

from launchbay.twin.hosts import Host
from launchbay.twin.hosts.boot import read_user_data
from tests.twin.hosts.conftest import Client, Site, wait_for
from tests.twin.hosts.test_life import boxes

LOG = "cat /var/log/cloud-init-output.log"
WAIT = "cloud-init status --wait"


def config(**keys: Any) -> bytes:
    return b"#cloud-config\n" + json.dumps(keys).encode()


def host_key(path: Path) -> dict[str, str]:
    return {"ed25519_private": path.read_text(), "ed25519_public": path.with_suffix(".pub").read_text()}


def message(*parts: tuple[str, str]) -> bytes:
    found = MIMEMultipart()
    for text, kind in parts:
        found.attach(MIMEText(text, kind))
    return found.as_bytes()


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_message_of_several_parts_is_read_part_by_part() -> None:
    data = message(
        ("#cloud-config\nruncmd: [a]\nbootcmd: [b]\n", "cloud-config"),
        ("#!/bin/sh\ntrue\n", "x-shellscript"),
        ("runcmd: [c]\n", "cloud-config"),
    )
    for packed in (data, gzip.compress(data)):
        boot = read_user_data(packed)
        assert boot.config == {"runcmd": ["c"], "bootcmd": ["b"]}
        assert [script.splitlines()[0] for script in boot.scripts] == [b"#!/bin/sh"]
        assert boot.errors == ()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"#cloud-config\na: [\n", "cannot be read"),
        (b"#cloud-config\n- a\n", "no mapping of keys"),
        (b"#cloud-config\na: &a [x]\nb: *a\n", "aliases"),
        (b"#cloud-config\na: !!python/object/apply:os.system [true]\n", "cannot be read"),
        (b"#cloud-config\na: " + b"[" * 5000, "cannot be read"),
        (b"#include\nhttp://x\n", "begins: #include"),
        (gzip.compress(b"#!/bin/sh\n" + b"#" * (17 << 20)), "more than 16777216 bytes"),
    ],
)
def test_what_cannot_be_read_is_an_error(data: bytes, says: str) -> None:
    (error,) = read_user_data(data).errors
    assert says in error


@pytest.mark.parametrize("data", [b"", b"#cloud-config\n", b"#cloud-config\n# nothing\n"])
def test_nothing_is_nothing_to_do(data: bytes) -> None:
    assert not read_user_data(data).has_work(is_first=True)


# --- carrying out -----------------------------------------------------------------------------------------------------


def test_the_first_answer_has_the_given_host_key_and_the_early_work_is_done(
    site: Site, make_host: Callable[..., Host], keys: Callable[[str], Path]
) -> None:
    given = keys("given")
    early = ["/bin/sh", "-c", "sleep 1; echo early > /var/early"]
    client = site.open(make_host(user_data=config(ssh_keys=host_key(given), bootcmd=[early])))
    line = given.with_suffix(".pub").read_text()
    assert client.listening.host_key == " ".join(line.split()[:2])
    client.known.write_text(f"{client.host.instance} {line}")
    assert client.out("cat /var/early /etc/ssh/ssh_host_ed25519_key.pub") == "early\n" + line


def test_each_part_is_done_as_often_as_there(site: Site, make_host: Callable[..., Host]) -> None:
    data = config(
        bootcmd=["echo boot $INSTANCE_ID >> /var/done", ["sh", "-c", "echo 'a  b' >> /var/done"]],
        write_files=[{"path": "/etc/made/file", "content": "x", "permissions": "0640"}],
        runcmd=["cat /etc/made/file >> /var/done", ["echo", "run; $HOME"]],
    )
    host = make_host(user_data=message((data.decode(), "cloud-config"), ("#!/bin/sh\necho script\n", "x-shellscript")))
    client = site.open(host)
    boot = f"boot {host.instance}\na  b\n"
    assert client.out(f"{WAIT} > /dev/null; cat /var/done; stat -c %a /etc/made/file") == boot + "x640\n"
    assert client.out(LOG) == "script\nrun; $HOME\n"
    client.out("rm /etc/made/file")
    site.hosts.shut(host.instance)
    client = site.open(host)
    assert client.out(f"{WAIT} > /dev/null; cat /var/done") == boot + "x" + boot
    assert client.run("ls /etc/made/file").returncode != 0
    site.hosts.close()  # the twin ends and another one goes on: nothing boots by that
    again = Site(site.folder, site.key)
    try:
        assert again.open(host).out(f"{WAIT} > /dev/null; cat /var/done") == boot + "x" + boot
    finally:
        again.hosts.close()


def test_files_are_written_as_they_are_packed(site: Site, make_host: Callable[..., Host]) -> None:
    packed = base64.b64encode(gzip.compress(b"packed")).decode()
    files = [
        {"path": "/srv/a", "content": base64.b64encode(b"plain").decode(), "encoding": "b64"},
        {"path": "/srv/b", "content": packed, "encoding": "gz+b64", "permissions": 0o600},
        {"path": "/srv/b", "content": "+", "append": True},
    ]
    client = site.open(make_host(user_data=config(write_files=files)))
    assert client.out("cat /srv/a /srv/b; stat -c ' %a' /srv/a") == "plainpacked+ 644\n"
    assert client.out(WAIT) == "status: done\n"


def test_keys_that_are_given_let_in(site: Site, make_host: Callable[..., Host], keys: Callable[[str], Path]) -> None:
    other = keys("other")
    client = site.open(make_host(user_data=config(ssh_authorized_keys=[other.with_suffix(".pub").read_text()])))
    assert client.run("true", key=other).returncode == 0
    assert client.run("true").returncode == 0
    assert client.run("true", key=keys("stranger")).returncode == 255


def test_what_is_not_modelled_is_named_and_the_rest_is_done(site: Site, make_host: Callable[..., Host]) -> None:
    data = config(packages=["x"], ssh_keys={"rsa_private": "x"}, ssh_pwauth=False, runcmd=["echo ran"])
    client = site.open(make_host(user_data=data))
    assert client.out(WAIT) == "status: done\n"
    assert client.out(LOG).splitlines() == [
        "twin: rsa_private of ssh_keys is not modelled, and left out",
        "twin: packages of the cloud-config is not modelled, and left out",
        "ran",
    ]


def test_what_fails_keeps_nothing_else_from_being_done(site: Site, make_host: Callable[..., Host]) -> None:
    files = [{"path": "/usr/x", "content": ""}, {"path": "/srv/never", "content": ""}]
    data = config(bootcmd="no list", write_files=files, runcmd=["false", "echo ran"])
    client = site.open(make_host(user_data=data))
    assert client.run(WAIT).returncode == 1
    log = client.out(LOG)
    assert "twin: bootcmd must be a list\n" in log
    assert "twin: write_files: /usr/x: " in log
    assert log.endswith("ran\n")
    assert client.run("ls /srv/never").returncode != 0


def test_many_hosts_come_up_and_all_are_waited_for(site: Site, make_host: Callable[..., Host]) -> None:
    late = "systemd-run --on-active=1h --unit=$INSTANCE_ID poweroff"
    hosts = [make_host(user_data=config(bootcmd=["sleep 0.2", late])) for _ in range(12)]
    for host in hosts:
        site.hosts.open(host)
    site.hosts.wait_for_boots(seconds=60)
    assert sorted(site.timers) == [f"{host.instance}.timer" for host in hosts]


def test_a_host_that_stops_while_it_comes_up_lets_nobody_wait(site: Site, make_host: Callable[..., Host]) -> None:
    host = make_host(user_data=config(bootcmd=["sleep 100"]))
    client = site.open(host)
    with socket.create_connection(("127.0.0.1", client.listening.port)) as waiting:
        waiting.settimeout(0.5)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        waiting.settimeout(10)
        ending = threading.Thread(target=site.hosts.shut, args=(host.instance,))
        ending.start()
        with pytest.raises(ConnectionResetError):
            waiting.recv(1)
        ending.join()
    site.hosts.wait_for_boots(seconds=0)


# --- harm -------------------------------------------------------------------------------------------------------------


def test_a_boot_config_that_tries_harm_does_none(site: Site, make_host: Callable[..., Host], tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("of the laptop")
    up = "/".join([".."] * 30)
    places = [
        "/etc/shadow",
        f"{up}/etc/launchbay-harm",
        f"/srv/{up}{victim}",
        str(victim),
        "/proc/1/cwd/harm",
        "relative",
    ]
    data = config(
        bootcmd=[f"ln -s / /srv/out; echo harm > {victim}; echo harm > /srv/out{victim}; true"],
        write_files=[{"path": place, "content": "harm", "permissions": "6777"} for place in places],
        runcmd=["poweroff", ["systemctl", "reboot"], ["shutdown", "-P", "now"], "kill -9 -1"],
        ssh_keys={"ed25519_private": "no key"},
    )
    host = make_host(user_data=data)
    client = site.open(host)
    wait_for(lambda: len(site.asked) == 3)
    assert {name for name, _ in site.asked} == {host.instance}
    assert victim.read_text() == "of the laptop"
    assert not Path("/etc/launchbay-harm").exists()
    assert not Path("/relative").exists()
    shadow = Path("/etc/shadow")
    assert not shadow.exists() or "harm" not in shadow.read_text(errors="replace")
    assert client.out("cat /etc/shadow") == "harm"  # the host's own


def test_a_link_in_place_of_the_host_key_is_not_followed(
    site: Site, make_host: Callable[..., Host], tmp_path: Path, keys: Callable[[str], Path]
) -> None:
    host = make_host()
    client = site.open(host)
    (tmp_path / "victim").mkdir(mode=0o777)
    client.out(
        f"mv /etc/ssh /etc/ssh-old; ln -s {tmp_path / 'victim'} /etc/ssh; rm -r /var/lib/twin; ln -s {tmp_path} /var/lib/twin"
    )
    site.hosts.shut(host.instance)
    site.open(make_host(instance=host.instance, user_data=config(ssh_keys=host_key(keys("given")), bootcmd=["true"])))
    site.hosts.wait_for_boots(seconds=30)
    assert list((tmp_path / "victim").iterdir()) == []
    assert not (tmp_path / "units").exists()


# --- clock, timers, volumes -------------------------------------------------------------------------------------------


@pytest.fixture
def client(site: Site, make_host: Callable[..., Host]) -> Client:
    return site.open(make_host())


def test_date_shows_the_twins_time(site: Site, client: Client) -> None:
    assert client.out("date +%s") == "1800000000\n"
    assert client.out("date -u '+%Y-%m-%d %H:%M'") == "2027-01-15 08:00\n"
    assert client.out("date -u -d @60 +%M") == "01\n"
    site.time += 3600
    assert client.out("/bin/date +%s") == "1800003600\n"


SERVICE = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo rung >> /srv/rung'\n"
SWITCH = "[Service]\nType=oneshot\nExecStart=/bin/systemctl poweroff\n"


@pytest.mark.parametrize(
    ("timer", "service", "expected"),
    [
        ("OnCalendar=2027-01-15 09:00:00 UTC", SERVICE, (1_800_003_600, "start:x.service")),
        ("OnCalendar=@1800000060", SWITCH, (1_800_000_060, "stop")),
        ("OnActiveSec=1h 30min", SWITCH, (1_800_005_400, "stop")),
        ("OnCalendar=@1800000060\nOnBootSec=30", SERVICE, (1_800_000_030, "start:x.service")),
        ("OnActiveSec=5\nUnit=reboot.target", SERVICE, (1_800_000_005, "reboot")),
        ("OnCalendar=@1790000000", SERVICE, None),
    ],
)
def test_the_twin_waits_for_a_timer(
    site: Site, client: Client, timer: str, service: str, expected: tuple[float, str] | None
) -> None:
    client.out("cat > /run/systemd/system/x.timer", f"[Timer]\n{timer}\n")
    client.out("cat > /etc/systemd/system/x.service", service)
    client.out("systemctl daemon-reload; systemctl --no-block restart x.timer")
    assert site.timers == ({} if expected is None else {"x.timer": expected})
    shown = client.run("systemctl is-active x.timer; systemctl list-timers")
    assert shown.stdout.startswith("inactive" if expected is None else "active\n@18")
    client.out("systemctl stop x.timer")
    assert site.timers == {}


def test_a_timer_that_was_missed_is_made_good_where_it_says_so(site: Site, client: Client) -> None:
    client.out("cat > /etc/systemd/system/x.service", SERVICE)
    client.out("cat > /etc/systemd/system/x.timer", "[Timer]\nOnCalendar=@1800000060\nPersistent=true\n")
    client.out("systemctl enable --now x.timer; systemctl is-enabled x.timer")
    site.hosts.shut(client.host.instance)
    site.timers.clear()
    site.time += 3600
    client = site.open(client.host)
    wait_for(lambda: "x.timer" in site.timers)
    assert site.timers["x.timer"] == (site.time, "start:x.service")
    site.hosts.start_unit(client.host.instance, "x.service")
    wait_for(lambda: client.run("cat /srv/rung").stdout == "rung\n")


@pytest.mark.parametrize("text", ["OnCalendar=daily", "OnCalendar=*-*-* 03:00:00", "OnActiveSec=soon", ""])
def test_a_timer_that_is_not_modelled_is_refused(client: Client, text: str) -> None:
    client.out("cat > /etc/systemd/system/x.timer", f"[Timer]\n{text}\n")
    done = client.run("systemctl start x.timer")
    assert done.returncode == 5
    assert "modelled" in done.stderr


def test_systemd_run_starts_at_once_or_later(site: Site, client: Client) -> None:
    client.out("systemd-run --unit=now --quiet sh -c 'echo $0 100% > /srv/ran' 'a b'")
    wait_for(lambda: client.run("cat /srv/ran").stdout == "a b 100%\n")
    done = client.run("sudo systemd-run --on-active=2h --unit later --collect systemctl poweroff")
    assert (done.returncode, "later.timer" in done.stderr) == (0, True)
    client.out("systemd-run --on-calendar '2027-01-15 10:00:00 UTC' --unit=then touch /srv/then")
    assert site.timers == {
        "later.timer": (1_800_007_200, "stop"),
        "then.timer": (1_800_007_200, "start:then.service"),
    }
    assert client.run("systemd-run --pty bash").returncode == 1


def test_units_of_a_run_last_until_the_host_stops(site: Site, client: Client) -> None:
    client.out("touch /run/systemd/system/x.service")
    wait_for(lambda: boxes() == 0)
    assert client.out("ls /run/systemd/system") == "x.service\n"
    site.hosts.shut(client.host.instance)
    assert site.open(client.host).out("ls /run/systemd/system") == ""


def test_an_attached_volume_is_a_folder_that_stays(site: Site, client: Client) -> None:
    site.disks = [{"device": "/dev/sdf", "volume": "vol-1"}]
    assert client.run("blkid -p /dev/sdf").returncode == 2
    assert client.run("mkdir /data; mount /dev/sdf /data").returncode == 32
    client.out("mkfs.ext4 -q -L x /dev/sdf")
    uuid = client.out("blkid -p -s UUID -o value /dev/sdf").strip()
    done = client.run(f"mount -o defaults UUID={uuid} /data && echo kept > /data/file && df /data")
    assert done.returncode == 0
    assert "/data is a folder of this host" in done.stderr
    assert client.run("mkfs.ext4 /dev/xvdf").returncode == 1  # it is mounted
    site.hosts.shut(client.host.instance)
    client = site.open(client.host)
    assert client.out("mount /dev/xvdf /data; cat /data/file") == "kept\n"
    assert client.out("blkid -p -s UUID -o value /dev/sdf").strip() == uuid
    assert client.out("umount /data") == ""
    assert client.run("mount /dev/sdg /data").returncode != 0
    assert "/proc" in client.out("mount")  # the real one
