from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from launchbay.errors import UserError
from launchbay.models.card import ModelCard
from launchbay.models.inspect import Ask, show_model

pytestmark = pytest.mark.image("tensorflow")


@pytest.mark.parametrize(
    "name",
    ["reference", "convolutional", "recurrent", "functional", "shared", "attention", "wrapped", "frozen", "trained"],
)
def test_equals_what_keras_says(name: str, saved: Path, facts: dict[str, Any], ask: Ask) -> None:
    known = facts["models"][name]
    card = show_model(saved / f"{name}.keras", ask=ask)
    assert (card.parameters, card.trainable_parameters) == (known["parameters"], known["trainable_parameters"])
    assert [list(tensor.shape or ()) for tensor in card.inputs] == known["inputs"]
    assert [list(tensor.shape or ()) for tensor in card.outputs] == known["outputs"]
    found = {layer.name: [layer.kind, layer.parameters, list(layer.output_shape or ())] for layer in card.layers}
    assert {layer: found[layer] for layer in known["layers"]} == known["layers"]
    assert len(card.layers) == len(known["layers"])
    assert card.findings == ()


def test_the_card_of_the_reference_model(saved: Path, facts: dict[str, Any], ask_once: Ask) -> None:
    path = saved / "reference.keras"
    card = show_model(path, ask=ask_once)
    assert card.parameters == card.trainable_parameters == 30_601
    assert (card.format, card.framework, card.framework_version) == ("keras", "keras", facts["keras_version"])
    assert (card.sha256, card.bytes) == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    assert [layer.activation for layer in card.layers if layer.kind == "Dense"] == ["leaky_relu"] * 4 + ["linear"]
    assert card.loss == "mse"
    assert str(card.optimizer).startswith("Adam(learning_rate=0.001, ")
    assert card.safe is None


def test_losses_metrics_and_schedules_in_words(saved: Path, ask: Ask) -> None:
    cards = {name: show_model(saved / f"{name}.keras", ask=ask) for name in ("functional", "wrapped", "convolutional")}
    assert cards["functional"].loss == "one: mse, two: mae"
    assert cards["wrapped"].loss in ("Huber", "Huber(delta=2.0)")
    assert cards["wrapped"].metrics == ("RootMeanSquaredError",)
    optimizer = cards["convolutional"].optimizer
    assert optimizer is not None
    assert optimizer.name == "SGD"
    assert optimizer.settings["learning_rate"] == {
        "name": "ExponentialDecay",
        "settings": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9, "staircase": False},
    }


def test_a_compressed_file_is_the_same_model(saved: Path, ask: Ask) -> None:
    assert show_model(saved / "compressed.keras", ask=ask).parameters == 30_601


def test_says_what_needs_foreign_code(saved: Path, ask: Ask) -> None:
    own = show_model(saved / "own-layer.keras", ask=ask)
    assert (own.parameters, own.trainable_parameters) == (3, None)
    assert [(finding.level, finding.where) for finding in own.findings] == [("warning", "scale")]
    assert "Lambda" in str(show_model(saved / "lambda.keras", ask=ask).findings[0])


def test_what_is_not_known_is_none(saved: Path, ask: Ask) -> None:
    card: ModelCard = show_model(saved / "unbuilt.keras", ask=ask)
    assert (card.parameters, card.layers[0].parameters, card.layers[0].output_shape) == (None, None, None)
    assert (card.loss, card.optimizer, card.inputs[0].shape) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absurd", "declares 4,000,000,000,000,000,000 bytes but stores 0"),
        ("soft-link", "a link that leads elsewhere"),
        ("external-link", "a link that leads elsewhere"),
        ("external-data", "values that lie in another file"),
        ("deep", "more or deeper groups"),
        ("loop", "more or deeper groups"),
        ("inflated", "compressed weights of more than"),
    ],
)
def test_refuses_hostile_weights(name: str, says: str, saved: Path, ask: Ask) -> None:
    path = saved / f"hostile-{name}.keras"
    with pytest.raises(UserError) as caught:
        show_model(path, ask=ask)
    assert says in caught.value.what
    assert f"{path}/model.weights.h5" in caught.value.where


def test_an_hdf5_file_tells_the_same(saved: Path, ask: Ask, tmp_path: Path) -> None:
    card = show_model(saved / "reference.h5", ask=ask)
    assert (card.format, card.parameters, card.trainable_parameters) == ("keras-h5", 30_601, 30_601)
    assert [(layer.kind, layer.output_shape) for layer in card.layers] == [("Dense", (None, 100))] * 4 + [
        ("Dense", (None, 1))
    ]
    assert (card.loss, card.optimizer and card.optimizer.name) == ("mse", "Adam")
    content = (saved / "reference.h5").read_bytes()
    for size in (2000, 20_000, len(content) - 1):
        (tmp_path / "cut.h5").write_bytes(content[:size])
        with pytest.raises(UserError, match="damaged") as caught:
            show_model(tmp_path / "cut.h5", ask=ask)
        assert caught.value.where == str(tmp_path / "cut.h5")


def test_damaged_weights_are_refused(saved: Path, ask: Ask, tmp_path: Path) -> None:
    data = bytearray((saved / "reference.keras").read_bytes())
    start = data.index(b"\x89HDF")
    data[start + 40 : start + 400] = b"\xff" * 360
    path = tmp_path / "damaged.keras"
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        show_model(path, ask=ask)
