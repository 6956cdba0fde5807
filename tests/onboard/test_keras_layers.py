from __future__ import annotations

from typing import Any

import pytest

from launchbay.onboard.keras_layers import describe_compile, describe_model, find_foreign


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    built_for = config.pop("built_for", None)
    found = {"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}}
    return {**found, "build_config": {"input_shape": built_for}} if built_for else found


def sequential(*layers: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "model", "layers": list(layers), **config},
    }


REFERENCE = sequential(
    layer("InputLayer", "input_layer", batch_shape=[None, 1], dtype="float32"),
    layer("Dense", "dense", units=100, activation="leaky_relu", built_for=[None, 1]),
    layer("Dense", "dense_1", units=100, activation="leaky_relu", built_for=[None, 100]),
    layer("Dropout", "dropout", rate=0.1),
    layer("Dense", "dense_2", units=1, activation="linear", built_for=[None, 100]),
)
WEIGHTS = {
    "": [],
    "layers/dense": [[1, 100], [100]],
    "layers/dense_1": [[100, 100], [100]],
    "layers/dropout": [],
    "layers/dense_2": [[100, 1], [1]],
    "optimizer": [[], [], [1, 100], [1, 100]],
}


def test_describes_a_chain() -> None:
    found = describe_model(REFERENCE, WEIGHTS)
    assert (found["parameters"], found["trainable_parameters"]) == (10_401, 10_401)
    assert found["inputs"] == [{"name": "input_layer", "shape": [None, 1], "dtype": "float32"}]
    assert found["outputs"] == [{"name": "dense_2", "shape": [None, 1]}]
    assert [(item["name"], item["output_shape"], item["parameters"]) for item in found["layers"]] == [
        ("dense", [None, 100], 200),
        ("dense_1", [None, 100], 10_100),
        ("dropout", [None, 100], 0),
        ("dense_2", [None, 1], 101),
    ]
    assert found["layers"][0]["activation"] == "leaky_relu"


def test_without_weights_the_counts_are_unknown() -> None:
    found = describe_model(REFERENCE, None)
    assert (found["parameters"], found["trainable_parameters"]) == (None, None)
    assert {item["parameters"] for item in found["layers"]} == {None}
    assert found["outputs"][0]["shape"] == [None, 1]


def test_a_model_that_was_never_built_has_no_counts() -> None:
    found = describe_model(
        sequential(layer("Dense", "dense", units=3)), {"": [], "layers/dense": [], "optimizer": [[]]}
    )
    assert (found["parameters"], found["layers"][0]["parameters"]) == (None, None)
    assert found["outputs"] == [{"name": "dense", "shape": None}]


def test_a_layer_that_is_missing_from_the_weights_is_unknown() -> None:
    weights = {owner: shapes for owner, shapes in WEIGHTS.items() if owner != "layers/dense_1"}
    assert describe_model(REFERENCE, weights)["layers"][1]["parameters"] is None


@pytest.mark.parametrize(
    ("part", "shapes", "trainable"),
    [
        (layer("BatchNormalization", "l"), {"": [[3]] * 4}, 6),
        (layer("BatchNormalization", "l", scale=False), {"": [[3]] * 3}, 3),
        (layer("BatchNormalization", "l", trainable=False), {"": [[3]] * 4}, 0),
        (layer("Normalization", "l"), {"": [[3], [3], []]}, 0),
        (layer("LSTM", "l"), {"": [], "/cell": [[3, 8], [2, 8], [8]]}, 48),
        (layer("Dropout", "l"), {"": [], "/seed_generator": [[2]]}, 0),
        (layer("Dense", "l", dtype={"class_name": "QuantizedDTypePolicy"}), {"": [[3, 2], [2]]}, None),
        (
            layer("Bidirectional", "l", layer=layer("GRU", "g", trainable=False)),
            {"": [], "/forward_layer": [], "/forward_layer/cell": [[3]], "/backward_layer/cell": [[4]]},
            0,
        ),
        (layer("TimeDistributed", "l", layer=layer("BatchNormalization", "b")), {"": [], "/layer": [[3]] * 4}, 6),
        ({**layer("Mine", "l"), "module": "my.code"}, {"": [[3]]}, None),
        ({**layer("Mine", "l", trainable=False), "module": "my.code"}, {"": [[3]]}, 0),
    ],
)
def test_what_is_trained(part: dict[str, Any], shapes: dict[str, list[list[int]]], trainable: int | None) -> None:
    group = "layers/" + {"BatchNormalization": "batch_normalization", "TimeDistributed": "time_distributed"}.get(
        part["class_name"], part["class_name"].lower()
    )
    model = sequential(layer("InputLayer", "i", batch_shape=[None, 3]), part)
    found = describe_model(model, {group + path: value for path, value in shapes.items()})
    assert found["trainable_parameters"] == trainable
    assert found["layers"][0]["parameters"] == found["parameters"]


def test_what_metrics_and_optimisers_keep_is_no_parameter() -> None:
    model = {"module": "my.code", "class_name": "Net", "config": {}}
    weights = {
        "d": [[3, 2]],
        "blocks/dense": [[2]],
        "optimizer": [[9]],
        "_metrics/mean": [[1]],
        "drop/seed_generator": [[2]],
    }
    found = describe_model(model, weights)
    assert (found["parameters"], found["trainable_parameters"], found["layers"]) == (8, None, [])


@pytest.mark.parametrize(
    ("optimizer", "shown"),
    [
        (None, None),
        ("adam", {"name": "adam", "settings": {}}),
        (
            {
                "class_name": "Adam",
                "config": {"name": "adam_1", "learning_rate": 0.0010000000474974513, "clipnorm": None},
            },
            {"name": "Adam", "settings": {"learning_rate": 0.001}},
        ),
        ({"class_name": "SGD", "config": {"learning_rate": float("nan")}}, {"name": "SGD", "settings": {}}),
    ],
)
def test_optimiser(optimizer: object, shown: object) -> None:
    assert describe_compile({"compile_config": {"optimizer": optimizer}})["optimizer"] == shown


@pytest.mark.parametrize(
    ("loss", "shown"),
    [
        (None, None),
        ("mse", "mse"),
        ({"a": "mse", "b": "mae"}, {"a": "mse", "b": "mae"}),
        (
            {"class_name": "MeanSquaredError", "config": {"name": "m", "reduction": "sum", "dtype": "f"}},
            "MeanSquaredError",
        ),
        ({"class_name": "Huber", "config": {"delta": 2.0}}, {"name": "Huber", "settings": {"delta": 2.0}}),
        ({"class_name": "function", "config": "mean_squared_error"}, "mean_squared_error"),
    ],
)
def test_loss(loss: object, shown: object) -> None:
    assert describe_compile({"compile_config": {"loss": loss}})["loss"] == shown


def test_finds_code_that_is_not_of_keras() -> None:
    model = sequential(
        layer("Dense", "d"),
        layer("Lambda", "l"),
        {**layer("Scale", "s"), "module": "my.code"},
        layer("Dense", "e", activation={"module": "builtins", "class_name": "function", "config": "my_activation"}),
    )
    assert find_foreign(model) == [("Lambda", "l"), ("Scale", "s"), ("function", "my_activation")]
    assert find_foreign(REFERENCE) == []


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"config": []},
        {"config": {"layers": "many"}},
        {"config": {"layers": [None, 3, {}, {"config": None}, {"class_name": 3, "config": {"layers": [{}]}}]}},
        {"config": {"layers": [{"class_name": "Dense"}], "output_layers": [["x", 0, 7]], "input_layers": {"a": 3}}},
        {
            "config": {
                "layers": [{"inbound_nodes": [{"class_name": "__keras_tensor__", "config": {}}]}],
                "output_layers": 1,
            }
        },
        {"compile_config": {"optimizer": {"config": 3}, "loss": [{"class_name": None}], "metrics": 4.5}},
    ],
)
def test_any_configuration_is_described(config: dict[str, Any]) -> None:
    described = {**describe_model(config, {"layers/dense": [[3]]}), **describe_compile(config)}
    assert described["trainable_parameters"] in (None, 0)
