from __future__ import annotations

import re
from pathlib import Path

import pytest

from launchbay.errors import NotFound, UsageError
from launchbay.images.recipe import RECIPE_FIELDS, builtin_names, find_recipe, read_recipe


def write(folder: Path, text: str, name: str = "ml.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# --- those that come with Launchbay ---


def test_the_built_in_recipes() -> None:
    assert {"jax", "keras", "mxnet", "pytorch", "tensorflow", "tensorflow-2.15"} <= set(builtin_names())


@pytest.mark.parametrize("name", [name for name in builtin_names() if not find_recipe(name).images])
def test_a_built_in_recipe_is_complete(name: str) -> None:
    recipe = find_recipe(name)
    assert (recipe.name, recipe.origin, recipe.python) == (name, None, "3.11")
    assert recipe.description
    asked = {re.split("[=<>]", package)[0] for package in recipe.packages}
    assert {"jupyterlab", "tensorboard", "matplotlib", "pandas"} <= asked
    assert "onnxruntime" in asked or recipe.retired


def test_keras_of_the_jax_recipe_runs_on_jax() -> None:
    assert dict(find_recipe("jax").env) == {"KERAS_BACKEND": "jax"}


# --- a person's own ---


def test_a_recipe_of_a_few_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "packages:\n  - numpy\n  - pandas>=2\n")
    recipe = find_recipe(str(path))
    assert (recipe.name, recipe.origin, recipe.python) == ("ml", path, "3.11")
    assert recipe.packages == ("numpy", "pandas>=2")
    assert recipe.inputs() == ("numpy", "pandas>=2", "pip", "uv")


def test_every_field_can_be_said(tmp_path: Path) -> None:
    write(tmp_path, "six\n", "more.txt")
    (tmp_path / "more").mkdir()
    text = """\
description: ours
extends: jax
python: "3.12"
packages: [numpy]
requirements: more.txt
files: ./more
system: [libgomp1]
env: {THREADS: 4, KERAS_BACKEND: torch}
accelerators: [cpu, cuda12, cuda13]
cuda12: [one]
cuda13: [two]
gpu_capability: "7.5"
gpu_driver: "580"
retired: not yet
"""
    assert {line.split(":")[0] for line in text.splitlines()} == set(RECIPE_FIELDS) - {"images"}
    recipe = read_recipe(write(tmp_path, text))
    assert recipe.description == "ours"
    assert recipe.python == "3.12"
    assert recipe.packages == (*find_recipe("jax").packages, "numpy")
    assert recipe.packages_for("cpu") == recipe.packages
    assert recipe.packages_for("cuda13") == (*recipe.packages, "jax[cuda13]", "two")
    assert recipe.accelerators == ("cpu", "cuda12", "cuda13")
    assert recipe.requirements == (tmp_path / "more.txt",)
    assert recipe.files == tmp_path / "more"
    assert recipe.system == ("libgomp1",)
    assert recipe.env == (("KERAS_BACKEND", "torch"), ("THREADS", "4"))
    assert (recipe.gpu_capability, recipe.gpu_driver, recipe.retired) == ("7.5", "580", "not yet")
    assert "six" in recipe.inputs()


def test_extending_alone_is_enough(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, "extends: tensorflow\n"))
    assert recipe.inputs() == find_recipe("tensorflow").inputs()


@pytest.mark.parametrize(("file", "name"), [("my_ml.v2.yaml", "my-ml"), ("ML.yml", "ML"), ("_.yaml", "exp")])
def test_an_image_is_named_after_its_recipes_file(tmp_path: Path, file: str, name: str) -> None:
    assert read_recipe(write(tmp_path, "packages: [six]\n", file)).name == name


def test_a_recipe_is_found_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "packages: [six]\n")
    monkeypatch.chdir(tmp_path)
    assert find_recipe("ml.yaml").origin == path
    assert find_recipe("./ml.yaml").origin == path


# --- a requirements file as one ---


def test_a_project_is_not_taken_for_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "bay.yaml").write_text("name: exp\nimage: jax\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"bay.yaml says what a folder launches, and is no recipe") as caught:
        read_recipe(tmp_path / "bay.yaml")
    assert caught.value.hint.startswith("bay launch, without a name")


def test_a_requirements_file_is_a_recipe(tmp_path: Path) -> None:
    text = "# ours\nnumpy>=2   # fast\n\npandas \\\n    >= 2\nsix==1.17.0 --hash=sha256:00 \\\n  --hash=sha256:11\n"
    path = write(tmp_path, text, "requirements.txt")
    recipe = find_recipe(str(path))
    assert (recipe.name, recipe.requirements, recipe.description) == ("requirements", (path,), "from requirements.txt")
    assert recipe.inputs() == ("numpy>=2", "pandas >= 2", "pip", "six==1.17.0 --hash=sha256:00 --hash=sha256:11", "uv")


def test_comments_and_order_do_not_change_what_is_asked_for(tmp_path: Path) -> None:
    first = read_recipe(write(tmp_path, "b\na\n", "one.txt"))
    second = read_recipe(write(tmp_path, "# why\na # because\n\nb\n", "two.txt"))
    assert first.inputs() == second.inputs()


@pytest.mark.parametrize("words", ["-r ", "-r", "--requirement ", "--requirement=", "-c ", "--constraint "])
def test_a_file_that_a_requirements_file_names_is_part_of_it(tmp_path: Path, words: str) -> None:
    (tmp_path / "deep").mkdir()
    path = write(tmp_path, f"{words}deep/base.txt\nsix\n", "requirements.txt")
    write(tmp_path / "deep", "-r ../requirements.txt\nnumpy==1\n", "base.txt")  # in a circle, too
    before = read_recipe(path).inputs()
    assert "numpy==1" in before
    write(tmp_path / "deep", "numpy==2\n", "base.txt")
    assert read_recipe(path).inputs() != before


def test_a_file_on_the_web_is_left_to_the_resolver(tmp_path: Path) -> None:
    path = write(tmp_path, "-r https://example.invalid/base.txt\n", "requirements.txt")
    assert "-r https://example.invalid/base.txt" in read_recipe(path).inputs()


# --- what cannot be ---


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("description: d\npython: 3.11\npackages: [six]\n", 'python must be a text in quotes (such as "3.11"', 2),
        ('python: "3"\npackages: [six]\n', "python must be a minor version such as \"3.11\", got '3'", 1),
        ('python: "3.11.4"\npackages: [six]\n', "python must be a minor version", 1),
        ("packages: [six]\nextends: pytorchh\n", "extends must name a built-in recipe (jax, ", 2),
        (
            "packages: [six]\npackage: six\n",
            "unknown field 'package'; known fields are accelerators, cuda12, cuda13,",
            2,
        ),
        ("requirements: nowhere.txt\n", "there is no requirements file", 1),
        (
            "packages: [six]\naccelerators: [cpu, rocm]\n",
            "accelerators must be some of cpu, cuda12, cuda13, got rocm",
            2,
        ),
        ("packages: [six]\ncuda12: [a]\n", "cuda12 names packages, and accelerators does not name cuda12", 2),
        ("packages: [six]\ngpu_driver: new\n", "gpu_driver must be numbers with dots such as", 2),
        ('packages: [six]\ngpu_capability: "sm_75"\n', "gpu_capability must be numbers with dots such as", 2),
        ('packages: [six]\nenv: {"A B": 1}\n', "env must hold NAME: one line of text, got A B='1'", 2),
        ('packages: [six]\nenv: {A: "x\\ny"}\n', "env must hold NAME: one line of text", 2),
        ("packages: [six]\nenv: {PIP_CONSTRAINT: ''}\n", "env cannot hold PIP_CONSTRAINT", 2),
        ("packages: [six]\nenv:\n  UV_NO_VERIFY_HASHES: 1\n", "env cannot hold UV_NO_VERIFY_HASHES", 2),
        ("packages: [six]\nenv: {LAUNCHBAY_INSTANCE: i-1}\n", "env cannot hold LAUNCHBAY_INSTANCE", 2),
        ('packages: [six]\nenv: {A: "x\\ry"}\n', "env must hold NAME: one line of text", 2),
        ('packages: [six]\nenv: {A: "x\\Ly"}\n', "env must hold NAME: one line of text", 2),
        ("packages: {six: 1}\n", "packages must be a list of texts", 1),
        ("packages: [six\n", "not valid YAML", 2),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, what: str, line: int) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_recipe(path)
    assert caught.value.what.startswith(what)
    assert caught.value.where.startswith(f"{path}:{line}")


@pytest.mark.parametrize("text", ["", "description: nothing in it\n", "packages: []\n"])
def test_a_recipe_of_nothing_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="a recipe needs packages, requirements, extends or images") as caught:
        read_recipe(write(tmp_path, text))
    assert caught.value.hint == "packages: [numpy]"


@pytest.mark.parametrize("name", ["ml.yaml", "requirements.txt", "requirements.in"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="there is no such") as caught:
        find_recipe(str(tmp_path / name))
    assert caught.value.where == str(tmp_path / name)


def test_a_requirements_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_bytes(b"six\n\xff\xfe")
    with pytest.raises(UsageError, match="not a text file: byte 4 is not UTF-8") as caught:
        read_recipe(path).inputs()
    assert caught.value.where == str(path)


def test_a_file_that_a_requirements_file_names_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="requirements file cannot be read: No such file") as caught:
        read_recipe(write(tmp_path, "-r nowhere.txt\n", "requirements.txt")).inputs()
    assert caught.value.where == str(tmp_path / "nowhere.txt")


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(NotFound, match="there is no image named 'tensorflw'; did you mean tensorflow") as caught:
        find_recipe("tensorflw")
    assert "bay images" in caught.value.hint
