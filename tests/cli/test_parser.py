"""What can be typed, and where. Messages, exit codes and the examples in every help are held by `test_main`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from launchbay.cli.parser import parse


@pytest.mark.parametrize("words", [["ps"], ["image", "build", "x"], ["train"], ["model", "show", "latest"]])
def test_common_options_stand_before_or_after_the_verb(words: list[str]) -> None:
    options = ["--json", "-y", "--provider", "twin"]
    plain = parse(words)
    assert (plain.json, plain.yes, plain.provider) == (False, False, None)
    for typed in ([*options, *words], [*words, *options], [words[0], *options, *words[1:]]):
        given = parse(typed)
        assert (given.json, given.yes, given.provider) == (True, True, "twin"), typed


def test_the_last_word_on_an_option_counts() -> None:
    assert parse(["--provider", "ec2", "ps", "--provider", "local"]).provider == "local"
    assert parse(["--json", "ps", "--provider", "local"]).json is True


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["exec", "exp-1", "--", "pip", "install", "--json", "-y", "x"], ["pip", "install", "--json", "-y", "x"]),
        (["exec", "exp-1", "--json", "--", "sh", "-c", "a -- b"], ["sh", "-c", "a -- b"]),
        (["exec", "exp-1", "--", "git", "checkout", "--", "a"], ["git", "checkout", "--", "a"]),
        (["exec", "exp-1", "git", "checkout", "--", "a"], ["git", "checkout", "--", "a"]),
        (["exec", "exp-1", "nvidia-smi"], ["nvidia-smi"]),
        (["exec", "exp-1", "--"], []),
        (["exec", "exp-1"], []),
    ],
)
def test_a_command_comes_through_as_typed(typed: list[str], command: list[str]) -> None:
    given = parse(typed)
    assert (given.name, given.command) == ("exp-1", command)
    assert not given.yes


def test_a_scripts_arguments_are_not_ours() -> None:
    given = parse(
        ["train", "exp-1", "train.py", "--data", "d", "--timeout", "8h", "--", "--data", "e", "-h", "--", "x"]
    )
    assert (given.names, given.data, given.timeout) == (["exp-1", "train.py"], "d", "8h")
    assert given.args == ["--data", "e", "-h", "--", "x"]


def test_no_dashes_and_nothing_after_them_are_told_apart() -> None:
    """Without dashes the arguments of bay.yaml count; with them and nothing after, there are none."""
    assert parse(["train"]).args is None
    assert parse(["train", "--"]).args == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["dance"], "there is no 'bay dance'; `bay --help` lists what there is"),
        (["launc", "x"], "there is no 'bay launc'; did you mean launch?"),
        (["image", "biuld"], "there is no 'bay image biuld'; did you mean build?"),
        (
            ["types", "g5.xlarge"],
            "there is no 'bay types g5.xlarge'; `bay types compare g5.xlarge` shows a type in full",
        ),
        (["types", "comapre"], "there is no 'bay types comapre'; did you mean compare?"),
        (["train", "exp-1", "s.py", "--epochs", "3"], "goes after '--': bay train ... -- --epochs 3"),
        (["--", "ps"], "VERB"),
        (["ps", "--"], "'bay ps' takes nothing after '--'"),
        (["exec"], "INSTANCE"),
        (["exec", "exp-1", "ls", "-l"], "goes after '--': bay exec ... -- -l"),
        (
            ["curves", "latest", "--otput", "a.png"],
            "bay curves: error: it does not take --otput a.png; did you mean --output?",
        ),
        (
            ["--json", "image", "build", "jax", "--zz"],
            "bay image build: error: it does not take --zz; `bay image build --help`",
        ),
        (["ps", "exp-1"], "`bay ps --help` lists what it does"),
        (["evaluate", "latest"], "--data"),
        (["predict", "latest"], "--data"),
        (["demo", "--epochs", "many"], "invalid int value: 'many'"),
    ],
)
def test_wrong_words_say_what_is_wrong(typed: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(typed)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert said in err


def said_by(typed: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        parse(typed)
    assert ended.value.code == code
    return capsys.readouterr().out


def test_help_and_version_can_be_asked_for_in_other_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert said_by([], capsys, 2) == said_by(["help"], capsys) == said_by(["-h"], capsys)
    assert said_by(["help", "image", "build"], capsys).startswith("usage: bay image build [-h]")
    assert said_by(["help", "launch"], capsys).startswith("usage: bay launch [-h]")
    assert said_by(["version"], capsys) == said_by(["-V"], capsys) == said_by(["--version"], capsys)


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("typed", [[], ["train"], ["demo"], ["model", "show"]])
def test_help_is_as_wide_as_the_terminal(
    typed: list[str], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = said_by([*typed, "--help"], capsys)
    assert [line for line in text.splitlines() if len(line) > columns] == []


@pytest.mark.parametrize("verb", ["image", "model"])
def test_a_verb_with_actions_shows_an_example_too(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([verb, "--help"])
    assert ended.value.code == 0
    assert f"example:\n  bay {verb} " in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["show", "restore", "remove"])
def test_a_store_is_on_ec2_unless_it_is_said_to_be_elsewhere(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "where the store is: ec2 or twin (default: ec2)" in " ".join(said_by(["store", verb, "-h"], capsys).split())
    assert "local, ec2 or twin (default: local)" in " ".join(said_by(["ps", "-h"], capsys).split())


def test_defaults_are_those_that_the_help_states() -> None:
    assert parse(["fetch", "x"]).output == "data"
    assert parse(["evaluate", "m", "--data", "d"]).batch_size == 128
    assert parse(["predict", "m", "--data", "d"]).target == "first"
    assert parse(["init"]).folder == "."
    assert parse(["demo"]).epochs == 500


def test_help_loads_nothing_but_the_parser() -> None:
    code = (
        "import sys\nfrom launchbay.cli.main import main\nassert main(['launch', '--help']) == 0\n"
        "print(*sorted(name for name in sys.modules if name.startswith(('launchbay.', 'rich', 'yaml', 'plotext'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == [
        "launchbay.cli",
        "launchbay.cli.cloud_options",
        "launchbay.cli.cost_options",
        "launchbay.cli.grammar",
        "launchbay.cli.main",
        "launchbay.cli.options",
        "launchbay.cli.output",
        "launchbay.cli.parser",
        "launchbay.cli.store_options",
        "launchbay.cli.twin_options",
        "launchbay.cli.type_options",
        "launchbay.errors",
    ]
