from __future__ import annotations

import base64
import gzip
from urllib.parse import quote

import pytest

from launchbay.planning.secret import Secret, find_secrets, unpack

# put together here, so that no scanner takes this file for a leak
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "EXAMPLEKEY"
HF = "hf_" + "abcdefghijABCDEFGHIJabcdefghij1234"
GITHUB = "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345"
FINE = "github_pat_" + "11ABCDEFG0" * 6
KEY = "-----BEGIN " + "OPENSSH PRIVATE KEY-----"


def in_bytes(data: bytes) -> tuple[Secret, ...]:
    return find_secrets(unpack(data).decode(errors="replace"))


CANARIES = [
    (AWS, "an AWS access key"),
    (f"export X={'ASIA' + 'Y3HGIJKLMNOPQ234'}", "an AWS access key"),
    (f"aws_secret_access_key = {AWS_SECRET}", "an AWS secret key"),
    (f'"SecretAccessKey": "{AWS_SECRET}"', "an AWS secret key"),
    (HF, "a token of Hugging Face"),
    (f"git clone https://x:{GITHUB}@github.com/a/b", "a token of GitHub"),
    (FINE, "a token of GitHub"),
    ("glpat-" + "abcdefghij0123456789", "a token of GitLab"),
    ("xoxb-" + "1234567890-abcdef", "a token of Slack"),
    ("sk-" + "proj-abcdefghij0123456789abcd", "an API key"),
    (KEY, "a private key"),
    ("-----BEGIN " + "RSA PRIVATE KEY-----", "a private key"),
    ("-----BEGIN " + "PRIVATE KEY-----", "a private key"),
    ("-----BEGIN " + "ENCRYPTED PRIVATE KEY-----", "a private key"),
    ("postgres://ada:hunter22@db/x", "a password in an address"),
    ("PASSWORD=hunter22", "a value assigned to password"),
    ('password: "hünter 22"', "a value assigned to password"),
    ("export DB_PASSWORD='hunter22'", "a value assigned to db_password"),
    ("passwd = hunter22;", "a value assigned to passwd"),
    ('{"api_key": "0a1b2c3d4e5f"}', "a value assigned to api_key"),
    ("WANDB_API_KEY=0123456789abcdef", "a value assigned to wandb_api_key"),
    ("--token=0a1b2c3d4e5f", "a value assigned to token"),
    ("jupyter-token: 0a1b2c3d", "a value assigned to jupyter-token"),
]


@pytest.mark.parametrize(("text", "kind"), CANARIES)
def test_a_secret_is_found_with_its_line(text: str, kind: str) -> None:
    found = find_secrets(f"#!/bin/sh\necho ready\n{text}\n")
    assert Secret(kind=kind, line=3) in found


@pytest.mark.parametrize(("text", "kind"), CANARIES)
def test_a_secret_is_found_in_every_wrapping(text: str, kind: str) -> None:
    wrapped = {
        "base64": base64.b64encode(text.encode()).decode(),
        "base64 for addresses": base64.urlsafe_b64encode(text.encode()).decode(),
        "base64 without its end": base64.b64encode(text.encode()).decode().rstrip("="),
        "base64 twice": base64.b64encode(base64.b64encode(text.encode())).decode(),
        "base64 in lines": base64.encodebytes(f"{text}\n".encode() * 3).decode(),
        "packed, in base64": base64.b64encode(gzip.compress(text.encode())).decode(),
        "percent": quote(text, safe=""),
    }
    for name, inside in wrapped.items():
        found = find_secrets(f"#cloud-config\ncontent: {inside}\n")
        assert kind in {item.kind for item in found}, name
    packed = in_bytes(gzip.compress(f"#!/bin/sh\n{text}\n".encode()))
    assert Secret(kind=kind, line=2) in packed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#!/bin/sh\nset -eu\nsystemctl start launchbay-lease\n",
        "PASSWORD=$DB_PASSWORD",
        'password: "{{ password }}"',
        "token=`cat /run/token`",
        "TOKEN=$(aws ssm get-parameter --name /exp/token --with-decryption)",
        "--token-file=/run/launchbay/token",
        "token: /run/launchbay/token",
        "PasswordAuthentication no",
        "ssh_pwauth: false\nlock_passwd: true",
        "password: <your password>",
        "password=",
        "password: ''",
        "api_key: null",
        "the secret: none",
        "HttpTokens=required",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvbW1vbiBvcmlnaW4gb2YgYWxsIGtleXMgaGVyZSE ada",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "https://bucket.s3.us-west-2.amazonaws.com/images/digest.tar.zst",
        "i-0123456789abcdef0 ami-0123456789abcdef0",
        base64.b64encode(b"#!/bin/sh\necho a plain script of no secrets at all\n").decode(),
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert find_secrets(text) == ()


def test_what_is_found_does_not_say_it() -> None:
    assert "hunter22" not in repr(find_secrets("PASSWORD=hunter22"))


def test_what_is_not_text_or_only_looks_packed_does_no_harm() -> None:
    assert in_bytes(bytes(range(256))) == ()
    assert in_bytes(b"\x1f\x8b" + bytes(64)) == ()
    assert in_bytes(gzip.compress(bytes(1 << 22))) == ()


def test_a_large_text_takes_no_time() -> None:
    for filling in ("a" * 16_000, "password" * 2000, "a_" * 8000, "://a:" * 3000, "%41" * 5000, "-----BEGIN " * 1400):
        assert len(find_secrets(filling)) <= 1
