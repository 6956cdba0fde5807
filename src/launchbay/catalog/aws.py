"""The way to AWS for questions: clients, answers page by page, and what a refusal means to the person.

Nothing in here changes anything in an account. AWS's own settings hold (profile, credentials, proxy, endpoints, retries),
read from the environment and from ``~/.aws`` as by every program that uses boto3.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from launchbay.errors import LaunchbayError, NotPermitted, UserError

__all__ = ["Operation", "ask", "code_of", "explained", "find_login", "make_clients"]

_ATTEMPTS = 8
_CONNECT_S, _READ_S = 10, 60
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {"AuthFailure", "IncompleteSignature", "InvalidClientTokenId", "InvalidSignatureException", "MissingToken"}
_UNKNOWN |= {"OptInRequired", "SignatureDoesNotMatch", "UnrecognizedClientException", "MissingAuthenticationToken"}
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"}
_THROTTLED = {"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestLimitExceeded"}
_THROTTLED |= {"RequestThrottledException", "TooManyRequestsException", "SlowDown", "BandwidthLimitExceeded"}
_SIGN_IN_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_SIGN_IN_SETTINGS = (
    "role_arn",
    "sso_session",
    "sso_start_url",
    "aws_access_key_id",
    "login_session",
    "credential_process",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation to ask of a service: what its answers must hold, how they go on, and the permission it takes.

    `help` is the command whose help lists all permissions; none where it is empty.
    """

    service: str
    name: str
    rows: str
    token: str
    permission: str
    page: int
    help: str = "bay types refresh --help"


def make_clients(places: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a client for each service, given the region it is asked in; they try again when AWS is too busy.

    Raises UserError without boto3, or for settings that cannot be used.
    """
    try:
        import boto3
        import botocore.session
        from botocore.config import Config
    except ImportError as error:
        raise UserError("asking AWS needs boto3", hint="pip install 'launchbay[aws]'") from error
    try:
        with explained("", ""):
            inner = botocore.session.Session()
            config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries=_retries(inner))
            session = boto3.Session(botocore_session=inner)
            return {name: session.client(name, region_name=region, config=config) for name, region in places.items()}
    except ValueError as error:  # not of botocore's own errors: an endpoint that is no URL, a number that is none
        hint = "look at the variables that begin with AWS_, and at ~/.aws/config"
        raise UserError(f"AWS's settings cannot be used: {error}", hint=hint) from error


def find_login() -> tuple[str, str]:
    """Return the profile that holds, and the name of the variable or setting that signs in; that is empty for none.

    Looks at the environment and AWS's files alone: asks nobody, runs nothing, and does not see the role of a machine of EC2.
    Needs boto3. Raises UserError for settings that cannot be used.
    """
    import botocore.session

    with explained("", ""):
        session = botocore.session.Session()
        settings = session.get_scoped_config()
    said = [name for name in _SIGN_IN_VARIABLES if os.environ.get(name)]
    said += [name for name in _SIGN_IN_SETTINGS if settings.get(name)]
    return session.profile or "default", said[0] if said else ""


def _retries(session: Any) -> dict[str, object]:
    """Return how often and how to try again, where the person's settings do not say it.

    botocore's default was long one that takes some of AWS's ways to say that it is too busy for a failure.
    """
    ours = {"total_max_attempts": ("max_attempts", _ATTEMPTS), "mode": ("retry_mode", "adaptive")}
    said = session.get_scoped_config()
    return {
        key: value
        for key, (name, value) in ours.items()
        if name not in said and f"AWS_{name.upper()}" not in os.environ
    }


def ask(
    client: Any, operation: Operation, region: str, parameters: Mapping[str, object]
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Yield the rows of each page of an answer. `region` is what is asked about, for messages.

    A page that was cut off is an error here, and no end: botocore takes a JSON answer that it cannot read for an empty
    one. Raises NotPermitted when a permission is missing, UserError for every other failure.
    """
    asked = dict(parameters)
    seen: set[str] = set()
    size = "maxResults" if operation.token == "nextToken" else "MaxResults"  # noqa: S105 - the names of fields
    asked[size] = operation.page
    while True:
        with explained(region, operation.permission, help_=operation.help):
            try:
                page = getattr(client, operation.name)(**asked)
            except (AttributeError, TypeError, ValueError) as error:  # botocore stumbles over what it did not expect
                raise _unreadable(operation.permission, region, f"{error!s:.160}") from error
        rows = page.get(operation.rows)
        if not isinstance(rows, list):
            raise _unreadable(operation.permission, region, f"it holds no {operation.rows}")
        yield rows
        following = page.get(operation.token)
        if not following:
            return
        if following in seen:
            raise _unreadable(operation.permission, region, "its pages go in a circle")
        seen.add(following)
        asked[operation.token] = following


@contextlib.contextmanager
def explained(
    region: str, permission: str, *, after: str = "nothing was changed", help_: str = "bay types refresh --help"
) -> Iterator[None]:
    """Turn what botocore raises inside into an error that says what to do; anything else passes.

    `after` says how things stand then: a call that changes something may have been carried out although its answer is lost.
    `help_` is the command whose help lists the permissions. Raises NotPermitted when one is missing, else UserError.
    """
    from botocore import exceptions, parsers

    try:
        yield
    except exceptions.ClientError as error:
        said = error.response.get("Error", {})
        raise _refusal(said, region, permission, after=after, help_=help_) from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError) as error:
        hint = "look at the network, and at HTTPS_PROXY where there is a proxy; then the same command again"
        if region not in _regions_of_boto3():
            hint = f"{region} is no region that this boto3 knows; if it is one, look at the network"
        raise UserError(f"AWS cannot be reached: {error}; {after}", where=region, hint=hint) from error
    except parsers.ResponseParserError as error:
        raise _unreadable(permission, region, str(error)[:160], after=after) from error
    except exceptions.ProfileNotFound as error:
        hint = "`aws configure list-profiles` lists them; AWS_PROFILE names one, and without it the default is taken"
        raise UserError(f"AWS's settings have no such profile: {error}", where=region, hint=hint) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        hint = "`aws configure`, `aws sso login`, or AWS_PROFILE; then `aws sts get-caller-identity` says who you are"
        raise UserError(f"no credentials for AWS: {error}", where=region, hint=hint) from error
    except exceptions.BotoCoreError as error:  # a login that ran out, a file of settings that cannot be read
        hint = "`aws sts get-caller-identity` with the same settings says more; `aws sso login` signs in again"
        raise UserError(f"AWS cannot be asked: {error}", where=region, hint=hint) from error


def code_of(error: BaseException) -> str:
    """Return AWS's own code for a refusal that `explained` has turned into an error; empty where it was none."""
    answer = getattr(error.__cause__, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def _regions_of_boto3() -> Sequence[str]:
    import boto3

    session = boto3.Session()
    return [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition_name=partition)
    ]


def _refusal(error: Mapping[str, Any], region: str, permission: str, *, after: str, help_: str) -> LaunchbayError:
    """Return what a refused call means; anything AWS says that we do not know is shown as it is."""
    code, said = str(error.get("Code", "")), " ".join(str(error.get("Message", "")).split())
    if code in _FORBIDDEN:
        hint = f"allow {permission} to these credentials" + (
            f"; `{help_}` lists all that is asked for" if help_ else ""
        )
        return NotPermitted(f"AWS refuses {permission} ({code})", where=region, hint=hint)
    if code in _EXPIRED:
        hint = "`aws sso login`, or new credentials; then the same command again"
        return UserError(f"the credentials for AWS have expired ({code}); {after}", where=region, hint=hint)
    if code in _UNKNOWN:
        hint = "look at the credentials, the clock, and whether the account has this region enabled"
        return UserError(f"AWS does not take these credentials ({code}): {said}", where=region, hint=hint)
    if code in _THROTTLED:
        hint = "wait some minutes, then the same command again; AWS_MAX_ATTEMPTS sets how often it is tried"
        return UserError(f"AWS had no time for {permission} ({code}); {after}", where=region, hint=hint)
    what = f"AWS answers {permission} with an error ({code or 'no code'}: {said[:120]}); {after}"
    return UserError(what, where=region, hint="the same command again; if it stays, AWS's own status page")


def _unreadable(permission: str, region: str, why: str, *, after: str = "nothing was changed") -> UserError:
    return UserError(
        f"AWS's answer to {permission} cannot be read: {why}; {after}",
        where=region,
        hint="the same command again; a proxy in between, or an endpoint that is not AWS's, answers like this",
    )
