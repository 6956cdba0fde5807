"""Several images side by side under one name: an environment and a kernel each, nothing stored twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from launchbay.errors import Conflict, NotFound, StateError, UsageError
from launchbay.images.image import Image, find_image, list_images
from launchbay.images.lock import compose_digest
from launchbay.lifecycle.bay import Bay, connect, image_of, python_of
from launchbay.lifecycle.build import ensure_image
from launchbay.lifecycle.images import find_any, remove_image, verify_built
from launchbay.lifecycle.launch import launch_fleet
from launchbay.lifecycle.verify import verify_instances
from launchbay.planning.fleet import Instance
from launchbay.runs.train import RunSpec, follow_run, submit_run

LAYERS = pytest.mark.parametrize("layer", ["layer", "overlay"])


@pytest.fixture
def pair(bay: Bay, with_image: Callable[[str], Image]) -> str:
    """Return the path of a recipe of two images, all built."""
    with_image("pair")
    return str(bay.home.root.parent / "pair.yaml")


@pytest.fixture
def two(bay: Bay, pair: str) -> Iterator[Callable[[str], Sequence[Instance]]]:
    yield lambda layer: launch_fleet(bay, pair, count=2, name="exp", layer=layer).instances
    bay.provider.delete(bay.provider.observe())


def version(bay: Bay, instance: Instance, env: str | None) -> str:
    done = connect(bay, instance, env).run(["python", "-c", "import six; print(six.__version__)"])
    assert done.code == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_it_holds_nothing_but_the_names_of_its_parts(bay: Bay, pair: str) -> None:
    image, built_now = ensure_image(bay, pair)
    assert not built_now
    assert [member.name for member in image.members] == ["tiny", "older"]
    assert image.digest == compose_digest([(member.name, member.digest) for member in image.members])
    assert [path.name for path in image.folder.iterdir()] == ["record.json"]
    assert image.size_bytes == sum(member.size_bytes for member in image.members)
    assert find_any(bay, pair) == (image, None)


def test_its_digest_is_that_of_its_parts_in_their_order() -> None:
    parts = [("a", "1" * 64), ("b", "2" * 64)]
    assert compose_digest(parts) != compose_digest(parts[::-1])
    assert compose_digest(parts) != compose_digest([("a", "1" * 64), ("c", "2" * 64)])
    assert compose_digest(parts) != compose_digest([("a", "1" * 64), ("b", "3" * 64)])


@LAYERS
def test_each_environment_is_its_images(bay: Bay, two: Callable[[str], Sequence[Instance]], layer: str) -> None:
    first, _ = two(layer)
    assert version(bay, first, None) == version(bay, first, "tiny") == "1.17.0"  # the first is the default
    assert version(bay, first, "older") == "1.16.0"
    told = connect(bay, first, "older").run(["sh", "-c", "echo $FLAVOUR $VIRTUAL_ENV"]).stdout.decode().split()
    assert told == ["older", str(first.root / "env" / "older")]
    assert python_of(bay, first, "older") == f"{first.root}/env/older/bin/python"


def test_an_environment_that_it_has_not_is_said_with_those_it_has(
    bay: Bay, two: Callable[[str], Sequence[Instance]]
) -> None:
    first, _ = two("layer")
    with pytest.raises(NotFound, match="pair has no environment 'torch'") as caught:
        connect(bay, first, "torch")
    assert caught.value.hint == "--env with one of: tiny, older"


@LAYERS
def test_the_odd_one_is_named_with_its_environment(
    bay: Bay, two: Callable[[str], Sequence[Instance]], layer: str
) -> None:
    first, second = two(layer)
    assert verify_instances(bay, [first, second], full=True).identical
    place = f"{second.root}/env/older/lib/python3.11/site-packages/stray.py"
    assert connect(bay, second, "older").run(["sh", "-c", f"echo > {place}"]).code == 0
    found = verify_instances(bay, [first, second], full=False)
    assert [(item.instance, item.kind, item.what) for item in found.differences] == [
        ("exp-2", "file", "lib/python3.11/site-packages/stray.py was added to its layer (in older)")
    ]


@LAYERS
def test_a_kernel_for_each_that_names_no_instance(
    bay: Bay, two: Callable[[str], Sequence[Instance]], layer: str
) -> None:
    first, second = two(layer)
    kernels = first.root / "env" / "share" / "jupyter" / "kernels"
    assert sorted(path.name for path in kernels.iterdir()) == ["older", "tiny"]
    text = (kernels / "older" / "kernel.json").read_text()
    assert text == text.replace(first.id, "").replace(second.id, "")
    spec = json.loads(text)
    assert spec["argv"][0] == "{resource_dir}/../../../../older/bin/python"
    assert (kernels / "older" / "../../../../older").resolve() == (first.root / "env" / "older").resolve()
    assert spec["env"]["FLAVOUR"] == "older"
    assert json.loads((kernels / "tiny" / "kernel.json").read_text())["env"]["FLAVOUR"] == ""
    (kernels / "older" / "kernel.json").write_text("{}")
    (odd,) = verify_instances(bay, [first, second], full=False).differences
    assert odd.what.startswith("jupyter/kernels/older/kernel.json was changed in its layer")


def test_a_run_says_which_it_ran_in(bay: Bay, two: Callable[[str], Sequence[Instance]], tmp_path: Path) -> None:
    first, _ = two("layer")
    script = tmp_path / "train.py"
    script.write_text("import six; print(six.__version__)")
    run = submit_run(bay, first, RunSpec(script=script, env="older"))
    printed: list[bytes] = []
    run = follow_run(bay, run, printed.append, on_interrupt=lambda: "stop")
    image = image_of(bay, first)
    assert (run.state, b"".join(printed), run.image) == ("done", b"1.16.0\n", "older")
    assert run.digest == image.members[1].digest


def test_every_part_is_hashed(bay: Bay, pair: str) -> None:
    check = verify_built(bay, pair)
    image, _ = ensure_image(bay, pair)
    assert (check.ok, check.problems, check.content) == (True, [], image.content)
    member = image.members[1]
    link = bay.home.images / member.digest
    real = link.resolve()
    link.unlink()
    shutil.copytree(real, link, symlinks=True)
    place = member.site_packages / "six.py"
    place.chmod(0o644)
    place.write_text("x = 1\n")
    assert [problem[:30] for problem in verify_built(bay, pair).problems] == ["older: six.py of six-1.16.0: c"]


def test_a_part_that_is_gone_is_built_again_with_it(
    bay: Bay, pair: str, two: Callable[[str], Sequence[Instance]]
) -> None:
    first, _ = two("layer")
    image = image_of(bay, first)
    (bay.home.images / image.members[1].digest).unlink()
    assert find_image(bay.home, image.digest) is None
    with pytest.raises(StateError, match="the image of exp-1 is gone"):
        connect(bay, first)
    assert "pair" not in [item.name for item in list_images(bay.home)]
    assert Path(pair).exists()


def test_a_part_is_not_removed_under_the_whole(bay: Bay, two: Callable[[str], Sequence[Instance]]) -> None:
    two("layer")
    with pytest.raises(Conflict, match="older is in use by 2 instances: exp"):
        remove_image(bay, "older")
    bay.provider.delete(bay.provider.observe())
    with pytest.raises(Conflict, match="older is part of pair") as caught:
        remove_image(bay, "older")
    assert caught.value.hint == "bay image remove pair, which keeps its parts"
    remove_image(bay, "pair")
    assert {item.name for item in list_images(bay.home)} == {"tiny", "older"}
    remove_image(bay, "older")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("images: [tensorflow]\n", "images must name two or more, got tensorflow"),
        ("images: [jax, jax]\n", "images must have a name each, and 'jax' stands twice"),
        ("images: [jax, mxnet]\npackages: [six]\n", "images stand side by side as they are"),
        ("images: [jax, mxnet]\nenv: {A: b}\n", "images stand side by side as they are"),
        ("images: [jax, nonesuch]\n", "there is no image named 'nonesuch'"),
        ("images: [tiny.yaml, missing.yaml]\n", "there is no such file"),
        ("images: [tiny.yaml, pair.yaml]\n", "images cannot hold 'pair', which is several itself"),
    ],
)
def test_a_recipe_of_images_that_cannot_be(bay: Bay, pair: str, text: str, error: str) -> None:
    path = Path(pair).with_name("bad.yaml")
    path.write_text(text)
    with pytest.raises((UsageError, NotFound), match=error):
        ensure_image(bay, str(path))
    assert "bad" not in [item.name for item in list_images(bay.home)]
