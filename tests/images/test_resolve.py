"""Locks made by the real uv, from an index on loopback."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.errors import BuildError, StateError, UsageError
from launchbay.images.lock import Lock, current_target, lock_recipe
from launchbay.images.recipe import find_recipe
from launchbay.images.uv import Uv, find_uv
from tests.images.index import Index, make_wheel

Recipe = Callable[..., str]
Resolved = Callable[[str], Lock]
NOWHERE = "http://127.0.0.1:9/simple/"  # nobody answers on the port for discarding


@pytest.fixture
def resolved(index: Index, tmp_path: Path) -> Resolved:
    """Return the verb under test, with the index of `index`."""
    assert index.url
    return lambda reference: lock_recipe(find_recipe(reference), folder=tmp_path / "locks", uv=Uv(find_uv()))


def versions(lock: Lock) -> dict[str, str]:
    return {pin.name: pin.version for pin in lock.pins}


def lock_file(reference: str) -> Path:
    path = Path(reference)
    return path.with_name(f"{path.stem}.{current_target('3.11').slug}.lock")


def test_a_recipe_is_resolved_with_everything_it_needs(index: Index, recipe: Recipe, resolved: Resolved) -> None:
    lock = resolved(recipe("alpha", more="env: {B: 2, A: 1}\n"))
    assert versions(lock) == {"alpha": "1.0", "beta": "1.2", "pip": "26.0", "uv": "0.13.0"}
    assert lock.env == (("A", "1"), ("B", "2"))
    by_name = {(wheel.name, wheel.version): wheel.sha256 for wheel in index.wheels}
    assert {pin.hashes for pin in lock.pins} == {(by_name[pin.name, pin.version],) for pin in lock.pins}


def test_a_lock_stands_beside_its_recipe_and_holds_no_address(recipe: Recipe, resolved: Resolved) -> None:
    reference = recipe("alpha")
    lock = resolved(reference)
    text = lock_file(reference).read_text()
    assert text == lock.text()
    assert "127.0.0.1" not in text
    assert "://" not in text


def test_a_lock_that_stands_needs_no_network(
    index: Index, recipe: Recipe, resolved: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = recipe("alpha")
    lock = resolved(reference)
    monkeypatch.setenv("UV_DEFAULT_INDEX", NOWHERE)
    asked = len(index.asked)
    assert resolved(reference) == lock
    recipe("alpha  # with a comment, which changes nothing\n ")
    assert resolved(reference) == lock
    assert len(index.asked) == asked


@pytest.mark.parametrize("text", ["packages: [alpha, beta<1.1]", "packages: [beta]", "packages: [alpha]\nenv: {A: 1}"])
def test_a_recipe_that_changed_is_resolved_again(
    recipe: Recipe, resolved: Resolved, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    reference = recipe("alpha")
    before = resolved(reference)
    Path(reference).write_text(text)
    with monkeypatch.context() as away:
        away.setenv("UV_DEFAULT_INDEX", NOWHERE)
        away.setenv("UV_CACHE_DIR", str(Path(reference).parent / "empty-cache"))
        with pytest.raises(BuildError, match="the network failed while resolving small"):
            resolved(reference)
    assert lock_file(reference).read_text() == before.text(), "a lock that could not be made anew stays"
    after = resolved(reference)
    assert after.digest != before.digest
    assert after.inputs != before.inputs


def test_resolving_again_keeps_what_it_can(index: Index, recipe: Recipe, resolved: Resolved) -> None:
    resolved(recipe("alpha"))
    index.add(make_wheel("beta", "1.3"), make_wheel("gamma", needs=("beta",)))
    after = resolved(recipe("alpha", "gamma"))
    assert versions(after) == {"alpha": "1.0", "beta": "1.2", "gamma": "1.0", "pip": "26.0", "uv": "0.13.0"}


def test_a_deleted_lock_is_resolved_anew(index: Index, recipe: Recipe, resolved: Resolved) -> None:
    reference = recipe("alpha")
    resolved(reference)
    index.add(make_wheel("beta", "1.3"))
    lock_file(reference).unlink()
    assert versions(resolved(reference))["beta"] == "1.3"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"<html>"])
def test_a_damaged_lock_is_not_resolved_over(recipe: Recipe, resolved: Resolved, content: bytes) -> None:
    reference = recipe("alpha")
    lock_file(reference).write_bytes(content)
    with pytest.raises(StateError, match="lock is damaged") as caught:
        resolved(reference)
    assert caught.value.where == str(lock_file(reference))
    assert lock_file(reference).read_bytes() == content


def test_a_lock_that_cannot_be_written_says_what_next(recipe: Recipe, resolved: Resolved) -> None:
    reference = recipe("alpha")
    path = lock_file(reference)
    path.with_name(f".{path.name}.{os.getpid()}.tmp").mkdir()  # in the way even of the root user
    with pytest.raises(BuildError, match="the lock of small cannot be written: Is a directory") as caught:
        resolved(reference)
    assert caught.value.hint == "copy the recipe to a folder of your own"


# --- requirements files ---


def test_a_requirements_file_is_locked_like_a_recipe(tmp_path: Path, resolved: Resolved) -> None:
    (tmp_path / "base.txt").write_text("beta<1.1\n")
    path = tmp_path / "requirements.txt"
    path.write_text("-r base.txt\nalpha  # ours\n")
    assert versions(resolved(str(path))) == {"alpha": "1.0", "beta": "1.0", "pip": "26.0", "uv": "0.13.0"}
    (tmp_path / "base.txt").write_text("beta>1.1\n")
    assert versions(resolved(str(path)))["beta"] == "1.2", "a file that it names changed, and the lock did not"


def hashed(index: Index, **instead: str) -> str:
    """Return a fully hashed requirements file, as other tools write them."""
    wheels = {"alpha": "1.0", "beta": "1.0", "pip": "26.0", "uv": "0.13.0"}
    by_name = {(wheel.name, wheel.version): wheel.sha256 for wheel in index.wheels}
    return "".join(
        f"{name}=={version} \\\n    --hash=sha256:{instead.get(name) or by_name[name, version]}\n"
        for name, version in wheels.items()
    )


def test_a_fully_hashed_requirements_file_keeps_its_pins(index: Index, tmp_path: Path, resolved: Resolved) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(hashed(index))
    lock = resolved(str(path))
    assert lock.requirements() == hashed(index)
    assert versions(lock)["beta"] == "1.0"


def test_the_index_does_not_talk_us_out_of_a_hash(index: Index, tmp_path: Path, resolved: Resolved) -> None:
    """Who writes a hash down wants that file, and not whatever the index offers under the name by now."""
    path = tmp_path / "requirements.txt"
    path.write_text(hashed(index, beta="1" * 64))
    lock = resolved(str(path))
    assert {pin.name: pin.hashes for pin in lock.pins}["beta"] == ("1" * 64,)


# --- what cannot be locked ---


def test_packages_that_cannot_live_together(index: Index, recipe: Recipe, resolved: Resolved) -> None:
    index.add(make_wheel("gamma", needs=("beta<1.1",)), make_wheel("delta", needs=("beta>1.1",)))
    reference = recipe("gamma", "delta")
    with pytest.raises(BuildError) as caught:
        resolved(reference)
    assert re.fullmatch(
        r"failed resolving small: (gamma and delta|delta and gamma) are asked for, but .*", caught.value.what
    )
    assert {"gamma needs beta<1.1", "delta needs beta>1.1"} <= set(re.split("but |; ", caught.value.what))
    assert "two images" in caught.value.hint
    assert not lock_file(reference).exists()


@pytest.mark.parametrize("name", ["nosuch", "connector", "timeouts"])
def test_a_package_that_is_nowhere(recipe: Recipe, resolved: Resolved, name: str) -> None:
    with pytest.raises(BuildError, match=f"failed resolving small: .*{name} was not found"):
        resolved(recipe(name))


def test_a_requirement_that_is_none(recipe: Recipe, resolved: Resolved) -> None:
    with pytest.raises(BuildError, match="failed resolving small"):
        resolved(recipe("'alpha ==== 1'"))


def test_the_network_fails_while_resolving(recipe: Recipe, resolved: Resolved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", NOWHERE)
    reference = recipe("alpha")
    with pytest.raises(BuildError, match=r"the network failed while resolving small of (alpha|pip|uv):") as caught:
        resolved(reference)
    assert "127.0.0.1" not in str(caught.value)
    assert caught.value.hint.startswith("check the connection")
    assert not lock_file(reference).exists()


def test_a_cpu_lock_holds_nothing_of_a_gpu(index: Index, recipe: Recipe, resolved: Resolved) -> None:
    index.add(make_wheel("nvidia_cublas_cu12", "12.8"), make_wheel("torch", "2.9", needs=("nvidia-cublas-cu12",)))
    reference = recipe("torch")
    with pytest.raises(BuildError, match=r"no CUDA package, but small resolved to nvidia-cublas-cu12 12\.8") as caught:
        resolved(reference)
    assert "UV_FIND_LINKS" in caught.value.hint
    assert not lock_file(reference).exists()


# --- locks for CUDA ---


def cuda_lock(reference: str, folder: Path) -> Lock:
    return lock_recipe(find_recipe(reference), folder=folder, uv=Uv(find_uv()), accelerator="cuda12")


CUDA = "accelerators: [cpu, cuda12]\ncuda12: [nvidia-cublas-cu12]\n"


def test_a_lock_for_cuda_holds_more_and_is_another_image(
    index: Index, recipe: Recipe, resolved: Resolved, tmp_path: Path
) -> None:
    index.add(make_wheel("nvidia_cublas_cu12", "12.8"))
    reference = recipe("alpha", more=CUDA)
    cpu, cuda = resolved(reference), cuda_lock(reference, tmp_path)
    assert versions(cuda) == {**versions(cpu), "nvidia-cublas-cu12": "12.8"}
    assert cuda.target.accelerator == "cuda12"
    assert cuda.digest != cpu.digest
    assert {path.name.rpartition("-")[2] for path in tmp_path.glob("small.*.lock")} == {"cpu.lock", "cuda12.lock"}
    assert (resolved(reference), cuda_lock(reference, tmp_path)) == (cpu, cuda), "neither is taken for the other"


def test_a_lock_for_cuda_without_cuda_would_train_on_the_cpu(index: Index, recipe: Recipe, tmp_path: Path) -> None:
    assert index.url
    with pytest.raises(BuildError, match="small asks for cuda12, and nothing in it brings CUDA along"):
        cuda_lock(recipe("alpha", more="accelerators: [cpu, cuda12]\n"), tmp_path)


def test_a_folder_of_cpu_builds_is_kept_from_a_lock_for_cuda(
    index: Index, recipe: Recipe, resolved: Resolved, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index.add(make_wheel("torch", "2.9", needs=("nvidia-cublas-cu12",)), make_wheel("nvidia_cublas_cu12", "12.8"))
    wheel = make_wheel("torch", "2.9+cpu")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / wheel.file).write_bytes(wheel.data)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    reference = recipe("torch", more="accelerators: [cpu, cuda12]\n")
    assert versions(resolved(reference))["torch"] == "2.9+cpu"
    assert versions(cuda_lock(reference, tmp_path))["torch"] == "2.9"
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    lock_file(reference).with_name(lock_file(reference).name.replace("cpu", "cuda12")).unlink()
    with pytest.raises(BuildError, match=r"a CUDA lock must hold no CPU build, but small resolved to torch 2\.9\+cpu"):
        cuda_lock(reference, tmp_path)


def test_a_folder_of_ones_own_cannot_be_pinned(recipe: Recipe, resolved: Resolved, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / make_wheel("mine").file).write_bytes(make_wheel("mine").data)
    reference = recipe(f"'mine @ file://{tmp_path}/mine/{make_wheel('mine').file}'")
    with pytest.raises(UsageError, match="a lock can hold only packages of an index") as caught:
        resolved(reference)
    assert "pip" in caught.value.hint


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "--editable=./mine",
        "git+https://example.org/mine.git",
        "mine @ git+ssh://git@example.org/mine.git@v1",
        "mine[extra] @ https://example.org/mine-1.0.tar.gz",
        "https://example.org/mine-1.0.tar.gz",
        "file:///srv/mine",
        "./mine",
        "../mine[extra]",
        "/srv/mine",
        "~/mine",
        ".",
    ],
)
def test_a_place_is_refused_by_file_and_line_before_anything_is_asked(
    index: Index, resolved: Resolved, tmp_path: Path, line: str
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"# what we need\nalpha \\\n  >=1\n{line}\nbeta\n", encoding="utf-8")
    with pytest.raises(UsageError, match="a lock can hold only packages of an index") as caught:
        resolved(str(file))
    assert caught.value.where == f"{file}:4"
    assert line in caught.value.what
    assert index.asked == []


@pytest.mark.parametrize("line", ["alpha", "alpha>=1; python_version>'3'", "alpha[x]==1.0", "--prefer-binary"])
def test_what_only_looks_like_a_place_is_none(resolved: Resolved, tmp_path: Path, line: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"{line}\nbeta<2 # see https://example.org/@beta\n", encoding="utf-8")
    assert "beta" in versions(resolved(str(file)))


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "--prefer-binary\n"])
def test_a_file_that_names_no_package_makes_no_image(
    index: Index, resolved: Resolved, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="it names no package") as caught:
        resolved(str(file))
    assert caught.value.where == str(file)
    assert index.asked == []


@pytest.mark.all
@pytest.mark.parametrize(
    ("text", "asked", "need"),
    [
        (
            "packages: [tensorflow==2.15.1, 'numpy>=2']",
            "tensorflow==2.15.1 and numpy>=2 are asked for, but ",
            "tensorflow==2.15.1 needs numpy>=1.23.5,<2.0.0",
        ),
        (
            "extends: mxnet\npackages: [tensorflow==2.21.0]",
            "numpy==1.23.5 and tensorflow==2.21.0 are asked for, but ",
            "tensorflow==2.21.0 needs numpy>=1.26.0",
        ),
        (
            "extends: tensorflow-2.15\npackages: ['onnx>=1.21']",
            "tensorflow==2.15.1 and onnx>=1.21 are asked for, but ",
            "tensorflow==2.15.1 needs ml-dtypes>=0.3.1,<0.4.dev0",
        ),
    ],
)
def test_frameworks_that_cannot_live_together(tmp_path: Path, text: str, asked: str, need: str) -> None:
    """From the person's own index: these are real packages."""
    path = tmp_path / "both.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BuildError) as caught:
        lock_recipe(find_recipe(str(path)), folder=tmp_path, uv=Uv(find_uv()))
    assert caught.value.what.startswith(f"failed resolving both: {asked}")
    assert need in caught.value.what
    assert len(caught.value.what) < 300
