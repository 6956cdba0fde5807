"""How one gets in, as values and as files: doors, host keys, the configuration for `ssh -F`, the script for the shell."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import Conflict, StateError, UsageError, UserError
from launchbay.transport.door import Door, describe_door, read_door
from launchbay.transport.hostkeys import forget_host_key, pin_host_key, read_host_keys, replace_host_key
from launchbay.transport.script import boot_command, find_mark, write_script
from launchbay.transport.sshconfig import write_ssh_config
from launchbay.transport.tunnelrecord import Wanted, read_tunnels, write_tunnels

ONE, OTHER = f"ssh-ed25519 {'A' * 20}1 of a host", f"ssh-ed25519 {'A' * 20}2"


def make_door(**how: Any) -> Door:
    told: dict[str, Any] = {
        "address": "192.0.2.7",
        "user": "ubuntu",
        "keys": (Path("/keys/one"),),
        "known_hosts": Path("/keys/known"),
        "alias": "i-0123456789abcdef0",
        **how,
    }
    return Door(**told)


@pytest.mark.parametrize(
    "how",
    [
        {"address": "-oProxyCommand=x"},
        {"address": "a b"},
        {"address": "a\nHost *"},
        {"user": "-l"},
        {"user": "a@b"},
        {"alias": "*"},
        {"alias": "i-1,i-2"},
        {"port": 0},
        {"keys": ()},
        {"keys": (Path("relative"),)},
        {"keys": (Path('/a"b'),)},
        {"known_hosts": Path("/a\nProxyCommand x")},
        {"known_hosts": Path("/${HOME}/x")},
        {"proxy": ("nc", "a\nb")},
    ],
)
def test_what_could_be_taken_for_something_else_is_no_door(how: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make_door(**how)


def test_a_door_goes_through_a_record(tmp_path: Path) -> None:
    for door in (make_door(), make_door(address="2001:db8::1", port=2222, proxy=("nc", "a b", "%h"))):
        assert read_door(json.loads(json.dumps(describe_door(door)))) == door
    tunnels = [Wanted(door=make_door(), local_port=8888, remote_port=80)]
    write_tunnels(tmp_path / "record", tunnels)
    assert read_tunnels(tmp_path / "record") == tunnels
    assert stat.S_IMODE((tmp_path / "record").stat().st_mode) == 0o600


def test_a_record_that_others_could_have_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record"
    write_tunnels(path, [])
    path.chmod(0o620)
    with pytest.raises(UserError, match="others can write"):
        read_tunnels(path)
    path.chmod(0o600)
    for text, error in (("{", StateError), ("{}", UsageError), ('{"tunnels": [{"door": {}}]}', UsageError)):
        path.write_text(text)
        with pytest.raises(error):
            read_tunnels(path)
    with pytest.raises(UsageError, match="same port"):
        write_tunnels(path, [Wanted(door=make_door(), local_port=1, remote_port=port) for port in (1, 2)])


def test_a_host_key_is_pinned_once_and_replaced_only_on_purpose(tmp_path: Path) -> None:
    path = tmp_path / "known"
    pin_host_key(path, "i-1", ONE)
    pin_host_key(path, "i-2", OTHER)
    before = path.stat().st_mtime_ns
    pin_host_key(path, "i-1", ONE)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(Conflict, match="another host key"):
        pin_host_key(path, "i-1", OTHER)
    assert read_host_keys(path, "i-1") == (" ".join(ONE.split()[:2]),)
    replace_host_key(path, "i-1", OTHER)
    assert read_host_keys(path, "i-1") == (OTHER,)
    forget_host_key(path, "i-1")
    forget_host_key(path, "i-1")
    assert path.read_text() == f"i-2 {OTHER}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "line", ["", "x", "ssh-ed25519", f"{ONE}\n* {OTHER}", "ssh-ed25519 AAA,*", "@revoked * ssh-rsa A"]
)
def test_what_is_no_host_key_is_not_pinned(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError):
        pin_host_key(tmp_path / "known", "i-1", line)
    with pytest.raises(UsageError):
        pin_host_key(tmp_path / "known", "*", ONE)
    assert not (tmp_path / "known").exists()


PIN = """
import sys
from pathlib import Path
from launchbay.transport.hostkeys import pin_host_key
for number in range(10):
    pin_host_key(Path(sys.argv[1]), f"i-{sys.argv[2]}-{number}", "ssh-ed25519 AAAAA")
"""


def test_several_processes_pin_at_once_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "known"
    running = [subprocess.Popen([sys.executable, "-c", PIN, path, str(number)]) for number in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert len({line.split()[0] for line in path.read_text().splitlines()}) == 40


def read_config(path: Path, name: str) -> dict[str, str]:
    """Return what OpenSSH makes of a configuration."""
    done = subprocess.run(["ssh", "-G", "-F", path, name], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH's client is not installed")


@needs_ssh
def test_the_configuration_says_what_openssh_understands(tmp_path: Path) -> None:
    odd = tmp_path / "a b%h\\c"
    path = tmp_path / "config"
    proxied = make_door(proxy=("nc", "it's", "%h"), alias="i-2", port=2222)
    write_ssh_config(path, {"exp-1": make_door(keys=(odd, Path("/k2")), known_hosts=odd), "exp-2": proxied})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = read_config(path, "exp-1")
    assert {name: found[name] for name in ("hostname", "user", "port", "hostkeyalias")} == {
        "hostname": "192.0.2.7",
        "user": "ubuntu",
        "port": "22",
        "hostkeyalias": "i-0123456789abcdef0",
    }
    wanted = {
        "stricthostkeychecking": "true",
        "globalknownhostsfile": "/dev/null",
        "updatehostkeys": "false",
        "batchmode": "yes",
        "identitiesonly": "yes",
        "identityagent": "none",
        "forwardagent": "no",
        "controlmaster": "false",
        "passwordauthentication": "no",
        "kbdinteractiveauthentication": "no",
        "preferredauthentications": "publickey",
        "permitlocalcommand": "no",
    }
    assert {name: found[name] for name in wanted} == wanted
    assert int(found["serveraliveinterval"]) > 0
    assert "proxycommand" not in found
    other = read_config(path, "exp-2")
    assert (other["proxycommand"], other["port"], other["hostkeyalias"]) == ("nc 'it'\"'\"'s' %%h", "2222", "i-2")


def test_a_name_that_is_a_pattern_is_refused(tmp_path: Path) -> None:
    for name in ("*", "a b", "!a", "-F", "a\nb", ""):
        with pytest.raises(UsageError):
            write_ssh_config(tmp_path / "config", {name: make_door()})
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_script_that_was_cut_off_does_nothing(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = write_script(["touch", "made"], folder=str(tmp_path), variables={"A": "it's", "PATH": os.environ["PATH"]})
    command = [shell, "-c", f'eval "$(dd bs=1 count={len(script)} 2>/dev/null)"']
    # Without its last newline the script is still whole.
    for size in [*range(0, len(script) - 1, 13), len(script) - 2]:
        subprocess.run(command, input=script[:size], capture_output=True, check=False)
        assert list(tmp_path.iterdir()) == []
    subprocess.run(command, input=script, capture_output=True, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_shell_takes_not_one_byte_of_what_is_the_programs(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = write_script(["cat"], folder=str(tmp_path), variables={"SECRET": "s3cret"})
    command = boot_command(len(script))
    assert "s3cret" not in command
    environ = dict.fromkeys(("HOME", "USER", "LOGNAME", "SHELL"), "x") | {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [shell, "-c", command], input=script + b"\0\n}\n", capture_output=True, check=True, env=environ
    )
    found = find_mark(b"a profile's noise\n" + done.stdout)
    assert found
    assert (found[0].word, found[1]) == ("ok", b"\0\n}\n")


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_shell_that_cannot_become_the_program_says_so(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "run").write_text("#!/no/such/interpreter\n")
    (tmp_path / "run").chmod(0o755)
    script = write_script(["./run"], folder=str(tmp_path), variables={})
    done = subprocess.run(
        [shell, "-c", f'eval "$(dd bs=1 count={len(script)} 2>/dev/null)"'],
        input=script,
        capture_output=True,
        check=False,
    )
    first = find_mark(done.stdout)
    assert first
    second = find_mark(first[1])
    assert second
    assert (first[0].word, second[0].word, second[1]) == ("ok", "failed", b"")


@pytest.mark.parametrize("process_group", [None, 0])
def test_a_program_that_goes_on_leads_a_session_also_where_its_login_did_not(process_group: int | None) -> None:
    ask = "read -r pid _ _ _ _ sid _ </proc/$$/stat; echo $pid $sid"
    script = write_script(["sh", "-c", ask], folder="/", variables={}, is_own_session=True)
    command = ["sh", "-c", boot_command(len(script))]
    environ = dict.fromkeys(("HOME", "USER", "LOGNAME", "SHELL"), "x") | {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, input=script, capture_output=True, check=True, env=environ, process_group=process_group
    )
    found = find_mark(done.stdout)
    assert found
    pid, session = found[1].split()
    assert pid == session


def test_a_variable_that_is_none_is_refused() -> None:
    for name, value in (("a b", "x"), ("", "x"), ("A;rm", "x"), ("A", "x\0y")):
        with pytest.raises(UsageError, match="no variable"):
            write_script(["true"], folder="/", variables={name: value})


@pytest.mark.parametrize("name", ["door", "gather", "hostkeys", "ssh", "sshconfig", "tunnelrecord", "waiting"])
def test_importing_costs_nothing_of_ssh(name: str) -> None:
    code = f"import sys, launchbay.transport.{name}; print('asyncssh' in sys.modules, 'cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
