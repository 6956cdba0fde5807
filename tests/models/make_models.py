"""Runs with an image's Python: saves Keras models of many kinds into a folder, with what Keras itself says of them.

python make_models.py FOLDER
"""

from __future__ import annotations

import importlib
import io
import json
import math
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

FOLDER = Path(sys.argv[1])


def sequential(*parts: Any, inputs: tuple[int | None, ...]) -> Any:
    return keras.Sequential([keras.Input(inputs), *parts])


def compiled(model: Any, **settings: Any) -> Any:
    model.compile(**{"optimizer": "adam", "loss": "mse", **settings})
    return model


def reference() -> Any:
    hidden = [layers.Dense(100, activation="leaky_relu") for _ in range(4)]
    return compiled(sequential(*hidden, layers.Dense(1), inputs=(1,)))


def convolutional() -> Any:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model = sequential(
        layers.RandomFlip(),
        layers.Rescaling(0.1),
        layers.Conv2D(8, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.SeparableConv2D(4, 3),
        layers.BatchNormalization(scale=False),
        layers.DepthwiseConv2D(3, strides=2),
        layers.Conv2DTranspose(3, 2, strides=2),
        layers.ZeroPadding2D(((1, 2), (3, 4))),
        layers.Dropout(0.3),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
        inputs=(28, 28, 1),
    )
    return compiled(
        model,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
    )


def recurrent() -> Any:
    return compiled(
        sequential(
            layers.Embedding(50, 8),
            layers.Bidirectional(layers.LSTM(6, return_sequences=True, dropout=0.1)),
            layers.GRU(5, return_sequences=True),
            layers.SimpleRNN(3, return_sequences=True),
            layers.TimeDistributed(layers.BatchNormalization()),
            layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)]),
            layers.Dense(1),
            inputs=(None,),
        )
    )


def functional() -> Any:
    """Nested, shared, frozen; two inputs, two outputs, an operation between layers."""
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = layers.Dense(7, name="shared")
    inner = keras.Sequential([keras.Input((7,)), layers.Dense(3), layers.BatchNormalization()], name="inner")
    frozen = layers.Dense(5, name="frozen", trainable=False)
    both = frozen(layers.Concatenate()([inner(shared(left)), inner(shared(right))]))
    both = layers.Add()([both, layers.Dense(5, use_bias=False)(both)]) * 2.0
    outputs = [layers.Dense(1, name="one")(both), layers.Dense(2, name="two")(both)]
    return compiled(keras.Model([left, right], outputs), loss={"one": "mse", "two": "mae"})


def shared_across_models() -> Any:
    dense = layers.Dense(4, name="both")
    first = keras.Input((4,))
    inner = keras.Model(first, dense(first), name="inner")
    outer = keras.Input((4,))
    return compiled(keras.Model(outer, dense(inner(outer))))


def attention() -> Any:
    given = keras.Input((10, 16))
    mixed = layers.LayerNormalization()(layers.MultiHeadAttention(2, 8)(given, given) + given)
    mixed = layers.EinsumDense("abc,cd->abd", output_shape=(10, 12), bias_axes="d")(mixed)
    return keras.Model(given, layers.Dense(1)(layers.Flatten()(layers.PReLU()(mixed))))


def wrapped() -> Any:
    normalize = layers.Normalization()
    normalize.adapt(np.random.default_rng(0).random((20, 3)))
    model = sequential(
        normalize, layers.SpectralNormalization(layers.Dense(2)), layers.Dense(1, dtype="bfloat16"), inputs=(3,)
    )
    return compiled(model, loss=keras.losses.Huber(delta=2.0), metrics=[keras.metrics.RootMeanSquaredError()])


def frozen() -> Any:
    model = compiled(sequential(layers.Dense(4), layers.Dropout(0.5), layers.Dense(1), inputs=(3,)))
    model.trainable = False
    return model


def trained() -> Any:
    """Metrics and an optimiser that have been used keep variables of their own."""
    model = compiled(
        sequential(layers.Dense(3), layers.Dense(1), inputs=(2,)),
        metrics=["mae"],
        optimizer=keras.optimizers.AdamW(3e-4),
    )
    model.fit(np.zeros((8, 2)), np.zeros(8), verbose=0)
    return model


def line() -> Any:
    """Answer 2 x + 1, so that every metric can be worked out by hand."""
    model = compiled(sequential(layers.Dense(1), inputs=(1,)), loss="mae")
    model.set_weights([np.array([[2.0]]), np.array([1.0])])
    return model


def diverged() -> Any:
    model = line()
    model.set_weights([np.array([[math.nan]]), np.array([1.0])])
    return model


@keras.saving.register_keras_serializable("mine")
class Scale(layers.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],))

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor


def own_loss(truth: Any, answer: Any) -> Any:
    return keras.ops.mean(keras.ops.abs(truth - answer))


MODELS = {
    "reference": reference(),
    "convolutional": convolutional(),
    "recurrent": recurrent(),
    "functional": functional(),
    "shared": shared_across_models(),
    "attention": attention(),
    "wrapped": wrapped(),
    "frozen": frozen(),
    "trained": trained(),
}
OTHERS = {
    "line": line(),
    "diverged": diverged(),
    "plain": sequential(layers.Dense(1), inputs=(1,)),
    "pair": sequential(layers.Dense(2), inputs=(1,)),
    "image": sequential(layers.Flatten(), layers.Dense(1), inputs=(2, 2)),
    "whole": keras.Sequential([keras.Input((2,), dtype="uint8"), layers.Rescaling(1.0), layers.Dense(1)]),
    "open": sequential(layers.Embedding(5, 2), layers.LSTM(1), inputs=(None,)),
    "own-layer": sequential(Scale(), layers.Dense(1), inputs=(1,)),
    "own-loss": compiled(sequential(layers.Dense(1), inputs=(1,)), loss=own_loss),
    "lambda": sequential(layers.Lambda(lambda x: x * 2), layers.Dense(1), inputs=(1,)),
    "unbuilt": keras.Sequential([layers.Dense(3)]),
}


def size(weights: Any) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def facts(model: Any) -> dict[str, Any]:
    return {
        "parameters": model.count_params(),
        "trainable_parameters": size(model.trainable_weights),
        "inputs": [list(tensor.shape) for tensor in model.inputs],
        "outputs": [list(tensor.shape) for tensor in model.outputs],
        "layers": {
            layer.name: [type(layer).__name__, layer.count_params(), list(layer.output.shape)] for layer in model.layers
        },
    }


def make_hostile() -> None:
    """Make the reference model again, each time with weights that no model has."""
    h5py = importlib.import_module("h5py")

    original = zipfile.ZipFile(FOLDER / "reference.keras")

    def write(name: str, change: Any) -> None:
        buffer = io.BytesIO(original.read("model.weights.h5"))
        with h5py.File(buffer, "r+") as file:
            change(file["layers/dense/vars"])
        with zipfile.ZipFile(FOLDER / f"hostile-{name}.keras", "w") as archive:
            for member in ("metadata.json", "config.json"):
                archive.writestr(member, original.read(member))
            archive.writestr("model.weights.h5", buffer.getvalue())

    def deep(group: Any) -> None:
        for _ in range(60):
            group = group.create_group("g")

    write("absurd", lambda g: g.create_dataset("9", (10**9, 10**9), dtype="f4", chunks=(100, 100)))
    write("soft-link", lambda g: g.__setitem__("9", h5py.SoftLink("/")))
    write("external-link", lambda g: g.__setitem__("9", h5py.ExternalLink("/etc/passwd", "/")))
    write("external-data", lambda g: g.create_dataset("9", (8,), dtype="u1", external=[("/etc/passwd", 0, 8)]))
    write("deep", deep)
    write("loop", lambda g: g.__setitem__("9", g))
    with zipfile.ZipFile(FOLDER / "compressed.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for member in original.namelist():
            archive.writestr(member, original.read(member))
    with zipfile.ZipFile(FOLDER / "hostile-inflated.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", original.read("metadata.json"))
        archive.writestr("config.json", original.read("config.json"))
        with archive.open("model.weights.h5", "w", force_zip64=True) as weights:
            for _ in range(300):
                weights.write(bytes(1 << 20))


for name, model in {**MODELS, **OTHERS}.items():
    model.save(FOLDER / f"{name}.keras")
MODELS["reference"].save(FOLDER / "reference.h5")
OTHERS["line"].save(FOLDER / "line.h5")
make_hostile()
known = {name: facts(model) for name, model in MODELS.items()}
(FOLDER / "facts.json").write_text(json.dumps({"keras_version": keras.__version__, "models": known}))
