"""Parameters of a Keras model, counted from the shapes in its file as Keras' own count_params does. Pure."""

from __future__ import annotations

import bisect
import math
import re
from typing import Callable, Dict, Iterator, NamedTuple, Optional, Tuple

from .keras_archive import Weights
from .keras_config import Config, body_of, is_from_keras, is_trainable, layers_of, name_of

__all__ = ["Counts", "count_layers", "totals"]

Counts = Dict[Tuple[str, int], Tuple[int, Optional[bool]]]
"""Variables by (owner, number): their size, and whether they are trained (None: the file does not tell)."""

_Rule = Callable[[int], Optional[bool]]

_NEVER_TRAINED = frozenset(("Normalization", "SpectralNormalization"))
_NO_WEIGHTS = frozenset(("StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "Discretization"))
_NOT_THE_MODEL = frozenset(("optimizer", "metrics", "loss", "compile_metrics", "compile_loss", "loss_tracker"))


class _Index(NamedTuple):
    """The weights, prepared for looking up: owners in order, and the groups that belong to a layer's name."""

    shapes: Weights
    owners: list[str]
    named: dict[str, list[str]]


def count_layers(config: Config, weights: Weights) -> tuple[list[Counts | None], Counts]:
    """Return the variables of each layer of a model (None for a layer that is not found), and of all of it.

    A variable that two layers share is in both and counts once in the whole. What optimisers, metrics and
    seed generators keep is no parameter.
    """
    index = _Index(weights, sorted(weights), {})
    for owner, name in _groups(config, ""):
        if owner in weights or _below(index, owner):
            index.named.setdefault(name, []).append(owner)
    layers = layers_of(config)
    if not layers:
        return [], _count_all(index)
    counted = [_count(layer, index, "layers", trained=is_trainable(config)) for layer in layers]
    whole: Counts = _own(index, "", lambda _: None)
    for counts in counted:
        whole.update(counts or {})
    return counted, whole


def totals(counts: Counts) -> tuple[int, int | None]:
    """Return (parameters, trainable parameters); the latter None when one variable's is not known."""
    if any(trained is None and size for size, trained in counts.values()):
        return sum(size for size, _ in counts.values()), None
    return sum(size for size, _ in counts.values()), sum(size for size, trained in counts.values() if trained)


def _count(layer: Config, index: _Index, container: str, *, trained: bool) -> Counts | None:
    """Return the variables of a layer and of everything inside it."""
    kind = str(layer.get("class_name"))
    if kind in _NO_WEIGHTS or kind == "InputLayer":
        return {}
    owner = _find_owner(layer, index, container)
    trained = trained and is_trainable(layer)
    inner = layers_of(layer)
    if owner is None and not inner:
        return None
    if not inner:
        return _count_tree(layer, index, str(owner), trained=trained)
    counts: Counts = _own(index, owner, _unknown(trained=trained)) if owner is not None else {}
    for part in inner:
        # A layer that is shared with an earlier model lies there, and so may this whole model.
        counts.update(_count(part, index, "{}/layers".format(owner), trained=trained) or {})
    return counts


def _count_tree(layer: Config, index: _Index, owner: str, *, trained: bool) -> Counts:
    """Count a layer and what it wraps: the cell of an LSTM, the two directions of a Bidirectional."""
    counts = _own(index, owner, _rule(layer, trained=trained))
    for path in _below(index, owner):
        # The nearest layer with settings of its own decides; a cell inside an LSTM follows the LSTM.
        part, part_trained, is_itself = layer, trained, False
        for step in path[len(owner) + 1 :].split("/"):
            inner = _wrapped(part, step)
            is_itself = inner is not None
            if inner is not None:
                part, part_trained = inner, part_trained and is_trainable(inner)
        rule = _rule(part, trained=part_trained) if is_itself else _plain_rule(part, trained=part_trained)
        counts.update(_own(index, path, rule))
    return counts


def _wrapped(layer: Config, attribute: str) -> Config | None:
    """Return the layer that a layer holds under an attribute, if its settings say so."""
    body = body_of(layer)
    found = body.get({"forward_layer": "layer"}.get(attribute, attribute))
    if found is None and attribute == "backward_layer":
        found = body.get("layer")
    return found if isinstance(found, dict) and "class_name" in found else None


def _count_all(index: _Index) -> Counts:
    """Count a model whose layers are not in its configuration, because its own class makes them."""
    counts: Counts = {}
    for owner in index.owners:
        if owner.split("/")[0].lstrip("_") not in _NOT_THE_MODEL and "seed_generator" not in owner:
            counts.update(_own(index, owner, lambda _: None))
    return counts


# --- which variables are trained ---


def _rule(layer: Config, *, trained: bool) -> _Rule:
    """Return what says whether the layer's own variable of a number is trained."""
    kind = str(layer.get("class_name"))
    if trained and is_from_keras(layer):
        if kind in _NEVER_TRAINED:
            return lambda _: False
        if kind == "BatchNormalization":
            # Keras numbers the trained ones first: gamma and beta, then the moving statistics.
            body = body_of(layer)
            trained_ones = int(body.get("scale") is not False) + int(body.get("center") is not False)
            return lambda number: number < trained_ones
    return _plain_rule(layer, trained=trained)


def _plain_rule(layer: Config, *, trained: bool) -> _Rule:
    if not is_from_keras(layer) or "Quantized" in str(body_of(layer).get("dtype")):
        return _unknown(trained=trained)
    return lambda _: trained


def _unknown(*, trained: bool) -> _Rule:
    """Unknown, unless everything around is frozen."""
    return (lambda _: None) if trained else (lambda _: False)


# --- where variables lie ---


def _own(index: _Index, owner: str, rule: _Rule) -> Counts:
    """Return an owner's own variables."""
    # The first variable of a SpectralNormalization is the wrapped layer's kernel, which is counted there.
    skipped = 1 if re.search(r"(^|/)spectral_normalization(_\d+)?\Z", owner) else 0
    shapes = list(enumerate(index.shapes.get(owner, [])))[skipped:]
    return {(owner, number): (math.prod(shape), rule(number)) for number, shape in shapes}


def _below(index: _Index, owner: str) -> list[str]:
    """Return the owners inside an owner, without seed generators."""
    prefix = owner + "/"
    start = bisect.bisect_left(index.owners, prefix)
    end = bisect.bisect_left(index.owners, owner + "0")  # "0" is the character after "/"
    return [path for path in index.owners[start:end] if "seed_generator" not in path]


def _find_owner(layer: Config, index: _Index, container: str) -> str | None:
    """Find a layer's group: by name in its container, else anywhere, since a shared layer is saved once."""
    stem = _snake_case(str(layer.get("class_name")))
    fitting = [
        path
        for path in index.named.get(name_of(layer), [])
        if re.sub(r"_\d+\Z", "", path.rpartition("/")[2]) == re.sub(r"_\d+\Z", "", stem)
    ]
    here = [path for path in fitting if path.rpartition("/")[0] == container]
    return next(iter(here or fitting), None)


def _groups(model: Config, owner: str) -> Iterator[tuple[str, str]]:
    """Yield (group, layer's name) for all layers of a model, numbered as Keras' saving_lib does when it saves."""
    used: dict[str, int] = {}
    for layer in layers_of(model):
        if model.get("class_name") == "Sequential" and layer.get("class_name") == "InputLayer":
            continue
        stem = _snake_case(str(layer.get("class_name")))
        number = used[stem] = used.get(stem, -1) + 1
        group = "{}layers/{}".format(owner, "{}_{}".format(stem, number) if number else stem)
        yield group, name_of(layer)
        yield from _groups(layer, group + "/")


def _snake_case(name: str) -> str:
    """Write a class name as Keras does in weight paths (keras.src.utils.naming.to_snake_case)."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
