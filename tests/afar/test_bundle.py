from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from launchbay.afar import bundle as module
from launchbay.afar.bundle import Bundle, find_bundle, pure_files
from launchbay.errors import UserError
from launchbay.home import Home


def members(bundle: Bundle) -> list[tarfile.TarInfo]:
    with tarfile.open(bundle.path) as archive:
        return archive.getmembers()


def test_the_same_launchbay_is_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    again = find_bundle(Home(tmp_path / "other"))
    assert again.sha256 == bundle.sha256
    assert again.path.read_bytes() == bundle.path.read_bytes()
    assert {(item.mtime, item.uid, item.gid, item.uname, item.mode) for item in members(again)} == {
        (0, 0, 0, "", 0o644)
    }


def test_it_holds_what_runs_everywhere_and_nothing_else(bundle: Bundle) -> None:
    names = [item.name for item in members(bundle)]
    assert {"lib/launchbay/cli/main.py", "lib/rich/console.py", "lib/yaml/__init__.py", "lib/mdurl/__init__.py"} <= set(
        names
    )
    assert [name for name in names if name.endswith((".so", ".pyc")) or "/twin/server" in name] == []
    assert any(name.startswith("lib/launchbay/images/locks/") for name in names)
    assert bundle.bytes < 5 << 20


def test_it_runs_with_nothing_installed(bundle: Bundle, tmp_path: Path) -> None:
    with tarfile.open(bundle.path) as archive:
        archive.extractall(tmp_path / "there", filter="data")
    environment = {"PATH": "/nowhere", "LAUNCHBAY_HOME": str(tmp_path / "home")}
    base = str(Path(sys.base_prefix) / "bin" / "python3")
    done = subprocess.run(
        [base, "-I", "-S", str(tmp_path / "there"), "--json", "images"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert "tensorflow" in {row["name"] for row in json.loads(done.stdout)}


def test_one_that_is_made_is_not_made_again(bundle: Bundle, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_pack", lambda _: pytest.fail("it was made again"))
    assert find_bundle(Home(packed)).sha256 == bundle.sha256


def test_a_changed_file_makes_another_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "mine.py"
    monkeypatch.setattr(module, "_files", lambda: {"lib/mine.py": source})
    seen = []
    for text in ("1", "22", "333"):
        source.write_text(text, encoding="utf-8")
        seen.append(find_bundle(Home(tmp_path / "home")))
    assert len({item.sha256 for item in seen}) == 3
    assert [item.path.exists() for item in seen] == [False, True, True]


def distribution(folder: Path, name: str, files: list[str]) -> importlib.metadata.Distribution:
    info = folder / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n", encoding="utf-8")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("", encoding="utf-8")
    lines = [f"{file},," for file in [*files, f"{name}-1.dist-info/METADATA", f"{name}-1.dist-info/direct_url.json"]]
    (info / "RECORD").write_text("\n".join(lines), encoding="utf-8")
    return importlib.metadata.Distribution.at(info)


def test_what_was_compiled_is_refused_unless_it_only_makes_things_faster(tmp_path: Path) -> None:
    fast = distribution(tmp_path / "a", "PyYAML", ["yaml/__init__.py", "yaml/_yaml.cpython-311-x86_64-linux-gnu.so"])
    assert [name for name, _ in pure_files(fast)] == ["yaml/__init__.py", "PyYAML-1.dist-info/METADATA"]
    needed = distribution(tmp_path / "b", "numpy", ["numpy/__init__.py", "numpy/core.so.1"])
    with pytest.raises(UserError, match=r"numpy holds numpy/core.so.1, which was compiled"):
        list(pure_files(needed))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    broken = distribution(tmp_path, "rich", ["rich/__init__.py"])
    (tmp_path / "rich" / "__init__.py").unlink()
    with pytest.raises(UserError, match=r"rich/__init__.py of rich is gone"):
        list(pure_files(broken))


def test_a_need_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.distribution

    def find(name: str) -> importlib.metadata.Distribution:
        if name == "mdurl":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", find)
    with pytest.raises(UserError, match="mdurl is not installed here"):
        find_bundle(Home(tmp_path))
