"""What an instance does when it first comes up: take the host key that who launched it knows.

The key stands in user data, which everything on the instance can read; so it is replaced, over the channel that it has secured,
by one that the instance makes itself, before anything else is sent.
"""

from __future__ import annotations

from launchbay.errors import LaunchbayError
from launchbay.transport.base import Transport
from launchbay.transport.keypair import KeyPair

__all__ = ["boot_script", "make_host_key", "take_host_key"]

_PATIENCE_S = 60.0
_PLACE = "/etc/ssh/ssh_host_ed25519_key"


def boot_script(host_key: KeyPair) -> bytes:
    """Return the boot script. The same for all instances of a launch, and for every retry of it."""
    return f"""#!/bin/sh
# Launchbay: the host key that who launched this knows. It is replaced as soon as they have come in.
set -eu
umask 077
cat > {_PLACE}.new <<'END'
{host_key.private.strip()}
END
mv {_PLACE}.new {_PLACE}
printf '%s\\n' '{host_key.public}' > {_PLACE}.pub
chmod 644 {_PLACE}.pub
rm -f /etc/ssh/ssh_host_rsa_key* /etc/ssh/ssh_host_ecdsa_key* /etc/ssh/ssh_host_dsa_key*
systemctl restart ssh 2>/dev/null || systemctl restart sshd
""".encode()


def make_host_key(transport: Transport) -> str:
    """Let an instance make a host key of its own, beside the one that it uses; return its public half. Idempotent."""
    script = f"""set -eu
sudo test -f {_PLACE}.own.pub || {{ sudo rm -f {_PLACE}.own; sudo ssh-keygen -q -t ed25519 -N '' -C launchbay -f {_PLACE}.own; }}
sudo cat {_PLACE}.own.pub
"""
    words = _run(transport, script).split()
    if len(words) < 2:
        raise LaunchbayError("the instance made no host key of its own")
    return f"{words[0]} {words[1]}"


def take_host_key(transport: Transport) -> None:
    """Let an instance use the host key that it has made. Connections that stand go on. Idempotent."""
    script = f"""set -eu
sudo test ! -f {_PLACE}.own || sudo mv {_PLACE}.own {_PLACE}
sudo test ! -f {_PLACE}.own.pub || sudo mv {_PLACE}.own.pub {_PLACE}.pub
sudo systemctl restart ssh 2>/dev/null || sudo systemctl restart sshd
"""
    _run(transport, script)


def _run(transport: Transport, script: str) -> str:
    done = transport.run(["/bin/sh", "-c", script], timeout=_PATIENCE_S)
    if done.code != 0:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise LaunchbayError(f"the instance could not change its host key: {why[0]}")
    return done.stdout.decode(errors="replace")
