"""The twin as a WSGI application: one request after the other is read, shown to the rules, answered, and metered."""

from __future__ import annotations

import io
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from launchbay.twin.alarm import Alarm
from launchbay.twin.backend import is_region
from launchbay.twin.bucketpermissions import judge_bucket_call
from launchbay.twin.buckets import Buckets
from launchbay.twin.call import Answer, Call, Refused
from launchbay.twin.rule import Rule
from launchbay.twin.tunnels import PATH, TunnelOver, Tunnels, refuse_tunnel
from launchbay.twin.wire import encode_call, new_request_id, read_call, read_scope, refuse, write_answer, write_refusal
from launchbay.twin.world import World

__all__ = ["TwinApp"]

_FIXED_ID = (
    b"<requestId>request-id</requestId>",
    b"<RequestId>request-id</RequestId>",
    b"<RequestID>request-id</RequestID>",
)
_TOLD = ("/twin/address", "/twin/bill", "/twin/calls", "/twin/hosts", "/twin/left", "/twin/status")
"""The twin's own addresses that change nothing but what time somebody knows it to be."""


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
        self.alarm = Alarm(world, self.lock, changed=kept.save)
        self._kept = kept
        self._kept_at = world.now()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.buckets = Buckets(world, create_backend_app("s3"), kept.put, judge_bucket_call)
        world.bucket_calls = self.buckets.calls
        self._tunnels = Tunnels(world)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO", "").startswith("/twin/"):
            with self.lock:
                return _send(self._administer(environ), start_response)
        _, _, service = read_scope(environ)
        if _is_foreign(environ, service):
            refused = Refused("MissingAuthenticationToken", "Request is missing Authentication Token", status=403)
            return _send(refuse(environ, refused), start_response)
        if environ.get("PATH_INFO") == PATH:
            return self._tunnel(environ, start_response)
        # S3 streams, and its dispatcher would eat a form's body in the search for an action: it is asked directly
        if service == "s3" or (not service and not _is_form(environ)):
            with self.lock:
                return self.buckets(environ, start_response)
        body = _read_body(environ)
        with self.lock:
            answer = self._answer(environ, body)
        return _send(answer, start_response)

    def _tunnel(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Let somebody through an Instance Connect Endpoint, until that is over; others wait only for what is judged before."""
        try:
            with self.lock:
                self.world.catch_up()
                self._keep(is_changed=False)
                tunnel = self._tunnels.open(environ)
        except Refused as refused:
            return _send(refuse_tunnel(refused), start_response)
        except Exception as error:  # noqa: BLE001 - as of a call
            return _send(refuse_tunnel(_broken(error)), start_response)
        self._tunnels.carry(tunnel)
        raise TunnelOver  # its connection speaks no HTTP any more

    def _administer(self, environ: dict[str, Any]) -> Answer:
        try:
            try:
                return self._kept.admin(environ, _read_body(environ))
            finally:
                self._keep(is_changed=environ.get("PATH_INFO") not in _TOLD)
        except Exception as error:  # noqa: BLE001 - as of a call
            body = json.dumps({"error": _broken(error).message}).encode()
            return Answer(status=500, headers=(("Content-Type", "application/json"),), body=body)

    def _answer(self, environ: dict[str, Any], body: bytes) -> Answer:
        """Answer a call; whatever goes wrong meanwhile, what has become of the world is metered and written down first."""
        try:
            self.world.catch_up()
            call = _read(environ, body)
            try:
                return self._carry_out(call, environ, body)
            finally:
                self._settle(is_changed=not call.is_read)
        except Refused as refused:
            return refuse(environ, refused)
        except Exception as error:  # noqa: BLE001 - a client gets an answer that it can read, whatever it was
            return refuse(environ, _broken(error))

    def _carry_out(self, call: Call, environ: dict[str, Any], body: bytes) -> Answer:
        world = self.world
        world.truth.calls[call.name] += 1
        if call.is_read and call.service == "ec2":
            world.poll()
            world.catch_up()
        world.carries_out = lambda inner: self._through_rules(inner, environ, encode_call(inner))
        return self._through_rules(call, environ, body)

    def _settle(self, *, is_changed: bool) -> None:
        try:
            if is_changed:
                self.world.settle()
        finally:
            self._keep(is_changed=is_changed)

    def _keep(self, *, is_changed: bool) -> None:
        """Write down what was told: a change at once, and the time as soon as it is another by a second."""
        now = self.world.now()
        self.alarm.moved()
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
        except Exception as error:  # noqa: BLE001 - the rules that saw the call also see what became of it
            answer = write_refusal(call.service, _broken(error))
        finally:
            world.current = None
        for rule, seen in reversed(passed):
            try:
                answer = rule.after(seen, world, answer) or answer if rule.after else answer
            except Refused as refused:
                answer = write_refusal(call.service, refused)
            except Exception as error:  # noqa: BLE001 - of one rule: the others have their turn all the same
                answer = write_refusal(call.service, _broken(error))
        return answer

    def _ask_moto(self, environ: dict[str, Any], body: bytes, call: Call) -> Answer:
        seen: list[tuple[str, list[tuple[str, str]]]] = []

        def note(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            seen.append((status, headers))

        asked = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        try:
            parts = self._moto(asked, note)
            text = b"".join(parts)
            if hasattr(parts, "close"):
                parts.close()
        except NotImplementedError:
            refused = Refused("InvalidAction", f"{call.action} is not modelled by the twin")
            return write_refusal(call.service, refused)
        status, headers = seen[-1]
        for fixed in _FIXED_ID:
            if fixed in text:
                text = text.replace(b"request-id", new_request_id().encode(), 1)
        kept = tuple((name, value) for name, value in headers if name.lower() != "content-length")
        return Answer(status=int(status.split()[0]), headers=kept, body=text)


def _read(environ: Mapping[str, Any], body: bytes) -> Call:
    call = read_call(environ, body)
    if call.service == "ec2" and not is_region(call.region):
        # AWS has no server of that name: the client fails before it asks
        raise Refused("InvalidParameterValue", f"there is no region {call.region!r}")
    return call


def _broken(error: Exception) -> Refused:
    """Return what is answered when the twin itself fails; the whole of it is in its log."""
    traceback.print_exc(file=sys.stderr)
    what = f"The twin failed ({type(error).__name__}: {error}); its log says where."
    return Refused("InternalError", what, status=500)


def _is_foreign(environ: Mapping[str, Any], service: str) -> bool:
    """Say whether a page in a browser asks, or somebody who means moto's own addresses or an API without signing."""
    is_page = "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE") == "cross-site"
    is_motos = str(environ.get("PATH_INFO", "")).startswith("/moto-api")
    return is_page or is_motos or (not service and _is_form(environ))


def _is_form(environ: Mapping[str, Any]) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")


def _read_body(environ: Mapping[str, Any]) -> bytes:
    said = str(environ.get("CONTENT_LENGTH") or "0")
    length = int(said) if said.isdecimal() else 0
    return bytes(environ["wsgi.input"].read(length)) if length else b""


def _send(answer: Answer, start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
    start_response(f"{answer.status} {'OK' if answer.status < 400 else 'Refused'}", headers)
    return [answer.body]
