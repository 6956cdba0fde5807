"""A process that opens one host and stays: FOLDER and the host as JSON; the boot script on standard input."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from launchbay.twin.hosts import Gpu, Host, Hosts


def main() -> None:
    told = json.loads(sys.argv[2])
    told["public_keys"] = tuple(told["public_keys"])
    asked: list[str] = []
    hosts = Hosts(
        Path(sys.argv[1]),
        allows=lambda *_: True,
        metadata=lambda *_: "\n".join(asked).encode(),  # so that a test sees in the host what was asked
        power=lambda _, what: asked.append(what),
    )
    gpus = (Gpu(name="Tesla V100-SXM2-16GB", memory_mib=16384),)
    listening = hosts.open(Host(**told, user_data=sys.stdin.buffer.read(), gpus=gpus))
    print(json.dumps(asdict(listening)), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
