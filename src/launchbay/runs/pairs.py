"""Which scalars belong together, told from their names alone. Pure.

A name has a *role* (of which data it is: ``train``, ``val``, ``test``), a *metric* (``loss``) and a *group*
(the experiment, if a log folder holds several). The role stands in the folder (Keras: ``validation`` +
``epoch_loss``), in the tag (``Loss/val``, ``eval/loss``, ``val_loss``) or nowhere, which means training.
``epoch`` says nothing; ``step`` and ``batch`` mark the finer of two series of the same metric, which is
taken only where there is no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Group", "Name", "Pair", "group_scalars", "is_role"]


class Name(NamedTuple):
    """A scalar as TensorBoard names it: the folder of its event files ("" for the topmost) and its tag."""

    run: str
    tag: str

    def __str__(self) -> str:
        return f"{self.run}/{self.tag}" if self.run else self.tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A metric, and the names of its scalars on training and on validation data; a missing one is None."""

    metric: str
    training: str | None
    validation: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The scalars of one experiment. The loss, if there is one, is `loss`, and the first of the `pairs`."""

    names: tuple[Name, ...]
    pairs: tuple[Pair, ...]
    loss: Pair | None


def group_scalars(points: Mapping[Name, int]) -> dict[str, Group]:
    """Sort the scalars of one run into experiments, and each experiment's into pairs.

    `points` says how many points each scalar has. An experiment is a folder (less its role) that has a loss
    of its own; what lies in other folders (a learning rate, say) is counted to the first experiment. Never
    empty for non-empty `points`.
    """
    members: dict[str, list[_Parsed]] = {}
    for parsed in _parse_all(points):
        members.setdefault(parsed.group, []).append(parsed)
    leaders = [group for group, inside in members.items() if any(_is_loss(one) for one in inside)]
    leaders = leaders or list(members)[:1]
    for group in [group for group in members if group not in leaders]:
        strangers = members.pop(group)
        members[leaders[0]] += [one._replace(metric=f"{group}/{one.metric}".strip("/")) for one in strangers]
    return {group: _pair_up(inside) for group, inside in members.items()}


def is_role(folder: str) -> bool:
    """Tell whether a folder's whole name says of which data its scalars are: ``train``, ``validation``."""
    return folder.lower() in _ROLES


# --- one name -------------------------------------------------------------------------------------

_Role: TypeAlias = Literal["training", "validation", "test", ""]
_ROLES: dict[str, _Role] = {
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SILENT = {"epoch", "epochs"}
_FINE = {"step", "steps", "batch", "iter", "iteration"}


class _Parsed(NamedTuple):
    name: Name
    points: int
    group: str
    metric: str  # "" for one that is left out of the pairs
    role: _Role
    fine: bool


def _parse_all(points: Mapping[Name, int]) -> Iterable[_Parsed]:
    # Where tags tell validation apart themselves, their folder's name ("training_2") means something else.
    told = {name.run for name in points if _split_role(name.tag)[0] == "validation" and not _is_duplicate(name.tag)}
    for name in sorted(points):
        role, metric = _split_role(name.tag)
        folder_role, group = _split_role("" if name.run in told else name.run)
        group = name.run if name.run in told else group
        metric, fine = _plain(metric)
        if _is_duplicate(name.tag):
            metric = ""
        yield _Parsed(name, points[name], group.lower(), metric, role or folder_role, fine)


def _is_duplicate(tag: str) -> bool:
    """Recognise what Keras writes twice, over batches too: ``evaluation_loss_vs_iterations``."""
    return tag.endswith("_vs_iterations")


def _split_role(path: str) -> tuple[_Role, str]:
    """Take the role out of a path of names: ``("validation", "loss")`` for ``Loss/val``."""
    role: _Role = ""
    rest = []
    for part in path.split("/"):
        words = _words(part)
        if words and words[0] in _ROLES:
            role, words = _ROLES[words[0]], words[1:]
        elif words and words[-1] in _ROLES:
            role, words = _ROLES[words[-1]], words[:-1]
        rest += ["_".join(words)] if words else []
    return role, "/".join(rest)


def _words(part: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", part)
    return [word for word in re.split(r"[_\-. ]+", apart.lower()) if word]


def _plain(metric: str) -> tuple[str, bool]:
    """Drop the words for how often a metric was written, unless nothing else is left."""
    head, _, last = metric.rpartition("/")
    words = _words(last)
    kept = [word for word in words if word not in _SILENT and word not in _FINE]
    fine = bool(kept) and not _FINE.isdisjoint(words)
    last = "_".join(kept or words)
    return (f"{head}/{last}" if head else last), fine


# --- pairs ----------------------------------------------------------------------------------------

_LOSS_FILLERS = {"loss", "total", "mean", "avg", "average", "running", "objective"}
_LOSS_KINDS = {
    "nll",
    "crossentropy",
    "cross_entropy",
    "mse",
    "mean_squared_error",
    "perplexity",
    "elbo",
    "objective",
}


def _loss_rank(metric: str) -> int | None:
    """Say how surely a metric is *the* loss: 0 is certain, None is no loss."""
    head, _, last = metric.rpartition("/")
    words = set(_words(last))
    if head in {"hparam", "hparams", "hp"}:
        return None
    if metric == "loss":
        return 0
    if last == "loss":
        return 1
    if "loss" in words:
        return 2 if words <= _LOSS_FILLERS else 3
    return 4 if last in _LOSS_KINDS else None


def _is_loss(parsed: _Parsed) -> bool:
    return parsed.points > 1 and _loss_rank(parsed.metric) is not None


def _pair_up(members: Iterable[_Parsed]) -> Group:
    by_metric: dict[str, list[_Parsed]] = {}
    for parsed in members:
        by_metric.setdefault(parsed.metric, []).append(parsed)
    pairs = [_pair(metric, found) for metric, found in by_metric.items() if metric]
    pairs.sort(key=_order)
    loss = pairs[0] if pairs and _loss_rank(pairs[0].metric) is not None else None
    first = [] if loss is None else [loss]
    rest = sorted((pair for pair in pairs if pair is not loss), key=lambda pair: pair.metric)
    names = tuple(sorted(parsed.name for found in by_metric.values() for parsed in found))
    return Group(names=names, pairs=(*first, *rest), loss=loss)


def _order(pair: Pair) -> tuple[int, int, str]:
    rank = _loss_rank(pair.metric)
    return (9 if rank is None else rank), (pair.training is None) + (pair.validation is None), pair.metric


def _pair(metric: str, found: Iterable[_Parsed]) -> Pair:
    ordered = sorted(found, key=lambda one: (one.fine, -one.points, len(str(one.name)), one.name))
    by_role: dict[_Role, str] = {}
    for one in ordered:
        by_role.setdefault(one.role, str(one.name))
    return Pair(
        metric=metric,
        training=by_role.get("training", by_role.get("")),
        validation=by_role.get("validation", by_role.get("test")),
    )
