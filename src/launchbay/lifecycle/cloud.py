"""The way to EC2 that `--provider` names: AWS with the person's own settings, or the twin of this home."""

from __future__ import annotations

from launchbay.errors import UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.twin import Twin, start_twin, twin_environment
from launchbay.providers.ec2.client import Client, open_client

__all__ = ["CLOUDS", "open_cloud", "twin_keys"]

CLOUDS = ("ec2", "twin")
"""The providers whose instances are EC2's."""

_TWIN_KEYS = "LAUNCHBAY_TWIN_KEYS"


def open_cloud(bay: Bay, provider: str, region: str) -> Client:
    """Return the way to EC2 in a region, asked nothing yet. The twin is started where it was left, or made.

    Raises UsageError for a provider that is none of these, UserError without the packages it needs.
    """
    if provider not in CLOUDS:
        raise UsageError(f"{provider} has no regions and no machine images", hint=f"--provider {' or '.join(CLOUDS)}")
    if provider == "ec2":
        return open_client(region)
    twin = start_twin(bay)
    if twin.was_started:
        bay.reporter.note("The twin was started; `bay twin stop` ends it.")
    return open_client(region, endpoint=twin.url, keys=twin_keys(bay, twin), address_url=f"{twin.url}/twin/address")


def twin_keys(bay: Bay, twin: Twin) -> tuple[str, str]:
    """Return the access key that a twin is asked with, and its secret: of a user of its own, where somebody works as one."""
    said = bay.environ.get(_TWIN_KEYS, "")
    identity, _, secret = said.partition(":")
    if said and not (identity and secret):
        hint = "ID:SECRET, as `aws iam create-access-key` on the twin gave them"
        raise UsageError(f"{_TWIN_KEYS} must be an access key and its secret with ':' between", hint=hint)
    named = twin_environment(twin)
    return (identity, secret) if said else (named["AWS_ACCESS_KEY_ID"], named["AWS_SECRET_ACCESS_KEY"])
