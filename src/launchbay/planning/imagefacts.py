"""What is known of Amazon's images beside what EC2 says of them: drivers, CUDA, Python, and until when they are patched. Pure.

Each fact has its source and its date. What no source says is None: an image that is newer than every release note that was
read has *at least* the driver of the newest note before it, and no known CUDA.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

__all__ = ["FRAMEWORK_ENDS", "NOTES", "OS_ENDS", "Note", "Policy", "cuda_of", "find_note", "series_of", "support_end"]

_POLICY = "https://docs.aws.amazon.com/dlami/latest/devguide/dlami-support-policy-table.html"
_GUIDE = "https://docs.aws.amazon.com/dlami/latest/devguide/"
_INDEX = "appendix-ami-release-notes"
_REMEMBERED = "remembered"
_READ = date(2026, 11, 27)

_STEM = re.compile(r"(?:\s+Version)?\s+v?\d[\d.]*\Z|-20\d{6}(?:\.\d+)?\Z")
"""What a build adds to its series' name: ``20261006``, ``Version 68.4``, ``-20261013``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Until when something is patched, where that is said, and when we read it there; with the CUDA it comes with, if said."""

    ends: date
    source: str = _POLICY
    read: date = _READ
    cuda: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a release note says of one build of a series. `python` is the system's own, a minor version.

    `is_floor` says that the driver is one that the build has at least, not its own.
    """

    series: str
    built: date
    driver: str
    cuda: str | None
    python: str | None
    source: str
    is_floor: bool = False


FRAMEWORK_ENDS: Mapping[tuple[str, str], Policy] = {
    ("pytorch", "2.1"): Policy(ends=date(2024, 10, 4), cuda="12.1"),
    ("pytorch", "2.2"): Policy(ends=date(2025, 1, 30), cuda="12.1"),
    ("pytorch", "2.3"): Policy(ends=date(2025, 4, 24), cuda="12.1"),
    ("pytorch", "2.4"): Policy(ends=date(2025, 7, 24), cuda="12.4"),
    ("pytorch", "2.5"): Policy(ends=date(2025, 11, 24), cuda="12.4"),
    ("pytorch", "2.6"): Policy(ends=date(2026, 1, 29), cuda="12.6"),
    ("pytorch", "2.7"): Policy(ends=date(2026, 4, 23), cuda="12.8"),
    ("pytorch", "2.8"): Policy(ends=date(2026, 8, 6), cuda="12.9"),
    ("pytorch", "2.9"): Policy(ends=date(2026, 10, 15), cuda="13.0"),
    # a year after the framework's release, as the policy counts; the release is remembered
    ("tensorflow", "2.18"): Policy(ends=date(2025, 10, 24), source=_REMEMBERED),
}
"""By framework and minor version. What is not here is not known to end."""

OS_ENDS: Mapping[str, Policy] = {
    "Amazon Linux 2": Policy(ends=date(2026, 6, 30)),
    "Amazon Linux 2023": Policy(ends=date(2029, 6, 30)),
    "Ubuntu 18.04": Policy(ends=date(2023, 5, 31), source=_REMEMBERED),
    "Ubuntu 20.04": Policy(ends=date(2025, 5, 31), source=_REMEMBERED),
    "Ubuntu 22.04": Policy(ends=date(2027, 4, 30)),
    "Ubuntu 24.04": Policy(ends=date(2029, 4, 30)),
}
"""By operating system."""

_X86 = "Deep Learning "
_ARM = "Deep Learning ARM64 "
_SINGLE, _OSS = "Base AMI with Single CUDA", "Base OSS Nvidia Driver GPU AMI"
_PROPRIETARY_20 = "Deep Learning Base Proprietary Nvidia Driver GPU AMI (Ubuntu 20.04)"
_PROPRIETARY_2 = "Deep Learning Base Proprietary Nvidia Driver AMI (Amazon Linux 2)"
_U22, _U24, _AL = "(Ubuntu 22.04)", "(Ubuntu 24.04)", "(Amazon Linux 2023)"
_PT = "OSS Nvidia Driver AMI GPU PyTorch"
_PT_ARM = "AMI OSS Nvidia Driver GPU PyTorch"

_SEEN: tuple[tuple[str, str, str, str | None, str | None, str], ...] = (
    (f"{_X86}{_SINGLE} {_U22}", "2026-01-02", "580.105.08", "13.0", "3.10", "gpubasesinglecuda-ul2204-2026-01-02"),
    (f"{_X86}{_SINGLE} {_U22}", "2026-07-24", "595.71.05", "13.2", "3.10", "gpubasesinglecuda-ul2204-2026-07-27"),
    (f"{_X86}{_SINGLE} {_U24}", "2026-06-16", "595.71.05", "13.2", None, "gpubasesinglecuda-ul2404-2026-06-19"),
    (f"{_X86}{_SINGLE} {_U24}", "2026-07-17", "595.71.05", "13.2", None, "gpubasesinglecuda-ul2404-2026-07-17"),
    (f"{_X86}{_SINGLE} {_AL}", "2026-09-17", "595.91.07", "13.2", "3.12", "gpubasesinglecuda-al2023-2026-09-18"),
    (f"{_ARM}{_SINGLE} {_U22}", "2026-10-06", "595.91.07", "13.2", "3.10", _INDEX),
    (f"{_ARM}{_SINGLE} {_U24}", "2026-04-24", "595.58.03", "13.2", None, "gpubasesinglecudaarm64-ul2404-2026-04-27"),
    (f"{_ARM}{_SINGLE} {_U24}", "2026-07-21", "595.71.05", "13.2", None, "gpubasesinglecudaarm64-ul2404-2026-07-23"),
    (f"{_ARM}{_OSS} {_U22}", "2025-10-31", "580.95.05", "12.9", "3.10", "gpubaseossarm64-ul2204-2025-11-10"),
    (f"{_ARM}{_OSS} {_U22}", "2026-10-06", "595.91.07", "13.2", "3.10", "gpubaseossarm64-ul2204-2026-10-08"),
    (f"{_ARM}{_OSS} {_U24}", "2025-12-05", "580.105.08", "13.0", "3.12", "gpubaseossarm64-ul2404-2025-12-10"),
    (f"{_ARM}{_OSS} {_U24}", "2026-10-06", "595.91.07", "13.2", "3.12", "gpubaseossarm64-ul2404-2026-10-08"),
    (f"{_ARM}{_OSS} {_AL}", "2025-12-30", "580.105.08", "13.0", "3.12", "gpubaseossarm64-al2023-2025-12-31"),
    (f"{_ARM}{_OSS} {_AL}", "2026-09-17", "595.91.07", "13.2", "3.12", "gpubaseossarm64-al2023-2026-09-18"),
    (f"{_ARM}{_OSS} (Ubuntu 26.04)", "2026-09-29", "595.91.07", "13.3", "3.14", "gpubaseossarm64-ul2604-2026-10-01"),
    (f"{_X86}{_PT} 2.9 {_U24}", "2026-03-17", "580.126.09", None, None, _INDEX),
    (f"{_X86}{_PT} 2.12 {_U24}", "2026-08-22", "595.91.07", None, None, _INDEX),
    (f"{_X86}{_PT} 2.11 {_AL}", "2026-09-05", "595.91.07", None, None, "gpupt211oss-al2023-2026-09-07"),
    (f"{_X86}{_PT} 2.13 {_AL}", "2026-10-03", "595.91.07", None, None, _INDEX),
    (f"{_ARM}{_PT_ARM} 2.10 {_U24}", "2026-10-09", "595.91.07", None, None, _INDEX),
    (f"{_ARM}{_PT_ARM} 2.11 {_U24}", "2026-10-09", "595.91.07", None, None, _INDEX),
    (_PROPRIETARY_2, "2026-01-02", "570.195.03", "12.1", "3.10", "base-aml2-2026-01-02"),
)

_FLOORS: tuple[tuple[str, str, str], ...] = (
    (_PROPRIETARY_20, "2024-01-01", "535"),
    (_PROPRIETARY_2, "2024-01-01", "535"),
    (f"{_X86}{_OSS} {_U22}", "2025-01-01", "550"),
    (f"{_X86}{_OSS} {_U24}", "2025-01-01", "550"),
    (f"{_X86}{_OSS} {_AL}", "2025-01-01", "550"),
)
"""From when on a series had at least which driver, where no note was read; remembered, and on the low side."""

NOTES: tuple[Note, ...] = (
    *(
        Note(
            series=series,
            built=date.fromisoformat(day),
            driver=driver,
            cuda=cuda,
            python=python,
            source=f"{_GUIDE}{page if page == _INDEX else f'aws-deep-learning-ami-{page}'}.html",
        )
        for series, day, driver, cuda, python, page in _SEEN
    ),
    *(
        Note(
            series=series,
            built=date.fromisoformat(day),
            driver=driver,
            cuda=None,
            python=None,
            source=_REMEMBERED,
            is_floor=True,
        )
        for series, day, driver in _FLOORS
    ),
)
"""The release notes that were read, one for each, and what is remembered beside them."""


def series_of(name: str) -> str:
    """Return what the builds of one kind of image have in common: the name without its version."""
    return _STEM.sub("", name)


def find_note(name: str, created: date | None) -> Note | None:
    """Return the note of an image of Amazon's, or of the newest build of its series before it; None where none was read.

    A note of an earlier build comes with `is_floor` set and without CUDA: drivers of a series only go up, and a newer build
    may have another CUDA. `created` is when the image was made; a version that is a date goes before it.
    """
    stamp = re.search(r"(?<!\d)(20\d\d)(\d\d)(\d\d)(?!\d)", name)
    built = _date_of(stamp) or created
    if built is None:
        return None
    before = [note for note in NOTES if note.series == series_of(name) and note.built <= built]
    best = max(before, key=lambda note: (note.built, not note.is_floor), default=None)
    if best is None or best.is_floor or best.built == built:
        return best
    return Note(
        series=best.series,
        built=best.built,
        driver=best.driver,
        cuda=None,
        python=best.python,
        source=best.source,
        is_floor=True,
    )


def _date_of(stamp: re.Match[str] | None) -> date | None:
    if stamp is None:
        return None
    try:
        return date.fromisoformat("-".join(stamp.groups()))
    except ValueError:  # a number of eight digits that no calendar has
        return None


def cuda_of(frameworks: Mapping[str, str]) -> str | None:
    """Return the CUDA that the policy table names for the one framework of an image; None where it names none."""
    found = {FRAMEWORK_ENDS[item].cuda for item in frameworks.items() if item in FRAMEWORK_ENDS}
    return found.pop() if len(found) == 1 and len(frameworks) == 1 else None


def support_end(
    system: str | None, frameworks: Mapping[str, str], *, has_more: bool = False
) -> tuple[date | None, bool]:
    """Return the earliest end that is known of an image's parts, and whether it is that of the whole.

    With a part whose end is not known (a framework that the table lacks, or `has_more`) the whole may end before.
    """
    known = [FRAMEWORK_ENDS[item].ends for item in frameworks.items() if item in FRAMEWORK_ENDS]
    policy = OS_ENDS.get(system or "")
    known += [policy.ends] if policy else []
    is_whole = not has_more and policy is not None and all(item in FRAMEWORK_ENDS for item in frameworks.items())
    return min(known, default=None), is_whole
