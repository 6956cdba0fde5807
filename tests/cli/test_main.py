"""Exit codes, messages, and a closed pipe."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import launchbay
from launchbay.cli.commands import GROUPS
from launchbay.cli.context import Context
from launchbay.cli.parser import build_parser
from launchbay.cli.verbs import instances
from launchbay.errors import (
    BuildError,
    Conflict,
    LaunchbayError,
    NotFound,
    ScriptFailed,
    StateError,
    UnsafeModel,
    UsageError,
)
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from tests.cli.conftest import Said
from tests.cli.terminal import on_terminal

Says = Callable[..., Said]


def verbs() -> list[tuple[str, ...]]:
    """Every verb, and every action of those that have some."""
    found: list[tuple[str, ...]] = []
    for verb, parser in children(build_parser()).items():
        actions = children(parser)
        found += [(verb, action) for action in actions]
        found += [] if needs_action(parser) else [(verb,)]
    return found


def needs_action(parser: object) -> bool:
    return any(action.dest == "action" and action.required for action in parser._actions)  # type: ignore[attr-defined]  # noqa: SLF001


def children(parser: object) -> dict[str, object]:
    for action in parser._actions:  # type: ignore[attr-defined]  # noqa: SLF001 - argparse has no public way to list them
        if getattr(action, "choices", None) and action.dest in ("verb", "action"):
            return dict(action.choices)
    return {}


VERBS = verbs()


def ids(words: tuple[str, ...]) -> str:
    return " ".join(words)


def test_the_table_of_verbs_is_whole() -> None:
    modules = [import_module(f"launchbay.cli.verbs.{group}") for group in GROUPS]
    assert {" ".join(words) for words in VERBS} == {verb for module in modules for verb in module.COMMANDS}
    assert len(VERBS) >= 26


@pytest.mark.parametrize("words", VERBS, ids=ids)
def test_every_verb_shows_an_example(says: Says, words: tuple[str, ...]) -> None:
    said = says(*words, "--help")
    assert (said.code, said.err) == (0, "")
    example = said.out.partition("example:\n")[2]
    assert f"bay {' '.join(words)}" in example
    assert "--json" in said.out


@pytest.mark.parametrize("words", VERBS, ids=ids)
def test_every_example_can_be_typed(words: tuple[str, ...]) -> None:
    parser: object = build_parser()
    for word in words:
        parser = children(parser)[word]
    for line in str(parser.epilog).splitlines()[1:]:  # type: ignore[attr-defined]
        typed = line.partition("  #")[0].split()
        assert typed[0] == "bay"
        before = typed[1 : typed.index("--")] if "--" in typed else typed[1:]
        assert build_parser().parse_args(before).verb == words[0]


def test_help_and_version(says: Says) -> None:
    said = says("--help")
    assert said.code == 0
    assert "bay launch tensorflow -n 3 --name exp" in said.out
    for words in VERBS:
        assert words[-1] in said.out
    assert says("--version").out.startswith("bay ")


def test_the_next_step_can_be_pasted(says: Says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert says("init", "a b ü").out.splitlines()[-1] == "next: cd 'a b ü' && bay launch && bay train"
    monkeypatch.chdir(tmp_path / "a b ü" / "data")
    assert says("init").out.splitlines()[-1] == "next: bay launch && bay train"


# --- exit codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-y"], "VERB"),
        (["dance"], "there is no 'bay dance'"),
        (["image"], "build|bake|show|verify|export|import|remove"),
        (["ps", "--wrong"], "--wrong"),
        (["launch", "x", "-n", "three"], "invalid int value: 'three'"),
        (["ps", "--", "x"], "'bay ps' takes nothing after '--'"),
        (["--provider", "moon", "ps"], "invalid choice: 'moon'"),
        (["launch", "tensorflow", "-n", "0"], "count must be 1 to 1000, got 0"),
        (["launch", "tensorflow", "-n", "-1"], "count must be 1 to 1000, got -1"),
        (["launch", "tensorflow", "-n", "100000"], "count must be 1 to 1000, got 100000"),
        (["launch", "tensorflow", "--name=-a"], "a fleet name must be"),
        (["launch", "tensorflow", "--name", ""], "--name has nothing after it"),
        (["launch", ""], "bay launch has nothing after it"),
        (["launch", "tensorflow", "--tag", ""], "--tag has nothing after it"),
        (["apply", ""], "bay apply has nothing after it"),
        *(
            (["plan", "tensorflow", "--provider", "twin", "--type", "t", option, ""], f"{option} has nothing after it")
            for option in (
                "--name",
                "--output",
                "--security-group",
                "--volume",
                "--tag",
                "--allow-cidr",
                "--export-template",
            )
        ),
        (["plan"], "Try: bay plan tensorflow"),
        (["plan", "tensorflow", "--provider", "twin", "--type", "t", "--ttl", "900d"], "got '900d'"),
        (["extend", "exp", "10s"], "got '10s'\n  Try: bay extend exp 2h"),
        (["extend", "exp", ""], "got ''\n  Try: bay extend exp 2h"),
        (["extend", "exp", "2x"], "got '2x'\n  Try: bay extend exp 2h"),
        (["--provider", "ec2", "types"], "`bay types` is the same wherever instances are"),
        (["launch", "tensorflow", "--type", "p3.2xlarge"], "on this machine there is no --type"),
        (["launch", "tensorflow", "--provider", "ec2"], "a launch on EC2 needs an instance type"),
        (["plan", "tensorflow"], "a plan is of a launch on EC2"),
        (["launch", "tensorflow", "--provider", "twin", "--type", "t", "--volume", "x"], "a volume must look like"),
        (["launch", "tensorflow", "--provider", "twin", "--type", "t", "--budget", "-1"], "a budget must look like"),
        (["launch", "tensorflow", "--provider", "twin", "--type", "t", "--tag", "x"], "a tag must look like"),
        (
            ["launch", "tensorflow", "--provider", "twin", "--type", "t", "--budget", ""],
            "--budget has nothing after it",
        ),
        (["plan", "tensorflow", "--provider", "twin", "--type", "t", "--disk", ""], "--disk has nothing after it"),
        (
            ["launch", "tensorflow", "--provider", "twin", "--type", "t", "--disk", "big"],
            "a disk's size must look like",
        ),
        (
            ["launch", "tensorflow", "--provider", "twin", "--type", "t", "--overlay"],
            "--overlay is for instances on this",
        ),
        (["train", "a", "b", "c"], "train takes an instance and a script"),
        (["train", "exp-1", "x.py", "--timeout", "soon"], "a duration must look like"),
        (["launch", "./none.yaml"], "none.yaml)\n  Try: look at the path"),
        (["launch", "./none.txt"], "none.txt)\n  Try: look at the path"),
        (["cp", "a", "b"], "exactly one side must be INSTANCE:PATH"),
    ],
)
def test_wrong_usage_is_2(
    says: Says, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = says(*arguments)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "bay").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["launch", "tensorflw"], "did you mean tensorflow"),
        (["verify", "exp"], "there is no instance or fleet named 'exp'"),
        (["exec", "exp", "--", "true"], "there is no instance or fleet named 'exp'"),
        (["terminate", "exp", "-y"], "there is no instance or fleet named 'exp'"),
        (["logs", "latest"], "there is no run 'latest'"),
        (["apply", "./none.json"], "there is no plan none.json"),
        (["extend", "exp", "2h"], "there is no instance or fleet named 'exp'"),
        (["image", "show", "tensorflw"], "did you mean tensorflow"),
        (["cp", "exp-1:a", "b"], "there is no instance or fleet named 'exp-1'"),
    ],
)
def test_what_a_person_can_mend_is_1(
    says: Says, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = says(*arguments)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("bay: ")
    assert words in said.err
    assert "Traceback" not in said.err


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setitem(instances.COMMANDS, "ps", fail)


@pytest.mark.parametrize(
    "error", [NotFound, Conflict, BuildError, ScriptFailed, UnsafeModel, StateError, LaunchbayError]
)
def test_known_errors_are_one_message(says: Says, monkeypatch: pytest.MonkeyPatch, error: type[LaunchbayError]) -> None:
    fail_with(monkeypatch, error("it broke", where="bay.yaml:3", hint="bay doctor"))
    said = says("ps")
    assert (said.code, said.out) == (1, "")
    assert said.err == "bay: it broke (bay.yaml:3)\n  Try: bay doctor\n"


def test_a_program_is_told_an_error_as_one_line_of_json(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHBAY_ERRORS", "json")
    said = says("verify", "nobody", "--json")
    error = json.loads(said.err)["error"]
    assert (said.code, said.out, error["class"]) == (1, "", "NotFound")
    assert "nobody" in error["what"]
    assert error["hint"]
    monkeypatch.delenv("LAUNCHBAY_ERRORS")
    assert says("verify", "nobody", "--json").err.startswith("bay: ")


def test_a_wrong_file_is_2_as_a_wrong_option_is(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, UsageError("count must be more"))
    assert says("ps").code == 2


def test_a_bug_keeps_its_traceback_and_is_3(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ZeroDivisionError("division by zero"))
    said = says("ps")
    assert said.code == 3
    assert "Traceback" in said.err
    assert "ZeroDivisionError: division by zero" in said.err
    assert "this is a bug in Launchbay" in said.err


def test_an_interrupt_is_130(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    said = says("ps")
    assert (said.code, said.err) == (130, "\nbay: interrupted\n")


def test_what_the_system_refuses_is_told_and_no_bug(
    says: Says, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("LAUNCHBAY_HOME", str(tmp_path / "file" / "bay"))
    said = says("launch", "tensorflow")
    assert said.code == 1
    assert "Not a directory" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("true", 0), ("kill -15 $$", 143), ("exit 3", 3)])
def test_exec_passes_the_commands_code_on(says: Says, two: list[Instance], command: str, code: int) -> None:
    assert says("exec", two[0].name, "--", "sh", "-c", command).code == code


# --- pipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["ps"], ["images", "--json"], ["doctor"], ["launch", "--help"]])
def test_a_reader_that_went_away_is_no_error(bay: Bay, bay_command: list[str], arguments: list[str]) -> None:
    assert not bay.home.root.exists()
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([*bay_command, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_reader_the_code_still_tells_how_it_ended(
    bay: Bay, bay_command: list[str], two: list[Instance]
) -> None:
    (two[0].root / "env" / "bin" / "python3").unlink()
    assert len(bay.provider.observe()) == 2
    shell = ["/bin/sh", "-c", '("$@"; echo $? >&2) | true', "sh", *bay_command, "verify", "exp"]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.stderr == "1\n"


@pytest.mark.parametrize("typed", ["ps", "--help", "images"])
def test_a_full_disk_below_stdout_is_told_once(bay_command: list[str], typed: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*bay_command, typed], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "bay: the output cannot be written: No space left on device (<stdout>)\n"


@pytest.mark.parametrize("columns", ["40", "80"])
@pytest.mark.usefixtures("two")
def test_lists_are_no_wider_than_the_terminal(bay: Bay, bay_command: list[str], columns: str) -> None:
    assert len(bay.provider.observe()) == 2
    for verb in ("ps", "images"):
        with on_terminal([*bay_command, verb], environ={"COLUMNS": columns, "TERM": "dumb"}) as terminal:
            assert terminal.end() == 0
        lines = terminal.shown.splitlines()
        assert lines[0].startswith("NAME")
        assert max(map(len, lines)) <= int(columns)
        piped = subprocess.run([*bay_command, verb], capture_output=True, text=True, check=True)
        assert {"FLEET", "DIGEST"} & set(piped.stdout.split())  # all of it, for whatever reads it


@pytest.mark.parametrize("typed", ["ps >&-", "ps 2>&-", "ps </dev/null", "ps <&-", "curves nothing"])
def test_letters_and_streams_that_are_lacking_break_nothing(bay_command: list[str], typed: str) -> None:
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "TERM": "dumb"}
    shell = ["/bin/sh", "-c", f'"$@" {typed}', "sh", *bay_command]
    done = subprocess.run(shell, capture_output=True, text=True, check=False, env=plain)
    assert done.returncode == (1 if "nothing" in typed else 0)
    assert "Error" not in done.stderr


@pytest.mark.parametrize(("arguments", "code"), [(["verify", "nothing"], 1), (["launch", "x", "-n", "0"], 2)])
def test_an_error_that_nobody_reads_keeps_its_code(bay_command: list[str], arguments: list[str], code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*bay_command, *arguments], stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == code


def test_a_name_that_is_no_text_can_be_shown(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    def show(context: Context) -> int:
        context.show({}, lambda: "caf\udce9.csv\x1b[31m")
        return 0

    monkeypatch.setitem(instances.COMMANDS, "ps", show)
    assert says("ps").out == "caf\\udce9.csv\\x1b[31m\n"


@pytest.mark.parametrize(
    ("typed", "told"),
    [(["evaluate", "m"], "evaluate m"), (["predict", "m"], "predict with m")],
    ids=["evaluate", "predict"],
)
def test_what_takes_seconds_says_so_before(
    says: Says, monkeypatch: pytest.MonkeyPatch, typed: list[str], told: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UnsafeModel("looked at")

    monkeypatch.setattr(launchbay, typed[0], refuse)
    assert says(*typed, "--data", "d").err == f"{told} ...\nbay: looked at\n"


def test_a_folder_that_was_removed_under_the_shell_is_told_plainly(bay_command: list[str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = ["/bin/sh", "-c", 'cd "$0" && rmdir "$0" && "$@"', str(gone), *bay_command, "init"]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "bay: the current folder is gone")
