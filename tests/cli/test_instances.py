"""Working in instances, copying, asking for consent, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import launchbay
from launchbay.cloud.fleet import CloudFleet, keep_fleet
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.identity import Difference
from launchbay.lifecycle.verify import Verification
from launchbay.planning.fleet import Instance
from tests.cli.conftest import Said
from tests.cli.terminal import on_terminal

Says = Callable[..., Said]


def names(bay: Bay) -> list[str]:
    return [item.name for item in bay.provider.observe()]


# --- exec and shell -------------------------------------------------------------------------------------------------


def test_exec_runs_on_the_persons_own_streams(says: Says, two: list[Instance]) -> None:
    said = says("exec", "exp-2", "--", "sh", "-c", "echo out; echo err >&2; pwd")
    assert (said.out, said.err) == (f"out\n{two[1].root / 'work'}\n", "err\n")


def test_exec_takes_options_of_its_command_after_the_dashes(says: Says, two: list[Instance]) -> None:
    said = says("exec", two[0].name, "--", "python", "-c", "import sys; print(sys.argv[1:])", "--json", "-y", "--")
    assert said.out == "['--json', '-y', '--']\n"


def test_a_command_that_is_missing(says: Says, two: list[Instance]) -> None:
    said = says("exec", two[0].name, "--", "no-such-command", "x")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("bay: the instance has no command 'no-such-command'")
    assert "pip install" in said.err


def test_exec_without_a_command(says: Says, two: list[Instance]) -> None:
    for arguments in ([], ["--"]):
        said = says("exec", two[0].name, *arguments)
        assert said.code == 2
        assert "exec needs a command" in said.err


def test_a_stopped_one(says: Says, two: list[Instance]) -> None:
    assert says("stop", "exp-1").code == 0
    said = says("exec", two[0].name, "--", "true")
    assert (said.code, said.err) == (1, "bay: exp-1 is stopped\n  Try: bay start exp-1\n")
    assert says("shell", "exp-1").code == 1
    assert says("start", "exp-1").code == 0
    assert says("exec", "exp-1", "--", "true").code == 0


def test_a_shell_on_a_terminal(two: list[Instance], bay_command: list[str]) -> None:
    with on_terminal([*bay_command, "shell", "exp-1"], environ={"SHELL": "/bin/sh", "PS1": "ready> "}) as terminal:
        terminal.until("ready>")
        terminal.type(
            "echo \"I am $LAUNCHBAY_INSTANCE_NAME in $PWD\"; tty; python -c 'import sys; print(sys.prefix)'\n"
        )
        terminal.until(f"I am exp-1 in {two[0].root / 'work'}")
        terminal.until(str(two[0].root / "env"))
        assert "/dev/pts/" in terminal.shown
        terminal.type("exit 7\n")
        assert terminal.end() == 7


def test_ctrl_c_in_a_shell_is_the_shells(two: list[Instance], bay_command: list[str]) -> None:
    assert two
    with on_terminal([*bay_command, "exec", "exp-1", "--", "sh", "-c", "echo up; exec sleep 600"]) as terminal:
        terminal.until("up")
        terminal.type("\x03")
        assert terminal.end() == 130


# --- cp -------------------------------------------------------------------------------------------------------------


def test_files_and_folders_go_there_and_back(says: Says, two: list[Instance], tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "a.txt").write_text("a", encoding="utf-8")
    work = two[0].root / "work"
    said = says("cp", str(tmp_path / "folder"), "exp-1:")
    assert (said.code, said.out) == (0, f"{tmp_path / 'folder'} -> exp-1:\n")
    assert (work / "folder" / "inner" / "a.txt").read_text(encoding="utf-8") == "a"
    assert says("cp", "exp-1:folder/inner/a.txt", str(tmp_path / "b.txt")).code == 0
    assert says("cp", "exp-1:folder", str(tmp_path / "back")).code == 0
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "a"
    assert (tmp_path / "back" / "inner" / "a.txt").read_text(encoding="utf-8") == "a"
    assert not (two[1].root / "work" / "folder").exists()


def test_a_source_that_is_missing(says: Says, two: list[Instance], tmp_path: Path) -> None:
    said = says("cp", "exp-1:none", str(tmp_path / "x"))
    assert (said.code, said.err) == (1, "bay: there is no exp-1:none\n")
    assert says("cp", str(tmp_path / "none"), "exp-1:x").code == 1
    assert list((two[0].root / "work").iterdir()) == []


def test_the_machine_is_no_part_of_an_instance(says: Says, two: list[Instance], tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    said = says("cp", str(tmp_path / "a"), f"exp-1:{tmp_path}/b")
    assert (said.code, (tmp_path / "b").exists()) == (2, False)
    assert said.err.startswith(f"bay: {tmp_path}/b does not lie in the instance (exp-1)\n")
    assert says("cp", str(tmp_path / "a"), "exp-1:~/").code == 0
    assert (two[0].root / "home" / "a").exists()


def test_between_instances_it_goes_through_here(says: Says, two: list[Instance]) -> None:
    assert two
    assert says("cp", "exp-1:a", "exp-2:b").code == 2


def test_a_colon_in_a_path_of_ours_is_no_instance(says: Says, two: list[Instance], tmp_path: Path) -> None:
    (tmp_path / "a:b").write_text("x", encoding="utf-8")
    assert says("cp", f"{tmp_path}/a:b", "exp-1:c").code == 0
    assert (two[0].root / "work" / "c").exists()


# --- consent --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--name", "--env", "--output"])
def test_nobody_is_asked_to_agree_to_a_baking_that_cannot_be(says: Says, bay: Bay, option: str) -> None:
    kept: dict[str, Any] = dict.fromkeys(
        ("type", "market", "image", "digest", "machine_image", "login", "launch", "asked"), "x"
    )
    kept |= {"name": "w", "provider": "twin", "region": "us-east-1", "count": 1, "created_at": 0.0, "ends_at": 1.0}
    keep_fleet(bay.home, CloudFleet(**kept))
    said = says("image", "bake", "w-1", option, "baked")
    assert (said.code, said.out) == (2, "")
    assert "a machine image is called by its digest" in said.err
    assert "bay image bake w-1\n" in said.err
    asked = says("image", "bake", "w-1").err
    assert "restarts it, and ends what runs there: this needs your consent" in asked


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_terminate_is_refused_where_nobody_can_agree(
    says: Says, bay: Bay, two: list[Instance], options: list[str]
) -> None:
    said = says("terminate", "exp", *options)
    assert (said.code, said.out) == (2, "")
    assert "Terminating exp-1, exp-2 (2) with their homes: this needs your consent" in said.err
    assert "-y" in said.err
    assert names(bay) == [item.name for item in two]


def test_terminate_asks_on_a_terminal(bay: Bay, two: list[Instance], bay_command: list[str]) -> None:
    for answer, code, left in (("n\n", 2, ["exp-1", "exp-2"]), ("\n", 2, ["exp-1", "exp-2"]), ("y\n", 0, [])):
        with on_terminal([*bay_command, "terminate", "exp"]) as terminal:
            terminal.until("Go on? [y/N]")
            terminal.type(answer)
            assert terminal.end() == code
        assert names(bay) == left
    assert not two[0].root.exists()


def test_with_yes_nothing_is_asked(says: Says, bay: Bay, two: list[Instance]) -> None:
    said = says("terminate", "exp-1", "-y")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "exp-1 terminated; runs, logs and models stay (`bay runs`). What still costs: $0.00 a day.\n"
        "cost      $0.00 since launch\n"
    )
    assert names(bay) == [two[1].name]
    said = says("-y", "terminate", "exp-1")
    assert (said.code, said.out) == (0, "Nothing of it is left: it was terminated before.\n")


def test_removing_an_image_needs_consent_too(says: Says, bay: Bay, tiny: str) -> None:
    digest = says("launch", tiny, "--json").value["image"]["digest"]
    says("terminate", "tiny", "-y")
    assert says("image", "remove", digest).code == 2
    assert (bay.home.images / digest).exists()


# --- what is shown --------------------------------------------------------------------------------------------------


def test_a_launch_prints_its_clock(says: Says, tiny: str) -> None:
    said = says("launch", tiny, "-n", "3", "--name", "exp")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "3 of 3 launched: exp-1 to exp-3"
    assert "proof   3 fingerprints, identical" in said.out
    clock = next(line for line in lines if line.startswith("  clock"))
    assert all(word in clock for word in ("plan ", "create ", "verify "))
    assert "first import" not in clock
    assert said.err == ""  # no terminal, and nothing took long enough to be told about
    again = says("launch", tiny, "-n", "3", "--name", "exp")
    assert again.code == 0
    assert again.out.startswith("exp stands already: exp-1 to exp-3; nothing to launch.\n")


def test_a_launch_of_a_fleet_that_was_changed_says_so(says: Says, tiny: str, bay: Bay) -> None:
    says("launch", tiny, "-n", "2", "--name", "exp")
    (bay.provider.observe()[0].root / "env" / "extra").write_text("", encoding="utf-8")
    said = says("launch", tiny, "-n", "2", "--name", "exp")
    assert said.code == 1
    assert "NOT identical; `bay verify exp` says what differs" in said.out
    proof = says("verify", "exp")
    assert proof.code == 1
    assert "exp: NOT identical. 1 of 2 instances differs.\n  exp-1: extra was added to its layer" in proof.out


def test_ps_lists_what_stands(says: Says, bay: Bay) -> None:
    assert says("ps").out.startswith("No instances.")
    assert bay.home.root.exists() is False


def test_ps_shows_states(says: Says, two: list[Instance]) -> None:
    assert len(two) == 2
    says("stop", "exp-2")
    head, first, second, *_ = says("ps").out.splitlines()
    assert head.split()[:5] == ["NAME", "FLEET", "STATE", "IMAGE", "PROVIDER"]
    assert first.split()[:7] == ["exp-1", "exp", "running", "tiny", "local", "0.00", "0.00"]
    assert second.split()[2] == "stopped"


def test_verify_says_that_all_is_well(says: Says, two: list[Instance]) -> None:
    assert len(two) == 2
    said = says("verify", "exp")
    assert said.code == 0
    assert said.out.startswith("exp: 2 instances, identical, and every file of the image is what its packages say.\n")
    assert says("verify", "exp-1").out.startswith("exp-1: 1 instance, identical")


def test_a_gpu_out_of_reach_is_exit_1(says: Says, two: list[Instance], monkeypatch: pytest.MonkeyPatch) -> None:
    """All are alike, and what was paid for cannot be used: that is no success."""
    real = launchbay.verify
    odd = Difference(instance=two[0].name, kind="gpu", what="the driver shows 1 GPU, tensorflow can use 0")

    def without(bay: Bay, name: str) -> Verification:
        return replace(real(bay, name), gpu_proven=False, differences=[odd])

    monkeypatch.setattr(launchbay, "verify", without)
    said = says("verify", "exp")
    assert said.code == 1
    assert "identical, and every file" in said.out
    assert "NOT every GPU can be used by the framework\n  exp-1: the driver shows 1 GPU" in said.out


def test_stop_tells_how_many_processes_ended(says: Says, two: list[Instance]) -> None:
    assert two
    assert says("exec", "exp-1", "--", "sh", "-c", "sleep 600 >/dev/null 2>&1 & exit 0").code == 0
    said = says("stop", "exp")
    assert said.out == "exp-1 to exp-2 (2) stopped, 1 process ended.\n"
    assert says("start", "exp").out.startswith("exp-1 to exp-2 (2) started.")
    assert says("reboot", "exp-1").out.startswith("exp-1 restarted.")


def test_a_damaged_journal_is_noted_and_the_work_goes_on(says: Says, bay: Bay, two: list[Instance]) -> None:
    assert two
    bay.home.journal.write_bytes(b"damaged" * 100)
    said = says("terminate", "exp", "-y")
    assert said.code == 0
    assert "The journal was damaged" in said.err
    assert (bay.home.root / "state.db.damaged-1").exists()
