"""What is said about a failure, from a script's last words."""

from __future__ import annotations

import pytest

from launchbay.runs.hints import explain_failure


def explain(tail: str = "", *, signal: str | None = None, state: str = "failed") -> str:
    return explain_failure(tail, signal=signal, state=state, instance="exp-2")


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        (
            "Traceback\nModuleNotFoundError: No module named 'seaborn'\n",
            "install it in the instance: bay exec exp-2 -- pip install seaborn",
        ),
        ("ModuleNotFoundError: No module named 'sklearn'", "bay exec exp-2 -- pip install scikit-learn"),
        ("ModuleNotFoundError: No module named 'cv2'", "pip install opencv-python-headless"),
        (
            "ImportError: TensorBoard callback\nModuleNotFoundError: No module named 'tensorflow'\n  more\n",
            "Keras' TensorBoard callback works only with TensorFlow",
        ),
        ("ModuleNotFoundError: No module named 'tensorboard'", "the script needs tensorboard"),
        ("ValueError: Invalid filepath extension for saving. Please add", 'model.save("model.keras")'),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'data/train.csv'", "--data DIR"),
        ("FileNotFoundError: [Errno 2] No such file or directory: './data'", "--data DIR"),
        ("MemoryError", "ran out of memory"),
        ("terminate called: std::bad_alloc", "ran out of memory"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ],
)
def test_known_last_words(tail: str, said: str) -> None:
    assert said in explain(tail)


@pytest.mark.parametrize("name", ["myutils", "utils", "my_model", "sklear"])
def test_a_module_that_is_not_known_is_never_offered_to_pip(name: str) -> None:
    said = explain(f"ModuleNotFoundError: No module named '{name}'")
    assert "pip" not in said
    assert f"there is no module {name} here: if it is a file of yours, put it beside the script" in said


def test_a_part_that_is_missing_does_not_mean_that_the_package_is() -> None:
    said = explain("ModuleNotFoundError: No module named 'sklearn.externals.joblib'; 'x' is not a package")
    assert said.startswith("sklearn is here without sklearn.externals.joblib")
    assert "pip" not in said


def test_unknown_last_words_say_nothing() -> None:
    assert explain("ValueError: shapes do not match") == ""
    assert explain("FileNotFoundError: [Errno 2] No such file or directory: 'weights.h5'") == ""


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGILL"])
def test_a_crash_names_its_signal(name: str) -> None:
    assert name in explain("Fatal Python error", signal=name)


def test_a_crash_without_last_lines_does_not_speak_of_them() -> None:
    assert "last lines" in explain("Fatal Python error: Segmentation fault", signal="SIGSEGV")
    said = explain(" \n", signal="SIGSEGV")
    assert "last lines" not in said
    assert "faulthandler" in said


def test_a_kill_is_most_often_the_system_out_of_memory() -> None:
    assert "SIGKILL" in explain("MemoryError", signal="SIGKILL")


def test_a_run_that_was_stopped_needs_no_explanation() -> None:
    assert explain("ModuleNotFoundError: No module named 'x'", state="stopped", signal="SIGTERM") == ""


def test_a_lost_run_is_explained_by_its_supervisor() -> None:
    assert "supervisor is gone" in explain("anything", state="lost")
