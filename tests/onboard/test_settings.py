"""What a home sets, and what it merely holds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from launchbay.onboard.settings import changed_variables, read_settings


def exported(home: Path, text: str, name: str = ".bashrc") -> set[str]:
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text, encoding="utf-8")
    return {entry.removeprefix("variable ").removesuffix(f" in ~/{name}") for entry in read_settings(home.as_posix())}


@pytest.mark.parametrize(
    "line",
    [
        "export X=1",
        "  export X",
        "X=1; export X",
        "if true; then export X=1; fi",
        "test -d /x && export X=1",
        "declare -x X=1",
        "typeset -gx X=1",
        "unset X",
        "export -n X",
        "setenv X 1",
        "set -gx X 1",
        "set -e X",
        "export EDITOR=vim X=1",
        "export EDITOR='two words' X",
    ],
)
def test_a_variable_that_programs_get_is_told(tmp_path: Path, line: str) -> None:
    assert exported(tmp_path, f"# mine\n{line}\n") == {"X"}


@pytest.mark.parametrize(
    "text",
    [
        "X=1",
        "# export X=1",
        "alias ll='ls -l'",
        "set -e\nset -ux\n",
        "echo export",
        "PS1='$ '",
        "export PS1='$ ' ",
        "export EDITOR=vim",
        "export HISTSIZE=1\nexport LESS=-R",
        "export WANDB_API_KEY=x\nexport AWS_SECRET_ACCESS_KEY=x\nexport HF_TOKEN=x",
        "exports X=1",
        "export EDITOR='code X=1'; Y=1 ls  # X=1",
    ],
)
def test_a_matter_of_taste_or_of_who_one_is_is_not(tmp_path: Path, text: str) -> None:
    assert exported(tmp_path, text) == set()


def test_values_are_compared_and_never_shown(tmp_path: Path) -> None:
    exported(tmp_path, "export DATABASE=postgres://me:letmein@there\n")
    (first,) = read_settings(str(tmp_path)).items()
    assert "letmein" not in "".join(first)
    exported(tmp_path, "export DATABASE=postgres://me:other@there\n")
    assert read_settings(str(tmp_path)) != dict([first])


@pytest.mark.parametrize("name", [".profile", ".zshenv", ".config/fish/config.fish"])
def test_every_shells_file_is_read(tmp_path: Path, name: str) -> None:
    assert exported(tmp_path, "export X=1\n", name) == {"X"}


def test_what_keras_writes_by_itself_sets_nothing(tmp_path: Path) -> None:
    own = {"floatx": "float32", "epsilon": 1e-07, "backend": "tensorflow", "image_data_format": "channels_last"}
    path = tmp_path / ".keras" / "keras.json"
    path.parent.mkdir()
    for text in (json.dumps(own), "{}", "", "{cut", "[]", '{"unknown": 1}'):
        path.write_text(text, encoding="utf-8")
        assert read_settings(str(tmp_path)) == {}
    path.write_text(json.dumps({**own, "backend": "jax", "floatx": "float16"}), encoding="utf-8")
    assert read_settings(str(tmp_path)) == {
        "backend in ~/.keras/keras.json": '"jax"',
        "floatx in ~/.keras/keras.json": '"float16"',
    }


def test_files_that_change_what_is_installed_or_run_are_told_through_links(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("1", encoding="utf-8")
    for name in (".config/pip/pip.conf", ".ipython/profile_default/startup/00.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    before = read_settings(str(tmp_path))
    assert set(before) == {"~/.config/pip/pip.conf", "~/.ipython/profile_default/startup/00.py"}
    (tmp_path / "elsewhere").write_text("2", encoding="utf-8")
    after = read_settings(str(tmp_path))
    assert all(before[name] != after[name] for name in before)


@pytest.mark.timeout(20)
def test_what_cannot_be_read_is_no_reason_to_stop(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".bashrc")
    (tmp_path / ".profile").mkdir()
    (tmp_path / ".zshrc").write_bytes(b"\xff\xfe export X=1\nexport Y=1\n")
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip" / "pip.conf").symlink_to("/nonexistent")
    assert read_settings(str(tmp_path)).keys() == {"variable Y in ~/.zshrc", "~/.pip/pip.conf"}
    assert read_settings(str(tmp_path / "nowhere")) == {}


def test_variables_are_compared_with_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(os.environ)
    monkeypatch.setenv("NEW", "1")
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.delenv("PATH")
    for name in ("PWD", "SHLVL", "LC_CTYPE"):
        monkeypatch.setenv(name, "by a shell")
    assert changed_variables(given) == {"variable NEW": "set", "variable HOME": "changed", "variable PATH": "removed"}
