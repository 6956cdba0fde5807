"""A tunnel through an endpoint as a program of its own, so that OpenSSH can have it as its ProxyCommand."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict

from launchbay.errors import LaunchbayError
from launchbay.providers.ec2.opentunnel import Target, TunnelRefused, open_tunnel

__all__ = ["tunnel_words"]


def tunnel_words(target: Target) -> tuple[str, ...]:
    """Return the words of a program that leads to a target; its credentials are what botocore finds."""
    options = [f"--{name}={value}" for name, value in asdict(target).items()]
    return (sys.executable, "-P", __file__, *options)


async def _lead(target: Target) -> None:
    async with open_tunnel(target) as way:
        await way.carry()


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("region", "endpoint", "name", "address", "url"):
        parser.add_argument(f"--{name}")
    for name in ("port", "seconds"):
        parser.add_argument(f"--{name}", type=int)
    try:
        asyncio.run(_lead(Target(**vars(parser.parse_args()))))
    except LaunchbayError as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 2 if isinstance(error, TunnelRefused) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
