"""The hosts behind the twin's instances: each a private root with an SSH server, in which boot scripts and training run."""

from __future__ import annotations

from launchbay.twin.hosts.host import Gpu, Host, Knock, Listening
from launchbay.twin.hosts.hosts import Hosts

__all__ = ["Gpu", "Host", "Hosts", "Knock", "Listening"]
