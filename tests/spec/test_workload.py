from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.spec.assignment import Assignment
from launchbay.spec.beside import Address, Beside, Bucket, Disk, NatGateway, Snapshot, Transfer
from launchbay.spec.needs import Needs
from launchbay.spec.schedule import ALWAYS, Hours, Runs
from launchbay.spec.work import Endpoint, Job
from launchbay.spec.workload import WORKLOAD_FIELDS, SpotAssumption, Workload, read_workload

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "small-team"

WHOLE = """\
name: team
regions: [us-west-2, eu-central-1]
month: 720h
market: any
spot: {below_on_demand: 60%, interrupted_every: 12h}
jobs:
  - name: nightly
    needs: {vcpus: 0.5, memory: 16GiB, gpus: 2, gpu: T4, gpu_memory: 15GB, architecture: x86_64, image: tensorflow,
            local_disk: 200GB, disk: 50GiB, public_address: true, burstable: true}
    hours: 90m
    runs: 4 per week
    interruptible: true
    checkpoint: 30s
    restart: 3m
    deadline: 8h
    instances: 2
  - {name: weekly, hours: 12.5, cron: "0 2 * * 0", timezone: Europe/Berlin, needs: {like: run-20261101-120000-ab}}
endpoints:
  - {name: api, needs: {vcpus: 2}, replicas: 2, hours: 10h a day}
instances:
  - {name: web, type: m6i.large, count: 2, hours: 10h a day, market: spot, region: eu-central-1, runs: [api], disk: 30GiB,
     disk_kept: false, public_address: true, software_usd_per_hour: 0.10}
  - {name: gpu, type: g4dn.12xlarge, count: 2, runs: [nightly, weekly]}
disks: [{name: data, size: 35GB, iops: 6000, throughput: 250, count: 3, hours: 12h a month, region: us-west-2}]
addresses: [{name: office, count: 2, hours: always, region: us-west-2}]
snapshots: [{name: backup, size: 105GiB, count: 2, hours: always, region: us-west-2}]
nat_gateways: [{name: out, count: 2, hours: always, traffic: 1.5TB, public_address: false, region: us-west-2}]
buckets: [{name: models, size: 500GB, region: us-west-2}]
transfer: [{name: web, internet_out: 200GB, cross_zone: 10GB, between_regions: 5GB, region: eu-central-1}]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "workload.yaml"
    path.write_text(text)
    return path


def test_a_workload_says_all_it_can_say(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE)
    workload = read_workload(path)
    assert workload.jobs[1].runs.cron is not None
    assert workload == Workload(
        name="team",
        source=str(path),
        regions=("us-west-2", "eu-central-1"),
        month_hours=Decimal(720),
        market="any",
        spot=SpotAssumption(below_on_demand=Decimal("0.6"), interrupted_every_seconds=Decimal(43200)),
        jobs=(
            Job(
                name="nightly",
                run_seconds=Decimal(5400),
                runs=Runs(amount=Decimal(4), per="week"),
                needs=Needs(
                    vcpus=Decimal("0.5"),
                    memory_mib=16384,
                    gpus=2,
                    gpu="T4",
                    gpu_memory_mib=14306,
                    architecture="x86_64",
                    image="tensorflow",
                    local_disk_gb=200,
                    disk_gib=50,
                    public_address=True,
                    burstable=True,
                ),
                instances=2,
                interruptible=True,
                checkpoint_seconds=Decimal(30),
                restart_seconds=Decimal(180),
                deadline_seconds=Decimal(28800),
            ),
            Job(
                name="weekly",
                run_seconds=Decimal(45000),
                runs=Runs(cron=workload.jobs[1].runs.cron, timezone="Europe/Berlin"),
                needs=Needs(like="run-20261101-120000-ab"),
            ),
        ),
        endpoints=(
            Endpoint(name="api", needs=Needs(vcpus=Decimal(2)), replicas=2, hours=Hours(amount=Decimal(10), per="day")),
        ),
        instances=(
            Assignment(
                name="web",
                type="m6i.large",
                region="eu-central-1",
                market="spot",
                count=2,
                hours=Hours(amount=Decimal(10), per="day"),
                runs=("api",),
                disk_gib=30,
                disk_kept=False,
                public_address=True,
                software_usd_per_hour=Decimal("0.10"),
            ),
            Assignment(name="gpu", type="g4dn.12xlarge", region="us-west-2", count=2, runs=("nightly", "weekly")),
        ),
        beside=Beside(
            disks=(
                Disk(
                    name="data",
                    region="us-west-2",
                    size_gib=33,
                    iops=6000,
                    throughput=250,
                    count=3,
                    hours=Hours(amount=Decimal(12)),
                ),
            ),
            addresses=(Address(name="office", region="us-west-2", count=2),),
            snapshots=(Snapshot(name="backup", region="us-west-2", size_gib=105, count=2),),
            nat_gateways=(
                NatGateway(name="out", region="us-west-2", traffic_gb=Decimal(1536), count=2, public_address=False),
            ),
            buckets=(Bucket(name="models", region="us-west-2", size_gb=Decimal(500)),),
            transfer=(
                Transfer(
                    name="web",
                    region="eu-central-1",
                    internet_out_gb=Decimal(200),
                    cross_zone_gb=Decimal(10),
                    between_regions_gb=Decimal(5),
                ),
            ),
        ),
    )
    assert workload.jobs[0].where == f"{path}:7"


def test_a_workload_may_say_little(tmp_path: Path) -> None:
    workload = read_workload(write(tmp_path, "region: us-east-1\njobs: {name: a, hours: 2, runs: 3 a day}\n"))
    assert (workload.name, workload.month_hours, workload.market) == ("workload", Decimal(730), "any")
    assert workload.jobs[0].hours_in(Decimal(730)) == Decimal("182.5")
    assert workload.instances == ()
    disk = read_workload(write(tmp_path, "region: us-east-1\ndisks: [{size: 8GiB}, {size: 9GiB}]\n")).beside.disks
    assert [(item.name, item.size_gib, item.hours) for item in disk] == [("disk", 8, ALWAYS), ("disk-2", 9, ALWAYS)]


def test_every_documented_field_is_a_field(tmp_path: Path) -> None:
    """What the whole workload says is what is documented, but for `region`, which stands in the place of `regions`."""
    import yaml

    said: set[str] = {"region"}
    for field, value in yaml.safe_load(WHOLE).items():
        said.add(field)
        for entry in value if isinstance(value, list) else [value]:
            for name, inner in entry.items() if isinstance(entry, dict) else ():
                said.add(f"{field}.{name}")
                said |= {f"needs.{need}" for need in inner} if name == "needs" else set()
    assert said == set(WORKLOAD_FIELDS)
    with pytest.raises(UsageError, match="unknown field 'nothing'"):
        read_workload(write(tmp_path, WHOLE + "nothing: 1\n"))


HEAD = "region: us-west-2\n"
JOB = "jobs: [{name: a, hours: 12, runs: 1 a week"
BOX = "instances: [{name: box, type: m6i.large"


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("jobs: [", "not valid YAML", 1),
        ("name: a\n", "a workload must say its region", None),
        (HEAD, "must hold something that runs or costs", None),
        ("region: us-west-2a\n", "region must be such as us-west-2 .*, got 'us-west-2a'", 1),
        ("region: us-west-2\nregions: [us-east-1]\n", "region or regions, not both", 2),
        ("regions: [us-west-2, us-west-2]\n", "names us-west-2 twice", 1),
        (HEAD + "month: 900h\n", r"month must be 672h to 744h \(28 to 31 days\), got 900h", 2),
        (HEAD + "month: 671.9h\n", "month must be 672h to 744h", 2),
        (HEAD + "month: 720\n", "month: a duration must look like 90s, 15m, 8h or 2d, got '720'", 2),
        (HEAD + "spot: {interrupted_every: 0h}\n", "interrupted_every must be above 0, got 0h", 2),
        (HEAD + "market: cheap\n", "market must be on-demand, spot or any, got 'cheap'", 2),
        (HEAD + "spot: {below_on_demand: 0.6}\n", "below_on_demand must be above 0% and below 100%, got '0.6'", 2),
        (HEAD + "spot: {below_on_demand: 100%}\n", "must be above 0% and below 100%", 2),
        (HEAD + "spot: {below: 60%}\n", "unknown field 'below'", 2),
        (HEAD + "spot: [{}, {}]\n", "spot must be one mapping, got a list of 2", 2),
        (HEAD + "jobs:\n  - hours: 12\n", "an entry of jobs must have a name", 3),
        (HEAD + "jobs: [{name: a b, hours: 12}]\n", "a name must be 1 to 63 letters, .* got 'a b'", 2),
        (HEAD + "jobs: [{name: a, runs: 1 a week}]\n", "a job must say how long a run takes", 2),
        (HEAD + "jobs: [{name: a, hour: 3, runs: 1 a week}]\n", "unknown field 'hour'", 2),
        (HEAD + "jobs: [{name: a, hours: -12, runs: 1 a week}]\n", "hours: a duration must look like .* got '-12'", 2),
        (HEAD + "jobs: [{name: a, hours: 0, runs: 1 a week}]\n", "hours must be above 0, got '0'", 2),
        (HEAD + "jobs: [{name: a, hours: 12}]\n", "either 'runs' or 'cron'", 2),
        (HEAD + JOB + ", cron: '0 2 * * *'}]\n", "either 'runs' or 'cron', .* got both", 2),
        (HEAD + "jobs: [{name: a, hours: 12, runs: often}]\n", "runs must be so many a day, week or month, got 'often'", 2),
        (HEAD + "jobs: [{name: a, hours: 12, runs: 4h a week}]\n", "runs must be so many a day, week or month, got '4h a", 2),
        (HEAD + "endpoints: [{name: api, hours: 4 times a week}]\n", "hours must be 'always' or so many a day", 2),
        (HEAD + "jobs: [{name: a, hours: 12, runs: 0 a week}]\n", "runs must be so many", 2),
        (HEAD + "jobs: [{name: a, hours: 12, cron: 0 0 30 2 *}]\n", "never fires", 2),
        (
            HEAD + "jobs: [{name: a, hours: 12, runs: 1 a month, interruptibel: true, checkpoint: 30s}]\n",
            "unknown field 'interruptibel'",
            2,
        ),
        (HEAD + "jobs: [{name: a, hours: 12, cron: '0 2 * * *', timezone: Europe/Berln}]\n", "did you mean .*Europe/Berlin", 2),
        (HEAD + JOB + ", timezone: UTC}]\n", "timezone belongs to a cron line", 2),
        (HEAD + JOB + ", deadline: 11h}]\n", "a run of a takes 12h 00m, so it cannot be done within 11h", 2),
        (HEAD + JOB + ", checkpoint: 30s}]\n", "a cannot be interrupted", 2),
        (HEAD + JOB + ", interruptible: often}]\n", "interruptible must be true or false, got 'often'", 2),
        (HEAD + JOB + ", instances: 0}]\n", "instances must be 1 to 1000, got 0", 2),
        (HEAD + JOB + "}, {name: a, hours: 1, runs: 1 a day}]\n", "the name 'a' stands twice", 2),
        (HEAD + JOB + ", needs: {gpus: 0, gpu: T4}}]\n", "needs contradict each other: no GPU is wanted, and gpu says which", 2),
        (HEAD + JOB + ", needs: {gpus: 0, gpu_memory: 8GiB}}]\n", "needs contradict each other", 2),
        (HEAD + JOB + ", needs: {like: run-1, vcpus: 2}}]\n", "either like a run or said", 2),
        (HEAD + JOB + ", needs: {architecture: sparc}}]\n", "architecture must be x86_64 or arm64", 2),
        (HEAD + JOB + ", needs: {memory: 16}}]\n", "memory: a size must look like", 2),
        (HEAD + JOB + ", needs: {vcpus: 0}}]\n", "vcpus must be above 0", 2),
        (HEAD + JOB + ", needs: {vcpus: [2]}}]\n", r"vcpus must be a plain value, got \[2\]", 2),
        (HEAD + JOB + ", needs: [{}, {}]}]\n", "needs must be one mapping", 2),
        (HEAD + "endpoints: [{name: api, replicas: 0}]\n", "replicas must be 1 to 1000", 2),
        (HEAD + "endpoints: [{name: api, hours: 800h a month}]\n", "a month has 730 hours, got '800h a month'", 2),
        (HEAD + "endpoints: [{name: api, hours: 25h a day}]\n", "a day has 24 hours", 2),
        (HEAD + "endpoints: [{name: api, hours: -3h a day}]\n", "hours must be 'always' or so many a day", 2),
        (HEAD + "endpoints: [{name: api, hours: 24h}]\n", "hours must be 'always' or so many a day", 2),
        (HEAD + BOX + ", count: 0}]\n", "count must be 1 to 1000", 2),
        (HEAD + "instances: [{name: box, type: large}]\n", "type must be an instance type such as g5.xlarge, got 'large'", 2),
        (HEAD + BOX + ", market: any}]\n", "market must be on-demand or spot, got 'any'", 2),
        (HEAD + BOX + ", region: eu-west-1}]\n", r"region must be one of the workload's \(us-west-2\)", 2),
        (HEAD + BOX + ", runs: [ap]}]\nendpoints: [{name: api}]\n", "box runs 'ap', and .* did you mean api?", 2),
        (HEAD + BOX + "}]\nendpoints:\n  - name: api\n", "api runs on no instance", 4),
        (HEAD + BOX + ", runs: [api]}]\nendpoints: [{name: api, replicas: 2}]\n", "api has 2 replicas, .* and 1 run it", 3),
        (HEAD + BOX + ", runs: [api], hours: 5h a day}]\nendpoints: [{name: api}]\n", "api stands always, and instance box", 2),
        (HEAD + BOX + ", runs: [a], hours: 24h a month}]\n" + JOB + "}]\n", "box runs 24 hours in a month, and a takes 52.1", 2),
        (HEAD + BOX + ", runs: [a]}, {name: b, type: a.a, runs: [a]}]\n" + JOB + "}]\n", "a runs on several entries, so", 2),
        (HEAD + BOX + ", disk: 100TB}]\n", "disk must be at most 65536 GiB, got 93133 GiB", 2),
        (HEAD + BOX + ", software_usd_per_hour: -1}]\n", "software_usd_per_hour must be a number of 0 or more", 2),
        (HEAD + BOX + "}, {name: box, type: m6i.large}]\n", "the name 'box' stands twice", 2),
        (HEAD + "disks: [{name: a}]\n", "an entry must say its size", 2),
        (HEAD + "disks: [{sise: 8GiB}]\n", "unknown field 'sise'", 2),
        (HEAD + "disks: [{size: 8GiB, iops: 2000}]\n", "iops must be 3000 to 80000", 2),
        (HEAD + "disks: [{size: 8GiB, throughput: 5000}]\n", "throughput must be 125 to 2000", 2),
        (HEAD + "disks: [{size: 8GiB, name: a}, {size: 8GiB, name: a}]\n", "disks has two entries named 'a'", 2),
        (HEAD + "nat_gateways: [{traffic: lots}]\n", "traffic must be an amount of data a month", 2),
        (HEAD + "transfer: [{internet_out: -5GB}]\n", "internet_out must be an amount of data a month", 2),
        (HEAD + "transfer: 5GB\n", "transfer must be a list of entries", 2),
    ],
)  # fmt: skip
def test_a_workload_that_cannot_be_is_refused(tmp_path: Path, text: str, what: str, line: int | None) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=what) as caught:
        read_workload(path)
    assert caught.value.where.startswith(str(path) if line is None else f"{path}:{line}")


def test_jobs_of_a_week_fit_into_a_month_that_is_no_whole_number_of_weeks(tmp_path: Path) -> None:
    text = "region: us-west-2\nmonth: 720h\njobs: [{name: a, hours: 7, runs: 1 a week}]\n"
    read_workload(write(tmp_path, text + BOX + ", runs: [a], hours: 30h a month}]\n"))
    week = "region: us-west-2\nmonth: 720h\njobs: [{name: a, hours: 0.2, runs: 1 a week}]\n"
    read_workload(write(tmp_path, week + BOX + ", runs: [a], hours: 0.2h a week}]\n"))  # 28 digits differ in the last
    with pytest.raises(UsageError, match=r"box runs 29\.9 hours"):
        read_workload(write(tmp_path, text + BOX + ", runs: [a], hours: 29.9h a month}]\n"))


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_can_be_read(example: Path) -> None:
    assert read_workload(example).name == example.stem


@pytest.mark.parametrize("said", ["24h a month", "24 a month", "24 hours per month", "24h/month", "24 h each month"])
def test_hours_can_be_said_as_people_say_them(tmp_path: Path, said: str) -> None:
    workload = read_workload(write(tmp_path, f"region: us-west-2\nendpoints: [{{name: api, hours: {said}}}]\n"))
    assert workload.endpoints[0].hours == Hours(amount=Decimal(24), per="month")
    assert str(workload.endpoints[0].hours) == "24h a month"


@pytest.mark.parametrize("said", ["3 a week", "3 times a week", "3 runs per week", "3/week"])
def test_runs_can_be_said_as_people_say_them(tmp_path: Path, said: str) -> None:
    workload = read_workload(write(tmp_path, f"region: us-west-2\njobs: [{{name: a, hours: 1, runs: {said}}}]\n"))
    assert workload.jobs[0].runs == Runs(amount=Decimal(3), per="week")
    assert str(workload.jobs[0].runs) == "3 a week"


def test_the_example_of_the_reference_can_be_read(tmp_path: Path) -> None:
    page = EXAMPLES.parents[1] / "docs" / "reference" / "workload.md"
    block = page.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    assert [item.name for item in read_workload(write(tmp_path, block)).instances] == ["api", "trainer"]
