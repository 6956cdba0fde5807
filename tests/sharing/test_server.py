"""With a real SSH server: what a person's key opens, and what it does not."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

import launchbay
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import change_power, terminate
from launchbay.lifecycle.launch import launch_fleet
from launchbay.providers.processes import marked_processes
from launchbay.services.standing import find_service
from launchbay.sharing.place import find_place
from launchbay.sharing.share import Shared, revoke_person, share_fleet
from launchbay.spec.people import Person
from launchbay.store.person import owner_mark
from launchbay.store.records import list_runs
from tests.sharing.server import Server, free_port, is_open

ANSWERS = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"


@pytest.fixture
def shared(bay: Bay, tiny: str, server: Server, keys: Callable[[str], Person]) -> Iterator[Shared]:
    launch_fleet(bay, tiny, count=2, name="class")
    yield hand_out(bay, server, [keys("ada"), keys("bob")])
    for row in bay.provider.observe():
        terminate(bay, row.name)


def hand_out(bay: Bay, server: Server, people: Sequence[Person]) -> Shared:
    place = find_place(host="127.0.0.1", port=server.port, host_key=str(server.folder / "host.pub"))
    file = server.authorized_keys
    return share_fleet(bay, "class", people, place, output=server.folder / "sheets", authorized_keys=file)


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


def status(port: int, path: str = "/", **headers: str) -> int:
    """Ask a web server; 0 where nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def end(process: subprocess.Popen[bytes]) -> str:
    """End a client; return what it said."""
    process.kill()
    return process.communicate(timeout=20)[0].decode()


# --- inside ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shared")
def test_each_key_opens_its_own_instance(server: Server) -> None:
    for person, instance in (("ada", "class-1"), ("bob", "class-2")):
        done = server.run(
            person, "echo $LAUNCHBAY_INSTANCE_NAME; python -c 'import six, sys; print(sys.prefix)'; exit 7"
        )
        assert done.returncode == 7
        assert done.stdout.splitlines()[0] == instance
        assert done.stdout.splitlines()[1].endswith("/env")
        assert done.stderr == ""


@pytest.mark.usefixtures("shared")
def test_without_a_command_it_is_a_shell(server: Server) -> None:
    done = server.run("ada", data="pwd; echo $HOME; echo of $LAUNCHBAY_INSTANCE_NAME\n")
    work, home, name = done.stdout.split("\n")[:3]
    assert (Path(work).name, Path(home).name, name) == ("work", "home", "of class-1")
    on_terminal = server.run("ada", "tty", options=["-tt"])
    assert on_terminal.stdout.startswith("/dev/")


@pytest.mark.usefixtures("shared")
def test_a_script_is_trained_as_a_run_of_their_instance(bay: Bay, server: Server) -> None:
    script = "import os, sys; print(sys.argv[1:]); open('model.txt', 'w').close(); sys.exit(len(sys.argv) - 3)"
    server.run("ada", f"mkdir -p deep && cat > deep/train.py <<'X'\n{script}\nX")
    done = server.run("ada", "train deep/train.py --epochs '1 2'")
    assert (done.returncode, done.stdout) == (0, "['--epochs', '1 2']\n")
    assert done.stderr.strip().endswith(": done")
    (run,) = list_runs(bay.home)
    assert (run.instance, run.state) == ("class-1", "done")
    assert server.run("ada", "train deep/train.py a b c d").returncode == 2
    missing = server.run("ada", "train nope.py")
    assert missing.returncode == 1
    assert "there is no script" in missing.stderr


ATTEMPTS = (
    "; bay ps; echo at $LAUNCHBAY_INSTANCE_NAME",
    "true; bay ps; echo at $LAUNCHBAY_INSTANCE_NAME",
    'echo "$(bay ps)"; echo at $LAUNCHBAY_INSTANCE_NAME',
    "echo `bay ps`; echo at $LAUNCHBAY_INSTANCE_NAME",
    "true\nbay ps\necho at $LAUNCHBAY_INSTANCE_NAME",
    "notebook; echo at $LAUNCHBAY_INSTANCE_NAME",
    "'\"; echo at $LAUNCHBAY_INSTANCE_NAME; '\"",
    "--help || echo at $LAUNCHBAY_INSTANCE_NAME",
    "-c 'echo at $LAUNCHBAY_INSTANCE_NAME' && echo at $LAUNCHBAY_INSTANCE_NAME",
)


@pytest.mark.usefixtures("shared")
def test_what_is_asked_for_never_leaves_the_instance(server: Server) -> None:
    for attempt in ATTEMPTS:
        done = server.run("ada", attempt)
        assert "class-2" not in done.stdout + done.stderr, attempt
        assert set(done.stdout.split()) <= {"at", "class-1"}, attempt
    assert "LAUNCHBAY_HOME" not in server.run("ada", "env").stdout


@pytest.mark.usefixtures("shared")
def test_variables_of_the_other_side_stay_there(server: Server) -> None:
    """Even where the server takes some: PYTHONPATH or LAUNCHBAY_PERSON would choose what lets in, and whom."""
    done = server.run("ada", "env", options=["-o", "SendEnv=EVIL LAUNCHBAY_PERSON PYTHONPATH"], env={"EVIL": "1"})
    assert "LAUNCHBAY_PERSON=ada@" in done.stdout
    assert "PYTHONPATH" not in done.stdout


@pytest.mark.usefixtures("shared")
def test_files_go_there_and_back(server: Server, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello", encoding="ascii")
    for mode in ([], ["-O"]):  # over sftp as today, and as before
        copy = ["scp", *mode, *server.options("ada"), "-P", str(server.port), "-q"]
        subprocess.run([*copy, str(tmp_path / "note.txt"), f"{server.address}:there.txt"], check=True, timeout=60)
        assert server.run("ada", "cat there.txt; rm there.txt").stdout == "hello"


# --- not offered ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shared")
def test_nothing_of_theirs_is_listened_for_here(server: Server) -> None:
    for listen in ("{port}", "localhost:{port}", "127.0.0.1:{port}", "*:{port}", "0", "[::1]:{port}"):
        wish = listen.format(port=free_port())
        options = ["-o", "ExitOnForwardFailure=yes", "-R", f"{wish}:127.0.0.1:{server.port}"]
        done = server.run("ada", "echo in", options=options)
        assert done.returncode == 255, listen
        assert "remote port forwarding failed" in done.stderr, listen


@pytest.mark.usefixtures("shared")
def test_neither_agent_nor_screen_is_forwarded(server: Server, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        forward = ["-X", "-o", "IdentityAgent=none", "-o", f"ForwardAgent={tmp_path / 'agent'}"]
        done = server.run("ada", 'echo "[$SSH_AUTH_SOCK$DISPLAY]"', options=forward, env={"DISPLAY": "127.0.0.1:9"})
        assert done.stdout == "[]\n"
        assert "X11 forwarding request failed" in done.stderr


def test_a_tunnel_leads_to_their_own_ports_and_no_other(shared: Shared, server: Server) -> None:
    ada, bob = shared.people
    code = ANSWERS.format(port=bob.board_port)
    theirs = server.start("bob", f'python -c "{code}"')
    wait_until(lambda: status(bob.board_port) == 200)
    for target, wanted in ((bob.board_port, 0), (server.port, 0)):
        port = free_port()
        tunnel = server.start("ada", options=["-N", "-L", f"{port}:127.0.0.1:{target}"])
        wait_until(partial(is_open, port))
        assert status(port) == wanted
        assert "administratively prohibited" in end(tunnel)
    port = free_port()
    tunnel = server.start("bob", options=["-N", "-L", f"{port}:127.0.0.1:{bob.board_port}"])
    wait_until(lambda: status(port) == 200)
    end(tunnel)
    end(theirs)
    assert ada.board_port != bob.board_port


@pytest.mark.usefixtures("shared")
def test_a_proxy_leads_nowhere_either(server: Server) -> None:
    port = free_port()
    proxy = server.start("ada", options=["-N", "-D", str(port)])
    wait_until(partial(is_open, port))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as there:
        there.sendall(b"\5\1\0")
        assert there.recv(2) == b"\5\0"
        there.sendall(b"\5\1\0\1\x7f\0\0\1" + server.port.to_bytes(2, "big"))
        assert b"SSH-" not in there.recv(64)
    assert "administratively prohibited" in end(proxy)


@pytest.mark.usefixtures("shared")
def test_an_unknown_key_is_refused(server: Server, keys: Callable[[str], Person]) -> None:
    keys("eve")
    assert "Permission denied" in server.run("eve", "true").stderr


# --- closed ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shared")
def test_a_stopped_instance_says_so_in_a_line(bay: Bay, server: Server) -> None:
    change_power(bay, "stop", "class-1")
    for asked in ((), ("ls",), ("notebook",)):
        done = server.run("ada", *asked)
        assert done.returncode == 1
        assert done.stderr.endswith("bay: class-1 is stopped; ask whoever runs this machine: bay start class-1\n")
    assert server.run("bob", "echo in").stdout == "in\n"
    change_power(bay, "start", "class-1")
    assert server.run("ada", "echo in").stdout == "in\n"


@pytest.mark.usefixtures("shared")
def test_stopping_ends_their_sessions(bay: Bay, server: Server) -> None:
    session = server.start("ada", "echo up; sleep 600")
    assert session.stdout is not None
    assert session.stdout.readline() == b"up\n"
    change_power(bay, "stop", "class-1")
    session.wait(20)
    assert session.returncode not in (0, None)


@pytest.mark.usefixtures("shared")
def test_a_gate_that_leads_to_nothing_says_so(bay: Bay, server: Server) -> None:
    line = server.authorized_keys.read_bytes()
    terminate(bay, "class-1")
    assert "Permission denied" in server.run("ada", "true").stderr
    server.authorized_keys.write_bytes(line)  # somebody put it back, or the command was killed before
    done = server.run("ada", "echo in")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "bay: the instance that this key was for is gone; ask whoever runs this machine\n"


@pytest.mark.usefixtures("shared")
def test_a_line_alone_opens_nothing(bay: Bay, server: Server) -> None:
    line = server.authorized_keys.read_bytes()
    revoke_person(bay, "class", "ada")
    server.authorized_keys.write_bytes(line)
    for asked in ((), ("echo in",), ("notebook",)):
        done = server.run("ada", *asked)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith("bay: this key opens nothing here any more; ask whoever runs this machine\n")


def test_revoking_ends_what_is_open(bay: Bay, shared: Shared, server: Server, tmp_path: Path) -> None:
    ada = shared.people[0]
    shell = server.start("ada", options=["-tt"])
    assert shell.stdin is not None
    shell.stdin.write(b"trap '' HUP; python -c 'import time; time.sleep(600)' & echo a-$((40+2))\n")
    shell.stdin.flush()
    server.run("ada", "nohup sleep 600 > /dev/null 2>&1 < /dev/null & echo $!")
    code = ANSWERS.format(port=ada.board_port)
    web = server.start("ada", f'python -c "{code}"')
    wait_until(lambda: status(ada.board_port) == 200)
    used, idle = free_port(), free_port()
    server.start("ada", options=["-N", "-L", f"{used}:127.0.0.1:{ada.board_port}"])
    server.start("ada", options=["-N", "-L", f"{idle}:127.0.0.1:{ada.board_port}"])
    others = server.start("bob", "echo up; cat")
    master = tmp_path / "master"
    server.start("ada", options=["-N", "-M", "-S", str(master)])
    wait_until(lambda: status(used) == 200 and status(idle) == 200 and master.exists())
    mark = owner_mark("ada", next(item.id for item in bay.provider.observe() if item.name == "class-1"))
    assert len(marked_processes([mark])) >= 4
    with socket.create_connection(("127.0.0.1", used), timeout=20) as held:
        held.sendall(b"GET")  # the connection is open, and in use
        time.sleep(0.5)
        revoked = revoke_person(bay, "class", "ada")
        assert held.recv(1) == b"", "the open tunnel goes on"
    assert revoked.processes_ended >= 4
    assert marked_processes([mark]) == []
    shell.wait(20)
    web.wait(20)
    assert status(used) == 0
    assert status(idle) == 0
    control = ["ssh", "-S", str(master), server.address, "echo in"]
    again = subprocess.run(control, capture_output=True, text=True, check=False, timeout=20, input="")  # fmt: skip
    assert "in" not in again.stdout.split()
    assert "Permission denied" in server.run("ada", "true").stderr
    assert others.poll() is None, "somebody else's session was ended with it"


def test_a_connection_in_use_is_ended_and_not_only_what_it_leads_to(bay: Bay, shared: Shared, server: Server) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may look into the server's processes")
    ada = shared.people[0]
    with socket.create_server(("127.0.0.1", ada.board_port)) as board:  # that revoking does not end
        port = free_port()
        tunnel = server.start("ada", options=["-N", "-L", f"{port}:127.0.0.1:{ada.board_port}"])
        wait_until(partial(is_open, port))
        with socket.create_connection(("127.0.0.1", port), timeout=20), board.accept()[0]:
            assert revoke_person(bay, "class", "ada").processes_ended >= 1
        assert tunnel.wait(20) == 255


# --- twenty ---------------------------------------------------------------------------------------------------------


@pytest.mark.all
@pytest.mark.image("tensorflow")
def test_twenty_people_have_twenty_notebooks_and_one_is_taken_back(
    bay: Bay, with_image: Callable[[str], Image], server: Server, keys: Callable[[str], Person]
) -> None:
    launch_fleet(bay, with_image("tensorflow").name, count=20, name="class")
    names = [f"person-{number}" for number in range(1, 21)]
    shared = hand_out(bay, server, [keys(name) for name in names])
    assert sorted(path.name for path in (server.folder / "sheets").glob("*.md")) == sorted(f"{n}.md" for n in names)
    assert [(row.name, row.person) for row in launchbay.ps(bay)] == [
        (f"class-{number}", f"person-{number}") for number in range(1, 21)
    ]
    ports = [port for item in shared.people for port in (item.notebook_port, item.board_port)]
    assert len(set(ports)) == 40
    tokens = {item.person: sheet_tokens(item.sheet) for item in shared.people}
    assert len({token for pair in tokens.values() for token in pair}) == 40

    seven, eight = shared.people[6], shared.people[7]
    mine, theirs = free_port(), free_port()
    ways = ["-L", f"{mine}:127.0.0.1:{seven.notebook_port}", "-L", f"{theirs}:127.0.0.1:{eight.notebook_port}"]
    notebook = server.start("person-7", "notebook", options=ways)
    neighbour = server.start("person-8", "notebook")
    for opened in (notebook, neighbour):
        assert opened.stdout is not None
        assert any(b"The notebook of class-" in line for line in opened.stdout)
    token, others = tokens["person-7"][0], tokens["person-8"][0]
    assert status(mine, "/api/contents", Authorization=f"token {token}") == 200
    assert status(mine, "/api/contents") == 403
    assert status(mine, "/api/contents", Authorization=f"token {others}") == 403
    assert status(eight.notebook_port, "/api/contents", Authorization=f"token {others}") == 200
    assert status(theirs, "/api/contents", Authorization=f"token {others}") == 0, "the tunnel leads to a neighbour's"
    assert others not in seven.sheet.read_text(encoding="utf-8")

    revoked = revoke_person(bay, "class", "person-7")
    assert revoked.instance == "class-7"
    assert notebook.wait(20) != 0
    assert status(mine) == 0
    assert "Permission denied" in server.run("person-7", "true").stderr
    instance = next(item for item in bay.provider.observe() if item.name == "class-7")
    service = find_service(bay, "notebook", instance)
    assert service is not None
    assert not service.is_running
    assert service.token not in tokens["person-7"]
    assert service.port != seven.notebook_port
    assert status(eight.notebook_port, "/api/contents", Authorization=f"token {others}") == 200
    terminate(bay, "class")
    assert server.authorized_keys.read_bytes() == b""


def sheet_tokens(sheet: Path) -> list[str]:
    """Return the tokens in a sheet: of the notebook, then of the board."""
    return re.findall(r"token\) is\n\n    (\S+)", sheet.read_text(encoding="utf-8"))
