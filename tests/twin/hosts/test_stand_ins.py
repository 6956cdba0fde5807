"""The programs that stand in for those which would reach for the machine, as boot scripts and people call them."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.twin.hosts import Gpu, Host
from launchbay.twin.hosts.farm import STAND_INS
from launchbay.twin.hosts.inside.units import BadUnit, find_unit
from tests.twin.hosts.conftest import Client, Site, wait_for

INSIDE = Path(__file__).resolve().parents[3] / "src/launchbay/twin/hosts/inside"


@pytest.fixture
def client(site: Site, make_host: Callable[..., Host]) -> Client:
    return site.open(make_host())


@pytest.mark.parametrize("path", sorted(INSIDE.glob("*.py")), ids=lambda path: path.name)
def test_what_runs_inside_is_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), str(path), feature_version=(3, 9))


def test_each_program_has_its_module() -> None:
    assert {module for module in STAND_INS.values() if not (INSIDE / f"{module}.py").is_file()} == set()


# --- the power switch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("shutdown now", "stop"),
        ("shutdown -h now", "stop"),
        ("shutdown -P +0", "stop"),
        ("/sbin/shutdown -r now", "reboot"),
        ("sudo poweroff", "stop"),
        ("sudo -n /usr/sbin/halt -p", "stop"),
        ("reboot", "reboot"),
        ("systemctl reboot", "reboot"),
        ("systemctl --no-block poweroff", "stop"),
    ],
)
def test_the_twin_is_asked(site: Site, client: Client, command: str, what: str) -> None:
    assert client.run(command).returncode == 0
    wait_for(lambda: site.asked == [(client.host.instance, what)])


def test_a_shutdown_may_be_later_and_called_off(site: Site, client: Client) -> None:
    done = client.run("shutdown -P +90")
    assert "Shutdown scheduled for" in done.stderr
    assert site.timers == {"shutdown": (site.time + 5400, "stop")}
    client.out("shutdown -r +1")
    assert site.timers == {"shutdown": (site.time + 60, "reboot")}
    client.out(f"shutdown -h $(date -d @{site.time + 7200:.0f} +%H:%M)")
    assert site.timers == {"shutdown": (site.time + 7200 - site.time % 60, "stop")}
    client.out("shutdown -c")
    assert client.run("shutdown soon").returncode == 1
    assert (site.timers, site.asked) == ({}, [])


def test_the_twin_may_shut_the_host_when_asked(site: Site, make_host: Callable[..., Host]) -> None:
    host = make_host(user_data=b"#!/bin/sh\necho begun > /var/begun\nshutdown now\nsleep 60\n")
    client = site.open(host)
    wait_for(lambda: site.asked)
    with site.lock:
        site.hosts.shut(host.instance)
    assert site.open(host).out("cat /var/begun") == "begun\n"
    assert client.listening.port == site.hosts.open(host).port


# --- services ---------------------------------------------------------------------------------------------------------

UNIT = """
[Unit]
Description=a service
[Service]
Environment="GREETING=hello there" NAME=x
WorkingDirectory=/srv
ExecStart=/bin/sh -c 'echo ${GREETING} $NAME `pwd` >> /srv/log; exec sleep 1000'
User=nobody
Restart=always
[Install]
WantedBy=multi-user.target
"""


def test_a_service_starts_and_stops(client: Client) -> None:
    client.out("cat > /etc/systemd/system/web.service", UNIT)
    done = client.run("sudo systemctl daemon-reload && sudo systemctl start web")
    assert done.returncode == 0
    assert "User=nobody of web.service is not modelled" in done.stderr
    assert "Restart=always of web.service is not modelled" in done.stderr
    assert client.out("systemctl is-active web; cat /srv/log") == "active\nhello there x /srv\n"
    assert "Main PID" in client.out("systemctl status web.service --no-pager")
    pid = client.out("pgrep -f '^sleep 1000'")
    client.out("systemctl restart web")
    assert client.out("pgrep -f '^sleep 1000'") != pid
    client.out("systemctl stop web")
    assert client.run("pgrep -f '^sleep 1000'").returncode == 1
    done = client.run("systemctl is-active web")
    assert (done.stdout, done.returncode) == ("inactive\n", 3)


def test_a_service_keeps_the_box_and_starts_with_the_host(site: Site, client: Client) -> None:
    client.out("cat > /etc/systemd/system/web.service", UNIT)
    client.out("systemctl enable --now web; systemctl is-enabled web")
    time.sleep(2)
    assert client.out("systemctl is-active web").strip() == "active"
    site.hosts.shut(client.host.instance)
    client = site.open(client.host)
    wait_for(lambda: client.run("systemctl is-active web").returncode == 0)
    assert client.out("wc -l < /srv/log").strip() == "2"
    client.out("systemctl disable web")
    site.hosts.shut(client.host.instance)
    client = site.open(client.host)
    assert client.run("sleep 0.3; systemctl is-active web").returncode == 3


def test_a_service_that_fails_says_so(client: Client) -> None:
    client.out("cat > /etc/systemd/system/bad.service", "[Service]\nExecStart=/no/such/program\n")
    done = client.run("systemctl start bad")
    assert done.returncode == 1
    assert "/no/such/program: No such file or directory" in done.stderr
    client.out("cat > /etc/systemd/system/once.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    done = client.run("systemctl start once || echo $?; systemctl is-active once")
    assert (done.stdout, "it ended with 1" in done.stderr) == ("1\nfailed\n", True)


@pytest.mark.parametrize("command", ["list-units", "edit x", "mask x", "isolate rescue.target", ""])
def test_what_is_not_modelled_is_said(any_client: Client, command: str) -> None:
    done = any_client.run(f"systemctl {command}")
    assert (done.returncode, done.stderr) == (1, " ".join(["twin: systemctl", *command.split(), "is not modelled\n"]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[Service]\nType=forking\nExecStart=/bin/true\n", "Type=forking of x.service is not modelled"),
        ("[Service]\nType=dbus\nExecStart=/bin/true\n", "Type=dbus of x.service is not modelled"),
        ("[Service]\n", "x.service has no ExecStart="),
        ("[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n", "x.service has 2 ExecStart="),
        ("[Service]\nExecStart=/bin/sh 'open\n", "cannot read its command"),
        ("[Service]\nEnvironmentFile=/no/such\nExecStart=/bin/true\n", "cannot read EnvironmentFile=/no/such"),
    ],
)
def test_a_unit_that_is_not_modelled_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    monkeypatch.setattr("launchbay.twin.hosts.inside.units.UNITS", str(tmp_path))
    (tmp_path / "x.service").write_text(text)
    with pytest.raises(BadUnit, match=says):
        find_unit("x")


def test_units_are_read_as_systemd_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launchbay.twin.hosts.inside.units.UNITS", str(tmp_path))
    (tmp_path / "env").write_text("# a comment\nFROM_FILE=1\n")
    (tmp_path / "x.service").write_text(
        f"""[Service]
ExecStart=/bin/old
ExecStart=
ExecStart=-/bin/new $WORDS "${{WORDS}}" 100%% \\
  --last
Environment=WORDS="a b"
Environment="SPACED=a b" OTHER=c
EnvironmentFile={tmp_path / "env"}
[Install]
ExecStart=/bin/not-this
"""
    )
    unit = find_unit("x.service")
    assert unit.commands == [["/bin/new", "a", "b", "a b", "100%", "--last"]]
    told = {name: unit.environment[name] for name in ("WORDS", "SPACED", "OTHER", "FROM_FILE")}
    assert told == {"WORDS": "a b", "SPACED": "a b", "OTHER": "c", "FROM_FILE": "1"}
    for name in ("y", "../x", "x.socket", "x.timer"):
        with pytest.raises(BadUnit):
            find_unit(name)


# --- the others -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["apt install -y x", "apt-get update", "dnf -y install x", "yum install x"])
def test_installing_pretends_and_says_so(any_client: Client, command: str) -> None:
    done = any_client.run(f"sudo {command}")
    name = command.split(maxsplit=1)[0]
    assert (done.returncode, done.stderr) == (0, f"twin: {name} is a stand-in, nothing was installed\n")


@pytest.mark.parametrize(
    ("command", "prints"),
    [
        ("sudo echo hi", "hi"),
        ("sudo -E -n -- echo hi", "hi"),
        ("sudo A=1 B='2 3' sh -c 'echo $A $B'", "1 2 3"),
        ("sudo sh -c 'echo $HOME $USER $SUDO_USER'", "/root root ubuntu"),
        ("sudo -u ubuntu sh -c 'echo $HOME'", "/home/ubuntu"),
        ("sudo -iu ubuntu pwd", "/home/ubuntu"),
        ("sudo --user=ubuntu --preserve-env sh -c 'echo $USER'", "ubuntu"),
        ("sudo tee /etc/made < /etc/hostname > /dev/null && wc -l < /etc/made", "1"),
    ],
)
def test_sudo(any_client: Client, command: str, prints: str) -> None:
    assert any_client.out(command).strip() == prints


def test_sudo_passes_the_exit_code_on(any_client: Client) -> None:
    assert any_client.run("sudo sh -c 'exit 6'").returncode == 6
    done = any_client.run("sudo no-such-program")
    assert (done.returncode, done.stderr) == (1, "sudo: no-such-program: command not found\n")


def test_gpus_are_declared(site: Site, make_host: Callable[..., Host]) -> None:
    gpu = Gpu(name="Tesla V100-SXM2-16GB", memory_mib=16384)
    client = site.open(make_host(gpus=(gpu, gpu)))
    done = client.run("nvidia-smi --query-gpu=index,name,memory.total --format=csv,noheader,nounits")
    assert done.stdout == "0, Tesla V100-SXM2-16GB, 16384\n1, Tesla V100-SXM2-16GB, 16384\n"
    assert "declared by the twin" in done.stderr
    table = client.out("nvidia-smi")
    assert table.count("Tesla V100-SXM2-16GB") == 2
    assert "declared by the twin" in table
    listed = client.out("nvidia-smi -L").splitlines()
    assert len({line.split("UUID: ")[1] for line in listed}) == 2
    one = client.out("nvidia-smi -i 1 --query-gpu=index,memory.total,utilization.gpu --format=csv")
    assert one == "index, memory.total [MiB], utilization.gpu [%]\n1, 16384 MiB, 0 %\n"
    assert client.run("nvidia-smi --query-gpu=nonsense --format=csv").returncode == 2


def test_a_host_without_gpus_has_no_driver(any_client: Client) -> None:
    done = any_client.run("nvidia-smi")
    assert (done.returncode, "couldn't communicate" in done.stdout) == (9, True)


def test_the_laptops_programs_work_behind_their_links(any_client: Client) -> None:
    assert any_client.out("awk 'BEGIN { print 6 * 7 }'; echo b a | tr ' ' '\\n' | sort | head -1").split() == [
        "42",
        "a",
    ]
    script = "import json, ssl, sys; print(sys.prefix, ssl.OPENSSL_VERSION[:7])"
    assert any_client.out(f"/usr/bin/python3 -c '{script}'").strip() == "/usr OpenSSL"


def test_an_image_can_be_shown_and_a_layer_put_on_it(
    site: Site, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    image = tmp_path / "image" / "site-packages"
    image.mkdir(parents=True)
    (image / "of_the_image.py").write_text("NUMBER = 42\n")
    host = make_host(binds=((tmp_path / "image", "/image"),))
    client = site.open(host)
    client.out("/usr/bin/python3 -m venv --without-pip layer")
    client.out(
        "cat > $(echo layer/lib/python3.*/site-packages)/image.pth",
        "import site; site.addsitedir('/image/site-packages')",
    )
    assert client.out("layer/bin/python -c 'import of_the_image as m; print(m.NUMBER)'") == "42\n"
    assert client.run("touch /image/site-packages/x").returncode != 0
    # The folder that Python's own files lie in may be anywhere, also below the host's home.
    deep = replace(host, binds=((tmp_path / "image", "/home/ubuntu/deep/image"),))
    client = site.open(deep)
    assert client.out("ls ~/deep/image; touch ~/deep/own").strip() == "site-packages"
