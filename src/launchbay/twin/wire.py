"""Between HTTP and values: requests are read, answers and errors written, after the service's own model.

The models are botocore's, so a parameter is called here what boto3 calls it.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from botocore.serialize import create_serializer
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import NotFound, get_service_router
from moto.core.serialize import SerializationContext, XFormedAttributePicker, get_serializer_class
from moto.core.utils import get_service_model

from launchbay.twin.call import Answer, Call, Refused

__all__ = ["encode_call", "new_request_id", "read_call", "read_scope", "refuse", "write_answer", "write_refusal"]

_MODELS = {
    "ec2": "ec2",
    "ec2-instance-connect": "ec2-instance-connect",
    "iam": "iam",
    "pricing": "pricing",
    "savingsplans": "savingsplans",
    "servicequotas": "service-quotas",
    "ssm": "ssm",
    "sts": "sts",
    "tagging": "resourcegroupstaggingapi",
}
"""botocore's name of a service, by the name that requests are signed with."""

_XML = "text/xml;charset=UTF-8"
_JSON = "application/x-amz-json-1.1"
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_QUERY = ("ec2", "query")
_XML_SERVICES = ("cloudfront", "route53")
"""Services that the twin does not have and whose errors are XML, although nothing in a request to them says so."""


def new_request_id() -> str:
    """Return an id for an answer; every answer has one of its own, as logs want it."""
    return str(uuid.uuid4())


def read_scope(environ: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return access key, region and signing name of a request from its signature's scope; empty ones where it has none."""
    header = str(environ.get("HTTP_AUTHORIZATION", ""))
    _, _, scope = header.partition("Credential=")
    parts = scope.split(",")[0].split("/")
    return (parts[0], parts[2], parts[3].lower()) if len(parts) == 5 else ("", "", "")


def read_call(environ: Mapping[str, Any], body: bytes) -> Call:
    """Read a request. Raises Refused where it makes no sense, or is to a service that the twin does not have."""
    key, region, signed = read_scope(environ)
    if signed not in _MODELS:
        raise Refused("InvalidAction", f"The twin does not have the service {signed!r}.")
    service = _MODELS[signed]
    model = get_service_model(service)
    request = Request({**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
    try:
        operation, matched = get_service_router(service).match(request)
    except NotFound:
        action = request.values.get("Action", request.headers.get("X-Amz-Target", ""))
        raise Refused("InvalidAction", f"The action {action} is not valid for this web service.") from None
    except Exception as error:  # moto's router looks into what a client sent
        raise _malformed(error) from error
    parser = PROTOCOL_PARSERS[determine_request_protocol(model, request.content_type)](operation)
    asked = {
        "method": request.method,
        "values": request.values,
        "headers": request.headers,
        "body": body,
        "url_path": request.path,
        "url_params": matched,
    }
    try:
        params = parser.parse(asked) or {}
    except Exception as error:  # there are many ways to write a form that says nothing
        raise _malformed(error) from error
    peer = str(environ.get("REMOTE_ADDR", ""))
    return Call(service=service, action=operation.name, region=region, key=key, peer=peer, params=params)


def _malformed(error: Exception) -> Refused:
    return Refused("MalformedQueryString", f"The query string contains a syntax error: {error}")


def encode_call(call: Call) -> bytes:
    """Return the body of a call that a rule has changed, for what stands behind. Raises TypeError for what has no form body."""
    model = get_service_model(call.service)
    if model.protocol not in _QUERY:
        raise TypeError(f"{call.service} is not asked by forms, so its calls cannot be changed")
    serializer = create_serializer(model.protocol, include_validation=False)
    made = serializer.serialize_to_request(dict(call.params), model.operation_model(call.action))
    return _form(made["body"])


def _form(fields: Mapping[str, Any]) -> bytes:
    from urllib.parse import urlencode

    return urlencode({key: _word(value) for key, value in fields.items()}).encode()


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def write_answer(call: Call, value: Mapping[str, Any] | object) -> Answer:
    """Return what an action gives, written as its service's model says."""
    model = get_service_model(call.service)
    operation = model.operation_model(call.action)
    made = get_serializer_class(call.service, model.protocol)(
        operation_model=operation,
        context=SerializationContext(new_request_id()),
        value_picker=XFormedAttributePicker(),  # so that moto's objects can be part of what is given
    ).serialize(value)
    body = made["body"]
    return Answer(
        status=made["status_code"],
        headers=tuple((str(name), str(text)) for name, text in made["headers"].items()),
        body=body if isinstance(body, bytes) else body.encode(),
    )


def write_refusal(service: str, refused: Refused) -> Answer:
    """Return an error, in the form that clients of a service read."""
    return _write_error(get_service_model(service).protocol if service in _MODELS.values() else "ec2", refused)


def refuse(environ: Mapping[str, Any], refused: Refused) -> Answer:
    """Return an error to a request that may be to any service, in the form that its client reads."""
    signed = read_scope(environ)[2]
    if signed in _MODELS or not signed:
        return write_refusal(_MODELS.get(signed, "ec2"), refused)
    is_form = str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")
    return _write_error("query" if is_form or signed in _XML_SERVICES else "json", refused)


def _write_error(protocol: str, refused: Refused) -> Answer:
    identity = new_request_id()
    code, message = escape(refused.code), escape(refused.message)
    if protocol == "ec2":
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code>'
            f"<Message>{message}</Message></Error></Errors><RequestID>{identity}</RequestID></Response>"
        )
    elif protocol == "query":
        kind = "Sender" if refused.status < 500 else "Receiver"
        text = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{identity}</RequestId></ErrorResponse>"
        )
    else:
        text = json.dumps({"__type": refused.code, "message": refused.message, "Message": refused.message})
    is_xml = text.startswith("<")
    headers = [("Content-Type", _XML if is_xml else _JSON), ("x-amzn-RequestId", identity)]
    if not is_xml:
        headers.append(("x-amzn-ErrorType", refused.code))
    return Answer(status=refused.status, headers=tuple(headers), body=text.encode())
