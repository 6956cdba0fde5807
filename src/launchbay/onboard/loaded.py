"""A model in memory, whatever framework it is of, and the numbers that go into it and come out. Needs NumPy, no more."""

from __future__ import annotations

from typing import Any, Callable, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from .refused import Refused

__all__ = ["LOAD_ERRORS", "Loaded", "Sizes", "evaluate", "find_unfit", "in_batches", "predict", "probe_width", "reason"]

Sizes = Tuple[Optional[int], ...]

LOAD_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What frameworks raise for a file that they cannot rebuild, or for data that do not fit: none has an error of its own."""

_MOST_PROBES = 20


class Loaded(NamedTuple):
    """A model in memory: what it takes and gives, without the batch, and how to ask it.

    `answer` maps an array of rows and a batch size to an array of as many rows. `loss` is its own, asked with targets;
    None for a format that keeps none. `notes` are worth saying to the person.
    """

    inputs: List[Sizes]
    outputs: List[Sizes]
    dtype: str
    answer: Callable[[Any, int], Any]
    loss: Optional[Callable[[Any, Any, int], Optional[float]]] = None
    notes: Sequence[str] = ()


def predict(loaded: Loaded, rows: list[list[float]], batch_size: int, name: str) -> list[list[float]]:
    """Return the model's outputs, flattened to one list of numbers per row. Raises Refused when it does not take them."""
    import numpy as np

    try:
        answers = np.asarray(loaded.answer(_array(loaded, rows), batch_size), dtype="float64")
        table: list[list[float]] = answers.reshape(len(rows), -1).tolist()
    except LOAD_ERRORS as error:
        what = "the model cannot answer: {}".format(reason(error))
        raise Refused(what, name, "`bay model show` says what it takes") from error
    return table


def evaluate(loaded: Loaded, rows: list[list[float]], targets: list[float], batch_size: int) -> float | None:
    """Return the model's own loss; None where it has none, or it is not finite."""
    if loaded.loss is None:
        return None
    import numpy as np

    column = np.asarray(targets, dtype="float32").reshape(-1, 1)
    return loaded.loss(_array(loaded, rows), column, batch_size)


def find_unfit(loaded: Loaded, rows: list[list[float]]) -> Optional[Tuple[int, int, str]]:
    """Return the first number that the model's inputs cannot hold, as row, column (from 0) and what they hold instead.

    Whole numbers that are too large for it count, and all others when the model takes whole numbers: NumPy would cut them.
    """
    import numpy as np

    dtype = _dtype(loaded)
    if dtype.startswith("float"):
        return None
    table = np.asarray(rows, dtype="float64")
    with np.errstate(invalid="ignore"):  # what is too large for the type is found just below
        found = np.argwhere(table.astype(dtype).astype("float64") != table)
    return (int(found[0][0]), int(found[0][1]), dtype) if len(found) else None


def in_batches(ask: Callable[[Any], Any], batch: int | None = None) -> Callable[[Any, int], Any]:
    """Return an `answer` that asks for a batch at a time.

    A program that was exported for a `batch` of fixed size is given just that; the last one is filled up.
    """

    def answer(array: Any, batch_size: int) -> Any:
        import numpy as np

        size = batch or batch_size
        parts = []
        for start in range(0, len(array), size):
            part = array[start : start + size]
            lacking = size - len(part) if batch else 0
            filled = np.concatenate([part, np.repeat(part[-1:], lacking, axis=0)]) if lacking else part
            parts.append(np.asarray(ask(filled)).reshape(len(filled), -1)[: len(part)])
        return np.concatenate(parts)

    return answer


def probe_width(ask: Callable[[Any], Any], shapes: Iterable[tuple[int, ...]]) -> tuple[list[Sizes], list[Sizes]]:
    """Find out how many numbers a model takes per row, of one whose file does not say; return (inputs, outputs).

    The first weights of a network on rows of numbers are as wide as a row, so one row of such a width is tried, for
    one after the other of the shapes of its parameters. An open shape comes back where none of them is taken.
    """
    import numpy as np

    sizes = [shape[-1] for shape in shapes if shape]
    for width in list(dict.fromkeys(sizes))[:_MOST_PROBES]:
        try:
            outcome = np.asarray(ask(np.zeros((2, width), dtype="float32")))
        except LOAD_ERRORS:
            continue
        if len(outcome.shape) and outcome.shape[0] == 2:
            return [(width,)], [tuple(outcome.shape[1:])]
    return [(None,)], [(None,)]


def reason(error: BaseException) -> str:
    """Return the first sentence of a framework's explanation, which may go on for pages."""
    words = " ".join(str(error).split()) or type(error).__name__
    head = words.split(". ")[0]
    return head if len(head) <= 300 else head[:299] + "\u2026"


def _array(loaded: Loaded, rows: list[list[float]]) -> Any:
    import numpy as np

    return np.asarray(rows, dtype="float64").astype(_dtype(loaded)).reshape(len(rows), *loaded.inputs[0])


def _dtype(loaded: Loaded) -> str:
    return loaded.dtype if loaded.dtype.startswith(("float", "int", "uint")) else "float32"
