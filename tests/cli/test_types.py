"""`bay types`: what is typed, what is shown, and what is said to a slip."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import launchbay
from launchbay.lifecycle.bay import Bay
from tests.cli.conftest import Said
from tests.cli.terminal import on_terminal

Says = Callable[..., Said]


@pytest.fixture(autouse=True)
def _no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def test_gpus_by_price(says: Says) -> None:
    said = says("types", "--gpus", "1+", "--sort", "price", "--region", "us-west-2")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].split()[:3] == ["TYPE", "GPUS", "GPU"]
    assert [line.split()[0] for line in lines[1:4]] == ["g5g.xlarge", "g4dn.xlarge", "g5g.2xlarge"]
    assert "65 types in us-west-2, of which 30 are shown (--limit 65 shows all). Of 23 no price is known." in said.out
    assert (
        "Prices: US dollars an hour for Linux, known as of 2022-03-24 to 2025-03-02, from apache-libcloud" in said.out
    )
    assert "18 more types match and are offered no more (--retired)." in said.out


def test_json_is_a_list_of_what_the_api_returns(says: Says, bay: Bay) -> None:
    rows: list[dict[str, Any]] = says("types", "--gpus", "1+", "--region", "us-west-2", "--json").value
    assert len(rows) == 65
    first = {"type": "g5g.xlarge", "region": "us-west-2", "vcpus": 4, "memory_gib": 8, "gpus": 1, "gpu": "T4g"}
    first |= {"gpu_memory_gib": 16.0, "usd_per_hour": "0.42", "spot_usd_per_hour": None, "priced_on": "2025-03-02"}
    first |= {"source": "apache-libcloud 3.5.1, the same in 3.9.1", "stale": False, "compute_capability": "7.5"}
    assert first.items() <= rows[0].items()
    unknown = rows[-1]
    assert (unknown["usd_per_hour"], unknown["priced_on"], unknown["source"], unknown["stale"]) == (None,) * 4
    answer = launchbay.find_types(bay, gpus="1+", regions=["us-west-2"])
    assert launchbay.to_json(answer.found.offers) == rows


def test_csv_has_the_fields_of_json(says: Says) -> None:
    asked = ("types", "--accelerator", "neuron", "--sort", "type")
    rows = says(*asked, "--json").value
    found = list(csv.DictReader(io.StringIO(says(*asked, "--csv").out)))
    assert len(found) == len(rows) > 5
    assert [*rows[0]] == [*found[0]]
    for text, row in zip(found, rows, strict=True):
        assert text["type"] == row["type"]
        assert text["usd_per_hour"] == (row["usd_per_hour"] or "")
        assert text["usage_classes"] == " ".join(row["usage_classes"])
    (trn1,) = (text for text in found if text["type"] == "trn1.2xlarge")
    assert trn1["accelerators"] == "neuron:Trainium:1:32768"
    head = says("types", "--gpus", "64", "--csv").out
    assert head == ",".join(rows[0]) + "\n"
    (radeon,) = csv.DictReader(io.StringIO(says("types", "--gpu", "*v520", "--vcpus", "4", "--retired", "--csv").out))
    assert radeon["accelerators"] == "gpu:Radeon-Pro-V520:1:8192"


def test_columns_limit_and_order(says: Says) -> None:
    said = says("types", "--gpu", "t4", "--columns", "type,price-per-gpu,source", "--limit", "2", "--sort", "vcpus")
    lines = said.out.splitlines()
    assert lines[0].split() == ["TYPE", "USD/GPU", "H", "SOURCE"]
    assert lines[1].split()[:2] == ["g4dn.xlarge", "0.5260"]
    assert lines[2].startswith("g4dn.2xlarge")
    assert lines[3] == ""
    reverse = says("types", "--gpu", "t4", "--sort", "vcpus", "--reverse", "--json").value
    assert [row["vcpus"] for row in reverse] == sorted((row["vcpus"] for row in reverse), reverse=True)


def test_what_one_sorts_by_is_shown(says: Says) -> None:
    assert "USD/GPU H" in says("types", "--gpus", "1", "--sort", "price-per-gpu", "--limit", "1").out
    assert "REGION" in says("types", "--gpu", "l4", "--region", "us-east-1,us-west-2", "--limit", "1").out
    assert "SPOT USD/H" in says("types", "--gpu", "l4", "--spot", "--limit", "1").out
    assert "retired" in says("types", "--gpu", "k80", "--retired").out


def test_the_region_comes_from_the_option_then_from_awss_variables(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    assert " in us-east-1" in says("types", "--gpu", "t4").out
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert " in eu-west-1" in says("types", "--gpu", "t4").out
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert " in eu-central-1" in says("types", "--gpu", "t4").out
    assert " in us-west-2" in says("types", "--gpu", "t4", "--region", "us-west-2").out
    assert " in 30 regions" in says("types", "--gpu", "t4", "--region", "all").out
    assert " in 2 regions" in says("types", "--gpu", "t4", "--region", " us-west-2 , us-east-1,us-west-2").out
    monkeypatch.setenv("AWS_REGION", "moon-1")
    assert "no region named 'moon-1'" in says("types").err


def test_stale_prices_and_unknown_ones_are_marked(says: Says) -> None:
    said = says("types", "--family", "p4d", "--family", "p5en", "--region", "us-west-2")
    assert "32.7726*" in said.out
    assert "* is known to have changed since." in said.out
    assert "unknown" in said.out
    assert "*" not in says("types", "--gpu", "t4").out


def test_a_ceiling_says_of_how_many_nobody_knows(says: Says) -> None:
    said = says("types", "--gpus", "1+", "--max-price", "$0.45")
    assert "1 type in us-east-1. Of " in said.out
    assert "so they may or may not cost less than the ceiling" in said.out
    for form in ("--json", "--csv"):
        told = says("types", "--gpus", "1+", "--max-price", "0.45", form)
        assert told.err == "Of 22 more no price is known, so they may or may not cost less than the ceiling.\n"
        assert says("types", "--gpus", "1+", form).err == ""
    nothing = says("types", "--gpus", "1+", "--max-price", "0.01").out
    assert "offered no more" not in nothing
    assert "type may, in other regions (--region all): what they cost there was not looked at." in nothing


def test_nothing_that_matches(says: Says) -> None:
    said = says("types", "--gpu", "m60")
    assert said.code == 0
    assert said.out == "No instance type matches.\n4 more types match and are offered no more (--retired).\n"
    assert "offered no more" not in says("types", "--gpus", "1+", "--region", "af-south-1").out
    elsewhere = says("types", "--gpu", "b300", "--region", "af-south-1").out
    assert "would, in other regions (--region all)." in elsewhere


def test_where_no_spot_price_is_known_it_says_who_knows_them(says: Says) -> None:
    said = says("types", "--gpu", "t4", "--spot", "--limit", "1").out
    assert "No spot price of them is known. `bay types refresh --region us-east-1` asks AWS for them." in said
    assert "`bay types refresh --region REGION`" in says("types", "--gpu", "t4", "--spot", "--region", "all").out
    assert "refresh" in says("types", "--gpu", "t4", "--spot", "--max-price", "1").out
    assert "refresh" not in says("types", "--gpu", "t4").out


def test_types_that_an_image_runs_on(says: Says) -> None:
    said = says("types", "--for", "tensorflow", "--gpus", "1+", "--region", "us-west-2", "--retired", "--limit", "99")
    assert "tensorflow runs on x86_64, on GPUs of compute capability 6.0 or newer." in said.out
    names = {line.split()[0] for line in said.out.splitlines() if "." in line.split(" ")[0]}
    assert {"g4dn.xlarge", "p3.2xlarge"} <= names
    assert not {"p2.xlarge", "g3.4xlarge", "g4ad.xlarge", "dl1.24xlarge", "g5g.xlarge"} & names
    on_cpu = says("types", "--for", "mxnet", "--limit", "1").out
    assert "mxnet runs on x86_64." in on_cpu
    assert (
        says("types", "--for", "jax", "--limit", "1").out.count("with --gpus 1+ it needs compute capability 5.2") == 1
    )


def test_what_an_image_needs_of_a_gpu_holds_for_types_that_are_like_one_with_a_gpu(says: Says) -> None:
    said = says("types", "--for", "tensorflow", "--like", "p2.xlarge", "--retired", "--sort", "type")
    assert "on GPUs of compute capability 6.0 or newer." in said.out
    names = {line.split()[0] for line in said.out.splitlines() if "." in line.split(" ")[0]}
    assert "p2.xlarge" not in names
    named = says("types", "--for", "tensorflow", "--accelerator", "t4", "--limit", "1")
    assert "on GPUs of compute capability 6.0 or newer." in named.out


def test_types_like_one(says: Says) -> None:
    rows = says("types", "--like", "g4dn.xlarge", "--region", "us-west-2", "--json").value
    assert {row["type"] for row in rows} == {"g4dn.xlarge", "g5.xlarge", "g6.xlarge", "g6f.xlarge"}


def test_case_does_not_matter_and_numbers_are_taken_as_the_table_shows_them(says: Says, bay: Bay) -> None:
    for asked, meant in (
        (("--like", "G4DN.XLARGE"), ("--like", "g4dn.xlarge")),
        (("--arch", "ARM64", "--gpus", "1+"), ("--arch", "arm64", "--gpus", "1+")),
        (("--capability", "ANY"), ("--capability", "any")),
        (("--gpu-memory", "24gb"), ("--gpu-memory", "24")),
        (("--gpu-memory", "22.35"), ("--gpu-memory", "22.3..22.4")),
    ):
        rows = says("types", *asked, "--json").value
        assert rows == says("types", *meant, "--json").value != []
    assert (
        says("types", "compare", "g5.xlarge", "G6.XLARGE").out == says("types", "compare", "g5.xlarge", "g6.xlarge").out
    )
    assert launchbay.find_types(bay, gpus=4) == launchbay.find_types(bay, gpus="4")


def test_architectures_by_their_other_names(says: Says) -> None:
    for asked, meant in (("amd64", "x86_64"), ("aarch64", "arm64")):
        rows = says("types", "--arch", asked, "--vcpus", "2", "--memory", "4", "--json").value
        assert rows == says("types", "--arch", meant, "--vcpus", "2", "--memory", "4", "--json").value != []


def test_side_by_side(says: Says) -> None:
    said = says("types", "compare", "g5.xlarge", "p2.xlarge", "--region", "us-west-2")
    assert said.code == 0
    rows = [line.split("  ") for line in said.out.splitlines()]
    assert [cell.strip() for cell in rows[0] if cell.strip()] == ["g5.xlarge", "p2.xlarge"]
    assert any(row[0] == "USD/HOUR" and "1.0060" in "".join(row) and "0.9000" in "".join(row) for row in rows)
    assert any(row[0] == "IN us-west-2" for row in rows)
    value = says("--json", "types", "compare", "g5.xlarge", "p2.xlarge").value
    assert [(row["type"], row["region"]) for row in value] == [("g5.xlarge", "us-east-1"), ("p2.xlarge", "us-east-1")]
    before = says("types", "--region", "us-west-2", "compare", "g5.xlarge", "p2.xlarge", "--json").value
    assert {row["region"] for row in before} == {"us-west-2"}


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        (["--gpus", "0.."], 2, "Try: --gpus 0+"),
        (["--gpus", "8..2"], 2, "Try: --gpus 2..8"),
        (["--gpus", "many"], 2, "--gpus must look like 4, 4+, 2..8 or ..8, got 'many'"),
        (["--memory", "16MB"], 2, "--memory must look like"),
        (["--gpus", "0", "--gpu", "t4"], 2, "cannot both be"),
        (["--gpus", "0", "--accelerator", "gpu"], 2, "cannot both be"),
        (["--gpus", "0", "--accelerator", "t4"], 2, "cannot both be"),
        (["--gpu", "t4", "--maker", "amd"], 2, "no GPU that is called t4 is made by amd"),
        (["--maker", "amd", "--capability", "any"], 2, "has no CUDA compute capability"),
        (["--capability", "new"], 2, "a compute capability must look like 8.6"),
        (["--max-price", "cheap"], 2, "--max-price must be US dollars an hour, got 'cheap'"),
        (["--max-price", "nan"], 2, "--max-price must be US dollars an hour"),
        (["--max-price", "-1"], 2, "--max-price must be above 0"),
        (["--limit", "0"], 2, "--limit must be 1 or more"),
        (["--limit", "x"], 2, "invalid int value: 'x'"),
        (["--arch", "arm"], 2, "--arch must be one of x86_64, arm64"),
        (["--generation", "next"], 2, "invalid choice: 'next'"),
        (["--csv", "--json"], 2, "--csv and --json cannot both be"),
        (["--csv", "--columns", "type"], 2, "--csv and --columns cannot both be"),
        (["--region", "us-wst-2"], 1, "no region named 'us-wst-2'; did you mean"),
        (["--gpu", "a10"], 1, "no GPU named 'a10'; did you mean a100 or a10g?"),
        (["--gpu", "v520"], 1, "no GPU named 'v520'; did you mean radeon pro v520?"),
        (["--gpus", "0.5"], 2, "--gpus must be whole, got '0.5'\n  Try: a share of a GPU counts as one"),
        (["--vcpus", "2.5"], 2, "--vcpus must be whole, got '2.5'"),
        (["--local-disk", "100GiB"], 2, "--local-disk is in GB, got '100GiB'"),
        (["--gpu-model", "a10g"], 2, "it does not take --gpu-model; here it is --gpu"),
        (["--usage-class=spot"], 2, "here it is --spot"),
        (["--cpu-architecture", "arm64"], 2, "here it is --arch"),
        (["--vcpus-min", "2"], 2, "here it is --vcpus N+"),
        (["--memory-max", "2"], 2, "here it is --memory ..N"),
        (["--gpus", "4", "compare", "g5.xlarge", "g6.xlarge"], 2, "bay types compare: error: it does not take --gpus;"),
        (["--spot", "refresh"], 2, "bay types refresh: error: it does not take --spot;"),
        (["--like", "g5"], 1, "'g5' is a family of instance types\n  Try: one of its sizes: g5.xlarge, g5.2xlarge,"),
        (["--family", "g55"], 1, "no family of types named 'g55'; did you mean g5 or g5g?"),
        (["--sort", "prise"], 1, "no column named 'prise'; did you mean"),
        (["--columns", "type,prise"], 1, "no column named 'prise'; did you mean"),
        (["--columns", ","], 1, "no column named ''"),
        (["--like", "g5.xlrge"], 1, "no instance type named 'g5.xlrge'; did you mean"),
        (["--for", "tensorflw"], 1, "no image named 'tensorflw'; did you mean"),
        (["--for", "mxnet", "--gpus", "1"], 2, "mxnet has no CUDA build, so it would leave a GPU idle"),
        (["--for", "mxnet", "--like", "g4dn.xlarge"], 2, "mxnet has no CUDA build, so it would leave a GPU idle"),
        (["--for", "mxnet", "--accelerator", "gpu"], 2, "mxnet has no CUDA build, so it would leave a GPU idle"),
        (["--for", "jax", "--arch", "arm64"], 2, "jax is locked for x86_64, not for arm64"),
        (["--gpuz", "1"], 2, "it does not take --gpuz; did you mean --gpu?"),
        (["--regon=us-west-2"], 2, "did you mean --region?"),
        (["--region", ""], 2, "a region must be such as us-west-2, got an empty name"),
        (["--region", "us-west-2,,us-east-1"], 2, "a region must be such as us-west-2, got an empty name"),
        (["--region", "all,us-wst-2"], 1, "no region named 'us-wst-2'; did you mean"),
        (["compare", "g5.xlarge", "g6.xlarge", "--region", ""], 2, "got an empty name"),
        (["compare", "g5.xlarge", "g6.xlarge", "--region", "all"], 2, "comparing takes one region, got all"),
        (
            ["compare", "a", "b", "--region", "us-west-2", "--region", "us-east-1"],
            2,
            "takes one region, got us-west-2,us-",
        ),
        (["compar", "a", "b"], 2, "did you mean compare?"),
        (["compare", "g5.xlarge", "g5.xlrge"], 1, "did you mean"),
        (["compare"], 2, "TYPE"),
    ],
)
def test_a_slip_is_one_message(says: Says, typed: list[str], code: int, words: str) -> None:
    said = says("types", *typed)
    assert (said.code, said.out) == (code, "")
    assert words in said.err
    assert "Traceback" not in said.err


def test_a_narrow_terminal_loses_columns_and_no_type(tmp_path: Path) -> None:
    environ = {"COLUMNS": "46", "LAUNCHBAY_HOME": str(tmp_path), "AWS_REGION": "us-west-2"}
    with on_terminal([sys.executable, "-m", "launchbay", "types", "--gpus", "4+"], environ=environ) as terminal:
        assert terminal.end() == 0
    lines = terminal.shown.replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 46
    assert lines[0].split()[0] == "TYPE"
    assert "USD/HOUR" in lines[0]
    assert "PRICED" not in lines[0]
    assert lines[1].startswith("g4dn.12xlarge ")


def test_a_damaged_catalogue_is_one_message(says: Says, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr("launchbay.catalog.snapshot._packaged", lambda: tmp_path)
    said = says("types")
    assert (said.code, said.out) == (1, "")
    assert "the catalogue of instance types is damaged" in said.err
