"""`--json`: before and after the verb, the value alone on stdout, the same value as the API's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import launchbay
from launchbay.cloud.end import CloudEnded
from launchbay.cloud.power import CloudPower
from launchbay.jsonable import to_json
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import Ended
from launchbay.planning.fleet import Instance
from tests.cli.conftest import Said

Says = Callable[..., Said]


def test_launch_holds_what_a_program_needs(says: Says, bay: Bay, tiny: str) -> None:
    said = says("launch", tiny, "-n", "2", "--name", "exp", "--json")
    assert said.code == 0
    value = said.value
    assert (value["fleet"], value["identical"], value["built_now"]) == ("exp", True, False)
    assert value["created"] == ["exp-1", "exp-2"]
    assert len(value["image"]["digest"]) == 64
    assert {"plan", "create", "verify", "first_import"} == value["clock"].keys()
    for row, instance in zip(value["instances"], bay.provider.observe(), strict=True):
        assert row == {"name": instance.name, "id": instance.id, "state": "running", "root": str(instance.root)}
    assert says("--json", "launch", tiny, "-n", "2", "--name", "exp").value["created"] == []


@pytest.mark.parametrize("place", ["before", "after"])
def test_before_and_after_the_verb(says: Says, bay: Bay, two: list[Instance], place: str) -> None:
    def ask(*words: str) -> object:
        said = says("--json", *words) if place == "before" else says(*words, "--json")
        assert said.code == 0, said.err
        return said.value

    assert [row["name"] for row in ask("ps")] == ["exp-1", "exp-2"]  # type: ignore[attr-defined]
    assert ask("images") == launchbay.to_json(launchbay.list_images(bay))
    assert ask("image", "show", two[0].digest[:12])["name"] == "tiny"  # type: ignore[index]
    assert ask("runs") == []


def test_the_list_of_instances(says: Says, two: list[Instance]) -> None:
    rows = says("ps", "--json").value
    assert rows[0].keys() == {
        "name", "fleet", "state", "image", "provider", "usd_per_hour", "cost_so_far", "age_s", "id", "digest", "running",
        "services", "person", "elsewhere", "elsewhere_so_far", "fleet_so_far", "fleet_elsewhere_so_far",
        "type", "market", "region", "ends_at",
    }  # fmt: skip
    assert (rows[1]["name"], rows[1]["usd_per_hour"], rows[1]["cost_so_far"]) == (two[1].name, "0.00", "0.00")
    assert rows[0]["running"] == []
    assert rows[0]["age_s"] >= 0


def test_a_fleets_life(says: Says, two: list[Instance], tmp_path: Path) -> None:
    proof = says("verify", "exp", "--json")
    assert (proof.code, proof.value["identical"], proof.value["gpu_proven"]) == (0, True, None)
    assert [item["instance"] for item in proof.value["fingerprints"]] == ["exp-1", "exp-2"]
    assert proof.value["differences"] == []

    notes = tmp_path / "notes.txt"
    notes.write_text("x", encoding="utf-8")
    copied = says("cp", str(notes), "exp-1:notes.txt", "--json").value
    assert copied == {"instance": "exp-1", "from": str(notes), "to": "exp-1:notes.txt"}

    for verb in ("stop", "start", "reboot"):
        ended = says(verb, "exp", "--json").value
        assert (ended["verb"], ended["names"], ended["processes_ended"]) == (verb, ["exp-1", "exp-2"], 0)
        assert (ended["usd_per_day"], ended["still_costs"]) == ("0.00", [])
    assert says("terminate", "exp", "-y", "--json").value["names"] == ["exp-1", "exp-2"]
    assert says("--json", "-y", "terminate", "exp").value["names"] == []
    assert two[0].root.exists() is False


def test_what_is_done_on_ec2_has_the_same_fields() -> None:
    here = set(to_json(Ended(verb="stop", names=["exp-1"])))
    power = CloudPower(verb="stop", names=["exp-1"], state="stopped", changed=True, provider="ec2", usd_per_day="0.53")
    assert here - set(to_json(power)) == {"spent", "cost_so_far", "cost_elsewhere"}  # of a `terminate` alone
    ended = CloudEnded(verb="terminate", names=["exp-1"], fleet="exp", provider="ec2", region="us-east-1")
    assert here - set(to_json(ended)) == set()
    assert to_json(ended)["processes_ended"] is None


def test_what_differs(says: Says, two: list[Instance]) -> None:
    (two[1].root / "env" / "extra").write_text("", encoding="utf-8")
    said = says("verify", "exp", "--json")
    assert said.code == 1
    assert said.value["identical"] is False
    assert said.value["differences"] == [
        {"instance": "exp-2", "kind": "file", "what": "extra was added to its layer"},
    ]


def test_a_commands_output_goes_to_stderr(says: Says, two: list[Instance]) -> None:
    said = says("--json", "exec", two[0].name, "--", "sh", "-c", "echo out; echo err >&2; exit 4")
    assert (said.code, said.value) == (4, {"instance": "exp-1", "exit_code": 4})
    assert said.err == "out\nerr\n"


def test_a_scripts_output_goes_to_stderr(says: Says, two: list[Instance], tmp_path: Path) -> None:
    script = tmp_path / "p" / "train.py"
    script.parent.mkdir()
    script.write_text("print('{\"not\": \"the answer\"}')\nopen('a.txt', 'w').close()\n", encoding="utf-8")
    said = says("train", two[0].name, str(script), "--json", "--", "--x")
    assert said.code == 0
    value = said.value
    assert (value["state"], value["exit_code"], value["args"]) == ("done", 0, ["--x"])
    assert value["artifacts"] == [value["work"] + "/a.txt"]
    assert Path(value["artifacts"][0]).is_absolute()
    assert value["logdirs"] == []
    assert value["seconds"] > 0
    assert '{"not": "the answer"}' in said.err
    shown = says("logs", value["run"], "--json")
    assert shown.value == value
    assert '{"not": "the answer"}' in shown.err
    assert says("runs", "--json").value == [value]


def test_a_failed_script_is_1_with_its_value_and_its_hint(says: Says, two: list[Instance], tmp_path: Path) -> None:
    script = tmp_path / "p" / "train.py"
    script.parent.mkdir()
    script.write_text("__import__('no_such_package')\n", encoding="utf-8")
    said = says("--json", "train", two[0].name, str(script))
    assert (said.code, said.value["state"], said.value["exit_code"]) == (1, "failed", 1)
    assert "hint: there is no module no_such_package here" in said.err


def test_an_error_leaves_stdout_empty(says: Says) -> None:
    for arguments in (["verify", "none"], ["launch", "x", "-n", "0"], ["logs", "latest"]):
        said = says(*arguments, "--json")
        assert said.code in (1, 2)
        assert said.out == ""


def test_doctor(says: Says) -> None:
    said = says("doctor", "--json")
    checks = said.value["checks"]
    assert said.code == (1 if any(check["state"] == "broken" for check in checks) else 0)
    assert all(check.keys() == {"name", "state", "found", "mend"} for check in checks)


def test_a_removed_image(says: Says, bay: Bay, tiny: str) -> None:
    digest = says("launch", tiny, "--json").value["image"]["digest"]
    assert says("terminate", "tiny", "-y").code == 0
    said = says("image", "remove", digest, "-y", "--json")
    assert said.value["removed"]["digest"] == digest
    assert not (bay.home.images / digest).exists()


def test_text_that_is_not_ascii_comes_through(says: Says, two: list[Instance]) -> None:
    said = says("exec", two[0].name, "--json", "--", "printf", "größe")
    assert said.err == "größe"
    assert json.loads(said.out)["exit_code"] == 0
