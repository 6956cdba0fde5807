"""AWS as far as a refresh asks it, on loopback: EC2's XML, the Price List's JSON, Savings Plans' JSON over paths.

Answers are written with botocore's own description of their shapes, paged as asked for, and filtered as asked for. Faults
are set by operation: a refusal, a page that is cut off, a body that is something else.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import botocore.session

__all__ = ["AwsServer", "Fault", "cut", "refuse", "serving"]

Parameters = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is answered in place of the truth, after `first` has happened.

    With `promised` the body ends before that many bytes have come.
    """

    first: Callable[[], None] = lambda: None
    status: int = 200
    body: bytes = b""
    promised: int | None = None


def refuse(code: str, *, status: int = 403, message: str = "no") -> Fault:
    """Return a refusal that both the XML and the JSON parser understand as such, by operation."""
    return Fault(status=status, body=json.dumps({"code": code, "message": message}).encode())


def cut() -> Fault:
    """Return a body that ends in the middle, with the connection."""
    return Fault(promised=100_000, body=b'{"PriceList": ["{')


@dataclass(kw_only=True)
class AwsServer:
    """What it answers, what it was asked, and what goes wrong: `faults` by operation, one for each call in order.

    A fault that is None lets that call through. The last fault of a list goes on for ever if `lasting` names it.
    """

    types: Sequence[Parameters] = ()
    offers: Sequence[Parameters] = ()
    products: dict[str, Sequence[Any]] = field(default_factory=dict)
    spot: Sequence[Parameters] = ()
    savings: Sequence[Parameters] = ()
    filters: bool = True
    page: int = 1000
    asked: list[tuple[str, Parameters]] = field(default_factory=list)
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    lasting: dict[str, Fault] = field(default_factory=dict)
    url: str = ""

    def calls(self, operation: str) -> list[Parameters]:
        """Return what an operation was asked, in order."""
        return [parameters for name, parameters in self.asked if name == operation]

    def answer(self, headers: Mapping[str, str], path: str, body: bytes) -> Fault:
        """Answer one request."""
        operation, parameters = _read(headers, path, body)
        self.asked.append((operation, parameters))
        fault = self.lasting.get(operation)
        if queue := self.faults.get(operation):
            fault = queue.pop(0)
        if fault is not None:
            fault.first()
            return _refusal(operation, fault) if fault.status != 200 else fault
        return Fault(body=_ANSWERS[operation](self, parameters))

    def paged(self, rows: Sequence[Any], parameters: Parameters, size: str, token: str) -> tuple[list[Any], str]:
        """Return one page of rows, and the token of the next."""
        begin = int(parameters.get(token) or 0)
        end = begin + min(int(parameters.get(size) or self.page), self.page)
        return list(rows[begin:end]), str(end) if end < len(rows) else ""


def _read(headers: Mapping[str, str], path: str, body: bytes) -> tuple[str, Parameters]:
    target = headers.get("X-Amz-Target", "")
    if target:
        return target.rpartition(".")[2], json.loads(body)
    if path.strip("/"):
        return path.strip("/"), json.loads(body)
    parameters = dict(parse_qsl(body.decode()))
    return parameters.pop("Action"), parameters


def _refusal(operation: str, fault: Fault) -> Fault:
    if operation not in ("DescribeInstanceTypes", "DescribeInstanceTypeOfferings", "DescribeSpotPriceHistory"):
        said = json.loads(fault.body)
        return Fault(status=fault.status, body=json.dumps({"__type": said["code"], **said}).encode())
    said = json.loads(fault.body)
    error = f"<Error><Code>{said['code']}</Code><Message>{said['message']}</Message></Error>"
    text = f"<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>"
    return Fault(status=fault.status, body=text.encode())


@cache
def _shape(operation: str) -> Any:
    return botocore.session.Session().get_service_model("ec2").operation_model(operation).output_shape


def _xml(shape: Any, value: Any, tag: str) -> str:
    """Write a value as EC2 does, as the shape says."""
    if shape.type_name == "structure":
        members = shape.members.items()
        inner = "".join(_xml(member, value[name], _tag(member, name)) for name, member in members if name in value)
    elif shape.type_name == "list":
        inner = "".join(_xml(shape.member, item, _tag(shape.member, "item")) for item in value)
    elif shape.type_name == "boolean":
        inner = "true" if value else "false"
    else:
        inner = escape(value.isoformat() if isinstance(value, datetime) else str(value))
    return f"<{tag}>{inner}</{tag}>"


def _tag(shape: Any, name: str) -> str:
    tag: str = shape.serialization.get("name", name)
    return tag


def _ec2(operation: str, rows: Sequence[Any], key: str, token: str) -> bytes:
    text = _xml(_shape(operation), {key: rows, "NextToken": token}, f"{operation}Response")
    return text.replace(">", ' xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">', 1).encode()


def _types(aws: AwsServer, parameters: Parameters) -> bytes:
    return _ec2("DescribeInstanceTypes", *_of(aws, aws.types, parameters, "InstanceTypes"))


def _offers(aws: AwsServer, parameters: Parameters) -> bytes:
    rows = [row for row in aws.offers if row["LocationType"] == parameters.get("LocationType", "region")]
    return _ec2("DescribeInstanceTypeOfferings", *_of(aws, rows, parameters, "InstanceTypeOfferings"))


def _spot(aws: AwsServer, parameters: Parameters) -> bytes:
    wanted = {value for name, value in parameters.items() if name.startswith("ProductDescription.")}
    rows = [row for row in aws.spot if row["ProductDescription"] in wanted]
    return _ec2("DescribeSpotPriceHistory", *_of(aws, rows, parameters, "SpotPriceHistory"))


def _of(aws: AwsServer, rows: Sequence[Any], parameters: Parameters, key: str) -> tuple[Sequence[Any], str, str]:
    page, token = aws.paged(rows, parameters, "MaxResults", "NextToken")
    return page, key, token


def _products(aws: AwsServer, parameters: Parameters) -> bytes:
    rows = [
        row
        for row in aws.products.get(parameters["ServiceCode"], ())
        if not aws.filters or all(_matches(row, item) for item in parameters["Filters"])
    ]
    page, token = aws.paged(rows, parameters, "MaxResults", "NextToken")
    answer = {
        "FormatVersion": "aws_v1",
        "PriceList": [row if isinstance(row, str) else json.dumps(row) for row in page],
    }
    return json.dumps({**answer, **({"NextToken": token} if token else {})}).encode()


def _matches(row: Parameters | str, item: Parameters) -> bool:
    if isinstance(row, str):
        return True
    product = row["product"]
    found = {**product["attributes"], "productFamily": product.get("productFamily")}.get(item["Field"])
    return bool(item["Type"] == "TERM_MATCH" and found == item["Value"])


def _savings(aws: AwsServer, parameters: Parameters) -> bytes:
    page, token = aws.paged(aws.savings, parameters, "maxResults", "nextToken")
    return json.dumps({"searchResults": page, "nextToken": token}).encode()


_ANSWERS: dict[str, Callable[[AwsServer, Parameters], bytes]] = {
    "DescribeInstanceTypes": _types,
    "DescribeInstanceTypeOfferings": _offers,
    "DescribeSpotPriceHistory": _spot,
    "GetProducts": _products,
    "DescribeSavingsPlansOfferingRates": _savings,
}


@contextmanager
def serving(aws: AwsServer) -> Iterator[AwsServer]:
    """Let a server answer on a free port of loopback until the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: the second of two waits 40 ms for the first to be acknowledged

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = aws.answer(dict(self.headers.items()), self.path, body)
            self.send_response(answer.status)
            self.send_header("Content-Length", str(answer.promised or len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.promised is not None

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    aws.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield aws
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
