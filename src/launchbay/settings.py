"""Every setting that is read from the environment, in one table; the reference is generated from it.

Precedence: what a flag says, then the environment, then `bay.yaml`, then the default.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SETTINGS", "Setting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An environment variable that changes what Launchbay does."""

    name: str
    default: str
    meaning: str


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="LAUNCHBAY_HOME",
        default="~/.local/share/launchbay",
        meaning="the folder that holds images, instances, runs and the journal",
    ),
    Setting(
        name="LAUNCHBAY_CGROUP",
        default="the one that bay runs in, if it may",
        meaning="a control group (version 2) that was delegated to you, in which instances get one each",
    ),
    Setting(
        name="LAUNCHBAY_ERRORS",
        default="unset",
        meaning="`json` makes an error one line of JSON on stderr, for a program that reads it",
    ),
    Setting(
        name="LAUNCHBAY_BUCKET",
        default="one for each account and region, which is made",
        meaning="a bucket of your own for the store on EC2; `--bucket` of `bay store` wins",
    ),
    Setting(
        name="LAUNCHBAY_TWIN_KEYS",
        default="the keys of the twin's account, which may do everything",
        meaning="`ID:SECRET`: the access key of a user in the twin's IAM, whom `--provider twin` then works as,"
        " to see what a policy allows",
    ),
    Setting(
        name="AWS_REGION",
        default="AWS_DEFAULT_REGION, else us-east-1",
        meaning="the region of AWS that is asked about where no `--region` says another",
    ),
    Setting(
        name="AWS_DEFAULT_REGION",
        default="unset",
        meaning="the same, where AWS_REGION says nothing",
    ),
    Setting(
        name="NO_COLOR",
        default="unset",
        meaning="when set to anything, no colour and no moving progress bars",
    ),
    Setting(
        name="UV_CACHE_DIR",
        default="uv's own",
        meaning="uv's cache of downloaded packages; images copy from it and share no file with it."
        " All of uv's own settings (index, proxy, certificates, UV_FIND_LINKS) hold while an image is built",
    ),
)
