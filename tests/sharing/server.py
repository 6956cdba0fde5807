"""An SSH server of the tests' own on loopback: the system's program, with our settings, keys, port and nobody else's."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Server", "free_port", "is_open", "make_key", "start_server"]

_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowAgentForwarding yes
AllowTcpForwarding yes
X11Forwarding yes
AcceptEnv EVIL
LogLevel VERBOSE
Subsystem sftp {sftp}
"""
_SFTP = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and how its people come in."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    clients: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def authorized_keys(self) -> Path:
        return self.folder / "authorized_keys"

    @property
    def address(self) -> str:
        return f"{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1"

    def options(self, person: str) -> list[str]:
        """Return what every client of OpenSSH is told: that person's key and no other, and this server's key."""
        known = self.folder / "known_hosts"
        return [
            *("-F", "/dev/null", "-i", str(self.folder / person), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            *("-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=INFO"),
        ]

    def words(self, person: str, *words: str, options: Sequence[str] = ()) -> list[str]:
        """Return the command line of `ssh`."""
        return ["ssh", *self.options(person), "-p", str(self.port), *options, self.address, *words]

    def run(
        self,
        person: str,
        *words: str,
        options: Sequence[str] = (),
        data: str = "",
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as a person, to its end."""
        return subprocess.run(
            self.words(person, *words, options=options),
            input=data,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **(env or {})},
        )

    def start(self, person: str, *words: str, options: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a command as a person, and leave it open."""
        client = subprocess.Popen(
            self.words(person, *words, options=options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.clients.append(client)
        return client

    def close(self) -> None:
        """End it, and who is connected."""
        for client in self.clients:
            client.kill()
            with contextlib.suppress(ValueError):  # its pipes are closed already
                client.communicate(timeout=10)
        self.process.terminate()
        self.process.wait(10)


def make_key(folder: Path, name: str, kind: str = "ed25519") -> str:
    """Make a key pair; return the public half."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{name}@laptop", "-f", str(folder / name)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return (folder / f"{name}.pub").read_text(encoding="ascii").strip()


def free_port() -> int:
    """Return a port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Say whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_server(folder: Path) -> Server | None:
    """Start a server with a key of its own; None where the system has none."""
    program = shutil.which("sshd", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"]))
    if program is None:
        return None
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where the system's own would make it at boot
    port = free_port()
    public = make_key(folder, "host")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n", encoding="ascii")
    sftp = next((path for path in _SFTP if Path(path).exists()), "internal-sftp")
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(port=port, folder=folder, sftp=sftp), encoding="ascii")
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=log)
    for _ in range(200):
        if is_open(port):
            return Server(folder, port, process)
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise AssertionError((folder / "sshd.log").read_text(encoding="utf-8"))
