"""What is asked of EC2 for words, and which images they mean. Pure.

EC2's filters tell capitals from small letters, and know no AND within one of them: it is asked for every way in which one
word is written, and what comes back is held against all words here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from launchbay.planning.cloudimage import OURS, OWN, QUICK_START, ListedImage
from launchbay.planning.imagefacts import series_of

__all__ = [
    "AMAZON_GLOBS",
    "LINUX_PARAMETERS",
    "MARKET_GLOBS",
    "PARAMETER_PATHS",
    "is_image_id",
    "name_globs",
    "nearest_names",
    "newest_of_series",
    "sort_images",
    "that_match",
]

PARAMETER_PATHS = ("/aws/service/deeplearning/ami", "/aws/service/neuron/dlami")
"""Below which the newest Deep Learning AMIs are named; few enough to be listed."""

LINUX_PARAMETERS = (
    *(
        f"/aws/service/canonical/ubuntu/server/{version}/stable/current/{machine}/hvm/{disk}/ami-id"
        for version, disk in (("24.04", "ebs-gp3"), ("22.04", "ebs-gp2"))
        for machine in ("amd64", "arm64")
    ),
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
)
"""What names the plain systems: asked for one by one, for below their paths are hundreds."""

AMAZON_GLOBS = (
    "Deep Learning*",
    "ubuntu/images/hvm-ssd*/ubuntu-*-22.04-*-server-*",
    "ubuntu/images/hvm-ssd*/ubuntu-*-24.04-*-server-*",
    "al2023-ami-2*",
)
"""The names of Amazon's and Canonical's images, for whom the parameters are closed to."""

_MARKET_WORDS: tuple[str, ...] = (
    "Deep Learning",
    "deep-learning",
    "deep learning",
    "PyTorch",
    "pytorch",
    "TensorFlow",
    "tensorflow",
)
_MARKET_WORDS += ("GPU", "gpu", "CUDA", "cuda", "-ml-")
MARKET_GLOBS = tuple(f"*{text}*" for text in _MARKET_WORDS)
"""What is asked for among everybody's images when no words are given: all of them would be tens of thousands."""

_WRITTEN = {"cuda": "CUDA", "jax": "JAX", "mxnet": "MXNet", "pytorch": "PyTorch", "tensorflow": "TensorFlow"}
_WRITTEN |= {"oss": "OSS", "gpu": "GPU", "ami": "AMI", "arm64": "ARM64"}
_ID = re.compile(r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})\Z")
_RANKS = {OURS: 0, OWN: 1, QUICK_START: 2}


def is_image_id(text: str) -> bool:
    """Say whether a text is the id of an image, and no words."""
    return _ID.match(text) is not None


def name_globs(words: Sequence[str]) -> tuple[str, ...]:
    """Return patterns of names for EC2 that every image with all the words has one of: those of the longest word."""
    if not words:
        return MARKET_GLOBS
    word = max(words, key=len)
    plain = re.sub(r"[*?\\]", "?", word)
    spelled = dict.fromkeys(
        [plain, plain.lower(), plain.capitalize(), plain.upper(), _WRITTEN.get(word.lower(), plain)]
    )
    return tuple(f"*{item}*" for item in spelled)


def _text(image: ListedImage) -> str:
    """Return what the words of a query are looked for in."""
    frameworks = " ".join(f"{name} {version}" for name, version in image.frameworks.items())
    parts = (image.id, image.name, image.kind, image.owner, frameworks, image.system, image.architecture)
    more = (image.parameter, image.digest, image.tags.get("launchbay:image"), *image.families)
    return " ".join(str(part) for part in (*parts, *more) if part).casefold()


def that_match(images: Iterable[ListedImage], words: Sequence[str]) -> list[ListedImage]:
    """Return the images that have all the words, whatever their capitals, anywhere in what is shown of them."""
    wanted = [word.casefold() for word in words]
    return [image for image in images if all(word in _text(image) for word in wanted)]


def newest_of_series(images: Iterable[ListedImage]) -> list[ListedImage]:
    """Return the newest build of each series of each publisher, for either architecture."""
    newest: dict[tuple[str, str, str], ListedImage] = {}
    for image in images:
        name = re.sub(r"-2023\.\d+\.\d+\.\d+", "", image.name)  # Amazon Linux has its version in the middle
        key = (series_of(name), image.owner, image.architecture)
        if key not in newest or _age(image) > _age(newest[key]):
            newest[key] = image
    return list(newest.values())


def _age(image: ListedImage) -> tuple[float, str]:
    return image.created.timestamp() if image.created else 0.0, image.id


def sort_images(images: Iterable[ListedImage]) -> list[ListedImage]:
    """Return images as they are listed: ours, the account's, Amazon's, all others; then by name, the newest first."""
    newest_first = sorted({image.id: image for image in images}.values(), key=_age, reverse=True)
    return sorted(newest_first, key=lambda image: (_RANKS.get(image.kind, 3), image.kind, series_of(image.name)))


def nearest_names(words: Sequence[str], images: Iterable[ListedImage], most: int = 3) -> tuple[str, ...]:
    """Return names that were probably meant: those with the most of the words, a word written nearly so among them."""
    texts: Mapping[str, str] = {image.name: _text(image) for image in images}
    scores = {name: sum(_score(word.casefold(), text) for word in words) for name, text in texts.items()}
    best = sorted((name for name in scores if scores[name] > 0), key=lambda name: (-scores[name], name))
    return tuple(best[:most])


def _score(word: str, text: str) -> float:
    if word in text:
        return 1.0
    close = difflib.get_close_matches(word, re.findall(r"[\w.-]+", text), n=1, cutoff=0.7)
    return 0.8 if close else 0.0
