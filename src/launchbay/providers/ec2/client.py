"""The way to EC2 for what changes something: every call is made once, and what came of it is told apart.

An SDK's own retries have a token of their own and know nothing of what was meant; here whoever calls decides whether to call
again, with the token that was written down. Questions may be tried again, since they change nothing, and so may calls that come
out the same however often they are made (`Client.insist`).
"""

from __future__ import annotations

import os
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from ipaddress import ip_address
from typing import Any

from launchbay.catalog.aws import explained
from launchbay.errors import UsageError, UserError
from launchbay.planning.refusal import explain, is_passing
from launchbay.ports import Clock, SystemClock
from launchbay.spec.names import closest

__all__ = ["Client", "CloudRefusal", "CloudSilence", "asks_for_code", "is_loopback", "open_client"]

_CONNECT_S, _READ_S = 10, 120
_ASKS = 8
"""How often a question is asked when EC2 is too busy."""
_INSISTS, _FIRST_PAUSE_S, _LONGEST_PAUSE_S = 8, 1.0, 16.0
"""How often a change is asked for that may be asked again, and how long is waited between: under a minute and a half in all."""
_MOST_SAID = 300
"""How many letters of AWS's own words are shown; an encoded refusal has thousands."""


class CloudRefusal(UserError):
    """EC2 refused a call, with a code of its own. What was asked for was not done, unless it is a server's error.

    `in_doubt` says that the same thing was asked before it, and nobody knows what came of that.
    """

    def __init__(
        self, operation: str, code: str, message: str, *, status: int, region: str, permission: str = ""
    ) -> None:
        what, hint = explain(code, permission or operation, message) or (
            f"EC2 refuses {operation} ({code}): {message[:_MOST_SAID]}",
            "",
        )
        super().__init__(what, where=region, hint=hint)
        self.operation = operation
        self.code = code
        self.message = message
        self.status = status
        self.in_doubt = False


class CloudSilence(UserError):
    """No answer came, or none that can be read: what was asked for may have been done, and may not."""


class Client:
    """EC2 and its neighbours in one region. `calls` counts what was asked, `now` is the cloud's time by its last answer."""

    def __init__(
        self, region: str, once: Mapping[str, Any], patient: Mapping[str, Any], *, address_url: str = ""
    ) -> None:
        self.region = region
        self.address_url = address_url
        self.calls: Counter[str] = Counter()
        self._once = once
        self._patient = patient
        self._now: datetime | None = None

    @property
    def now(self) -> datetime:
        """The time that the cloud's last answer was dated at; this machine's before there was one."""
        return self._now or datetime.now(UTC)

    @property
    def provider(self) -> str:
        """What ``--provider`` calls the place that is asked: ``twin`` for one on this machine itself, else ``ec2``."""
        return "twin" if is_loopback(self.address_url) else "ec2"

    def raw(self, service: str) -> Any:
        """Return boto3's own client for questions to a service."""
        return self._patient[service]

    def ask(self, operation: str, *, service: str = "ec2", **params: Any) -> Mapping[str, Any]:
        """Ask a question. Raises CloudRefusal with EC2's code, UserError for credentials and for a network that is not there."""
        return self._call(self._patient[service], service, operation, params, is_question=True)

    def pages(self, operation: str, rows: str, *, service: str = "ec2", **params: Any) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of all pages of an answer. Raises as `ask` does."""
        token: str | None = None
        while True:
            more = {"NextToken": token} if token else {}
            page = self.ask(operation, service=service, **params, **more)
            yield from page.get(rows, ())
            token = page.get("NextToken")
            if not token:
                return

    def act(self, operation: str, *, service: str = "ec2", **params: Any) -> Mapping[str, Any]:
        """Change something, in one call that is made once.

        Raises CloudRefusal with EC2's code, CloudSilence where nobody knows what came of it.
        """
        return self._call(self._once[service], service, operation, params, is_question=False)

    def insist(
        self, operation: str, *, clock: Clock | None = None, service: str = "ec2", **params: Any
    ) -> Mapping[str, Any]:
        """Change something that comes out the same however often it is asked: again, later, while AWS is busy or silent.

        The pauses grow, each of them spread over half its length by what `clock` shows, so that many who wait do not come back
        at once. Raises as `act` does, when it was asked often enough.
        """
        clock, pause = clock or SystemClock(), _FIRST_PAUSE_S
        for _ in range(_INSISTS - 1):
            try:
                return self.act(operation, service=service, **params)
            except CloudSilence:
                pass
            except CloudRefusal as refusal:
                if not is_passing(refusal.code):
                    raise
            clock.sleep(pause * (1 - 0.5 * (clock.now() * 1009 % 1)))
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        return self.act(operation, service=service, **params)

    def _call(
        self, client: Any, service: str, operation: str, params: Mapping[str, Any], *, is_question: bool
    ) -> Mapping[str, Any]:
        from botocore import exceptions, parsers

        self.calls[f"{service}:{operation}"] += 1
        try:
            answer: Mapping[str, Any] = getattr(client, operation)(**params)
        except exceptions.ClientError as error:
            self._note_time(error.response.get("ResponseMetadata", {}))
            said = error.response.get("Error", {})
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            code = str(said.get("Code", ""))
            if not code or code.isdecimal():  # a proxy's page, or a server that broke in the middle
                raise self._silence(operation, f"status {status}") from error
            message = " ".join(str(said.get("Message", "")).split())
            permission = f"{service.replace('-quotas', 'quotas')}:{client.meta.method_to_api_mapping[operation]}"
            raise CloudRefusal(
                operation, code, message, status=status, region=self.region, permission=permission
            ) from error
        except (exceptions.HTTPClientError, exceptions.ConnectionError, parsers.ResponseParserError) as error:
            if is_question:
                with explained(self.region, f"{service}:{operation}"):
                    raise
            raise self._silence(operation, f"{error!s:.160}") from error
        except exceptions.BotoCoreError:
            with explained(self.region, f"{service}:{operation}"):
                raise
        self._note_time(answer.get("ResponseMetadata", {}))
        return answer

    def _silence(self, operation: str, why: str) -> CloudSilence:
        hint = "the same command again: it looks first at what was done"
        return CloudSilence(f"EC2 gave no answer to {operation} that can be read ({why})", where=self.region, hint=hint)

    def _note_time(self, metadata: Mapping[str, Any]) -> None:
        text = metadata.get("HTTPHeaders", {}).get("date", "")
        try:
            self._now = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return  # an answer without a date says nothing of the time


class _WhenAsked(dict[str, Any]):
    """boto3's clients by service, each made when it is first asked for: one costs up to 0.1 s of reading EC2's model."""

    def __init__(self, make: Callable[[str], Any], making: threading.Lock) -> None:
        super().__init__()
        self._make = make
        self._making = making

    def __missing__(self, service: str) -> Any:
        with self._making:
            if service not in self:
                self[service] = self._make(service)
        return self[service]


def open_client(
    region: str,
    *,
    endpoint: str = "",
    keys: tuple[str, str] | None = None,
    address_url: str = "https://checkip.amazonaws.com",
) -> Client:
    """Return the way to EC2 in a region, or to what answers like it at an endpoint with keys of its own.

    What answers on this machine itself is never asked through a proxy; AWS is, where the person has one. Raises UserError
    without boto3 and for a region that it does not know; settings of AWS that cannot be used show at the first question.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.session import get_session
    except ImportError as error:
        raise UserError("EC2 needs boto3", hint="pip install 'launchbay[aws]'") from error
    more: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    if keys:
        more |= {"aws_access_key_id": keys[0], "aws_secret_access_key": keys[1]}
    direct = Config(proxies={})
    # what is signed for others: the only way that all regions take, at the bucket's own host in its own region
    signed = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    waits: dict[str, Any] = {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S}
    waits |= {"proxies": {}} if is_loopback(endpoint) else {}
    once = Config(retries={"total_max_attempts": 1}, **waits)
    again = {} if "AWS_MAX_ATTEMPTS" in os.environ else {"total_max_attempts": _ASKS}
    patient = Config(retries={"mode": "standard", **again}, **waits)

    def make(name: str, config: Any) -> Any:
        config = config.merge(signed) if name == "s3" else config
        with explained(region, ""):
            try:
                made = session.client(name, region_name=region, config=config, **more)
            except ValueError as error:  # botocore says no more than this of an endpoint
                raise _no_endpoint(error) from error
            if config.proxies is None and is_loopback(made.meta.endpoint_url):  # an endpoint from the person's settings
                made = session.client(name, region_name=region, config=config.merge(direct), **more)
            return made

    with explained(region, ""):
        core = get_session()
        core.register_component("data_loader", _descriptions(core.get_config_variable("data_path")))
        session = boto3.Session(botocore_session=core)
        _check_region(session, region)
    making = threading.Lock()  # a session is not for several threads, and both kinds of client are of one
    return Client(
        region,
        _WhenAsked(partial(make, config=once), making),
        _WhenAsked(partial(make, config=patient), making),
        address_url=address_url,
    )


@cache
def _descriptions(path: str | None) -> Any:
    """Return what reads botocore's descriptions of services, and keeps them: EC2's alone takes 0.2 s, at each session anew.

    `path` is where a person has others beside botocore's own.
    """
    from botocore.loaders import create_loader

    return create_loader(path)


def _no_endpoint(error: ValueError) -> UsageError:
    """Return the error for an endpoint that is no address; it names the variable that says it, if one does."""
    name = next((name for name in sorted(os.environ) if name.startswith("AWS_ENDPOINT_URL") and os.environ[name]), "")
    hint = "an endpoint must look like https://HOST or http://127.0.0.1:PORT"
    hint = f"{hint}; or unset {name}" if name else f"{hint}: endpoint_url in ~/.aws/config"
    return UsageError(f"AWS cannot be asked there: {error}", where=name, hint=hint)


def is_loopback(url: str) -> bool:
    """Say whether an address of the web is this machine itself, as a twin's is."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def asks_for_code() -> bool:
    """Say whether the person's settings of AWS ask for an MFA code at each login.

    Goes from profile to profile as botocore does; settings that cannot be read show at the first question.
    """
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    if os.environ.get("AWS_ACCESS_KEY_ID"):  # goes before any profile, also one that AWS_PROFILE names
        return False
    session = Session()
    try:
        profiles: Mapping[str, Mapping[str, str]] = session.full_config.get("profiles", {})
    except BotoCoreError:
        return False
    name, seen = session.get_config_variable("profile") or "default", set[str]()
    while name not in seen:
        profile = profiles.get(name, {})
        has_keys = "aws_access_key_id" in profile or "aws_secret_access_key" in profile
        # keys in a profile that another one names are taken before its role
        if "role_arn" not in profile or "web_identity_token_file" in profile or (seen and has_keys):
            return False
        if "mfa_serial" in profile:
            return True
        seen.add(name)
        name = profile.get("source_profile", name)
    return False


def _check_region(session: Any, region: str) -> None:
    """Refuse a region that boto3 does not know: it would be asked for by its name, at an address that nobody has."""
    partitions = session.get_available_partitions()
    known = [name for item in partitions for name in session.get_available_regions("ec2", partition_name=item)]
    if region not in known:
        hint = "--region us-east-1, as an example; a region that is newer than this boto3: pip install -U boto3"
        raise UserError(f"AWS has no region {region!r}{closest(region, known)}", hint=hint)
