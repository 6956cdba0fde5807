"""CPU or CUDA: chosen by recipe, driver and GPU, with a stand-in for the driver's own tool."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launchbay.errors import BuildError, Conflict, UsageError
from launchbay.images.recipe import find_recipe
from launchbay.lifecycle.accelerator import AUTO, choose_accelerator, list_gpus
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.lifecycle.build import ensure_image, resolve_lock
from launchbay.lifecycle.doctor import run_checks
from launchbay.lifecycle.images import find_any

SMI = """\
#!/bin/sh
case "$*" in
  *compute_cap*) {query} ;;
  *--query-gpu=*) echo "Some GPU, {driver}" ;;
  *) echo "GPU 0: Some GPU (UUID: GPU-1)" ;;
esac
"""
OLD = 'echo "Field compute_cap is not a valid field to query."; exit 2'


def machine(folder: Path, home: Path, driver: str, *capabilities: str) -> Bay:
    """Return a bay on a machine with these GPUs; without capabilities, its driver does not know of them."""
    tool = folder / "nvidia-smi"
    lines = "; ".join(f'echo "Some GPU, {driver}, {capability}"' for capability in capabilities)
    tool.write_text(SMI.format(query=lines or OLD, driver=driver), encoding="utf-8")
    tool.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    return open_bay(environ={**os.environ, "LAUNCHBAY_HOME": str(home), "PATH": path})


@pytest.mark.parametrize(
    ("recipe", "driver", "capability", "expected"),
    [
        ("tensorflow", "525.60.13", "6.0", "cuda12"),
        ("tensorflow", "580.65.06", "12.0", "cuda12"),
        ("tensorflow-2.15", "525.60.13", "5.0", "cuda12"),
        ("pytorch", "580.65.06", "7.5", "cuda13"),
        ("jax", "580.65.06", "7.5", "cuda13"),
        ("jax", "580.65.06", "7.0", "cuda12"),
        ("jax", "575.57", "10.0", "cuda12"),
        ("keras", "580", "9.0", "cuda13"),
        ("mxnet", "580", "9.0", "cpu"),
    ],
)
def test_the_newest_that_gpu_and_driver_can(
    tmp_path: Path, recipe: str, driver: str, capability: str, expected: str
) -> None:
    bay = machine(tmp_path, tmp_path / "home", driver, capability)
    assert choose_accelerator(bay, find_recipe(recipe), AUTO) == expected
    assert choose_accelerator(bay, find_recipe(recipe), "cpu") == "cpu"
    if expected != "cpu":
        assert choose_accelerator(bay, find_recipe(recipe), "cuda") == expected
    lock = resolve_lock(bay, find_recipe(recipe))
    assert lock.target.accelerator == expected, "its lock is shipped"
    assert list((tmp_path / "home").glob("locks-of-recipes/*")) == []


@pytest.mark.parametrize(
    ("recipe", "gpu", "why"),
    [
        ("tensorflow", ("524.99", "9.0"), "tensorflow needs NVIDIA driver 525 or newer, and this machine has 524.99"),
        ("tensorflow", ("580", "5.2"), "needs a GPU of compute capability 6.0 or newer, and Some GPU has 5.2"),
        ("pytorch", ("575.57", "9.0"), "the cuda13 build of pytorch needs NVIDIA driver 580 or newer"),
        ("pytorch", ("580", "7.0"), "needs a GPU of compute capability 7.5 or newer, and Some GPU has 7.0"),
        ("jax", ("580", "5.0"), "the cuda12 build of jax needs a GPU of compute capability 5.2 or newer"),
        ("jax", ("470.256", "9.0"), "the cuda12 build of jax needs NVIDIA driver 525 or newer"),
    ],
)
@pytest.mark.parametrize("wish", ["auto", "cuda"])
def test_too_old_is_said_before_anything_is_built(
    tmp_path: Path, recipe: str, gpu: tuple[str, str], why: str, wish: str
) -> None:
    bay = machine(tmp_path, tmp_path / "home", *gpu)
    with pytest.raises(BuildError) as caught:
        ensure_image(bay, recipe, wish)
    assert why in caught.value.what
    assert "--accelerator cpu" in caught.value.hint
    assert not (tmp_path / "home").exists()
    assert find_any(bay, recipe)[1] == resolve_lock(bay, find_recipe(recipe), "cpu"), "it can still be looked at"


def test_a_driver_that_does_not_know_of_capabilities_is_too_old(tmp_path: Path) -> None:
    bay = machine(tmp_path, tmp_path / "home", "470.256")
    with pytest.raises(BuildError, match=r"needs NVIDIA driver 525 or newer, and this machine has 470\.256"):
        choose_accelerator(bay, find_recipe("tensorflow"), AUTO)


def test_of_several_gpus_the_best_counts(tmp_path: Path) -> None:
    bay = machine(tmp_path, tmp_path / "home", "580.65", "5.0", "10.0", "8.9")
    assert [gpu.capability for gpu in list_gpus(bay)] == ["5.0", "10.0", "8.9"]
    assert choose_accelerator(bay, find_recipe("pytorch"), AUTO) == "cuda13"


def test_a_machine_without_a_gpu(tmp_path: Path) -> None:
    bay = open_bay(environ={"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert list_gpus(bay) == ()
    assert choose_accelerator(bay, find_recipe("tensorflow"), AUTO) == "cpu"
    with pytest.raises(BuildError, match="there is no NVIDIA GPU here that tensorflow could be built for") as caught:
        choose_accelerator(bay, find_recipe("tensorflow"), "cuda")
    assert caught.value.hint == "--accelerator cpu"


def test_a_recipe_without_a_cuda_build(tmp_path: Path) -> None:
    bay = machine(tmp_path, tmp_path / "home", "580.65", "9.0")
    with pytest.raises(UsageError, match="mxnet has no CUDA build"):
        choose_accelerator(bay, find_recipe("mxnet"), "cuda")


def test_a_recipe_for_gpus_alone(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text("packages: [a]\naccelerators: [cuda13]\n", encoding="utf-8")
    recipe = find_recipe(str(tmp_path / "big.yaml"))
    without = open_bay(environ={"PATH": str(tmp_path), "HOME": str(tmp_path)})
    with pytest.raises(BuildError, match="no NVIDIA GPU here that big could be built for"):
        choose_accelerator(without, recipe, AUTO)
    with pytest.raises(UsageError, match="big is not for the CPU: it can be locked for cuda13"):
        choose_accelerator(without, recipe, "cpu")


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 9\n", "#!/bin/sh\necho No devices were found\n", "#!/bin/sh\n"])
def test_a_driver_that_does_not_answer_is_not_taken_for_none(tmp_path: Path, text: str) -> None:
    bay = machine(tmp_path, tmp_path / "home", "580", "9.0")
    (tmp_path / "nvidia-smi").write_text(text, encoding="utf-8")
    with pytest.raises(BuildError, match="nvidia-smi is there and shows no GPU") as caught:
        choose_accelerator(bay, find_recipe("tensorflow"), AUTO)
    assert caught.value.hint == "--accelerator cpu"
    assert choose_accelerator(bay, find_recipe("tensorflow"), "cpu") == "cpu"


def test_the_doctor_says_what_gpus_there_are(tmp_path: Path) -> None:
    bay = machine(tmp_path, tmp_path / "home", "580.65", "9.0")
    [check] = [check for check in run_checks(bay) if check.name == "gpu"]
    assert (check.state, check.found) == ("ok", "Some GPU, compute capability 9.0, driver 580.65")


def test_an_image_of_ones_own_is_what_it_was_built_for(bay: Bay, tiny: str) -> None:
    image, _ = ensure_image(bay, tiny)
    assert ensure_image(bay, "tiny", "cpu") == (image, False)
    with pytest.raises(Conflict, match="tiny is built for cpu"):
        ensure_image(bay, "tiny", "cuda")
