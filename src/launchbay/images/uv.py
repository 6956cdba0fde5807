"""uv as a child process: resolve, make an environment, install; its words turned into progress and into our errors.

uv is asked rather than imported; everything it says about an index stays out of what we store.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from launchbay.errors import BuildError
from launchbay.files import write_atomic
from launchbay.images.commands import LOOSENING
from launchbay.images.conflict import shorten_conflict

__all__ = ["Downloads", "Uv", "find_uv"]

_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_DOWNLOADING = re.compile(r"Downloading (?P<name>\S+) \((?P<size>[\d.]+)(?P<unit>B|KiB|MiB|GiB)\)")
_DOWNLOADED = re.compile(r" ?Downloaded (?P<name>\S+)")
_PHASE = re.compile(r"(?P<verb>Resolved|Prepared|Installed) (?P<count>\d+) packages?")


@dataclass(slots=True)
class Downloads:
    """What uv has announced and finished so far, in bytes of wheels (uv announces those of 1 MiB and more)."""

    sizes: dict[str, int] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    written_bytes: int = 0
    prepared: int = 0
    installed: int = 0

    @property
    def total_bytes(self) -> int:
        """Bytes announced."""
        return sum(self.sizes.values())

    @property
    def done_bytes(self) -> int:
        """Bytes of finished downloads."""
        return sum(size for name, size in self.sizes.items() if name in self.finished)

    def read(self, line: str) -> bool:
        """Take in one line of uv's; say whether it was about progress."""
        if match := _DOWNLOADING.search(line):
            self.sizes[match["name"]] = int(float(match["size"]) * _UNITS[match["unit"]])
        elif match := _DOWNLOADED.match(line):
            self.finished.add(match["name"])
        elif (match := _PHASE.match(line)) and match["verb"] == "Prepared":
            self.prepared = int(match["count"])
        elif match and match["verb"] == "Installed":
            self.installed = int(match["count"])
        else:
            return bool(match) or line.startswith((" + ", "Using Python"))
        return True


def find_uv() -> str:
    """Return the uv that came with us, else the one on PATH. Raises BuildError when there is none."""
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise BuildError("uv is not installed", hint=f"{sys.executable} -m pip install uv")
    return found


@dataclass(frozen=True, slots=True)
class Uv:
    """The uv program. Each verb blocks, and raises BuildError with uv's reason made short."""

    program: str
    accelerator: str = "cpu"

    def find_python(self, minor: str) -> Path:
        """Return an interpreter of that minor version, fetching one when the machine has none."""
        finding = self._run(["python", "find", "--system", "--no-project", minor])
        if finding.returncode != 0:
            self._run(["python", "install", minor])
            finding = self._run(["python", "find", "--system", "--no-project", minor])
        if finding.returncode != 0:
            raise BuildError(
                f"Python {minor} is not on this machine and could not be fetched",
                hint=f"install it (Debian: apt-get install python{minor} python{minor}-venv), then the same command again",
            )
        return Path(finding.stdout.strip()).resolve()

    def compile(
        self,
        packages: Sequence[str],
        files: Sequence[Path],
        *,
        python: str,
        previous: str,
        name: str,
        alone: bool = False,
    ) -> str:
        """Resolve to pins with hashes, as requirements text without index addresses; `alone` adds no dependencies."""
        interpreter = self.find_python(python)
        with tempfile.TemporaryDirectory(prefix="launchbay-lock-") as folder:
            output = Path(folder) / "lock.txt"
            write_atomic(output, previous.encode())
            command = [
                "pip",
                "compile",
                "--generate-hashes",
                "--no-header",
                "--no-annotate",
                "--no-emit-index-url",
                "--quiet",
                *(["--no-deps"] if alone else []),
                "--python",
                str(interpreter),
                "--output-file",
                str(output),
                "-",
                *map(str, files),
            ]
            done = self._run(command, text="\n".join(packages))
            if done.returncode != 0:
                raise explain(done.stderr, doing=f"resolving {name}", names=())
            return output.read_text(encoding="utf-8")

    def make_environment(self, path: Path, python: Path) -> None:
        """Make an empty environment that can be renamed."""
        done = self._run(["venv", "--quiet", "--relocatable", "--no-project", "--python", str(python), str(path)])
        if done.returncode != 0:
            raise explain(done.stderr, doing="making the environment", names=())

    def install(
        self, requirements: Path, environment: Path, *, names: Iterable[str], watch: Callable[[Downloads], None]
    ) -> Downloads:
        """Install exactly the pinned packages, each file checked against its hash, copied out of uv's cache.

        `watch` is called five times a second. Blocks; a killed caller leaves a half-filled `environment` and nothing
        else.
        """
        command = [
            self.program,
            "pip",
            "sync",
            "--require-hashes",
            "--link-mode",
            "copy",
            "--python",
            str(environment / "bin" / "python"),
            str(requirements),
        ]
        downloads, words = Downloads(), []
        with subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env=_environment(self.accelerator),
            close_fds=False,  # it holds the image's lock with us, and goes on holding it when we are killed
        ) as process:
            try:
                for line in _lines_and_ticks(process):
                    if line and not downloads.read(line):
                        words.append(line + "\n")
                    downloads.written_bytes = _written(process.pid) or downloads.written_bytes
                    watch(downloads)
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise explain("".join(words), doing="installing packages", names=names)
        return downloads

    def _run(self, arguments: Sequence[str], *, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            env=_environment(self.accelerator),
            check=False,
            close_fds=False,
        )


def _lines_and_ticks(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield each line of the process's stderr, and an empty text whenever 0.2 s passed without one."""
    assert process.stderr is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while True:
            if not selector.select(timeout=0.2):
                yield ""
                continue
            chunk = os.read(process.stderr.fileno(), 65536)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if not chunk:
                yield rest.decode(errors="replace")
                return


def _written(pid: int) -> int:
    """Return the bytes a process has written so far, 0 where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(text.split("wchar:")[1].split()[0])


_OWN_SOURCES = (
    "UV_FIND_LINKS",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_NO_INDEX",
    "UV_OFFLINE",
)


def _environment(accelerator: str) -> dict[str, str]:
    """Return the person's own environment (index, proxy, certificates, cache) less what would redirect the target.

    uv does not read pip's settings; a folder of wheels that was named to pip is handed on to it, where CPU builds may
    come from. Without one, and without an index of the person's own, uv is told to look where PyTorch publishes its CPU
    builds: the index has none for Linux. What asks for CPU builds is kept from a CUDA lock.
    """
    dropped = LOOSENING | {
        "VIRTUAL_ENV",
        "UV_COMPILE_BYTECODE",  # it would write the paths of the temporary folder into the compiled files
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONDONTWRITEBYTECODE",
    }
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    if accelerator != "cpu" and kept.get("UV_TORCH_BACKEND") == "cpu":
        del kept["UV_TORCH_BACKEND"]
    if accelerator == "cpu" and (folders := kept.get("PIP_FIND_LINKS")):
        kept.setdefault("UV_FIND_LINKS", ",".join(folders.split()))
    if accelerator == "cpu" and not any(name in kept for name in _OWN_SOURCES):
        kept.setdefault("UV_TORCH_BACKEND", "cpu")
    return {**kept, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}


_ADDRESS = re.compile(r"https?://[^/\s`)]*(?P<path>[^\s`)?#]*)[^\s`)]*")
_NETWORK_SIGNS = (
    "failed to fetch",
    "error sending request",
    "error reading a body",
    "dns error",
    "timed out",
    "tcp connect",
    "connection refused",
    "connection reset",
)


def explain(words: str, *, doing: str, names: Iterable[str]) -> BuildError:
    """Turn uv's complaint into one message that names the package, what happened, and what to do next."""
    text = _ADDRESS.sub(lambda found: found["path"].strip("/").rpartition("/")[2] or "the index", words)
    text = " ".join(re.sub(r"[×├─▶╰│]+|hint: .*", " ", text).removeprefix("error:").split())
    lowered = words.lower()
    package = _named_package(words, names)
    about = f" of {package}" if package else ""
    if "no space left" in lowered or "disk quota" in lowered or "os error 28" in lowered:
        return BuildError(
            f"the disk is full while {doing}{about}; nothing half-made was left",
            hint="free some space, then the same command again",
        )
    if "hash mismatch" in lowered:
        return BuildError(
            f"a downloaded file{about} does not have the hash that the lock names: {text[:300]}",
            hint="try again; if it stays, the file on the index was replaced: do not use it",
        )
    if any(sign in lowered for sign in _NETWORK_SIGNS):
        return BuildError(
            f"the network failed while {doing}{about}: {text[:300]}",
            hint="check the connection, then the same command again: what was downloaded is kept",
        )
    if conflict := shorten_conflict(text):
        return BuildError(
            f"failed {doing}: {conflict}",
            hint="loosen one of them or leave it out; what cannot live together can be two images",
        )
    return BuildError(f"failed {doing}{about}: {text[:600]}")


def _named_package(words: str, names: Iterable[str]) -> str:
    """Return the package that a complaint is about: in quotes, in an address, or by a name that we know."""
    quoted = re.findall(r"`([A-Za-z0-9._-]+)(?:==([^`]+))?`", words)
    for name, version in quoted:
        if version:
            return f"{name} {version}"
    if address := _ADDRESS.search(words):
        folder, _, last = address["path"].strip("/").rpartition("/")
        if folder:  # .../simple/NAME/ or .../NAME-1.0-py3-none-any.whl
            return last.split("-")[0] if last.endswith((".whl", ".gz", ".zip", ".metadata")) else last
    lowered = words.lower().replace("_", "-")
    hits = [name for name in names if re.search(rf"(?<![a-z0-9-]){re.escape(name)}(?=[-=`\s/@]\S?)", lowered)]
    return max(hits, key=len, default="")
