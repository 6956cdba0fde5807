from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launchbay import errors
from launchbay.afar.bundle import Bundle
from launchbay.afar.machine import FarMachine, Installed, raise_there
from launchbay.errors import Conflict, LaunchbayError, NotFound, UsageError, UserError, WillFail
from launchbay.jsonable import error_line
from launchbay.testing.transport import RecordingTransport
from launchbay.transport.base import Completed
from launchbay.transport.local import LocalTransport


def test_launchbay_is_put_there_once(bare: FarMachine, bundle: Bundle, far_home: Path) -> None:
    first = bare.install(bundle).installed
    again = bare.install(bundle).installed
    assert first is not None
    assert first.new
    assert again == replace(first, new=False)
    assert Path(first.program) == far_home / "programs" / bundle.sha256[:32]
    assert os.readlink(far_home / "bin" / "bay") == first.command


def test_its_bytes_do_not_go_there_twice(bare: FarMachine, bundle: Bundle) -> None:
    sizes: list[int] = []

    class Watched(LocalTransport):
        def run(self, argv: object, *, data: bytes = b"", timeout: float | None = None) -> Completed:
            sizes.append(len(data))
            return LocalTransport.run(self, argv, data=data, timeout=timeout)  # type: ignore[arg-type]

    given = bare.transport
    assert isinstance(given, LocalTransport)
    watched = replace(bare, transport=Watched(environment=given.environment, folder=given.folder))
    watched.install(bundle)
    assert max(sizes) > bundle.bytes
    sizes.clear()
    watched.install(bundle)
    assert max(sizes) < 1000


def test_a_verb_gives_its_value(machine: FarMachine, far_home: Path) -> None:
    assert machine.call(["ps"]) == []
    assert "tensorflow" in {row["name"] for row in machine.call(["images"])}
    assert (far_home / "programs").is_dir()


def test_an_error_there_is_the_same_error_here(machine: FarMachine) -> None:
    with pytest.raises(NotFound) as raised:
        machine.call(["verify", "nobody"])
    assert type(raised.value) is NotFound
    assert "nobody" in raised.value.what
    assert raised.value.hint
    with pytest.raises(UsageError, match=r"^it does not take --no-such"):
        machine.call(["ps", "--no-such"])
    with pytest.raises(NotFound):
        machine.stream(["logs", "nothing"], out=lambda _: None)


@pytest.mark.parametrize("name", sorted(set(errors.__all__) - {"WillFail"}))
def test_every_error_comes_back_as_its_class(name: str) -> None:
    given = getattr(errors, name)("what", where="where", hint="hint")
    with pytest.raises(LaunchbayError) as raised:
        raise_there(b"a warning\n" + error_line(given).encode() + b"\n", 1)
    assert type(raised.value) is type(given)
    assert (raised.value.what, raised.value.where, raised.value.hint) == ("what", "where", "hint")


def test_what_a_script_would_fail_of_comes_along() -> None:
    with pytest.raises(WillFail) as raised:
        raise_there(error_line(WillFail("no", problems=[{"line": 3}])).encode(), 1)
    assert raised.value.problems == ({"line": 3},)


def test_a_class_that_is_none_of_ours_is_not_looked_up() -> None:
    line = json.dumps({"error": {"class": "annotations", "what": "x"}})
    with pytest.raises(LaunchbayError) as raised:
        raise_there(line.encode(), 1)
    assert type(raised.value) is LaunchbayError


def test_a_bug_there_shows_its_last_lines(machine: FarMachine) -> None:
    fake = RecordingTransport(answers=[Completed(code=3, stdout=b"", stderr=b"Traceback\nKeyError: 'x'\n")])
    with pytest.raises(LaunchbayError, match=r"bay ps gave no answer \(ended with code 3\): Traceback / KeyError: 'x'"):
        replace(machine, transport=fake).call(["ps"])


def test_a_value_counts_whatever_the_code() -> None:
    fake = RecordingTransport(answers=[Completed(code=1, stdout=b'{"identical": false}', stderr=b"a note\n")])
    machine = FarMachine(transport=fake, home="/far", installed=_installed())
    assert machine.call(["verify", "exp"]) == {"identical": False}
    assert fake.commands == [("env", "LAUNCHBAY_ERRORS=json", "/far/p/bay", "--json", "-y", "verify", "exp")]


def test_nothing_is_called_where_nothing_is(bare: FarMachine) -> None:
    with pytest.raises(Conflict, match="Launchbay is not on far yet"):
        bare.call(["ps"])
    with pytest.raises(UsageError, match="absolute path"):
        replace(bare, home="bay").install(Bundle(path=Path("x"), sha256="0", bytes=0))


def test_a_machine_without_python_says_what_it_needs(bare: FarMachine, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("sh", "env"):
        (tmp_path / "bin" / name).symlink_to(Path("/bin") / name)
    (tmp_path / "bin" / "python3").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")  # an old one refuses
    (tmp_path / "bin" / "python3").chmod(0o755)
    poor = LocalTransport(environment={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}, folder=str(tmp_path))
    with pytest.raises(NotFound, match=r"far has no Python 3.11 or newer"):
        replace(bare, transport=poor).install(bundle)


def test_a_disk_that_takes_nothing_is_named(
    bare: FarMachine, bundle: Bundle, mount: Callable[[Path, int], None], far_home: Path
) -> None:
    mount(far_home, 512)
    with pytest.raises(UserError, match="No space left on device while Launchbay was put there"):
        bare.install(bundle)
    assert not (far_home / "programs" / bundle.sha256[:32]).exists()


def _installed() -> Installed:
    return Installed(
        program="/far/p",
        command="/far/p/bay",
        python="/usr/bin/python3",
        python_version="3.11.2",
        platform="linux-x86_64",
        uv="/usr/bin/uv",
        new=False,
    )
