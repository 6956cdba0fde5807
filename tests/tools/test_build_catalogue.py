"""The catalogue's making: wheels that are what they must be, and prices that contradict each other."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tools.build_catalogue import build, measure
from tools.catalogue_prices import Known, Shape, choose_prices, size_factor
from tools.catalogue_types import COLUMNS, merge_described, row
from tools.catalogue_wheels import LIBCLOUD_CLEAN, LIBCLOUD_DOUBTFUL, MOTO, PINS, Pin, open_wheels, read_sources

Prices = dict[tuple[str, str], Decimal]


def shapes(*names: str, vcpus: int = 2, accelerated: bool = False) -> dict[str, Shape]:
    return {name: Shape(name=name, vcpus=vcpus, is_accelerated=accelerated) for name in names}


def table(text: str) -> Prices:
    """Read `TYPE REGION USD` lines."""
    rows = [line.split() for line in text.strip().splitlines()]
    return {(name, region): Decimal(usd) for name, region, usd in rows}


def amounts(known: dict[tuple[str, str], Known]) -> dict[str, tuple[str, str]]:
    return {f"{name} {region}": (str(price.usd), price.how) for (name, region), price in known.items()}


# --- prices ---------------------------------------------------------------------------------------------------------


def test_a_clean_price_counts_whatever_a_later_table_says() -> None:
    known = choose_prices(
        {"3.4": table("m5.large eu-west-1 0.11"), "3.5": table("m5.large eu-west-1 0.107")},
        {"3.9": table("m5.large eu-west-1 0.113\nm5.large sa-east-1 0")},
        shapes("m5.large"),
    )
    price = known["m5.large", "eu-west-1"]
    assert (str(price.usd), price.release, price.how) == ("0.107", "3.5", "clean")
    assert ("m5.large", "sa-east-1") not in known


def test_a_clean_price_that_a_later_table_repeats_is_as_new_as_that() -> None:
    clean = {"3.5": table("m5.large eu-west-1 0.107")}
    doubtful = {"3.6": table("m5.large eu-west-1 0.107"), "3.9": table("m5.large eu-west-1 0.0")}
    price = choose_prices(clean, doubtful, shapes("m5.large"))["m5.large", "eu-west-1"]
    assert (price.release, price.how, price.clean_release) == ("3.6", "confirmed", "3.5")


def test_the_rate_of_dedicated_tenancy_does_not_pass() -> None:
    """An xlarge at 1.065 times its price, next to two sizes that agree: it is computed from them instead."""
    said = "c7.large eu-west-1 0.1\nc7.xlarge eu-west-1 0.213\nc7.2xlarge eu-west-1 0.4\nc7.4xlarge eu-west-1 0"
    known = choose_prices({}, {"3.9": table(said)}, shapes("c7.large", "c7.xlarge", "c7.2xlarge", "c7.4xlarge"))
    assert amounts(known) == {
        "c7.large eu-west-1": ("0.1", "line"),
        "c7.xlarge eu-west-1": ("0.2", "computed"),
        "c7.2xlarge eu-west-1": ("0.4", "line"),
        "c7.4xlarge eu-west-1": ("0.8", "computed"),
    }


def test_an_older_table_that_is_right_goes_before_computing() -> None:
    doubtful = {
        "3.8": table("c7.large eu-west-1 0.1\nc7.xlarge eu-west-1 0.2001"),
        "3.9": table("c7.large eu-west-1 0.1\nc7.xlarge eu-west-1 0.213\nc7.2xlarge eu-west-1 0.4"),
    }
    price = choose_prices({}, doubtful, shapes("c7.large", "c7.xlarge", "c7.2xlarge"))["c7.xlarge", "eu-west-1"]
    assert (str(price.usd), price.release, price.how) == ("0.2001", "3.8", "line")


def test_what_rounding_does_to_a_small_price_is_no_contradiction() -> None:
    said = "c7.medium eu-west-1 0.0363\nc7.large eu-west-1 0.0725\nc7.4xlarge eu-west-1 0.58"
    known = choose_prices({}, {"3.9": table(said)}, shapes("c7.medium", "c7.large", "c7.4xlarge"))
    assert {how for _, how in amounts(known).values()} == {"line"}


def test_regions_with_equal_prices_stand_in_for_each_other_but_not_for_a_third() -> None:
    said = "c8.large us-east-1 0.08\nc8.large us-west-2 0\nc8.xlarge us-west-2 0.16\nc8.large us-east-2 0.0798"
    known = choose_prices({}, {"3.9": table(said)}, shapes("c8.large", "c8.xlarge"))
    assert amounts(known) == {
        "c8.large us-east-1": ("0.08", "line"),
        "c8.large us-west-2": ("0.08", "elsewhere"),
        "c8.xlarge us-west-2": ("0.16", "line"),
    }


def test_accelerators_are_compared_with_the_united_states_and_never_computed() -> None:
    said = """
g9.xlarge us-east-1 1.0
g9.8xlarge us-east-1 2.2
g9.8xlarge us-east-2 2.0
g9.12xlarge us-west-2 4.0
g9.xlarge eu-west-1 1.1
g9.8xlarge eu-west-1 2.2
g9.12xlarge eu-west-1 4.84
"""
    sizes = ("g9.xlarge", "g9.8xlarge", "g9.12xlarge")
    known = choose_prices({}, {"3.9": table(said)}, shapes(*sizes, accelerated=True))
    assert amounts(known)["g9.8xlarge us-east-1"] == ("2.0", "elsewhere")
    assert amounts(known)["g9.8xlarge eu-west-1"] == ("2.2", "line")
    assert "g9.12xlarge eu-west-1" not in amounts(known)


def test_a_type_of_its_own_needs_two_who_say_the_same() -> None:
    one = {"3.9": table("u9.224xlarge eu-west-1 100")}
    assert choose_prices({}, one, shapes("u9.224xlarge")) == {}
    two = {"3.8": table("u9.224xlarge eu-west-1 100"), "3.9": table("u9.224xlarge eu-west-1 110")}
    assert choose_prices({}, two, shapes("u9.224xlarge")) == {}
    three = {**two, "3.91": table("u9.224xlarge eu-west-1 100")}
    assert amounts(choose_prices({}, three, shapes("u9.224xlarge"))) == {"u9.224xlarge eu-west-1": ("100", "line")}


def test_sizes_that_contradict_each_other_have_no_price() -> None:
    doubtful = {name: table("m3.large eu-west-1 0.11\nm3.xlarge eu-west-1 0.2") for name in ("3.8", "3.9")}
    assert choose_prices({}, doubtful, shapes("m3.large", "m3.xlarge")) == {}


def test_0_is_never_a_price() -> None:
    said = "m5.large eu-west-1 0\nm5.xlarge eu-west-1 0.0"
    assert choose_prices({"3.5": table(said)}, {"3.9": table(said)}, shapes("m5.large", "m5.xlarge")) == {}


@pytest.mark.parametrize(
    ("name", "factor"),
    [("t3.nano", "0.25"), ("m5.large", "4"), ("m5.xlarge", "8"), ("m5.24xlarge", "192"), ("c7i.metal-24xl", "192")],
)
def test_sizes_as_aws_counts_them(name: str, factor: str) -> None:
    assert size_factor(name) == Decimal(factor)


def test_plain_metal_has_the_size_of_the_virtual_type_with_as_many_vcpus() -> None:
    assert size_factor("m5.metal") is None
    sizes = {**shapes("m5.24xlarge", "m5.metal", vcpus=96), **shapes("m5.large")}
    said = "m5.large eu-west-1 0.1\nm5.24xlarge eu-west-1 4.8\nm5.metal eu-west-1 5.28"
    assert amounts(choose_prices({}, {"3.9": table(said)}, sizes))["m5.metal eu-west-1"] == ("4.8", "computed")


# --- types ----------------------------------------------------------------------------------------------------------


def described(name: str, **more: Any) -> dict[str, Any]:
    """Return a type as EC2 answers."""
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": 2},
        "MemoryInfo": {"SizeInMiB": 8192},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "BurstablePerformanceSupported": False,
        "BareMetal": False,
        "CurrentGeneration": True,
        "NetworkInfo": {"NetworkPerformance": "High"},
        "SupportedUsageClasses": ["on-demand"],
        **more,
    }


def cells(what: dict[str, Any]) -> dict[str, str]:
    found = row(what, release="1", is_retired=False, offered_in={"c"}, regions=["a", "b", "c"])
    return dict(zip(COLUMNS, found, strict=True))


def test_the_newest_release_describes() -> None:
    merged = merge_described({"2": {"a": described("a")}, "1": {"a": described("a", old=1), "b": described("b")}})
    assert {name: release for name, (release, _) in merged.items()} == {"a": "2", "b": "1"}


def test_a_row_of_what_ec2_leaves_out() -> None:
    found = cells(described("m1.large"))
    assert (found["processor"], found["accelerators"], found["network_peak_gbps"], found["offered_in"]) == (
        "",
        "",
        "",
        "4",
    )


def test_devices_are_told_apart_and_counted_once() -> None:
    neuron = {"NeuronDevices": [{"Name": "Inferentia", "Count": 4, "MemoryInfo": {"SizeInMiB": 8192}}]}
    again = {"Accelerators": [{"Name": "Inferentia", "Count": 4, "Manufacturer": "AWS"}]}
    assert cells(described("i", NeuronInfo=neuron, InferenceAcceleratorInfo=again))["accelerators"] == (
        "neuron:AWS:Inferentia:4:8192:1"
    )


def test_a_share_of_a_gpu_has_the_logical_count() -> None:
    gpu = {
        "Name": "L4",
        "Manufacturer": "NVIDIA",
        "Count": 0,
        "LogicalGpuCount": 1,
        "GpuPartitionSize": Decimal("0.125"),
        "MemoryInfo": {"SizeInMiB": 2861},
    }
    assert cells(described("g", GpuInfo={"Gpus": [gpu]}))["accelerators"] == "gpu:NVIDIA:L4:1:2861:1/8"


# --- wheels ---------------------------------------------------------------------------------------------------------


def wheel(files: Mapping[str, object]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            text = json.dumps(content)
            archive.writestr(name, gzip.compress(text.encode()) if name.endswith(".gz") else text)
    return data.getvalue()


@pytest.fixture
def small() -> dict[tuple[str, str], zipfile.ZipFile]:
    """Return wheels of a world with two types in two regions, of which one is gone."""
    offered = "moto/ec2/resources/instance_type_offerings/region"
    now: dict[str, object] = {
        "moto/ec2/resources/instance_types.json.gz": {"m1.large": described("m1.large")},
        "moto/emr/resources/instance_types.json.gz": {},
        f"{offered}/us-east-1.json.gz": [{"InstanceType": "m1.large", "Location": "us-east-1"}],
        f"{offered}/us-west-2.json.gz": [],
    }
    before: dict[str, object] = {"moto/ec2/resources/instance_types.json": {"m0.large": described("m0.large")}}
    linux: dict[str, dict[str, float]] = {
        "m1.large": {"us-east-1": 0.1, "us-west-2-lax-1": 0.2},
        "m0.large": {"us-west-2": 0.3},
        "m1": {"us-east-1": 7},
    }
    later = {**linux, "m1.large": {**linux["m1.large"], "us-west-2": 0}}

    def prices(table: object) -> bytes:
        compute = {"updated": 1648133467, "compute": {"ec2_linux": table}}
        return wheel({"libcloud/data/pricing.json": compute})

    found = {("moto", version): wheel(before if version != MOTO[0] else now) for version in MOTO}
    found |= {("apache-libcloud", version): prices(linux) for version in LIBCLOUD_CLEAN}
    found |= {("apache-libcloud", version): prices(later) for version in LIBCLOUD_DOUBTFUL}
    return {key: zipfile.ZipFile(io.BytesIO(data)) for key, data in found.items()}


def test_the_same_wheels_give_the_same_bytes(small: dict[tuple[str, str], zipfile.ZipFile]) -> None:
    first, second = build(small, b"side"), build(small, b"side")
    assert first == second
    manifest = json.loads(first["manifest.json"])
    assert manifest["regions"] == ["us-east-1", "us-west-2"]
    assert manifest["files"]["side.csv"] == hashlib.sha256(b"side").hexdigest()
    types = list(csv.DictReader(gzip.decompress(first["types.csv.gz"]).decode().splitlines()))
    assert [(item["name"], item["retired"], item["offered_in"]) for item in types] == [
        ("m0.large", "1", "0"), ("m1.large", "", "1"),
    ]  # fmt: skip
    prices = list(csv.reader(gzip.decompress(first["prices.csv.gz"]).decode().splitlines()))
    assert prices == [["type", "us-east-1", "us-west-2"], ["m0.large", "", "0.3b"], ["m1.large", "0.1b", "0.1a"]]
    methods = {letter: (origin["method"], origin["source"]) for letter, origin in manifest["origins"].items()}
    assert methods["b"][0] == "scraped"
    assert methods["a"] == ("assumed", "apache-libcloud 3.9.1, for a region with equal prices")


def test_how_often_the_rule_is_right_is_counted(small: dict[tuple[str, str], zipfile.ZipFile]) -> None:
    """Each of the two is the only one of its family, and four tables agree."""
    assert measure(read_sources(small)) == {("line", "equal"): 2}


def test_a_wheel_that_is_not_what_it_must_be_ends_it(tmp_path: Path) -> None:
    pin = Pin(package="apache-libcloud", version="1.0", sha256=hashlib.sha256(wheel({})).hexdigest())
    with pytest.raises(SystemExit, match=r"there is no apache_libcloud-1\.0"):
        open_wheels(tmp_path, [pin])
    path = tmp_path / "apache_libcloud-1.0-py3-none-any.whl"
    path.write_bytes(wheel({}))
    assert open_wheels(tmp_path, [pin]).keys() == {("apache-libcloud", "1.0")}
    path.write_bytes(wheel({}) + b"x")
    with pytest.raises(SystemExit, match="must have sha256"):
        open_wheels(tmp_path, [pin])


def test_every_pin_is_a_whole_hash() -> None:
    assert {(pin.package, pin.version) for pin in PINS} == {
        *(("moto", version) for version in MOTO),
        *(("apache-libcloud", version) for version in (*LIBCLOUD_CLEAN, *LIBCLOUD_DOUBTFUL)),
    }
    assert all(len(pin.sha256) == 64 for pin in PINS)
