from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.spec.people import check_person_name, parse_key
from launchbay.spec.project import read_project

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def other_key(number: int) -> str:
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([number]) * 32
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


def rsa(bits: int) -> str:
    number = (1 << (bits - 1)).to_bytes(bits // 8 + 1, "big")
    parts = (b"ssh-rsa", b"\1\0\1", number)
    return "ssh-rsa " + base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()


def refuse(folder: Path, text: str, message: str, line: int) -> str:
    (folder / "bay.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message) as caught:
        read_project(folder / "bay.yaml")
    assert caught.value.where == f"{folder / 'bay.yaml'}:{line}"
    return caught.value.hint


def test_people_have_a_name_and_a_key(tmp_path: Path) -> None:
    (tmp_path / "bob.pub").write_text(f"{other_key(2)} bob@laptop\n", encoding="ascii")
    text = f"people:\n  - name: ada\n    key: {ED} ada@laptop\n  - {{name: bob, key: bob.pub}}\n"
    (tmp_path / "bay.yaml").write_text(text, encoding="utf-8")
    ada, bob = read_project(tmp_path / "bay.yaml").people
    assert (ada.name, str(ada.key), ada.where) == ("ada", ED, f"{tmp_path / 'bay.yaml'}:3")
    assert (bob.name, str(bob.key), bob.where) == ("bob", other_key(2), f"{tmp_path / 'bay.yaml'}:4")


def test_a_fingerprint_is_the_one_that_openssh_shows(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(ED + "\n", encoding="ascii")
    shown = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "key.pub")], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[1] == parse_key(ED).fingerprint


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_that_openssh_makes_are_taken(tmp_path: Path, kind: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(tmp_path / "key")], check=True)
    text = (tmp_path / "key.pub").read_text(encoding="ascii")
    assert text.startswith(str(parse_key(text.strip())))
    with pytest.raises(UsageError, match="private key"):
        parse_key((tmp_path / "key").read_text(encoding="ascii"))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (ED[:-8], "cut off or mistyped"),
        (ED[:-1] + "!", "cut off or mistyped"),
        (ED.replace("ssh-ed25519", "ssh-rsa", 1), "cut off or mistyped"),
        ("ssh-ed25519", "must be one line"),
        ("", "must be one line"),
        (f'command="sh" {ED}', "must be one line that starts with"),
        (f"{ED}\n{other_key(3)}", "must be one line"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACB", "must be one line that starts with"),
        (rsa(1024), "must have 2048 bits or more, got 1024"),
    ],
)
def test_what_is_no_key_is_refused(key: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_key(key, where="bay.yaml:7")
    assert caught.value.where == "bay.yaml:7"


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "a\n", "a'b", "a;b", "ä", "x" * 33, "a:b"])
def test_a_name_must_fit_file_names_and_comments(name: str) -> None:
    with pytest.raises(UsageError, match="a person's name must be") as caught:
        check_person_name(name)
    assert check_person_name(caught.value.hint.removeprefix("name: "))


def test_what_is_wrong_has_its_line(tmp_path: Path) -> None:
    refuse(tmp_path, "name: x\npeople: ada\n", "people must be a list of entries", 2)
    refuse(tmp_path, f"people:\n- name: ada\n  key: {ED}\n- bob\n", "people must be a list of entries", 4)
    refuse(tmp_path, f"people:\n- key: {ED}\n", "must have a name", 2)
    assert "ssh-keygen" in refuse(tmp_path, "people:\n- name: ada\n", "ada must have a key", 2)
    refuse(tmp_path, f"people:\n- name: ada\n  key: {ED}\n  age: 3\n", "unknown field 'age'", 4)
    refuse(tmp_path, f"people:\n- name: ada\n  name: bob\n  key: {ED}\n", "field 'name' stands twice", 3)
    refuse(tmp_path, "people:\n- name: ada\n  key: no.pub\n", "no.pub cannot be read: no such file", 3)
    assert "the path of one" in refuse(tmp_path, "people:\n- name: ada\n  key: x\n", "a key must be one line", 3)
    refuse(tmp_path, f"people:\n- name: ada\n  kay: {ED}\n", "unknown field 'kay'", 3)
    refuse(tmp_path, "people:\n- name: 7\n  key: x\n", "name must be a text", 2)
    two = f"people:\n- name: ada\n  key: {ED}\n- name: {{}}\n  key: {{}}\n"
    refuse(tmp_path, two.format("Ada", other_key(1)), "the name 'Ada' stands twice, first in .*:3", 5)
    refuse(tmp_path, two.format("bob", ED), "bob has the key of ada", 5)
