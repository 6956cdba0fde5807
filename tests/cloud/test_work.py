"""Commands, shells and copies in an instance on EC2, on the twin's real hosts: as in one of this machine."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from launchbay import verify
from launchbay.api.fleet import copy, execute
from launchbay.cloud.fleet import know, known_by
from launchbay.cloud.standing import InstanceGone
from launchbay.errors import Conflict, NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.cloud import open_cloud
from launchbay.transport.keypair import make_key_pair
from launchbay.transport.trouble import HostKeyRefused
from tests.cloud.fleets import row_of

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

_BAY = [sys.executable, "-m", "launchbay"]
_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def bay(standing: Bay) -> Bay:
    return standing


def typed(bay: Bay, words: Sequence[str], *, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `bay` as somebody types it, with pipes for a terminal."""
    environ = {**bay.environ, "LAUNCHBAY_HOME": str(bay.home.root)}
    return subprocess.run(
        [*_BAY, *words], input=data, env=environ, capture_output=True, timeout=_PATIENCE_S, check=False
    )


def on_terminal(bay: Bay, words: Sequence[str], answers: Sequence[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    """Run `bay` on a terminal; each answer is typed once its cue was seen."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(_BAY[0], [*_BAY, *words], {**bay.environ, "LAUNCHBAY_HOME": str(bay.home.root), "TERM": "dumb"})
    shown, seen, left, end = b"", 0, list(answers), time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                part = os.read(terminal, 1 << 16)
            except OSError:  # Linux says so where nobody holds the other end any more
                break
            shown += part
        if left and left[0][0] in shown[seen:]:
            seen = len(shown)
            os.write(terminal, left.pop(0)[1])
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert not left, shown
    return os.waitstatus_to_exitcode(status), shown


def test_a_command_has_its_own_code_output_and_environment(bay: Bay) -> None:
    code, output = execute(bay, "exp-1", ["sh", "-c", "echo out; echo err >&2; exit 7"], capture=True)
    assert (code, sorted(output.split())) == (7, [b"err", b"out"])
    code, output = execute(bay, "exp-2", ["python", "-c", "import sys; print(sys.prefix)"], capture=True)
    assert code == 0
    assert output.strip().endswith(b"/env")  # the image's own, and not the machine's
    assert execute(bay, "exp-1", ["sh", "-c", "kill -9 $$"], capture=True)[0] == 137
    with pytest.raises(NotFound, match="no command 'nosuch'"):
        execute(bay, "exp-1", ["nosuch"], capture=True)
    with pytest.raises(UsageError, match="a fleet of 2 instances"):
        execute(bay, "exp", ["true"], capture=True)
    with pytest.raises(UsageError, match="needs a command"):
        execute(bay, "exp-1", [])


def test_what_says_json_of_an_error_itself_is_taken_for_output(bay: Bay) -> None:
    says = '{"error": {"class": "NotFound", "what": "nothing of ours"}}'
    code, output = execute(bay, "exp-1", ["sh", "-c", f"echo '{says}' >&2; exit 3"], capture=True)
    assert (code, output.decode().strip()) == (3, says)


def test_what_goes_through_a_pipe_comes_out_as_it_went_in(bay: Bay) -> None:
    data = bytes(range(256)) * 4000 + b"\r\n\n"
    done = typed(bay, ["exec", "exp-1", "--", "cat"], data=data)
    assert (done.returncode, done.stdout) == (0, data)
    done = typed(bay, ["exec", "exp-1", "--", "sh", "-c", "cat >/dev/null; echo no >&2; exit 9"], data=b"x")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (9, b"", b"no")


def test_a_shell_and_a_terminal(bay: Bay) -> None:
    code, _ = on_terminal(
        bay, ["exec", "exp-1", "--", "sh", "-c", "test -t 0 && echo ready; read a; exit $a"], [(b"ready", b"6\n")]
    )
    assert code == 6
    code, _ = on_terminal(bay, ["exec", "exp-1", "--", "sh", "-c", "echo up; sleep 600"], [(b"up", b"\x03")])
    assert code == 130
    code, _ = on_terminal(
        bay,
        ["shell", "exp-1"],
        [(b"$", b"echo at-$(basename $(dirname $PWD/x))-$(python -c 'print(6*7)')\n"), (b"at-work-42", b"exit 5\n")],
    )
    assert code == 5


def test_ctrl_c_without_a_terminal_ends_what_runs_there(bay: Bay) -> None:
    environ = {**bay.environ, "LAUNCHBAY_HOME": str(bay.home.root)}
    command = ["exec", "exp-1", "--", "sh", "-c", "echo up; exec sleep 4321"]
    with subprocess.Popen(
        [*_BAY, *command], env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(_PATIENCE_S) == 130
    _, output = execute(bay, "exp-1", ["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"], capture=True)
    assert b"sleep 4321" not in output.replace(b"exec sleep 4321", b"")


def test_copies_there_and_back_by_the_rules_of_a_local_one(bay: Bay, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1,2\n", encoding="utf-8")
    (tmp_path / "data" / "run.sh").write_text("#!/bin/sh\necho ran\n", encoding="utf-8")
    (tmp_path / "data" / "run.sh").chmod(0o755)
    assert copy(bay, str(tmp_path / "data"), "exp-1:") == "exp-1"
    assert execute(bay, "exp-1", ["data/run.sh"], capture=True) == (0, b"ran\n")
    copy(bay, str(tmp_path / "data" / "a.csv"), "exp-1:~/deep/b.csv")
    assert execute(bay, "exp-1", ["sh", "-c", "cat ~/deep/b.csv"], capture=True)[1] == b"1,2\n"
    copy(bay, "exp-1:~/deep/b.csv", str(tmp_path / "back.csv"))
    assert (tmp_path / "back.csv").read_text(encoding="utf-8") == "1,2\n"
    (tmp_path / "here").mkdir()
    copy(bay, "exp-1:data", str(tmp_path / "here"))
    assert sorted(path.name for path in (tmp_path / "here" / "data").iterdir()) == ["a.csv", "run.sh"]
    assert os.access(tmp_path / "here" / "data" / "run.sh", os.X_OK)
    _, left = execute(bay, "exp-1", ["sh", "-c", "ls ../../../tmp"], capture=True)
    assert b"copy-" not in left


def test_what_cannot_be_copied_is_one_error(bay: Bay, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no nowhere"):
        copy(bay, "nowhere", "exp-1:")
    with pytest.raises(NotFound, match=r"there is no exp-1:nowhere"):
        copy(bay, "exp-1:nowhere", str(tmp_path))
    with pytest.raises(UsageError, match="does not lie in the instance"):
        copy(bay, "exp-1:/etc/passwd", str(tmp_path))
    (tmp_path / "a").write_text("a", encoding="utf-8")
    with pytest.raises(UsageError, match="does not lie in the instance"):
        copy(bay, str(tmp_path / "a"), "exp-1:../../x")
    with pytest.raises(UsageError, match="exactly one side"):
        copy(bay, "exp-1:a", "exp-2:a")


def test_another_host_key_is_talked_to_by_nobody(bay: Bay) -> None:
    identity = row_of(bay, "exp-2").id
    (right,) = known_by(bay.home, "exp", identity)
    know(bay.home, "exp", identity, " ".join(make_key_pair("wrong").public.split()[:2]))
    with pytest.raises(HostKeyRefused, match="its host key is not the pinned one"):
        execute(bay, "exp-2", ["true"], capture=True)
    know(bay.home, "exp", identity, right)
    assert execute(bay, "exp-2", ["true"], capture=True)[0] == 0


def test_one_that_is_stopped_or_gone_says_so(bay: Bay) -> None:
    client, identity = open_cloud(bay, "twin", "us-east-1"), row_of(bay, "exp-2").id
    client.act("stop_instances", InstanceIds=[identity])
    with pytest.raises(Conflict, match="exp-2 is stop"):
        execute(bay, "exp-2", ["true"], capture=True)
    client.act("terminate_instances", InstanceIds=[identity])
    with pytest.raises(InstanceGone, match="exp-2 is gone: somebody terminated it"):
        execute(bay, "exp-2", ["true"], capture=True)
    assert execute(bay, "exp-1", ["true"], capture=True)[0] == 0
    proof = verify(bay, "exp")
    assert not proof.identical
    assert [(item.instance, item.what) for item in proof.differences] == [("exp-2", "is gone: EC2 has it no more")]
