"""Data that lies in a bucket of the person's: listed with their credentials, and fetched by instances straight from there.

What it is, S3 says: the size of each object and the MD5 of most. The sha256 of each file is taken on the instance, and is what
the run writes down.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from launchbay.afar.machine import FarMachine
from launchbay.afar.names import is_inside
from launchbay.afar.sending import Sent
from launchbay.cloud.data import questions
from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError, UserError
from launchbay.ports import Event, Reporter, SilentReporter
from launchbay.providers.ec2.bucket import list_kept, pass_seconds, presign_get
from launchbay.providers.ec2.client import Client, CloudRefusal

__all__ = ["Source", "bucket_region", "fetch_source", "list_source", "read_url"]

_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>.*))?\Z", re.DOTALL)
_MD5 = re.compile(r"[0-9a-f]{32}")
_MACHINES_AT_ONCE = 8
_ATTEMPTS = 3
_PIECE = 256 << 20
_QUESTION_BYTES = 1 << 30
_PASS_S = 6 * 3600.0
_LEGACY = {"": "us-east-1", "EU": "eu-west-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What lies below a prefix of a bucket: path -> (bytes, MD5 or empty)."""

    url: str
    bucket: str
    prefix: str
    files: Mapping[str, tuple[int, str]]

    @property
    def name(self) -> str:
        """A hash of where it is and of what S3 said of it."""
        text = json.dumps([self.bucket, self.prefix, sorted(self.files.items())])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """How many bytes that is."""
        return sum(size for size, _ in self.files.values())


def read_url(url: str) -> tuple[str, str]:
    """Return bucket and prefix of an address ``s3://bucket/prefix``. Raises UsageError for what is none."""
    match = _URL.match(url)
    if match is None:
        raise UsageError(f"{url!r} is no address of a folder on S3", hint="--data s3://bucket/prefix")
    prefix = match["prefix"] or ""
    return match["bucket"], f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""


def bucket_region(client: Client, bucket: str) -> str:
    """Return the region of a bucket. Raises NotFound where there is none, UserError where it may not be asked."""
    try:
        said = client.ask("get_bucket_location", service="s3", Bucket=bucket).get("LocationConstraint") or ""
    except CloudRefusal as refusal:
        if refusal.code == "NoSuchBucket":
            raise NotFound(f"there is no bucket {bucket!r}", hint="aws s3 ls lists yours") from refusal
        hint = "s3:GetBucketLocation and s3:ListBucket are needed"
        raise UserError(f"S3 does not say where {bucket!r} is ({refusal.code})", hint=hint) from refusal
    return _LEGACY.get(str(said), str(said))


def list_source(client: Client, url: str) -> Source:
    """Return what lies at an address. `client` is one of the bucket's own region, by which it is signed.

    Raises NotFound for nothing, UsageError for names that are no files of a folder, Conflict for a client of another region.
    """
    bucket, prefix = read_url(url)
    region = bucket_region(client, bucket)
    if region != client.region:
        hint = f"--region {region}: what goes between regions is billed"
        raise Conflict(f"the bucket {bucket} is in {region}, and the fleet in {client.region}", where=url, hint=hint)
    files: dict[str, tuple[int, str]] = {}
    for kept in list_kept(client, bucket, prefix):
        path = kept.key.removeprefix(prefix)
        if path.endswith("/") or not path:
            continue  # what consoles make to show a folder
        if not is_inside(path):
            raise UsageError(f"the object {kept.key!r} cannot be a file of a folder", where=url)
        files[path] = (kept.bytes, kept.tag if _MD5.fullmatch(kept.tag) else "")
    if not files:
        raise NotFound("nothing lies there", where=url, hint=f"aws s3 ls {url}")
    for path in files:
        if any(other in files for other in _above(path)):
            raise UsageError(f"{path!r} lies in what is a file itself", where=url)
    first = next(iter(files))
    about = client.ask("head_object", service="s3", Bucket=bucket, Key=f"{prefix}{first}")
    if "kms" in str(about.get("ServerSideEncryption", "")):  # what S3 calls their content is no MD5
        files = {path: (size, "") for path, (size, _) in files.items()}
    return Source(url=url, bucket=bucket, prefix=prefix, files=files)


def _above(path: str) -> Iterator[str]:
    parts = path.split("/")
    yield from ("/".join(parts[:number]) for number in range(1, len(parts)))


def fetch_source(
    machines: Sequence[FarMachine], source: Source, client: Client, *, reporter: Reporter | None = None
) -> Sequence[Sent]:
    """Make sure that what lies at an address is on each machine, as a folder named by its hash; return where, in their order.

    It never comes here. Killed and called again, it goes on where it was. Raises UserError where it does not arrive as S3
    says it is, or two machines got different bytes.
    """
    reporter = reporter or SilentReporter()
    with ThreadPoolExecutor(_MACHINES_AT_ONCE) as pool:
        found = [*pool.map(lambda machine: _fetch(machine, source, client, reporter), machines)]
    if len({tree for tree, _ in found}) > 1:
        raise UserError("it was changed while it was fetched: instances got different bytes", where=source.url)
    total = source.bytes * len(machines)
    reporter.event(Event(task="fetch data", done=total, total=total, unit="bytes", finished=True))
    return [sent for _, sent in found]


def _fetch(machine: FarMachine, source: Source, client: Client, reporter: Reporter) -> tuple[str, Sent]:
    what: dict[str, Any] = {"source": source.name, "files": source.files}
    came, wrong = 0, list[str]()
    for _ in range(_ATTEMPTS):
        answer = json.loads(machine.there({"do": "have source", **what}))
        if answer["tree"]:
            return str(answer["tree"]), Sent(folder=answer["folder"], bytes=came)
        for groups in questions(_gets(source, answer["missing"], client), _QUESTION_BYTES):
            asked = {"do": "fetch", "tree": source.name, "groups": groups}
            came += int(json.loads(machine.there(asked))["bytes"])
            reporter.event(Event(task=f"fetch data to {machine.called}", done=came, total=source.bytes, unit="bytes"))
        made = json.loads(machine.there({"do": "finish source", **what}))
        if made["tree"]:
            return str(made["tree"]), Sent(folder=made["folder"], bytes=came)
        wrong = made["wrong"]
    if not wrong:
        raise LaunchbayError(f"{machine.called} does not say what became of the data", where=source.url)
    raise UserError(f"{wrong[0]} does not arrive as S3 says it is", where=source.url, hint="was it changed meanwhile?")


def _gets(source: Source, missing: Mapping[str, int], client: Client) -> Iterator[dict[str, Any]]:
    """Yield what is to be read of which object, and where it goes."""
    seconds = pass_seconds(client, _PASS_S)
    for path, here in missing.items():
        size, _ = source.files[path]
        at = here if here <= size else 0
        url = presign_get(client, source.bucket, f"{source.prefix}{path}", seconds=seconds) if size else ""
        while True:
            count = min(size - at, _PIECE)
            yield {"url": url, "from": at, "spans": [[path, at, count]]}
            at += count
            if at >= size:
                break
