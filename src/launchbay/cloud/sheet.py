"""What a person is handed who gets an instance on EC2: a page, and two files by which plain OpenSSH opens it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from launchbay.sharing.sheet import key_file_of
from launchbay.spec.people import Person
from launchbay.transport.door import Door

__all__ = ["FarSheet", "config_text", "known_hosts_text", "page_text"]

_CONFIG = """\
# {instance}, for {person}: ssh -F {config} shell
# Written by Launchbay; it holds no key, and can be shown to anybody.

Host {instance} shell notebook board
    HostName {address}
    Port {port}
    User {user}
    HostKeyAlias {alias}
    UserKnownHostsFile {known_hosts}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    CheckHostIP no
    IdentityFile {key_file}
    ForwardAgent no
    ServerAliveInterval 15
    ServerAliveCountMax 4
    LogLevel ERROR

Host shell
    RequestTTY yes
    RemoteCommand .launchbay/bin/bay shell {instance}

Host notebook
    LocalForward 127.0.0.1:{notebook} 127.0.0.1:{notebook}
    ExitOnForwardFailure yes
    RequestTTY force
    RemoteCommand .launchbay/bin/bay notebook {instance} --json >/dev/null && {notebook_says} && exec sleep 1000000

Host board
    LocalForward 127.0.0.1:{board} 127.0.0.1:{board}
    ExitOnForwardFailure yes
    RequestTTY force
    RemoteCommand .launchbay/bin/bay board {instance} --json >/dev/null && {board_says} && exec sleep 1000000
"""

_PAGE = """\
# {instance}, for {person}

A machine of your own on EC2 ({type} in {region}), on the image {image}. This page opens it and holds your passwords: keep it
to yourself. You need OpenSSH on your own machine and the private key of {fingerprint}. The two files `{config}` and
`{known_hosts}` belong to it: put all of them into one folder, and give the commands below there. Where your private key lies
elsewhere than `{key_file}`, change that line in `{config}`.

The machine's own key is {host_fingerprint}; your `ssh` takes no other, and asks nothing.

## A shell

    ssh -F {config} shell

leads into your working folder, with the image's Python. The machine's own login is `ssh -F {config} {instance}`; there the
working folder is `work`, so files go there and back with

    scp -F {config} train.py {instance}:work/

and a script runs, with its log and curves kept, by

    ssh -F {config} {instance} .launchbay/bin/bay train {instance} work/train.py

## The notebook

    ssh -F {config} notebook

starts JupyterLab where it does not run, and says when it is ready. Leave it open, and go to
http://127.0.0.1:{notebook}/lab in your browser. The password (token) is

    {notebook_token}

## The board

    ssh -F {config} board

is TensorBoard over the runs of your machine: http://127.0.0.1:{board}/ in your browser. The password (token) is

    {board_token}

Where a port is taken on your own machine, change the first one of its LocalForward in `{config}`, and the one in the address.

## Who comes in, and what it costs

{networks}
The machine is yours alone, with its login `{user}`; it costs its owner money as long as it runs. Stopped and started again it
has another address: ask for these files once more then.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FarSheet:
    """What stands in the files. `host_keys` are those by which the machine is known; `networks` may reach it, ours apart."""

    person: Person
    instance: str
    image: str
    type: str
    region: str
    door: Door
    host_keys: Sequence[str]
    host_fingerprint: str
    networks: Sequence[str]
    notebook: int
    board: int
    notebook_token: str = field(repr=False)
    board_token: str = field(repr=False)

    @property
    def config(self) -> str:
        """The name of the file for ``ssh -F``."""
        return f"{self.person.name}.ssh"

    @property
    def known_hosts(self) -> str:
        """The name of the file with the machine's own key."""
        return f"{self.person.name}.known_hosts"


def config_text(sheet: FarSheet) -> str:
    """Return the file for ``ssh -F``. It names no path but that of the person's own key."""
    return _CONFIG.format(
        instance=sheet.instance,
        person=sheet.person.name,
        config=sheet.config,
        known_hosts=sheet.known_hosts,
        address=sheet.door.address,
        port=sheet.door.port,
        user=sheet.door.user,
        alias=sheet.door.alias,
        key_file=key_file_of(sheet.person),
        notebook=sheet.notebook,
        board=sheet.board,
        notebook_says=_says("JupyterLab", f"{sheet.notebook}/lab"),
        board_says=_says("TensorBoard", f"{sheet.board}/"),
    )


def _says(what: str, place: str) -> str:
    """Return what tells the person that it is ready. It runs on the machine."""
    return f"echo '{what} is ready: http://127.0.0.1:{place} in your browser. Ctrl-C ends the tunnel, and what runs goes on.'"


def known_hosts_text(sheet: FarSheet) -> str:
    """Return the lines by which the machine is known, under its id: its address may be another's tomorrow."""
    return "".join(f"{sheet.door.alias} {key}\n" for key in sheet.host_keys)


def page_text(sheet: FarSheet) -> str:
    """Return the page as Markdown, which is as good to read as it stands."""
    return _PAGE.format(
        instance=sheet.instance,
        person=sheet.person.name,
        image=sheet.image,
        type=sheet.type,
        region=sheet.region,
        user=sheet.door.user,
        config=sheet.config,
        known_hosts=sheet.known_hosts,
        key_file=key_file_of(sheet.person),
        fingerprint=sheet.person.key.fingerprint,
        host_fingerprint=sheet.host_fingerprint,
        notebook=sheet.notebook,
        notebook_token=sheet.notebook_token,
        board=sheet.board,
        board_token=sheet.board_token,
        networks=_networks(sheet.networks),
    )


def _networks(networks: Sequence[str]) -> str:
    if not networks:
        return (
            "So far only the machine that launched it may come in. Whoever sent you this has to say from where you come:\n"
            "`bay share ... --allow-cidr YOUR-ADDRESS/32`.\n"
        )
    return f"It can be reached from {', '.join(networks)}, with your key, and from where it was launched; from nowhere else.\n"
