"""What is known of the ways in which old scripts fail in newer images: told before a run, and again after one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ADVICE", "KERAS_2", "Advice"]

KERAS_2 = "tensorflow-2.15"
"""The image in which scripts of Keras 2 run as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to do about one way of failing. `last_words` is how the script's own output shows that it happened."""

    hint: str
    last_words: str = ""
    image: str = ""
    """The image that runs such a script unchanged."""


ADVICE: dict[str, Advice] = {
    "tensorboard": Advice(
        hint="Keras' TensorBoard callback works only with TensorFlow. Use a tensorflow image, or write scalars as the"
        " train.py of `bay init` does",
        last_words=r"No module named '(?P<name>tensorboard|tensorflow)'",
        image="tensorflow",
    ),
    "keras-checkpoint": Advice(
        hint="Keras 3 wants a checkpoint's name to end in .keras, and in .weights.h5 with save_weights_only=True",
        last_words=r"filepath provided must end in `\.(?:keras|weights\.h5)`",
        image=KERAS_2,
    ),
    "keras-weights": Advice(
        hint='Keras 3 keeps weights in a file that ends in .weights.h5: model.save_weights("model.weights.h5")',
        last_words=r"The filename must end in `\.weights\.h5`",
        image=KERAS_2,
    ),
    "keras-load": Advice(
        hint='Keras 3 saves to a file that ends in .keras, and loads no folder: model.save("model.keras")',
        last_words=r"File format not supported: filepath=",
        image=KERAS_2,
    ),
    "keras-save": Advice(
        hint='Keras 3 saves to a file that ends in .keras: model.save("model.keras")',
        last_words=r"Invalid filepath extension for saving",
        image=KERAS_2,
    ),
    "keras-lr": Advice(
        hint="Keras 3 calls it learning_rate=",
        last_words=r"Argument\(s\) not recognized: \{'lr'",
        image=KERAS_2,
    ),
    "keras-decay": Advice(
        hint="give a schedule as learning_rate=, or take the optimizer from keras.optimizers.legacy",
        last_words=r"decay is deprecated in the new Keras optimizer",
    ),
    "keras-generator": Advice(
        hint="fit, evaluate and predict take generators themselves",
        last_words=r"has no attribute '(?:fit|evaluate|predict)_generator'",
        image=KERAS_2,
    ),
    "keras-3-only": Advice(
        hint="use an image with Keras 3",
        last_words=r"module 'keras' has no attribute '(?:ops|random)'|not understood:', 'negative_slope'",
        image="tensorflow",
    ),
    "keras-2-only": Advice(
        hint="it went with Keras 3",
        last_words=r"module 'keras[\w.]*' has no attribute 'experimental'|`keras\.optimizers\.legacy` is not supported",
        image=KERAS_2,
    ),
    "tensorflow-1": Advice(
        hint="import tensorflow.compat.v1 as tf, and call tf.disable_v2_behavior() at the top",
        last_words=r"module 'tensorflow' has no attribute '(?:Session|placeholder|ConfigProto|contrib|get_variable)'",
    ),
    "numpy-name": Advice(
        hint="NumPy took the name away; for np.int, np.float, np.bool and the like write int, float, bool",
        last_words=r"module 'numpy' has no attribute|was removed in the NumPy 2\.0 release",
    ),
    "torch-load": Advice(
        hint="torch.load(..., weights_only=False) loads a whole model; better keep model.state_dict()",
        last_words=r"Weights only load failed",
    ),
    "torch-verbose": Advice(
        hint="leave verbose= out: PyTorch's schedulers do not take it any more",
        last_words=r"__init__\(\) got an unexpected keyword argument 'verbose'",
    ),
}
"""By name, in the order in which last words are compared: the more special before the more general."""
