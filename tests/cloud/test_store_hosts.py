"""The store with real hosts: no network but the way to S3, no credentials, and nothing lost when one of them is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from launchbay.afar.bundle import find_bundle
from launchbay.afar.machine import FarMachine
from launchbay.afar.prepare import pack_image, prepare
from launchbay.afar.runs import submit_afar
from launchbay.afar.sending import read_tree
from launchbay.cloud.courier import restore_run, start_courier, stored_runs
from launchbay.cloud.data import send_tree_by_store
from launchbay.cloud.store import open_store, what_stays
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.providers.ec2.bucket import presign_get, write_kept
from launchbay.providers.ec2.client import open_client
from launchbay.runs.train import RunSpec
from launchbay.transport.door import Door
from launchbay.transport.hostkeys import pin_host_key
from launchbay.transport.ssh import SshTransport
from tests.conftest import STORE
from tests.transport.conftest import HOME, IMAGE
from tests.twin.conftest import TwinProcess
from tests.twin_process import let_others_in

_SCRIPT = """
import hashlib, json, os, time
folder = os.environ["LAUNCHBAY_CHECKPOINT_DIR"]
def put(name, data):
    with open(f"{folder}/{name}.half", "wb") as file:
        file.write(data)
    os.replace(f"{folder}/{name}.half", f"{folder}/{name}")
for step in range(10_000):
    data = os.urandom(50_000)
    put(f"arrays-{step % 2}", data)
    put("manifest.json", json.dumps({"step": step, "arrays": hashlib.sha256(data).hexdigest()}).encode())
    print("step", step, flush=True)
    time.sleep(0.5)
"""


class Fleet:
    """Three instances of a twin, each a machine behind SSH on which Launchbay is."""

    def __init__(self, folder: Path, binds: Sequence[tuple[str, str]], bundles: Home) -> None:
        let_others_in(folder)
        self.bundles = bundles
        self.twin = TwinProcess(folder / "twin", has_hosts=True, is_virtual=True, binds=binds)
        key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self.ec2 = self.twin.client("ec2")
        self.ec2.import_key_pair(KeyName="k", PublicKeyMaterial=key.with_suffix(".pub").read_bytes())
        vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        group = self.ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
        with urllib.request.urlopen(f"{self.twin.url}/twin/address") as answer:
            network = answer.read().decode().strip() + "/32"
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": network}]}
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        told = {"ImageId": IMAGE, "InstanceType": "m5.large", "KeyName": "k", "SecurityGroupIds": [group]}
        made = self.ec2.run_instances(MinCount=3, MaxCount=3, **told)
        self.instances = [item["InstanceId"] for item in made["Instances"]]
        self.twin.ask("advance", seconds=10)
        hosts = self.twin.ask("hosts")["hosts"]
        self.machines = []
        for name in self.instances:
            known = folder / f"known-{name}"
            pin_host_key(known, name, hosts[name]["host_key"])
            place = {"address": hosts[name]["address"], "port": hosts[name]["port"], "user": "ec2-user"}
            door = Door(**place, keys=(key,), known_hosts=known, alias=name)
            transport = SshTransport(door=door, variables={}, folder=HOME)
            bare = FarMachine(transport=transport, home=f"{HOME}/bay", name=name, uv="/usr/bin/true")
            self.machines.append(bare.install(find_bundle(bundles)))
        client = open_client("us-east-1", endpoint=self.twin.url, keys=("twin", "twin"))
        self.store = open_store(client)

    def calls(self) -> Counter[str]:
        return Counter(self.twin.ask("calls"))

    def sh(self, number: int, text: str) -> str:
        done = self.machines[number].transport.run(["sh", "-c", text], timeout=60)
        return (done.stdout + done.stderr).decode()

    def close(self) -> None:
        for machine in self.machines:
            machine.transport.close()
        self.twin.end()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, image_store: Callable[[str], Image]) -> Iterator[Fleet]:
    if shutil.which("bwrap") is None:
        pytest.skip("hosts need bubblewrap")
    python = image_store("tiny").python_path.resolve().parents[1]
    seen = [str(STORE / "images"), *([] if str(python).startswith("/usr") else [str(python)])]
    bundles = Home(tmp_path_factory.mktemp("packed"))
    made = Fleet(tmp_path_factory.mktemp("fleet"), [(path, path) for path in seen], bundles)
    yield made
    made.close()


def test_three_hosts_fetch_what_went_to_the_store_once(fleet: Fleet, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "a.bin").write_bytes(os.urandom(40 << 20))
    (rows / "b.csv").write_text("1,2\n" * 1000)
    tree = read_tree(rows)
    before = fleet.calls()
    sent = send_tree_by_store(fleet.machines, tree, fleet.store, home=Home(tmp_path / "home"))
    done = fleet.calls() - before
    assert (done["s3:PutObject"], done["s3:GetObject"]) == (3, 6)  # two pieces, and their index, once
    assert [item.bytes for item in sent] == [(40 << 20) + 4000] * 3
    for number, item in enumerate(sent):
        assert item.folder == f"{HOME}/bay/afar/trees/{tree.name}"
        found = fleet.sh(number, f"cd {item.folder} && sha256sum a.bin b.csv")
        assert [line.split()[0] for line in found.splitlines()] == [tree.files[name][1] for name in ("a.bin", "b.csv")]


def test_a_host_reaches_what_was_signed_and_nothing_else(fleet: Fleet) -> None:
    client, name = fleet.store.client, fleet.store.name
    write_kept(client, name, "data/x", b"hello")
    url = presign_get(client, name, "data/x", seconds=60)
    ask = "curl -s -o /dev/null -w '%{http_code}'"
    assert fleet.sh(0, f"curl -s '{url}'") == "hello"
    assert fleet.sh(0, f"{ask} '{url.replace('data/x', 'data/y')}'") == "403"  # signed for another
    plain = url.partition("?")[0]
    assert fleet.sh(0, f"{ask} {plain}") == "403"
    assert fleet.sh(0, f"{ask} {fleet.twin.url}/twin/status") == "403"
    signed = "'Authorization: AWS4-HMAC-SHA256 Credential=twin/20261127/us-east-1/ec2/aws4_request, Signature=x'"
    body = "-d 'Action=DescribeInstances&Version=2016-11-15'"
    assert fleet.sh(0, f"{ask} -H {signed} {body} {fleet.twin.url}/") == "403"
    assert fleet.sh(0, f"{ask} -X DELETE '{url}'") == "403"
    time.sleep(1.1)  # an address is dated to the second, and ages by what the clock was set forward after that
    fleet.twin.ask("advance", seconds=61)
    assert "Request has expired" in fleet.sh(0, f"curl -s '{url}'")


def test_a_run_comes_home_whose_instance_was_ended_hard(bay: Bay, fleet: Fleet, tiny: str, tmp_path: Path) -> None:
    bay.home.root.mkdir(parents=True, exist_ok=True)
    (bay.home.root / "bundles").symlink_to(fleet.bundles.root / "bundles")
    made = prepare(bay, fleet.machines[2], pack_image(bay, tiny), "exp-3", shared_images=[str(STORE / "images")])
    (tmp_path / "project").mkdir()
    script = tmp_path / "project" / "train.py"
    script.write_text(_SCRIPT)
    run = submit_afar(bay, made.machine, "exp-3", RunSpec(script=script), fleet="exp")
    start_courier(made.machine, fleet.store, "exp", run.id, lease_s=3600, every_s=0.5)
    _wait_for(lambda: stored_runs(fleet.store, "exp") == [run.id])
    time.sleep(4)
    fleet.ec2.terminate_instances(InstanceIds=[fleet.instances[2]])
    fleet.twin.ask("advance", seconds=10)
    assert fleet.instances[2] not in fleet.twin.ask("hosts")["hosts"]
    home = restore_run(bay, fleet.store, "exp", run.id)
    assert (home.state, home.instance, home.script) == ("lost", "exp-3", str(script))
    assert home.log.read_text().startswith("step 0\nstep 1\n")
    assert (home.work / "train.py").read_text() == _SCRIPT
    assert {path.name for path in home.checkpoints.iterdir()} >= {"arrays-0", "manifest.json"}
    stay = what_stays(fleet.store.client, fleet.store.name, "exp", side={})
    assert stay.runs.objects >= 5
    assert stay.usd_per_month is None


def _wait_for(condition: Callable[[], object], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.2)
