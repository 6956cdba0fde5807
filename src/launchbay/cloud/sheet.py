"""What a person is handed who gets an instance on EC2: a page, and two files by which plain OpenSSH opens it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from launchbay.planning.way import Endpoint
from launchbay.sharing.sheet import key_file_of
from launchbay.spec.people import Person
from launchbay.transport.door import Door
from launchbay.transport.sshconfig import proxy_line

__all__ = ["FarSheet", "config_text", "known_hosts_text", "page_text", "tunnel_words"]

_TUNNEL = ("aws", "ec2-instance-connect", "open-tunnel")
"""How the AWS CLI, version 2, connects its stdin and stdout with an instance."""

_CONFIG = """\
# {instance}, for {person}: ssh -F {config} shell
# Written by Launchbay; it holds no key, and can be shown to anybody.

Host {instance} shell notebook board
    HostName {address}
    Port {port}
{proxy}    User {user}
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

{through}## A shell

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
{again}
"""

_BY_ID = "is reached as before: by its id."
_BY_ADDRESS = "has another address: ask for these files once more then."

_THROUGH = """\
## Once: AWS

Your `ssh` comes in through {endpoint}, an EC2 Instance Connect Endpoint, by the program `aws`. So you need version 2 of the
AWS CLI, and credentials for the account that the machine is in (`aws configure`, or AWS_PROFILE) with the right to
`ec2-instance-connect:OpenTunnel`, `ec2:DescribeInstances` and `ec2:DescribeInstanceConnectEndpoints`.

A connection lasts an hour at most, and 20 at a time go through the endpoint, everybody's together. Notebook and board go on when
one ends: the same command leads back to them. What you start in a shell ends with it.

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FarSheet:
    """What stands in the files. `host_keys` are those by which the machine is known; `networks` may reach it, ours apart.

    `door` is the person's own way in; where it has a proxy, that leads through `endpoint`, by which their fleet is reached.
    """

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
    endpoint: Endpoint | None = None

    @property
    def config(self) -> str:
        """The name of the file for ``ssh -F``."""
        return f"{self.person.name}.ssh"

    @property
    def known_hosts(self) -> str:
        """The name of the file with the machine's own key."""
        return f"{self.person.name}.known_hosts"


def tunnel_words(identity: str, region: str) -> tuple[str, ...]:
    """Return the words of the AWS CLI that lead to an instance through the endpoint of its network."""
    return *_TUNNEL, "--instance-id", identity, "--region", region


def config_text(sheet: FarSheet) -> str:
    """Return the file for ``ssh -F``. It names no path but that of the person's own key, and on a twin our program's."""
    words = proxy_line(sheet.door)
    return _CONFIG.format(
        instance=sheet.instance,
        person=sheet.person.name,
        config=sheet.config,
        known_hosts=sheet.known_hosts,
        address=sheet.door.address,
        port=sheet.door.port,
        proxy=f"    ProxyCommand {words}\n" if words else "",
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
        through=_through(sheet),
        networks=_networks(sheet),
        again=_BY_ID if sheet.door.proxy else _BY_ADDRESS,
    )


def _through(sheet: FarSheet) -> str:
    """Return what a person needs who comes in by the AWS CLI; nothing for others."""
    if sheet.endpoint is None or sheet.door.proxy[: len(_TUNNEL)] != _TUNNEL:
        return ""
    return _THROUGH.format(endpoint=sheet.endpoint.id)


def _networks(sheet: FarSheet) -> str:
    endpoint, networks = sheet.endpoint, ", ".join(sheet.networks)
    if endpoint is not None and not endpoint.keeps_client:
        by_tunnel = f"through {endpoint.id}, by whoever may open tunnels there"
        if not networks:
            return f"Nobody reaches it from any address. It is reached {by_tunnel}, with your key; from nowhere else.\n"
        where = "at its private address from" if sheet.door.proxy else "from"
        return f"It can be reached {where} {networks}, and {by_tunnel}, with your key; from nowhere else.\n"
    through = f" through {endpoint.id}" if endpoint is not None and sheet.door.proxy else ""
    if not networks:
        return (
            f"So far only the machine that launched it may come in{through}. Whoever sent you this has to say from where "
            "you come:\n`bay share ... --allow-cidr YOUR-ADDRESS/32`.\n"
        )
    return f"It can be reached{through} from {networks}, with your key, and from where it was launched; from nowhere else.\n"
