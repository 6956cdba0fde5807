"""What of a script will fail where it is to run, said before it does. Pure.

Each rule was tried on the real packages, and its test runs a script that fails by it. Where reading leaves a doubt
(a value that is not known, a branch that may not be taken), what is said is not `is_sure` and stops nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from launchbay.runs.advice import ADVICE
from launchbay.runs.imports import find_version, is_provided
from launchbay.runs.script.program import KERAS_MODEL, TORCH_MODULE
from launchbay.runs.script.reading import UNKNOWN, Place, Script, Use, ends_with

__all__ = ["Problem", "foresee", "missing_modules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A line that will fail (or, where it is not `is_sure`, may fail), why, and what to do. `image` runs it as it is."""

    file: str
    line: int
    what: str
    hint: str
    is_sure: bool
    image: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.what}"


@dataclass(frozen=True, slots=True)
class _Finding:
    """What a rule says of one use. `is_sure` is False where it depends on what the rule cannot see."""

    advice: str
    what: str
    is_sure: bool = True


_Rule = Callable[[Use, "_Setting"], "_Finding | None"]


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a script meets: versions of packages, and what it does elsewhere."""

    packages: Mapping[str, str]
    has_keras: bool
    saved: frozenset[str]
    """Files that the script fills with whole PyTorch models."""

    def version(self, package: str) -> tuple[int, ...]:
        """Return the version of a package, () where it is not there or not known."""
        return tuple(int(part) for part in re.findall(r"\d+", find_version(package, self.packages) or "")[:2])

    @property
    def keras(self) -> int:
        """The generation of Keras; 0 where there is none."""
        return self.version("keras")[0] if self.version("keras") else 0


def missing_modules(script: Script, packages: Mapping[str, str]) -> dict[str, Place]:
    """Return the modules that a script imports and these packages do not provide, those that it can do without left out."""
    return {
        module: place
        for module, place in script.modules.items()
        if module not in script.optional and not is_provided(module, packages)
    }


def foresee(script: Script, packages: Mapping[str, str], *, environ: Mapping[str, str]) -> Sequence[Problem]:
    """Return what will fail, in the order of the files' lines; modules that are missing are not among it."""
    settings = {**environ, **script.settings}
    if settings.get("TF_USE_LEGACY_KERAS", "0") not in ("", "0", "False", "false"):
        packages = {**packages, "keras": packages.get("tf-keras", "")}
    setting = _Setting(
        packages,
        has_keras=bool({"keras", "tensorflow"} & script.modules.keys()),
        saved=frozenset(_saved_models(script)),
    )
    found: dict[tuple[str, int, str], Problem] = {}
    for use in script.uses:
        for rule in _RULES:
            if finding := rule(use, setting):
                key = (use.place.file, use.place.line, finding.advice)
                found.setdefault(key, _problem(use, finding))
    return tuple(found.values())


def _problem(use: Use, finding: _Finding) -> Problem:
    advice = ADVICE[finding.advice]
    return Problem(
        file=use.place.file,
        line=use.place.line,
        what=f"{use.text} {finding.what}",
        hint=advice.hint,
        is_sure=finding.is_sure and use.place.is_sure,
        image=advice.image,
    )


# --- Keras -----------------------------------------------------------------------------------------------------------

_WHOLE = (".keras", ".h5", ".hdf5")


def _keras_save(use: Use, setting: _Setting) -> _Finding | None:
    name = _file_of(use, {f"{KERAS_MODEL}.save": 0, "keras.models.save_model": 1, "keras.saving.save_model": 1})
    is_guess = use.name == f"{UNKNOWN}.save" and setting.has_keras and len(use.args) == 1
    if is_guess:
        name = use.args[0]
    if setting.keras < 3 or "zipped" in use.options or not _is_outside(name, _WHOLE):
        return None
    if is_guess:
        return _Finding("keras-save", "fails under Keras 3 if this is a Keras model", is_sure=False)
    return _Finding("keras-save", "fails under Keras 3, and the model is lost")


def _keras_save_weights(use: Use, setting: _Setting) -> _Finding | None:
    name = _file_of(use, {f"{KERAS_MODEL}.save_weights": 0})
    if setting.keras < 3 or not _is_outside(name, (".weights.h5", ".weights.json")):
        return None
    return _Finding("keras-weights", "fails under Keras 3, and the weights are lost")


def _keras_load(use: Use, setting: _Setting) -> _Finding | None:
    name = _file_of(use, {"keras.models.load_model": 0, "keras.saving.load_model": 0})
    if setting.keras < 3 or not _is_outside(name, _WHOLE):
        return None  # a folder that Keras 3 itself has left unzipped can be loaded
    return _Finding("keras-load", "fails under Keras 3 if it is a folder that Keras 2 has saved", is_sure=False)


def _keras_checkpoint(use: Use, setting: _Setting) -> _Finding | None:
    name = _file_of(use, {"keras.callbacks.ModelCheckpoint": 0})
    weights = use.options.get("save_weights_only", "False")
    if setting.keras < 3 or weights not in ("True", "False") or len(use.args) > 1:
        return None
    suffixes = (".weights.h5",) if weights == "True" else (".keras", ".h5")
    return _Finding("keras-checkpoint", "fails under Keras 3") if _is_outside(name, suffixes) else None


def _keras_tensorboard(use: Use, setting: _Setting) -> _Finding | None:
    if use.name != "keras.callbacks.TensorBoard" or not use.is_call or setting.keras < 3:
        return None
    missing = [name for name in ("tensorflow", "tensorboard") if not is_provided(name, setting.packages)]
    return _Finding("tensorboard", f"fails at the first epoch: it needs {missing[0]}") if missing else None


def _keras_optimizer(use: Use, setting: _Setting) -> _Finding | None:
    if not re.fullmatch(r"keras\.optimizers\.(Adam|SGD|RMSprop|Adagrad|Adadelta|Adamax|Nadam)", use.name):
        return None
    if "lr" in use.options and setting.keras == 3:
        return _Finding("keras-lr", "fails under Keras 3")
    if "decay" in use.options and (2, 11) <= setting.version("keras") < (3,):
        return _Finding("keras-decay", "fails since Keras 2.11")
    return None


def _keras_generator(use: Use, setting: _Setting) -> _Finding | None:
    names = {f"{KERAS_MODEL}.{verb}_generator" for verb in ("fit", "evaluate", "predict")}
    is_gone = setting.keras == 3 and use.name in names
    return _Finding("keras-generator", "fails: Keras 3 does not have it") if is_gone else None


def _keras_3_only(use: Use, setting: _Setting) -> _Finding | None:
    if setting.keras != 2:
        return None
    is_new = use.name.startswith(("keras.ops", "tensorflow.keras.ops")) or use.name == "keras.random"
    is_new = is_new or (use.name == "keras.layers.LeakyReLU" and "negative_slope" in use.options)
    return _Finding("keras-3-only", "fails: Keras 2 does not have it") if is_new else None


def _keras_2_only(use: Use, setting: _Setting) -> _Finding | None:
    names = ("keras.experimental", "keras.layers.experimental")
    is_old = any(f"{use.name}.".startswith((f"{name}.", f"tensorflow.{name}.")) for name in names)
    is_old = is_old or (use.is_call and use.name.startswith("keras.optimizers.legacy."))
    return _Finding("keras-2-only", "fails: Keras 3 does not have it") if is_old and setting.keras == 3 else None


# --- TensorFlow, NumPy, PyTorch --------------------------------------------------------------------------------------

_TENSORFLOW_1 = (
    *("Session", "placeholder", "ConfigProto", "contrib", "get_variable", "global_variables_initializer"),
    *("set_random_seed", "reset_default_graph", "InteractiveSession", "get_default_graph"),
)
_SINCE_1_24 = ("int", "float", "complex", "object", "str")  # bool and long came back with NumPy 2
_UNTIL_2 = ("bool", "long")
_SINCE_2 = (
    *("float_", "complex_", "string_", "unicode_", "NaN", "Inf", "Infinity", "infty", "PINF", "NINF", "product"),
    *("cumproduct", "alltrue", "sometrue", "asfarray", "msort", "find_common_type", "mat", "round_"),
)


def _tensorflow_1(use: Use, setting: _Setting) -> _Finding | None:
    is_old = use.name in {f"tensorflow.{name}" for name in _TENSORFLOW_1}
    is_gone = is_old and not use.is_call and setting.version("tensorflow") >= (2,)
    return _Finding("tensorflow-1", "fails: TensorFlow 2 does not have it") if is_gone else None


def _numpy_name(use: Use, setting: _Setting) -> _Finding | None:
    module, _, name = use.name.rpartition(".")
    numpy = setting.version("numpy")
    if module != "numpy" or use.is_call or not numpy:
        return None
    gone = {*(_SINCE_1_24 if numpy >= (1, 24) else ()), *(_SINCE_2 if numpy >= (2,) else ())}
    gone |= set(_UNTIL_2) if (1, 24) <= numpy < (2,) else set()
    version = setting.packages["numpy"]
    return _Finding("numpy-name", f"fails: NumPy {version} does not have it") if name in gone else None


def _torch_load(use: Use, setting: _Setting) -> _Finding | None:
    name = _file_of(use, {"torch.load": 0})
    is_refused = name in setting.saved and "weights_only" not in use.options and setting.version("torch") >= (2, 6)
    return _Finding("torch-load", "fails: PyTorch loads no whole model unless told to") if is_refused else None


def _torch_verbose(use: Use, setting: _Setting) -> _Finding | None:
    is_old = use.name in ("torch.optim.lr_scheduler.ReduceLROnPlateau", "torch.optim.lr_scheduler.StepLR")
    is_refused = is_old and "verbose" in use.options and setting.version("torch") >= (2, 13)
    return _Finding("torch-verbose", "fails: PyTorch does not take verbose= any more") if is_refused else None


def _saved_models(script: Script) -> Iterator[str]:
    for use in script.uses:
        if use.name == "torch.save" and use.args[:1] == (f"<{TORCH_MODULE}>",):
            yield from (item for item in use.args[1:2] if item)


_RULES: tuple[_Rule, ...] = (
    _keras_save,
    _keras_save_weights,
    _keras_load,
    _keras_checkpoint,
    _keras_tensorboard,
    _keras_optimizer,
    _keras_generator,
    _keras_3_only,
    _keras_2_only,
    _tensorflow_1,
    _numpy_name,
    _torch_load,
    _torch_verbose,
)


def _file_of(use: Use, places: Mapping[str, int]) -> str | None:
    """Return the file that a call names, by the place of its argument; None where it is not such a call, or unknown."""
    place = places.get(use.name)
    if place is None or not use.is_call or use.is_open:
        return None
    named = next((use.options[name] for name in ("filepath", "path", "f") if name in use.options), None)
    return use.args[place] if len(use.args) > place else named


def _is_outside(name: str | None, suffixes: Sequence[str]) -> bool:
    """Say whether a file is sure to end with none of the suffixes. Addresses (``hf://``) have rules of their own."""
    return name is not None and "://" not in name and not name.startswith("<") and ends_with(name, suffixes) is False
