"""What an instance is told to do when it comes up: its document, its volumes, and its host key."""

from __future__ import annotations

import ast
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launchbay.cloud import volumes
from launchbay.cloud.boot import boot_config, make_host_key, take_host_key, worthless
from launchbay.cloud.lease import SCRIPT
from launchbay.errors import UsageError
from launchbay.planning.cloudwish import MOST_USER_DATA, Volume
from launchbay.planning.secret import find_secrets
from launchbay.transport.keypair import make_key_pair
from launchbay.twin.hosts.boot import read_user_data
from tests.cloud.test_lease import HOUR, Leased

KEY = make_key_pair("a comment")
MANY = [(f"/dev/sd{letter}", Volume(gib=35, mount=f"/volumes/number-{letter}")) for letter in "fghijklmnop"]


def document(data: bytes) -> Any:
    head, _, text = data.partition(b"\n")
    assert head == b"#cloud-config"
    return json.loads(text)


def test_it_is_the_same_for_every_retry_and_small() -> None:
    made = boot_config(KEY, ttl_s=28_800, login="ubuntu", volumes=MANY)
    assert made == boot_config(KEY, ttl_s=28_800, login="ubuntu", volumes=MANY)
    assert len(made) < MOST_USER_DATA // 2
    boot = read_user_data(made)
    assert (boot.errors, boot.notes) == ((), ())
    assert boot.host_key == (KEY.private.strip().encode() + b"\n", KEY.public.strip().encode() + b"\n")


def test_the_lease_comes_first_and_what_comes_after_cannot_keep_it_away() -> None:
    config = document(boot_config(KEY, ttl_s=3600, volumes=MANY))
    assert config["bootcmd"][0] == ["/bin/sh", "-c", SCRIPT, "launchbay-lease", "boot", "3600"]
    assert config["bootcmd"][1][3:6] == ["ubuntu", "/dev/sdf=/volumes/number-f", "/dev/sdg=/volumes/number-g"]
    assert config.keys() == {"bootcmd", "ssh_deletekeys", "ssh_genkeytypes", "ssh_keys"}
    assert len(document(boot_config(KEY, ttl_s=3600))["bootcmd"]) == 1


def test_its_only_secret_is_the_host_key_that_is_replaced() -> None:
    text = boot_config(KEY, ttl_s=3600, volumes=MANY).decode()
    assert find_secrets(text)
    (planted,) = worthless(KEY)
    assert find_secrets(text.replace(planted, "")) == ()
    assert "PRIVATE KEY" not in text.replace(planted, "")


def test_a_place_may_have_any_name() -> None:
    place = '/données/\U0001f600 "x"\\'
    boot = read_user_data(boot_config(KEY, ttl_s=3600, volumes=[("/dev/sdf", Volume(gib=1, mount=place))]))
    assert boot.config["bootcmd"][1][-1] == f"/dev/sdf={place}"


def test_a_volume_below_a_home_is_refused() -> None:
    with pytest.raises(UsageError, match="below a home, got /home/ubuntu/data"):
        boot_config(KEY, ttl_s=3600, volumes=[("/dev/sdf", Volume(gib=1, mount="/home/ubuntu/data"))])


# --- volumes ----------------------------------------------------------------------------------------------------------


def page(model: bytes, name: bytes) -> bytes:
    made = bytearray(4096)
    made[24:64] = model.ljust(40)
    made[3072:3104] = name.ljust(32, b" ")
    return bytes(made)


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        (b"Amazon Elastic Block Store", b"/dev/sdf", "/dev/sdf"),
        (b"Amazon Elastic Block Store", b"sdf", "/dev/sdf"),
        (b"Amazon Elastic Block Store", b"/dev/xvdf\0\0\0", "/dev/xvdf"),
        (b"Amazon Elastic Block Store", b"", ""),
        (b"Amazon EC2 NVMe Instance Storage", b"ephemeral0:sdf", ""),
        (b"", b"\xff\xff", ""),
    ],
)
def test_what_a_disk_was_mapped_as(model: bytes, name: bytes, expected: str) -> None:
    assert volumes.name_in(page(model, name)) == expected


def test_a_disk_is_found_by_what_it_was_mapped_as(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pages = {
        "/dev/nvme0n1": page(b"Amazon Elastic Block Store", b"/dev/sda1"),
        "/dev/nvme1n1": page(b"Amazon EC2 NVMe Instance Storage", b"ephemeral0:sdb"),
        "/dev/nvme3n1": page(b"Amazon Elastic Block Store", b"xvdf"),
        "/dev/nvme4n1": page(b"Amazon Elastic Block Store", b"/dev/sdg"),
    }

    def identify(path: str) -> bytes:
        if path == "/dev/nvme2n1":
            raise OSError("it went away")
        return pages[path]

    monkeypatch.setattr("launchbay.cloud.volumes.glob.glob", lambda _: [*pages, "/dev/nvme2n1"])
    monkeypatch.setattr(volumes, "identify", identify)
    assert volumes.find_disk("/dev/sdf") == "/dev/nvme3n1"
    assert volumes.find_disk("/dev/sdg") == "/dev/nvme4n1"
    assert volumes.find_disk("/dev/sdh") == ""
    (tmp_path / "disk").touch()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    assert volumes.find_disk(str(tmp_path / "link")) == str(tmp_path / "disk")


def test_the_question_to_a_disk_has_the_size_that_the_kernel_takes() -> None:
    assert struct.calcsize("=BBHIIIQQII6III") == volumes.IDENTIFY >> 16 & 0x3FFF


class Disks:
    """Files in place of disks, formatted by the real programs; only mounting is put aside."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.fstab = folder / "fstab"
        monkeypatch.setattr(volumes, "FSTAB", str(self.fstab))
        monkeypatch.setattr(volumes, "PATIENCE_S", 0.0)
        (folder / "bin").mkdir()
        (folder / "bin" / "mount").write_text(f'#!/bin/sh\necho "$@" >> {folder}/mounted\n')
        (folder / "bin" / "mount").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin")

    def disk(self, name: str) -> str:
        path = self.folder / name
        with open(path, "wb") as file:
            file.truncate(8 << 20)
        return str(path)

    def mounted(self) -> list[str]:
        return (self.folder / "mounted").read_text().splitlines()


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disks:
    return Disks(tmp_path, monkeypatch)


def test_a_blank_disk_is_formatted_once_and_mounted_at_each_boot(disks: Disks, tmp_path: Path) -> None:
    disk, place = disks.disk("disk"), str(tmp_path / "a place")
    disks.fstab.write_text("LABEL=root / ext4 defaults 0 1")
    assert volumes.main(["root", f"{disk}={place}"]) == 0
    first = Path(disk).read_bytes()
    assert first[1080:1082] == b"\x53\xef"  # ext4's mark
    lines = disks.fstab.read_text().splitlines()
    assert lines[0] == "LABEL=root / ext4 defaults 0 1"
    (ours,) = lines[1:]
    assert ours.startswith("UUID=")
    assert f"{tmp_path}/a\\040place auto defaults,nofail," in ours
    assert volumes.main(["root", f"{disk}={place}"]) == 0
    assert Path(disk).read_bytes() == first
    assert disks.fstab.read_text().splitlines() == lines
    assert disks.mounted() == [f"{disk} {place}"] * 2


@pytest.mark.parametrize("kind", ["data", "partitions"])
def test_what_is_on_a_disk_is_never_formatted_over(
    disks: Disks, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    disk = disks.disk("disk")
    if kind == "data":
        subprocess.run(["mkfs.ext4", "-q", "-L", "precious", disk], check=True)
    else:
        with open(disk, "r+b") as file:
            file.seek(446)
            file.write(b"\0\1\1\0\x83\1\1\0" + struct.pack("<II", 1, 1000))
            file.seek(510)
            file.write(b"\x55\xaa")
    before = Path(disk).read_bytes()
    code = volumes.main(["root", f"{disk}={tmp_path / 'data'}"])
    assert Path(disk).read_bytes() == before
    if kind == "data":
        assert (code, len(disks.mounted())) == (0, 1)
    else:
        assert code == 1
        assert "is left alone" in capfd.readouterr().err


def test_a_missing_disk_keeps_no_other_away(disks: Disks, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    disk = disks.disk("disk")
    disks.fstab.write_text("UUID=of-an-image-made-of-another /data auto defaults,nofail,x-launchbay 0 2\n")
    assert volumes.main(["no-such-user", f"/dev/no-such={tmp_path / 'a'}", f"{disk}={tmp_path / 'b'}"]) == 1
    assert "/dev/no-such is not there" in capfd.readouterr().err
    assert disks.mounted() == [f"{disk} {tmp_path / 'b'}"]
    (line,) = disks.fstab.read_text().splitlines()
    assert f" {tmp_path / 'b'} auto" in line
    if os.geteuid() == 0:
        assert (tmp_path / "b").stat().st_uid == volumes.FIRST_USER  # made before the user is


def test_what_is_sent_runs_alone_on_an_old_python(tmp_path: Path) -> None:
    text = Path(volumes.__file__).read_text().replace('"/etc/fstab"', repr(str(tmp_path / "fstab")))
    ast.parse(text, feature_version=(3, 9))
    (tmp_path / "fstab").write_text("LABEL=root / ext4 defaults 0 1\nold x-launchbay line\n")
    subprocess.run([sys.executable, "-I", "-S", "-c", text, "root"], check=True)
    assert (tmp_path / "fstab").read_text() == "LABEL=root / ext4 defaults 0 1\n"


# --- on the twin's hosts ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leased]:
    place = Leased(tmp_path_factory.mktemp("booted"))
    yield place
    place.twin.end()


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")
def test_a_volume_is_mounted_the_users_own_and_outlives_a_stop(place: Leased) -> None:
    key = make_key_pair()
    place.host_key = key
    data = boot_config(key, ttl_s=8 * HOUR, login="ec2-user", volumes=[("/dev/sdf", Volume(gib=35, mount="/data"))])
    mapped = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 35, "VolumeType": "gp3"}}
    (name,) = place.go(ttl_s=0, UserData=data.decode(), BlockDeviceMappings=[mapped])
    place.host_key = key
    place.advance(20)
    assert (
        place.run(name, "cloud-init status --wait; stat -c %U /data; echo kept > /data/file")
        == "status: done\nec2-user\n"
    )
    assert "/" in place.run(name, "df /data")
    place.ec2.stop_instances(InstanceIds=[name])
    place.advance(60)
    place.ec2.start_instances(InstanceIds=[name])
    place.advance(60)
    assert place.run(name, "cloud-init status --wait; cat /data/file; grep -c x-launchbay /etc/fstab").split()[-2:] == [
        "kept",
        "1",
    ]


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")
def test_the_host_key_that_was_given_is_there_at_once_and_is_replaced(place: Leased) -> None:
    (name,) = place.go(ttl_s=HOUR)
    place.advance(20)
    transport = place.transport(name)  # it takes no other host key than the given one
    own = make_host_key(transport)
    assert own == make_host_key(transport) != " ".join(place.host_key.public.split()[:2])
    take_host_key(transport)
    take_host_key(transport)
    place.ec2.reboot_instances(InstanceIds=[name])
    place.advance(20)
    assert place.twin.ask("hosts")["hosts"][name]["host_key"] == own
