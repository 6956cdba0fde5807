from __future__ import annotations

from typing import Any

import pytest

from launchbay.onboard.keras_shapes import Shape, as_shape, output_shape

LSTM = {"class_name": "LSTM", "config": {"units": 4}}


@pytest.mark.parametrize(
    ("kind", "config", "inputs", "expected"),
    [
        ("InputLayer", {"batch_shape": [None, 3]}, [], [None, 3]),
        ("InputLayer", {"batch_input_shape": [None, 3]}, [], [None, 3]),  # Keras 2
        ("Dense", {"units": 5}, [[None, 7, 3]], [None, 7, 5]),
        ("Dropout", {}, [[None, 3]], [None, 3]),
        ("Flatten", {}, [[None, 2, 3, 4]], [None, 24]),
        ("Flatten", {}, [[None, None, 3]], [None, None]),
        ("Reshape", {"target_shape": [2, -1]}, [[None, 6]], [None, 2, 3]),
        ("Reshape", {"target_shape": [-1]}, [[None, None, 2]], [None, None]),
        ("Permute", {"dims": [2, 1]}, [[None, 4, 5]], [None, 5, 4]),
        ("RepeatVector", {"n": 3}, [[None, 2]], [None, 3, 2]),
        ("Embedding", {"output_dim": 8}, [[None, None]], [None, None, 8]),
        ("LSTM", {"units": 4}, [[None, 9, 2]], [None, 4]),
        ("GRU", {"units": 4, "return_sequences": True}, [[None, 9, 2]], [None, 9, 4]),
        ("LSTM", {"units": 4, "return_state": True}, [[None, 9, 2]], None),
        ("Bidirectional", {"layer": LSTM, "merge_mode": "concat"}, [[None, 9, 2]], [None, 8]),
        ("Bidirectional", {"layer": LSTM, "merge_mode": "sum"}, [[None, 9, 2]], [None, 4]),
        (
            "TimeDistributed",
            {"layer": {"class_name": "Dense", "config": {"units": 5}}},
            [[None, 9, 2]],
            [None, 9, 5],
        ),
        ("Add", {}, [[None, 2], [None, 2]], [None, 2]),
        ("Add", {}, [[None, 2], [None, 1]], None),
        ("Concatenate", {"axis": -1}, [[None, 2], [None, 3]], [None, 5]),
        ("Concatenate", {"axis": 1}, [[None, None, 4], [None, 3, 4]], [None, None, 4]),
        (
            "Conv2D",
            {"filters": 8, "kernel_size": [3, 3], "strides": [2, 2], "dilation_rate": [1, 1], "padding": "valid"},
            [[None, 28, 28, 1]],
            [None, 13, 13, 8],
        ),
        (
            "Conv1D",
            {"filters": 8, "kernel_size": [3], "strides": [1], "dilation_rate": [2], "padding": "causal"},
            [[None, 10, 1]],
            [None, 10, 8],
        ),
        (
            "Conv2DTranspose",
            {"filters": 3, "kernel_size": [3, 3], "strides": [2, 2], "dilation_rate": [1, 1], "padding": "valid"},
            [[None, 5, 5, 4]],
            [None, 11, 11, 3],
        ),
        (
            "MaxPooling2D",
            {"pool_size": [2, 2], "strides": None, "padding": "valid", "data_format": "channels_first"},
            [[None, 3, 7, 7]],
            [None, 3, 3, 3],
        ),
        ("GlobalAveragePooling2D", {"data_format": "channels_last"}, [[None, 4, 4, 6]], [None, 6]),
        ("ZeroPadding2D", {"padding": [[1, 2], [3, 4]]}, [[None, 5, 5, 1]], [None, 8, 12, 1]),
        ("Cropping1D", {"cropping": [1, 2]}, [[None, 9, 1]], [None, 6, 1]),
        ("UpSampling2D", {"size": [2, 3]}, [[None, 5, None, 1]], [None, 10, None, 1]),
        ("SomebodysOwn", {}, [[None, 3]], None),
        ("Conv2D", {"filters": 8}, [[None, 3]], None),
        ("Dense", {}, [[None, 3]], None),
        ("Dense", {"units": "many"}, [[None, 3]], None),
        ("Concatenate", {"axis": "last"}, [[None, 2], [None, 3]], None),
        ("Reshape", {"target_shape": [0, -1]}, [[None, 6]], None),
        ("Dense", {"units": 3}, [], None),
        ("Dense", {"units": 3}, [None], None),
    ],
)
def test_output_shape(kind: str, config: dict[str, Any], inputs: list[Shape], expected: Shape) -> None:
    assert output_shape(kind, config, inputs) == expected


@pytest.mark.parametrize("value", [None, [], [1.5], [-1], [True], ["3"], {"a": 1}, [[None, 3]]])
def test_what_is_no_shape(value: object) -> None:
    assert as_shape(value) is None
