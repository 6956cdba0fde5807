"""The command `inspect`: what a model file holds, by reading it as data. No framework is imported, nothing of it is run."""

from __future__ import annotations

from typing import Any, Callable, Dict

from .confine import confined
from .described import described
from .formats import FORMATS
from .keras_archive import read_archive
from .keras_h5 import describe_h5
from .keras_layers import describe_compile, describe_model, find_foreign
from .modelfiles import ModelFiles, find_files
from .mxnet_file import describe_mxnet
from .onnx_file import describe_onnx
from .opened import format_of, hash_files, opened, states
from .refused import Refused
from .savedmodel import describe_savedmodel
from .torch_file import describe_exported, describe_saved, describe_script

__all__ = ["READERS", "guarded", "inspect"]


def inspect(request: dict[str, Any]) -> dict[str, Any]:
    """Describe a model without loading it and without a framework. Request: ``model``, ``format`` (found where null).

    Result: format, framework, framework_version, saved, sha256, bytes, layers[], tensors[], parameters,
    trainable_parameters, inputs[], outputs[], loss, metrics, optimizer, safe (null: not scanned), findings[]. What
    the file does not tell is null.
    """
    path = str(request["model"])
    kind = request.get("format") or format_of(path)
    reader = READERS.get(kind)
    if reader is None:
        what = "cannot be shown: {}".format(FORMATS.get(kind, kind))
        raise Refused(what, path, "one of: " + ", ".join(sorted(READERS)))
    try:
        files = find_files(path, kind)
        before = states(files)
        sha256, size = hash_files(files)
        known = reader(files, path)
        has_changed = states(files) != before
    except OSError as error:
        raise Refused("cannot be read: {}".format(error.strerror), path, "check the path") from error
    if has_changed:  # what is shown must be what the sha256 is of: somebody may trust it for that
        raise Refused("the file changed while it was read", path, "try again when nobody writes it")
    return {"format": kind, "sha256": sha256, "bytes": size, "safe": None, **known}


def _describe_keras(_: ModelFiles, path: str) -> dict[str, Any]:
    """Describe a `.keras` file: a zip whose description is read here, and its weights in a process of their own."""
    with opened(path) as file:
        archive = read_archive(file, path)
    try:
        known = {**describe_model(archive.config, archive.weights), **describe_compile(archive.config)}
        foreign = find_foreign(archive.config)
    except RecursionError as error:
        raise Refused("its configuration is nested deeper than any model's", path, "do not load this file") from error
    findings = [{"level": "note", "what": note, "where": "model.weights.h5"} for note in archive.notes]
    for kind, name in foreign:
        findings.append({"level": "warning", "what": "needs code that is not Keras' own: " + kind, "where": name})
    version, saved = archive.metadata.get("keras_version"), archive.metadata.get("date_saved")
    return described(
        framework="keras",
        framework_version=version if isinstance(version, str) else None,
        saved=saved if isinstance(saved, str) else None,
        findings=findings,
        **known,
    )


def _describe_h5(path: str) -> dict[str, Any]:
    with opened(path) as file:
        return describe_h5(file, path)


def _confined(describe: Callable[[Any], dict[str, Any]], *, whole: bool = False) -> _Reader:
    """Return a reader that works in a process with limits, and turns whatever a damaged file raises into one refusal."""

    def read(files: ModelFiles, path: str) -> dict[str, Any]:
        known: dict[str, Any] = confined(lambda: guarded(describe, files if whole else path, path), name=path)
        return known

    return read


def guarded(describe: Callable[[Any], dict[str, Any]], given: Any, path: str) -> dict[str, Any]:
    """Describe a file. Raises Refused for whatever else a damaged one raises."""
    try:
        return describe(given)
    except Refused:
        raise
    except Exception as error:  # the file is a stranger's: there is no list of what reading it may raise
        reason = " ".join(str(error).split())[:200]
        is_ours = isinstance(error, ValueError) and reason  # a sentence; of all others the name says most
        what = reason if is_ours else "{} {}".format(type(error).__name__, reason).strip()
        raise Refused("damaged: " + what, path, "copy or save it again") from error


_Reader = Callable[[ModelFiles, str], Dict[str, Any]]

READERS: Dict[str, _Reader] = {
    "keras": _describe_keras,
    "keras-h5": _confined(_describe_h5),
    "savedmodel": _confined(describe_savedmodel),
    "torch": _confined(describe_saved),
    "torchscript": _confined(describe_script),
    "torch-export": _confined(describe_exported),
    "onnx": _confined(describe_onnx),
    "mxnet": _confined(describe_mxnet, whole=True),
    "mxnet-params": _confined(describe_mxnet, whole=True),
}
"""How a format is read."""
