"""The drift corpus: every change names its instance and what it is, and nobody else; ordinary use names nobody."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.home import new_id
from launchbay.images.image import Image, find_image
from launchbay.lifecycle.bay import Bay, connect
from launchbay.lifecycle.end import change_power, terminate
from launchbay.lifecycle.verify import verify_instances
from launchbay.onboard.content import Content
from launchbay.planning.fleet import Instance
from launchbay.providers.layer import find_layer
from tests.lifecycle.drift import CHANGES, DATA, USES, Change, make_apart, play, seeded
from tests.providers.specs import make_instances, make_specs
from tests.runs.running import run_it

KINDS = ("layer", "overlay", "several")


@pytest.fixture
def make_fleet(bay: Bay, with_image: Callable[[str], Image]) -> Iterator[Callable[..., list[Instance]]]:
    """Return a function that makes a fleet of a kind, each instance with the same data."""

    def make(kind: str, count: int = 3) -> list[Instance]:
        image = find_image(bay.home, with_image("pair" if kind == "several" else "tiny").digest)
        assert image is not None
        layer = "overlay" if kind == "overlay" else "layer"
        specs = [replace(spec, id=new_id("i", time.time()), layer=layer) for spec in make_specs(image, count)]
        bay.provider.create(specs, image, made=lambda _: None)
        made = list(bay.provider.observe())
        for instance in made:
            give_data(instance)
        return made

    yield make
    overlays = [item for item in bay.provider.observe() if item.layer == "overlay"]
    find_layer("overlay").shut(overlays)


def give_data(instance: Instance) -> None:
    for name, text in DATA.items():
        path = instance.root / "work" / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with (instance.root / "work" / "data" / "large.bin").open("wb") as file:
        file.truncate(9 << 20)


def test_the_corpus_is_as_large_as_it_claims() -> None:
    for kind in KINDS:
        of = Counter(change.of for change in CHANGES if kind in change.layers)
        assert of.total() >= 30
        assert of.keys() == {"package", "file", "symlink", "variable", "python", "data"}
    assert len({change.name for change in CHANGES}) == len(CHANGES)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param(kind, change, id=f"{kind}: {change.name}")
        for kind in KINDS
        for change in CHANGES
        if kind in change.layers
    ],
)
def test_every_change_is_named(
    bay: Bay, make_fleet: Callable[..., list[Instance]], kind: str, change: Change, tmp_path: Path
) -> None:
    fleet = make_fleet(kind)
    seed = CHANGES.index(change)
    odd = seeded(seed).choice(fleet)
    told = play(change.script, bay, odd, seed=seed, apart=make_apart(tmp_path / "apart"))
    found = verify_instances(bay, fleet, full=change.of in ("data", "variable"))
    assert not found.identical
    assert {item.instance for item in found.differences} == {odd.name}
    assert any(change.phrase.format(**told) in item.what for item in found.differences), found.differences


def use(bay: Bay, fleet: Sequence[Instance], seed: int, apart: Path) -> list[Instance]:
    """Work in a fleet as people do, in an order that the seed decides; return who still stands."""
    chance = seeded(seed)
    left = list(fleet)
    steps = [*chance.sample(USES, 4), *chance.sample(["train", "stop and start", "terminate", "all at once"], 2)]
    for number, step in enumerate(chance.sample(steps, len(steps))):
        instance = chance.choice(left)
        if step == "train":
            script = apart / "mine" / "train.py"
            script.parent.mkdir(exist_ok=True)
            script.write_text("import six; open('out.txt', 'w').write('1')\n", encoding="utf-8")
            run_it(bay, instance, script)
        elif step == "stop and start":
            change_power(bay, "stop", instance.name)
            if chance.random() < 0.7:  # a stopped one is verified too
                change_power(bay, "start", instance.name)
            else:
                left.remove(instance)
        elif step == "terminate":
            terminate(bay, instance.name)
            left.remove(instance)
        elif step == "all at once":
            with ThreadPoolExecutor() as pool:
                wanted = [pool.submit(play, chance.choice(USES), bay, item, seed=number, apart=apart) for item in left]
            assert all(done.result() == {} for done in wanted)
        else:
            play(step, bay, instance, seed=number, apart=apart)
    return list(bay.provider.observe())


def check_used(bay: Bay, make_fleet: Callable[..., list[Instance]], seed: int, apart: Path) -> None:
    standing = use(bay, make_fleet(KINDS[seed % len(KINDS)]), seed, make_apart(apart))
    found = verify_instances(bay, standing, full=False), verify_instances(bay, standing, full=True)
    assert [(item.differences, item.image_problems) for item in found] == [([], [])] * 2


@pytest.mark.parametrize("seed", range(6))
def test_being_used_is_no_drift(bay: Bay, make_fleet: Callable[..., list[Instance]], seed: int, tmp_path: Path) -> None:
    check_used(bay, make_fleet, seed, tmp_path / "apart")


@pytest.mark.all
@pytest.mark.parametrize("seed", range(6, 100))
def test_being_used_is_no_drift_in_a_hundred_fleets(
    bay: Bay, make_fleet: Callable[..., list[Instance]], seed: int, tmp_path: Path
) -> None:
    check_used(bay, make_fleet, seed, tmp_path / "apart")


@pytest.mark.all
def test_keras_sets_nothing_by_its_first_import_and_a_changed_type_is_named(
    bay: Bay, with_image: Callable[[str], Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Content("", 0, 0, {}, [])
    monkeypatch.setattr("launchbay.lifecycle.verify.verify_whole", lambda _: nothing)  # seconds, and not asked here
    fleet = make_instances(bay, with_image("tensorflow"), 3)
    asked = ["python", "-c", "import keras; print(keras.config.floatx())"]
    done = connect(bay, fleet[1]).run(asked)
    path = fleet[1].root / "home" / ".keras" / "keras.json"
    assert (done.stdout.decode().strip(), path.is_file()) == ("float32", True), done.stderr.decode()
    assert verify_instances(bay, fleet, full=True).identical
    path.write_text(path.read_text(encoding="utf-8").replace("float32", "float64"), encoding="utf-8")
    assert connect(bay, fleet[1]).run(asked).stdout.decode().strip() == "float64"
    (found,) = verify_instances(bay, fleet, full=True).differences
    assert (found.instance, found.kind, found.what) == ("exp-2", "setting", "floatx in ~/.keras/keras.json was added")
