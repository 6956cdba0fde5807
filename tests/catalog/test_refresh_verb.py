"""`bay types refresh`, as it is typed: what it shows, what `bay types` shows after it, what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from launchbay.catalog.cache import read_cache
from launchbay.cli.main import main
from launchbay.home import Home
from tests.catalog.aws_server import AwsServer, Fault, refuse
from tests.catalog.world import REGION, plain, product

TODAY = datetime.now(UTC).date().isoformat()
REFRESH = ("types", "refresh", "--region", REGION)


def test_a_refresh_says_what_it_brought(aws: AwsServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert aws.url
    assert main(REFRESH) == 0
    lines = [line.split("  ") for line in capfd.readouterr().out.splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in lines] == [
        ["US-WEST-2", "ROWS", "OF", "SOURCE"],
        ["instance types", "3", TODAY, "AWS DescribeInstanceTypes"],
        ["on-demand prices", "3", TODAY, "AWS Price List"],
        ["disks, addresses, traffic", "13", TODAY, "AWS Price List"],
        ["spot prices, by zone", "2", TODAY, "AWS DescribeSpotPriceHistory"],
        ["Savings Plans rates", "2", TODAY, "AWS Savings Plans offering rates"],
    ]


def test_what_stayed_unknown_and_what_was_left_out_is_said(aws: AwsServer, capfd: pytest.CaptureFixture[str]) -> None:
    aws.lasting["DescribeSpotPriceHistory"] = refuse("UnauthorizedOperation")
    aws.products["AmazonEC2"] = [*aws.products["AmazonEC2"], *(plain(f"t9.{size}", "0") for size in "abcdefg")]
    assert main(REFRESH) == 0
    out = capfd.readouterr().out
    assert "spot prices, by zone       unknown  -" in out
    assert (
        "  spot prices, by zone: AWS refuses ec2:DescribeSpotPriceHistory (UnauthorizedOperation);"
        " they stay unknown and count for nothing\n"
    ) in out
    assert "  on-demand prices: 7 answers left out\n    t9.a: its price is no amount above 0: '0'\n" in out
    assert "    and 2 more; --json names all" in out


def test_json_is_what_the_api_returns(aws: AwsServer, capfd: pytest.CaptureFixture[str], home: Home) -> None:
    aws.lasting["DescribeSavingsPlansOfferingRates"] = refuse("AccessDeniedException")
    assert main((*REFRESH, "--json")) == 0
    (region,) = json.loads(capfd.readouterr().out)
    assert (region["region"], region["left_out"], region["cache"]) == (REGION, [], str(home.catalog))
    by_kind = {item.pop("kind"): item for item in region["kinds"]}
    assert by_kind["prices"] == {"rows": 3, "as_of": TODAY, "source": "AWS Price List", "unknown": ""}
    savings = by_kind["savings"]
    assert (savings["rows"], savings["as_of"], savings["source"]) == (0, None, None)
    assert "savingsplans:DescribeSavingsPlansOfferingRates" in savings["unknown"]


def test_types_shows_the_new_price_with_its_day(aws: AwsServer, capfd: pytest.CaptureFixture[str]) -> None:
    aws.products["AmazonEC2"] = [plain("g5.xlarge", "0.9990000000")]
    assert main(REFRESH) == 0
    capfd.readouterr()
    assert main(("types", "--region", REGION, "--gpus", "1+", "--json")) == 0
    (row,) = json.loads(capfd.readouterr().out)  # of all that this AWS offers
    assert (row["type"], row["usd_per_hour"], row["priced_on"]) == ("g5.xlarge", "0.999", TODAY)
    assert (row["spot_usd_per_hour"], row["source"], row["stale"]) == ("0.4", "AWS Price List", False)


def test_a_spot_price_says_of_which_day_zone_and_source_it_is(
    aws: AwsServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert aws.url
    assert main(REFRESH) == 0
    capfd.readouterr()
    asked = ("types", "--region", REGION, "--spot")
    assert main((*asked, "--gpus", "1+", "--json")) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert {name: value for name, value in row.items() if name.startswith("spot_")} == {
        "spot_usd_per_hour": "0.4",
        "spot_priced_on": TODAY,
        "spot_source": "AWS DescribeSpotPriceHistory",
        "spot_zone_id": "usw2-az1",
        "spot_days": 7,
        "spot_mean_usd": row["spot_mean_usd"],
        "spot_low_usd": row["spot_low_usd"],
        "spot_high_usd": "0.4",
    }
    assert main((*asked, "--family", "g5", "--columns", "type,spot,spot-zone,price-per-gpu")) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[1].split() == ["g5.xlarge", "0.4000", "usw2-az1", "0.4000"]
    assert lines[-2:] == [
        f"Spot prices, of the cheapest zone: US dollars an hour for Linux, known as of {TODAY}, from AWS (1 live).",
        f"Prices: US dollars an hour for Linux, known as of {TODAY}, from AWS (1 live).",
    ]
    assert main(("types", "--region", REGION, "--family", "g5")) == 0
    assert "Spot prices" not in capfd.readouterr().out
    assert main(("types", "compare", "g5.xlarge", "m6i.large", "--region", REGION)) == 0
    rows = {line.split("  ")[0]: line for line in capfd.readouterr().out.splitlines()}
    assert "in 7 days" in rows["SPOT RANGE"]
    assert rows["SPOT ZONE"].split()[2:] == ["usw2-az1", "-"]


def test_a_bill_is_made_of_the_new_prices(aws: AwsServer, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    aws.products["AmazonEC2"] = [
        plain("g5.xlarge", "0.9990000000"),
        product("USW2-EBS:VolumeUsage.gp3", [("0", "GB-Mo", "0.1000000000")], volumeApiName="gp3", family="Storage"),
    ]
    instance = "{name: gpu, type: g5.xlarge, hours: always, disk: 100GiB}"
    workload = tmp_path / "team.yaml"
    workload.write_text(f"region: {REGION}\nmonth: 720h\ninstances: [{instance}]\n", encoding="utf-8")
    assert main(REFRESH) == 0
    capfd.readouterr()
    assert main(("cost", str(workload), "--json")) == 0
    bill = json.loads(capfd.readouterr().out)
    assert bill["monthly_usd"] == "729.28"  # 720 x 0.999 + 100 x 0.10
    assert {(line["source"], line["as_of"]) for line in bill["lines"]} == {("AWS Price List", TODAY)}


def test_an_error_is_one_message_and_exit_code_1(aws: AwsServer, capfd: pytest.CaptureFixture[str]) -> None:
    aws.lasting["GetProducts"] = refuse("AccessDeniedException")
    assert main(REFRESH) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-2:] == [
        f"bay: AWS refuses pricing:GetProducts (AccessDeniedException) ({REGION})",
        "  Try: allow pricing:GetProducts to these credentials; `bay types refresh --help` lists all that is asked for",
    ]


def test_a_region_of_several_that_failed_is_named_and_is_exit_code_1(
    aws: AwsServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert aws.url
    assert main(("types", "refresh", "--region", f"af-south-1,{REGION},eu-south-1")) == 1
    out = capfd.readouterr().out
    assert out.startswith("US-WEST-2 ")
    assert (
        "\n\nNOT refreshed: af-south-1, eu-south-1\n  AWS answered no prices that can be used; nothing was changed;"
        in out
    )


@pytest.mark.parametrize(
    "operation", ["DescribeInstanceTypeOfferings", "GetProducts", "DescribeSavingsPlansOfferingRates"]
)
def test_killed_while_aws_answers_it_leaves_what_was_there(
    aws: AwsServer, operation: str, bay_command: list[str], home: Home
) -> None:
    assert main(REFRESH) == 0
    before = home.catalog.read_bytes()
    aws.asked.clear()
    aws.products["AmazonEC2"] = [plain("g5.xlarge", "0.9990000000")]
    child: list[int] = []
    aws.lasting[operation] = Fault(first=lambda: os.kill(child[0], signal.SIGKILL))
    with subprocess.Popen([*bay_command, *REFRESH], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        child.append(process.pid)
        assert process.wait(60) == -signal.SIGKILL
    assert aws.calls(operation)
    assert home.catalog.read_bytes() == before
    (live,) = read_cache(home.catalog, print)
    assert str(live.prices[0].usd_per_hour) == "1.006"
