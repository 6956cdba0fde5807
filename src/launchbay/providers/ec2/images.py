"""Find images on EC2. Questions only: nothing in here changes anything.

Whose images are asked for is always said. Amazon's newest are found by the public parameters that name them; without the
permission for these by their names, which only Amazon's own accounts are asked for. Everybody's images are asked for where
somebody wants them, and what comes back says whose it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from launchbay.catalog.aws import Operation, ask, code_of, explained
from launchbay.errors import NotFound, NotPermitted, UserError
from launchbay.planning.cloudimage import COMMUNITY, MARKETPLACE, ListedImage
from launchbay.planning.imagereading import read_image
from launchbay.planning.imagesearch import (
    AMAZON_GLOBS,
    LINUX_PARAMETERS,
    PARAMETER_PATHS,
    is_image_id,
    name_globs,
    nearest_names,
    newest_of_series,
    sort_images,
    that_match,
)
from launchbay.ports import Clock

__all__ = ["IMAGES", "FoundImages", "Resolved", "describe_images", "named_images", "resolve", "search_images"]

IMAGES = Operation(
    service="ec2",
    name="describe_images",
    rows="Images",
    token="NextToken",  # noqa: S106 - the name of a field
    permission="ec2:DescribeImages",
    page=1000,
    help="",
)
_BY_PATH = Operation(
    service="ssm",
    name="get_parameters_by_path",
    rows="Parameters",
    token="NextToken",  # noqa: S106
    permission="ssm:GetParametersByPath",
    page=10,
    help="",
)
_PARAMETERS = "ssm:GetParameters"
_AT_ONCE = 10
"""Parameters in one call of GetParameters, by botocore's model."""
_VALUES = 200
"""Values in one filter, by EC2's user guide."""
_MOST = 2000
"""How many images of everybody's are read: a word that more of them have finds nobody's image."""

_FEW = "of the marketplace and of everybody only what is named like deep learning is asked for; give words for the rest"
_AVAILABLE = {"Name": "state", "Values": ["available"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImages:
    """What a search found. `notes` say what could not be asked, or has to be known; `nearest` names where nothing matched."""

    images: tuple[ListedImage, ...]
    notes: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Which image a parameter named at a time: "latest" is another one tomorrow, so this is what is recorded.

    `version` is the parameter's own count, `at` when it was asked, as ISO 8601 in UTC.
    """

    parameter: str
    region: str
    id: str
    version: int
    at: str
    image: ListedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asker:
    """Asks one region. `charges` are what an hour costs by product code, where somebody knows."""

    ec2: Any
    ssm: Any
    region: str
    charges: Mapping[str, Decimal]

    def describe(
        self, asked: Mapping[str, object], names: Mapping[str, str] | None = None, *, is_own: bool = False
    ) -> list[ListedImage]:
        """Return the images of an answer, at most as many as anybody reads; `names` are parameters by image."""
        pages = ask(self.ec2, IMAGES, self.region, asked)
        rows = itertools.islice(itertools.chain.from_iterable(pages), _MOST)
        return [self._read(row, names or {}, is_own=is_own) for row in rows]

    def _read(self, row: Mapping[str, Any], names: Mapping[str, str], *, is_own: bool) -> ListedImage:
        codes = [code["ProductCodeId"] for code in row.get("ProductCodes") or ()]
        charge = self.charges.get(codes[0]) if len(codes) == 1 else None
        return read_image(row, names.get(row["ImageId"]), charge, is_own=is_own)

    def own(self) -> list[ListedImage]:
        return self.describe({"Owners": ["self"]}, is_own=True)

    def named(self) -> dict[str, str]:
        """Return the public parameters by the image that they name. Raises NotPermitted where they are closed to us."""
        found = dict(self._parameters())
        return {image: name for name, image in sorted(found.items(), reverse=True) if is_image_id(image)}

    def _parameters(self) -> Iterator[tuple[str, str]]:
        for path in PARAMETER_PATHS:
            for page in ask(self.ssm, _BY_PATH, self.region, {"Path": path, "Recursive": True}):
                yield from ((item["Name"], item["Value"]) for item in page)
        for start in range(0, len(LINUX_PARAMETERS), _AT_ONCE):
            with explained(self.region, _PARAMETERS, help_=""):
                answer = self.ssm.get_parameters(Names=list(LINUX_PARAMETERS[start : start + _AT_ONCE]))
            yield from ((item["Name"], item["Value"]) for item in answer.get("Parameters", ()))

    def newest(self) -> tuple[list[ListedImage], list[str]]:
        """Return the newest images of Amazon, and what has to be said about how they were found."""
        try:
            names = self.named()
        except NotPermitted as error:
            asked = {"Owners": ["amazon"], "Filters": [{"Name": "name", "Values": list(AMAZON_GLOBS)}, _AVAILABLE]}
            note = f"{error.what}: images are found by their names, and the parameters that name them are not known"
            return newest_of_series(self.describe(asked)), [note]
        found: list[ListedImage] = []
        for some in _batches(list(names)):
            by_id = {"Name": "image-id", "Values": list(some)}
            found += self.describe({"Owners": ["amazon"], "Filters": [by_id]}, names)
        return found, []

    def by_name(self, words: Sequence[str], **who: object) -> list[ListedImage]:
        """Return the images of somebody whose names have the words, all builds."""
        filters = [{"Name": "name", "Values": list(name_globs(words))}, _AVAILABLE]
        return that_match(self.describe({**who, "Filters": filters}), words)


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _VALUES] for start in range(0, len(names), _VALUES))


def describe_images(ec2: Any, asked: Mapping[str, object], *, region: str, is_own: bool = False) -> list[ListedImage]:
    """Return the images that DescribeImages answers with; `asked` has to say whose. Raises as `ask` does."""
    return _Asker(ec2=ec2, ssm=None, region=region, charges={}).describe(asked, is_own=is_own)


def named_images(ec2: Any, ssm: Any, parameters: Sequence[str], *, region: str) -> tuple[ListedImage, ...]:
    """Return the images that at most ten public parameters name now, in two questions; those that are not there are left out.

    Raises NotPermitted where one of the two may not be asked, UserError for every other refusal.
    """
    if not parameters:
        return ()
    with explained(region, _PARAMETERS, help_=""):
        answer = ssm.get_parameters(Names=list(parameters))
    names = {item["Value"]: item["Name"] for item in answer.get("Parameters", ()) if is_image_id(item["Value"])}
    if not names:
        return ()
    asker = _Asker(ec2=ec2, ssm=ssm, region=region, charges={})
    by_id = {"Name": "image-id", "Values": list(names)}
    return tuple(asker.describe({"Owners": ["amazon"], "Filters": [by_id]}, names))


def search_images(
    ec2: Any,
    ssm: Any,
    words: Sequence[str] = (),
    *,
    region: str,
    all_owners: bool = False,
    charges: Mapping[str, Decimal] | None = None,
) -> FoundImages:
    """Find images by words, or one by its id: the account's own and Amazon's newest.

    Where these have none, older builds of Amazon's, then the marketplace, which is also asked when a word says so.
    `all_owners` asks the marketplace and everybody besides. Raises NotPermitted without ec2:DescribeImages, UserError for
    every other refusal, NotFound for an id that nothing answers to.
    """
    asker = _Asker(ec2=ec2, ssm=ssm, region=region, charges=charges or {})
    if len(words) == 1 and words[0].casefold().startswith("ami-"):
        return _one(asker, words[0])
    newest, notes = asker.newest()
    own = asker.own()
    found = that_match([*own, *newest], words)
    if all_owners or MARKETPLACE in [word.casefold() for word in words]:
        named = [word for word in words if word.casefold() != MARKETPLACE]
        found += asker.by_name(named, Owners=["aws-marketplace"])
        notes = notes if named else [*notes, _FEW]
    if all_owners:
        community, more = _community(asker, words, known={image.id for image in [*own, *newest, *found]})
        found, notes = [*found, *community], [*notes, *more]
    if not found and words:
        found, notes = _further(asker, words, notes)
    nearest = () if found or not words else nearest_names(words, [*own, *newest])
    return FoundImages(images=tuple(sort_images(found)), notes=tuple(notes), nearest=nearest)


def _one(asker: _Asker, text: str) -> FoundImages:
    """Return an image by its id: first of those whom we know, then of whoever it is, for the id says which is meant."""
    if not is_image_id(text):
        hint = "ami- and 17 letters of 0-9 and a-f, as `bay images --provider ec2` shows them"
        raise NotFound(f"{text} is no id of an image", where=asker.region, hint=hint)
    by_id = [{"Name": "image-id", "Values": [text]}]
    asked = {"Filters": by_id, "IncludeDeprecated": True}
    if own := asker.describe({**asked, "Owners": ["self"]}, is_own=True):
        return FoundImages(images=tuple(own))
    if known := asker.describe({**asked, "Owners": ["amazon", "aws-marketplace"]}):
        return FoundImages(images=tuple(known))
    found = asker.describe(asked)
    if not found:
        hint = "ids differ from region to region: --region, or `bay images --provider ec2` for what is there"
        raise NotFound(f"there is no image {text}, or none for this account", where=asker.region, hint=hint)
    return FoundImages(images=tuple(found))


def _community(asker: _Asker, words: Sequence[str], known: set[str]) -> tuple[list[ListedImage], list[str]]:
    """Return what everybody else publishes or shares with this account, and how it is to be taken."""
    public = asker.by_name(words, ExecutableUsers=["all"])
    shared = asker.by_name(words, ExecutableUsers=["self"])
    found = [image for image in [*public, *shared] if image.kind == COMMUNITY and image.id not in known]
    notes = ["community images are anybody's: who launches one runs a stranger's system"] if found else []
    return found, notes


def _further(asker: _Asker, words: Sequence[str], notes: list[str]) -> tuple[list[ListedImage], list[str]]:
    """Return older builds of Amazon's, or what the marketplace has, where the newest have none of the words."""
    if found := asker.by_name(words, Owners=["amazon"]):
        return found, [*notes, "no newest image has all these words: older builds are shown"]
    if found := asker.by_name(words, Owners=["aws-marketplace"]):
        return found, [*notes, "neither Amazon's nor this account's images have all these words: the marketplace's do"]
    return [], notes


def resolve(ssm: Any, ec2: Any, parameter: str, *, region: str, clock: Clock) -> Resolved:
    """Return the image that a parameter names now, which is what to launch and to record.

    It has to be Amazon's, the marketplace's or this account's own. Raises NotFound for a parameter that is not there, that
    names no image, or names one of somebody else; NotPermitted and UserError for refusals.
    """
    try:
        with explained(region, "ssm:GetParameter", help_=""):
            answer = ssm.get_parameter(Name=parameter)["Parameter"]
    except UserError as error:
        if code_of(error) not in ("ParameterNotFound", "ParameterVersionNotFound", "ValidationException"):
            raise
        hint = "`bay images --json` shows the parameters that name images"
        raise NotFound(f"there is no parameter {parameter}", where=region, hint=hint) from error
    image = str(answer["Value"])
    if not is_image_id(image):
        raise NotFound(f"the parameter {parameter} names no image, but {image[:60]!r}", where=region)
    by_id = {"Filters": [{"Name": "image-id", "Values": [image]}], "IncludeDeprecated": True}
    found = describe_images(ec2, {**by_id, "Owners": ["self"]}, region=region, is_own=True)
    found = found or describe_images(ec2, {**by_id, "Owners": ["amazon", "aws-marketplace"]}, region=region)
    if not found:
        what = (
            f"the parameter {parameter} names {image}, which is neither Amazon's, the marketplace's nor this account's"
        )
        raise NotFound(what, where=region, hint="`bay images --provider ec2` shows what is there")
    at = datetime.fromtimestamp(clock.now(), UTC).isoformat(timespec="seconds")
    (only,) = found
    version = int(answer.get("Version", 0))
    return Resolved(parameter=parameter, region=region, id=image, version=version, at=at, image=only)
