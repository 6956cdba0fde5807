"""The sheet that a person is handed: how they get into their instance, with nothing of anybody else's in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launchbay.planning.fleet import Instance
from launchbay.sharing.place import Place
from launchbay.spec.people import Person
from launchbay.store.service import Service

__all__ = ["Sheet", "key_file_of", "sheet_text"]

_KEY_FILES = {"ssh-rsa": "id_rsa", "ssh-ed25519": "id_ed25519", "sk-ssh-ed25519@openssh.com": "id_ed25519_sk"}

_TEXT = """\
# {instance}, for {person}

An instance of your own on {host}, on the image {image}. This page opens it and holds your passwords: keep it to
yourself. You need OpenSSH on your own machine and the private key of {fingerprint}; below it is
`{key_file}`, write another path where yours lies elsewhere.

## Once: know the machine

The machine's own key is {host_fingerprint}. With this line your `ssh` knows it, and asks nothing:

    echo '{known_hosts}' >> ~/.ssh/known_hosts

## A shell

    {ssh} {target}

Any command instead of a shell runs in your instance: `{ssh} {target} python train.py`. Files go there and back with
`scp`, `sftp` and `rsync`; paths start in your working folder: `scp -i {key_file} {scp_port}train.py {target}:`

## The notebook

    {ssh} -L {notebook}:127.0.0.1:{notebook} {target} notebook

starts JupyterLab where it does not run, and says when it is ready. Leave it open, and go to
http://127.0.0.1:{notebook}/lab in your browser. The password (token) is

    {notebook_token}

## The board

    {ssh} -L {board}:127.0.0.1:{board} {target} board

is TensorBoard over the runs of your instance, which is what you start with `{ssh} {target} train train.py`
(a script in your working folder; what it logs is kept): http://127.0.0.1:{board}/ in your browser. The password (token) is

    {board_token}

## All of it with one word

With these lines in your `~/.ssh/config`, `ssh {instance}` is the shell, and `ssh {instance} notebook` and
`ssh {instance} board` start the others; while one of the three is open, both addresses above work:

    Host {instance}
        HostName {host}
        Port {port}
        User {user}
        IdentityFile {key_file}
        IdentitiesOnly yes
        LocalForward {notebook} 127.0.0.1:{notebook}
        LocalForward {board} 127.0.0.1:{board}

Where a port is taken on your own machine, change the first of its two numbers, and the one in the address.

## What this is, and what it is not

{parts}
Everybody here is the same user of the machine, `{user}`. Your instance has packages, files and a home of its own, so
nobody gets in your way by mistake. It is not a wall: whoever has an instance can read all files of that user, yours
too. This is for colleagues. Keep no secrets in it that they must not see.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What stands in a sheet."""

    person: Person
    instance: Instance
    place: Place
    notebook: Service
    board: Service
    parts: Sequence[str] = ()


def key_file_of(person: Person) -> str:
    """Return where OpenSSH puts the private key of that kind, on the person's own machine."""
    return f"~/.ssh/{_KEY_FILES.get(person.key.kind, 'id_ecdsa')}"


def sheet_text(sheet: Sheet) -> str:
    """Return the sheet as Markdown, which is as good to read as it stands."""
    place, key_file = sheet.place, key_file_of(sheet.person)
    has_own_port = place.port != 22
    return _TEXT.format(
        instance=sheet.instance.name,
        person=sheet.person.name,
        image=sheet.instance.image,
        host=place.host,
        port=place.port,
        user=place.user,
        target=f"{place.user}@{place.host}",
        ssh=f"ssh -i {key_file}" + (f" -p {place.port}" if has_own_port else ""),
        scp_port=f"-P {place.port} " if has_own_port else "",
        key_file=key_file,
        fingerprint=sheet.person.key.fingerprint,
        host_fingerprint=place.host_key.fingerprint,
        known_hosts=place.known_hosts_line,
        notebook=sheet.notebook.port,
        notebook_token=sheet.notebook.token,
        board=sheet.board.port,
        board_token=sheet.board.token,
        parts=_parts_text(sheet.parts),
    )


def _parts_text(parts: Sequence[str]) -> str:
    if not parts:
        return "All of you share the whole machine: nothing holds anybody to a part of it.\n"
    return "What each instance may use of the machine:\n\n" + "".join(f"- {line}\n" for line in parts)
