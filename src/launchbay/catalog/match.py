"""Which types a question means: a test for each thing asked for, and what no type could answer to. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase

from launchbay.catalog.capability import ANY_CUDA, capability_of, format_capability, runs_cuda
from launchbay.catalog.offer import named_gbps
from launchbay.catalog.price import Catalogue
from launchbay.catalog.question import ACCELERATORS, Question
from launchbay.catalog.type import Accelerator, InstanceType
from launchbay.errors import UsageError
from launchbay.spec.names import nearest

__all__ = ["GPU_SLACK", "check_known", "plain_name", "tests_of", "wants_gpu"]

GPU_SLACK = 0.07
"""How much less memory than asked for a GPU may show. What is sold as 24 GB shows 22,888 MiB, as 48 GB 45,776 MiB: the rest
holds error correction and the driver's own. No two sizes that EC2 has are this close."""

_Test = Callable[[InstanceType], bool]


def tests_of(question: Question) -> Iterator[_Test]:
    """Yield a test for each thing that is asked for, those that most types fail first."""
    yield from _device_tests(question)
    if (vcpus := question.vcpus) is not None:
        yield lambda item: vcpus.holds(item.vcpus)
    if (memory := question.memory_gib) is not None:
        yield lambda item: memory.holds(item.memory_mib / 1024)
    if question.families:
        patterns = [pattern.casefold() for pattern in question.families]
        yield lambda item: any(fnmatchcase(item.family, pattern) for pattern in patterns)
    if wanted := set(question.architectures):
        yield lambda item: not wanted.isdisjoint(item.architectures)
    if processor := question.processor.casefold():
        yield lambda item: item.processor.casefold() == processor
    if (disk := question.local_disk_gb) is not None:
        yield lambda item: disk.holds(item.local_disk_gb)
    if (network := question.network_gbps) is not None:
        yield lambda item: (gbps := named_gbps(item.network)) is not None and network.holds(gbps)
    if question.market == "spot":
        yield lambda item: "spot" in item.usage_classes
    yield from _flag_tests(question)


def _flag_tests(question: Question) -> Iterator[_Test]:
    if (efa := question.efa) is not None:
        yield lambda item: (item.efa_interfaces > 0) is efa
    if (current := question.is_current) is not None:
        yield lambda item: (item.is_current and not item.is_retired) is current
    if (burstable := question.is_burstable) is not None:
        yield lambda item: item.is_burstable is burstable
    if (bare_metal := question.is_bare_metal) is not None:
        yield lambda item: item.is_bare_metal is bare_metal


def _device_tests(question: Question) -> Iterator[_Test]:
    if (gpus := question.gpus) is not None:
        yield lambda item: gpus.holds(item.gpus)
    if question.gpu:
        model = plain_name(question.gpu)
        yield lambda item: item.gpu is not None and fnmatchcase(plain_name(item.gpu.name), model)
    if question.maker:
        maker = plain_name(question.maker)
        yield lambda item: item.gpu is not None and fnmatchcase(plain_name(item.gpu.maker), maker)
    if question.capability == ANY_CUDA:
        yield lambda item: runs_cuda(item.gpu)
    elif (least := question.capability) is not None:
        yield lambda item: (has := capability_of(item.gpu)) is not None and has >= least
    if (each := question.gpu_memory_gib) is not None:
        yield lambda item: item.gpu is not None and each.holds(item.gpu.memory_mib / 1024, slack=GPU_SLACK)
    if (total := question.gpu_memory_total_gib) is not None:
        yield (
            lambda item: (
                item.gpu is not None and total.holds(item.gpu.memory_mib * item.gpu.count / 1024, slack=GPU_SLACK)
            )
        )
    if question.accelerator:
        yield lambda item: any(_is_meant(device, question.accelerator) for device in item.accelerators)


def plain_name(name: str) -> str:
    """Return a name without case, blanks and dashes: ``RTX PRO 4500`` and ``rtx-pro-4500`` are the same."""
    return name.casefold().replace(" ", "").replace("-", "")


def wants_gpu(catalogue: Catalogue, question: Question) -> bool:
    """Say whether only types with a GPU can answer it, be it named as a device alone."""
    least = question.gpus is not None and (question.gpus.low or 0) > 0
    asked = (question.gpu, question.maker, question.capability, question.gpu_memory_gib, question.gpu_memory_total_gib)
    kinds = {device.kind for device in _devices(catalogue) if _is_meant(device, question.accelerator)}
    return least or any(item not in ("", None) for item in asked) or kinds == {"gpu"}


def check_known(catalogue: Catalogue, question: Question) -> None:
    """Raise NotFound for a name that nothing in the catalogue answers to, UsageError where two of them contradict each other."""
    for region in question.regions:
        if region not in catalogue.regions:
            raise nearest(region, catalogue.regions, kind="region", hint=f"one of {', '.join(catalogue.regions)}")
    types = catalogue.types.values()
    devices = _devices(catalogue)
    if question.gpu or question.maker or question.accelerator:
        gpus = [device for device in devices if device.kind == "gpu"]
        _check_name(question.gpu, (device.name for device in gpus), "GPU")
        _check_name(question.maker, (device.maker for device in gpus), "maker of GPUs")
        _check_name(question.accelerator, [*ACCELERATORS, *(device.name for device in devices)], "accelerator")
    if question.processor:
        _check_name(question.processor, (item.processor for item in types), "maker of processors")
    if question.families:
        families = {item.family for item in types}
        for pattern in question.families:
            if not any(fnmatchcase(family, pattern.casefold()) for family in families):
                raise nearest(pattern, families, kind="family of types", hint="bay types --family 'g5*'")
    _check_gpu(catalogue, question)


def _check_gpu(catalogue: Catalogue, question: Question) -> None:
    """Raise UsageError where no GPU can be what is asked for, whatever type it is in."""
    if question.gpus is not None and question.gpus.high == 0 and wants_gpu(catalogue, question):
        raise UsageError("no GPU at all (--gpus 0) and a GPU of some kind cannot both be", hint="--gpus 1+")
    model, maker = plain_name(question.gpu), plain_name(question.maker)
    if not model and not maker:
        return
    meant = [
        device
        for device in _devices(catalogue)
        if device.kind == "gpu"
        and fnmatchcase(plain_name(device.name), model or "*")
        and fnmatchcase(plain_name(device.maker), maker or "*")
    ]
    if not meant:
        raise UsageError(
            f"no GPU that is called {question.gpu} is made by {question.maker}", hint=f"bay types --gpu {question.gpu}"
        )
    if question.capability is not None and not any(map(runs_cuda, meant)):
        asked = "CUDA" if question.capability == ANY_CUDA else format_capability(question.capability)
        which = question.gpu or f"GPU of {question.maker}"
        raise UsageError(f"a {which} has no CUDA compute capability, and {asked} is asked for", hint="--maker nvidia")


def _devices(catalogue: Catalogue) -> list[Accelerator]:
    return [device for item in catalogue.types.values() for device in item.accelerators]


def _is_meant(device: Accelerator, asked: str) -> bool:
    """Say whether a device is of the kind asked for, or has that name."""
    return device.kind == asked.casefold() or fnmatchcase(plain_name(device.name), plain_name(asked))


def _check_name(asked: str, known: Iterable[str], kind: str) -> None:
    """Raise NotFound where a name or glob fits none; names are offered in small letters, which are taken as well."""
    names = sorted({name for name in known if name}) if asked else []
    if names and not any(fnmatchcase(plain_name(name), plain_name(asked)) for name in names):
        small = [name.casefold() for name in names]
        raise nearest(asked.casefold(), small, kind=kind, hint=f"one of {', '.join(names)}")
