"""Fleets on EC2 as text."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from launchbay.afar.compare import Comparison
from launchbay.afar.prepare import Prepared
from launchbay.cli.texts.cloud import cloud_ended_text, cloud_launch_text, cloud_power_text, extended_text, when
from launchbay.cloud.end import CloudEnded
from launchbay.cloud.extend import Extended
from launchbay.cloud.fleet import CloudFleet
from launchbay.cloud.launch import CloudLaunch
from launchbay.cloud.power import CloudPower
from launchbay.jsonable import to_json
from launchbay.lifecycle.climb import Tried
from launchbay.planning.ladder import Rung
from launchbay.planning.store import Pile, Stay
from launchbay.providers.ec2.instances import Row

END = 1795791600.0  # 2026-11-27 15:00 UTC


def fleet(**more: Any) -> CloudFleet:
    plain: dict[str, Any] = {
        "name": "exp",
        "provider": "ec2",
        "region": "us-east-1",
        "type": "p3.2xlarge",
        "market": "on-demand",
        "count": 2,
        "image": "tensorflow",
        "digest": "abcdef0123456789" * 4,
        "machine_image": "ami-1",
        "login": "ubuntu",
        "created_at": END - 3600,
        "ends_at": END,
        "launch": "op-1",
        "asked": "",
        "usd_per_hour": "3.065",
        "disk_usd_per_hour": "0.0111111111",
    }
    return CloudFleet(**{**plain, **more})


def row(index: int) -> Row:
    return Row(
        id=f"i-{index}",
        state="running",
        type="p3.2xlarge",
        zone="us-east-1b",
        image="ami-1",
        index=index,
        token="",
        market="on-demand",
        public_address="",
        private_address="",
        started=datetime(2026, 11, 27, 14, tzinfo=UTC),
        reason="",
        tags={},
        disks=(),
    )


def launch(**more: Any) -> CloudLaunch:
    proof = Comparison(identical=True, gpu_proven=True, fingerprints=[], differences=[], image_problems=[])
    plain: dict[str, Any] = {
        "fleet": fleet(),
        "rows": {"exp-1": row(0), "exp-2": row(1)},
        "created": ("exp-1", "exp-2"),
        "tried": (),
        "prepared": {},
        "proof": proof,
        "clock": {"plan": 1.0, "running": 14.0, "reached": 5.0, "ready": 40.0},
    }
    return CloudLaunch(**{**plain, **more})


def ready(name: str, *, built: bool, image: float) -> Prepared:
    seconds = {"install": 1.0, "image": image, "instance": 0.5, "verify": 6.0}
    return Prepared(
        machine=cast("Any", None), instance=name, image="tensorflow", digest="", built=built,
        fingerprint={}, verification={}, seconds=seconds,
    )  # fmt: skip


def test_a_launch_says_what_where_at_which_price_and_until_when() -> None:
    shown = cloud_launch_text(launch())
    assert "2 of 2 launched on EC2: exp-1, exp-2" in shown
    assert "p3.2xlarge, on-demand, in us-east-1b" in shown
    assert "2 fingerprints, identical" in shown
    assert "the framework can use every GPU" in shown
    assert "asked for 1.0 s, running 15.0 s, reached 20.0 s, ready 60.0 s" in shown
    assert "$6.1522 an hour with disks and addresses; each ends itself by 2026-11-27 15:00 UTC" in shown
    assert "the slowest of each" not in shown
    there = {name: ready(name, built=False, image=0.25) for name in ("exp-1", "exp-2")}
    found = cloud_launch_text(launch(prepared=there))
    said = "the slowest of each: Launchbay 1.0 s, {}, environment 500 ms, proof and first import 6.0 s"
    assert said.format("image found there 250 ms") in found
    lock = launch(prepared={**there, "exp-2": ready("exp-2", built=True, image=38.0)})
    assert said.format("image installed from its lock 38.0 s") in cloud_launch_text(lock)
    assert (lock.as_json()["image_installed"], lock.as_json()["stages"]["image"]) == (1, 38.0)
    moved = launch(fleet=fleet(ends={"exp-2": END - 1800}))
    assert "they end themselves from 2026-11-27 14:30 UTC on" in cloud_launch_text(moved)
    assert moved.as_json()["ends_at"] == END - 1800
    assert "nothing to launch" in cloud_launch_text(launch(created=()))
    assert "unknown an hour" in cloud_launch_text(launch(fleet=fleet(usd_per_hour=None)))


def test_a_launch_says_what_it_did_not_get_and_what_is_only_declared() -> None:
    rung = Rung(zone="us-east-1a", type="p3.2xlarge", market="spot", usd_per_hour=None, why="as asked")
    proof = replace(launch().proof, gpu_proven=None, declared=("exp-1", "exp-2"))
    tried = (Tried(rung=rung, why="us-east-1a has no room"),)
    shown = cloud_launch_text(launch(fleet=fleet(provider="twin"), proof=proof, tried=tried))
    assert "not p3.2xlarge, spot, in us-east-1a: us-east-1a has no room" in shown
    assert "launched on the twin" in shown
    assert "GPUs are declared, not there: nothing is proven of them" in shown
    assert "NOT identical" in cloud_launch_text(launch(proof=replace(proof, identical=False)))


def test_a_stop_says_that_disks_go_on_costing() -> None:
    done = CloudPower(
        verb="stop", names=["exp-1", "exp-2"], state="stopped", changed=True, provider="ec2", usd_per_day="0.53"
    )
    assert cloud_power_text(done) == (
        "exp-1, exp-2 stopped; their disks stay, and cost. What they cost now: $0.53 a day."
    )
    assert "are stopped already" in cloud_power_text(replace(done, changed=False))
    assert "a day is unknown" in cloud_power_text(replace(done, usd_per_day=None))


def test_an_end_says_what_is_left_and_what_it_cost() -> None:
    ended = CloudEnded(
        verb="terminate", names=["exp-1"], fleet="exp", provider="ec2", region="us-east-1", cost_so_far="3.08"
    )
    shown = cloud_ended_text(ended)
    assert "What still costs: $0.00 a day" in shown
    assert shown.endswith("cost      $3.08 since launch")
    kept = replace(ended, still_costs=[{"kind": "volume", "id": "vol-1", "gib": 35}], cost_so_far=None)
    shown = cloud_ended_text(kept)
    assert "still there: volume vol-1, 35 GiB, for a price that is unknown" in shown
    assert "$0.00" not in shown
    assert shown.endswith("cost      unknown since launch")
    assert cloud_ended_text(replace(ended, names=[])) == (
        "Nothing of exp that was launched from here is left: it was terminated before."
    )
    lines = cloud_ended_text(replace(kept, names=[])).splitlines()
    assert lines[0] == "No instance of exp is left; what was to be kept of it costs on:"
    assert lines[-1].startswith(f"  aws ec2 delete-volume --region {ended.region}")
    made = replace(ended, names=[], made=["security group sg-1", "key pair launchbay-exp"])
    assert (
        cloud_ended_text(made) == "No instance of exp was there; removed: security group sg-1, key pair launchbay-exp."
    )
    runs, data = Pile(prefix="runs/exp/", objects=3, bytes=1 << 30), Pile(prefix="data/", objects=0, bytes=0)
    stay = Stay(bucket="launchbay-x", runs=runs, data=data, usd_per_month=Decimal("0.023"))
    shown = cloud_ended_text(replace(ended, store=stay))
    assert shown.splitlines()[-1].startswith("store     In the store stay 1.1 GB of its runs: 0.02 USD a month.")
    assert to_json(replace(ended, store=stay))["store"]["runs"]["objects"] == 3
    assert "store" not in cloud_ended_text(replace(ended, store=replace(stay, runs=replace(runs, objects=0))))


def test_a_longer_lease_says_until_when() -> None:
    assert when(END) == "2026-11-27 15:00 UTC"
    extended = Extended(names=["exp-1"], ends_at=END, usd_per_day="73.56")
    assert extended_text(extended) == "exp-1 lives until 2026-11-27 15:00 UTC. What they cost now: $73.56 a day."
