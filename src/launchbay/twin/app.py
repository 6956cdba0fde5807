"""The twin as a WSGI application: one request after the other is read, shown to the rules, answered, and metered."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from launchbay.twin.backend import is_region
from launchbay.twin.buckets import refuse_bucket_call
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.wire import Unread, encode_call, new_request_id, read_call, read_scope, write_answer, write_refusal
from launchbay.twin.world import World

__all__ = ["TwinApp"]

_FIXED_ID = (
    b"<requestId>request-id</requestId>",
    b"<RequestId>request-id</RequestId>",
    b"<RequestID>request-id</RequestID>",
)
_TOLD = ("/twin/address", "/twin/bill", "/twin/calls", "/twin/hosts", "/twin/left", "/twin/status")
"""The twin's own addresses that change nothing but what time somebody knows it to be."""
_READS = ("Describe", "Get", "List", "Search")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the app does with its state.

    `save` writes it down after each change, `put` is told of changes to buckets, `admin` answers the twin's own addresses.
    """

    save: Callable[[], None]
    put: Callable[[], None]
    admin: Callable[[Mapping[str, Any], bytes], Answer]


class TwinApp:
    """Answers EC2 and its neighbours. Requests are taken one after the other, those to S3 beside them."""

    def __init__(self, world: World, kept: Kept) -> None:
        self.world = world
        self.lock = threading.RLock()
        self._kept = kept
        self._kept_at = world.now()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._s3 = create_backend_app("s3")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO", "").startswith("/twin/"):
            with self.lock:
                answer = self._kept.admin(environ, _read_body(environ))
                self._keep(is_changed=environ.get("PATH_INFO") not in _TOLD)
            return _send(answer, start_response)
        _, _, service = read_scope(environ)
        if _is_foreign(environ, service):
            refused = Refused("MissingAuthenticationToken", "Request is missing Authentication Token", status=403)
            return _send(write_refusal("ec2", refused), start_response)
        # S3 streams, and its dispatcher would eat a form's body in the search for an action: it is asked directly
        if service == "s3" or (not service and not _is_form(environ)):
            refusal = refuse_bucket_call(environ)
            if refusal is not None:
                return _send(refusal, start_response)
            if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
                self._kept.put()
            parts: Iterable[bytes] = self._s3(environ, start_response)
            return parts
        body = _read_body(environ)
        with self.lock:
            answer = self._answer(environ, body)
        return _send(answer, start_response)

    def _answer(self, environ: dict[str, Any], body: bytes) -> Answer:
        world = self.world
        world.catch_up()
        try:
            call = read_call(environ, body)
        except Unread:
            return self._ask_moto(environ, body)
        except Refused as refused:
            return write_refusal("ec2", refused)
        if call.service == "ec2" and not is_region(call.region):
            what = (
                f"there is no region {call.region!r}"  # AWS has no server of that name: the client fails before it asks
            )
            return write_refusal("ec2", Refused("InvalidParameterValue", what))
        world.truth.calls[call.name] += 1
        is_read = call.action.startswith(_READS)
        if is_read and call.service == "ec2":
            world.poll()
            world.catch_up()
        world.carries_out = lambda inner: self._through_rules(inner, environ, encode_call(inner))
        answer = self._through_rules(call, environ, body)
        if not is_read:
            world.settle()
        self._keep(is_changed=not is_read)
        return answer

    def _keep(self, *, is_changed: bool) -> None:
        """Write down what was told: a change at once, and the time as soon as it is another by a second."""
        now = self.world.now()
        if is_changed or (now - self._kept_at).total_seconds() >= 1:
            self._kept.save()
            self._kept_at = now

    def _through_rules(self, call: Call, environ: dict[str, Any], body: bytes) -> Answer:
        """Show a call to the rules in their order, to moto if none answers, and the answer to those that saw the call.

        A rule looks at the answer with the call as it saw it, whatever later rules made of that.
        """
        world, asked, passed = self.world, call, list[tuple[Rule, Call]]()
        world.fresh = []
        answer: Answer | None = None
        try:
            for rule in world.rules:
                if not rule.is_about(call.name):
                    continue
                passed.append((rule, asked))
                got = rule.before(asked, world) if rule.before else None
                if isinstance(got, Call):
                    asked = got
                elif got is not None:
                    answer = got if isinstance(got, Answer) else write_answer(asked, got)
                    break
            if answer is None:
                world.current = asked
                answer = self._ask_moto(environ, body if asked is call else encode_call(asked), asked)
        except Refused as refused:
            answer = write_refusal(call.service, refused)
        except NotImplementedError as error:  # of moto, asked by a rule
            answer = write_refusal(call.service, Refused("InvalidParameterValue", f"not modelled by the twin: {error}"))
        finally:
            world.current = None
        for rule, seen in reversed(passed):
            if rule.after:
                answer = rule.after(seen, world, answer) or answer
        return answer

    def _ask_moto(self, environ: dict[str, Any], body: bytes, call: Call | None = None) -> Answer:
        seen: list[tuple[str, list[tuple[str, str]]]] = []

        def note(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            seen.append((status, headers))

        asked = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        try:
            parts = self._moto(asked, note)
            text = b"".join(parts)
            if hasattr(parts, "close"):
                parts.close()
        except NotImplementedError as error:
            what = f"{call.action} is not modelled by the twin" if call else str(error)
            return write_refusal(call.service if call else "ec2", Refused("InvalidAction", what))
        except (ImportError, KeyError):
            service = read_scope(environ)[2]
            return write_refusal("ec2", Refused("InvalidAction", f"the twin has no service {service!r}"))
        status, headers = seen[-1]
        for fixed in _FIXED_ID:
            if fixed in text:
                text = text.replace(b"request-id", new_request_id().encode(), 1)
        kept = tuple((name, value) for name, value in headers if name.lower() != "content-length")
        return Answer(status=int(status.split()[0]), headers=kept, body=text)


def _is_foreign(environ: Mapping[str, Any], service: str) -> bool:
    """Say whether a page in a browser asks, or somebody who means moto's own addresses or an API without signing."""
    is_page = "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE") == "cross-site"
    is_motos = str(environ.get("PATH_INFO", "")).startswith("/moto-api")
    return is_page or is_motos or (not service and _is_form(environ))


def _is_form(environ: Mapping[str, Any]) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")


def _read_body(environ: Mapping[str, Any]) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return bytes(environ["wsgi.input"].read(length)) if length else b""


def _send(answer: Answer, start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
    start_response(f"{answer.status} {'OK' if answer.status < 400 else 'Refused'}", headers)
    return [answer.body]
