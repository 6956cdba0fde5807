"""What a process and its children hold, against what was started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

from launchbay.providers.tree import listening_ports, process_memory, process_tree
from tests.sockets import descendants, listening

CHILDREN = """
import subprocess, sys, time
inner = "import time; held = bytearray(100 << 20); print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", inner], stdout=sys.stdout)
child.wait()
"""


def test_a_process_with_its_children() -> None:
    with subprocess.Popen([sys.executable, "-c", CHILDREN], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            tree = process_tree(process.pid)
            assert len(tree) == 2
            assert list(tree) == descendants(process.pid)
            held = process_memory([process.pid, tree[1]])
            assert held[process.pid] > held[tree[1]] > 100 << 20
        finally:
            for pid in reversed(process_tree(process.pid)):
                os.kill(pid, 9)


def test_one_that_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert list(process_tree(process.pid)) == []
    assert process_memory([process.pid]) == {}
    assert listening_ports([process.pid]) == {}


def test_a_thread_of_no_descendants_is_not_another_process() -> None:
    began = time.perf_counter()
    assert os.getpid() in process_tree(os.getpid())
    assert time.perf_counter() - began < 1


def test_ports_that_are_listened_on() -> None:
    with socket.socket() as listens, socket.socket() as connects, socket.socket(socket.AF_INET6) as other:
        listens.bind(("127.0.0.1", 0))
        listens.listen()
        other.bind(("::1", 0))
        other.listen()
        connects.connect(listens.getsockname())
        found = listening_ports([os.getpid()])
        first, second = listens.getsockname()[1], other.getsockname()[1]
        assert {first, second} <= set(found)
        assert connects.getsockname()[1] not in found
        assert {("127.0.0.1", first), ("::1", second)} <= listening(os.getpid())
