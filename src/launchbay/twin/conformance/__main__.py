"""Try what EC2 does: ``python -m launchbay.twin.conformance --endpoint URL``, against moto alone, or against AWS.

A process of its own: it needs boto3, which nothing else of the command line loads.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import logging
import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from launchbay.twin.conformance.account import FAILURES, Target
from launchbay.twin.conformance.trial import Outcome, choose, run_trial

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Try the list and write the outcome as JSON on stdout; the code is 1 where something was not so."""
    parser = argparse.ArgumentParser(prog="launchbay.twin.conformance")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--endpoint", default="")
    where.add_argument("--moto", action="store_true")
    where.add_argument("--real", action="store_true")
    parser.add_argument(
        "--admin", default="", help="the token of a twin's own addresses ('-': on stdin); it is reset then"
    )
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--max-usd", type=Decimal, default=None)
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args(argv)
    if asked.real and any(name.startswith("AWS_ENDPOINT_URL") for name in os.environ):
        parser.error("AWS_ENDPOINT_URL is set, so it would not be AWS that is tried")
    try:
        chosen = choose(asked.names, max_usd=asked.max_usd if asked.real else None)
    except LookupError as error:
        parser.error(str(error))
    before: Any = lambda: None  # noqa: E731 - replaced where there is something to do
    if asked.real:
        place, target = "EC2", Target(region=asked.region)
        try:
            target.client("sts").get_caller_identity()
        except (ClientError, *FAILURES) as error:
            parser.error(f"AWS does not answer: {error}")
    elif asked.moto:
        place, target, before = _moto(asked.region)
    else:
        token = sys.stdin.readline().strip() if asked.admin == "-" else asked.admin
        place, target = (
            "twin",
            Target(
                region=asked.region,
                endpoint=asked.endpoint,
                keys=("twin", "twin"),
                admin=token,
                poll_s=0.0 if token else 1.0,
            ),
        )
        if token:
            before = functools.partial(target.tell, "reset")
    with contextlib.redirect_stdout(sys.stderr):  # moto prints; stdout is for the answer
        trial = run_trial(place, target, chosen, before=before, tell=_tell)
    sys.stdout.write(json.dumps(trial.as_json(), indent=1) + "\n")
    return 1 if trial.missed else 0


def _moto(region: str) -> tuple[str, Target, Any]:
    """Start moto alone, as it comes, in this process."""
    import urllib.request

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").disabled = True  # it shows a traceback for each thing that moto does not have
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"

    def reset() -> None:
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"))  # noqa: S310 - loopback

    return "moto", Target(region=region, endpoint=url, keys=("moto", "moto"), poll_s=0.05), reset


def _tell(outcome: Outcome) -> None:
    mark = {True: "met", False: "MISSED", None: "not tried"}[outcome.is_met]
    sys.stderr.write(f"{mark:9}  {outcome.behaviour.name}  {outcome.found}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
