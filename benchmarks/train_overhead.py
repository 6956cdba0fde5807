"""CPU seconds of our own processes while `bay train` runs a script, as a percentage of the script's own.

Ours are the client that follows the run and the supervisor that watches the script. The peer is the same script with
`nohup python train.py > log`, in turn. Two accounts are held against each other: what the run's record says of
script and supervisor, and what the kernel says of client and supervisor when this benchmark waits for both (it adopts
the supervisor, whose figure then holds the script's too; what the record says of the script is taken off).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import launchbay
from benchmarks._figures import ratios, spread
from benchmarks._place import Place, make_parser, open_place, tiny_recipe
from benchmarks._report import Verdict, conclude, describe_machine, format_table
from benchmarks._timing import Sample, Unavailable, adopt_orphans, clean_environ, measure, take_turns
from launchbay.files import read_json

TARGET = 0.01
_CHATTY = """\
import math, sys
for step in range(int(sys.argv[1])):
    total = sum(math.sin(value) for value in range(10_000))
    print(f"step {step}: {total:.6f}")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """CPU seconds of one `bay train`; `ours_by_kernel` is None where the system cannot tell."""

    script_s: float
    client_s: float
    supervisor_s: float
    ours_by_record: float
    ours_by_kernel: float | None

    @property
    def ours_s(self) -> float:
        """The larger of the two accounts."""
        return max(self.ours_by_record, self.ours_by_kernel or 0.0)

    @property
    def share(self) -> float:
        """Ours over the script's."""
        return self.ours_s / self.script_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A script to run, with its arguments, in a folder of its own."""

    name: str
    script: Path
    args: tuple[str, ...]


def main() -> int:
    """Measure, print the table, keep the totals."""
    parser = make_parser(__doc__)
    parser.add_argument("--image", help="the image (default: tensorflow; with --quick the smallest there is)")
    parser.add_argument("--rounds", type=int, help="how often each has its turn (default: 3; with --quick 1)")
    parser.add_argument("--epochs", type=int, default=500, help="how long the scaffold trains (default: 500)")
    parser.add_argument("--seconds", type=float, help="how long the chatty script runs (default: 40; with --quick 2)")
    given = parser.parse_args()
    rounds = given.rounds or (1 if given.quick else 3)
    with open_place(given.home) as place:
        machine = describe_machine()
        reference = given.image or (tiny_recipe(place) if given.quick else "tensorflow")
        launched = place.ask("launch", reference, "-n", "1", "--name", place.name("train"))
        instance = launched["instances"][0]
        python = Path(instance["root"]) / "env" / "bin" / "python"
        subjects = [_chatty(place, python, given.seconds or (2 if given.quick else 40))]
        if "keras" in launched["image"]["frameworks"]:
            subjects.insert(0, _scaffold(place, given.epochs))
        results = {item.name: _compare(place, instance["name"], python, item, rounds) for item in subjects}
    print(f"\n{_table(results)}")
    verdicts = [_judge(name, accounts) for name, (accounts, _) in results.items()]
    totals = {
        "machine": machine,
        "image": launched["image"]["name"],
        "digest": launched["image"]["digest"],
        "accounts": {name: accounts for name, (accounts, _) in results.items()},
        "samples": {name: samples for name, (_, samples) in results.items()},
        "seeds": {"scaffold": "its default"},
    }
    return conclude("train_overhead", totals, verdicts, quick=given.quick)


def _scaffold(place: Place, epochs: int) -> Subject:
    folder = place.scratch / "scaffold"
    launchbay.init(folder)
    return Subject(name="scaffold", script=folder / "train.py", args=("--epochs", str(epochs)))


def _chatty(place: Place, python: Path, seconds: float) -> Subject:
    """Return a script that prints a line every step of a millisecond or less, as long as asked for on this machine."""
    folder = place.scratch / "chatty"
    folder.mkdir()
    (folder / "train.py").write_text(_CHATTY, encoding="utf-8")
    probe = measure([python, folder / "train.py", "500"], environ=clean_environ())
    return Subject(name="chatty", script=folder / "train.py", args=(str(int(500 * seconds / probe.cpu_s)),))


def _compare(
    place: Place, instance: str, python: Path, subject: Subject, rounds: int
) -> tuple[list[Account], dict[str, list[Sample]]]:
    """Run the script with `bay train` and with nohup, in turn."""
    accounts: list[Account] = []

    def ours(number: int) -> Sample:
        account, sample = _train(place, instance, subject)
        if number:
            accounts.append(account)
        return sample

    def nohup(_: int) -> Sample:
        words = 'exec nohup "$@" > log 2>&1'
        command: list[str | Path] = ["sh", "-c", words, "sh", python, subject.script.name, *subject.args]
        return measure(command, environ=clean_environ(), folder=subject.script.parent)

    print(f"{subject.name}: {subject.script.name} {' '.join(subject.args)}")
    contenders: dict[str, Callable[[int], Sample]] = {"bay train": ours, "nohup": nohup}
    return accounts, take_turns(contenders, rounds)


def _train(place: Place, instance: str, subject: Subject) -> tuple[Account, Sample]:
    """Run `bay train` once; return the accounts, and what it took as a whole: client, supervisor and script."""
    before = set(place.home.runs.glob("run-*"))
    arguments = ["train", instance, str(subject.script), "--", *subject.args]
    orphans = None
    try:
        with adopt_orphans() as wait_for_orphans:
            client = measure([*place.bay, *arguments], environ=place.environ)
            orphans = wait_for_orphans()
    except Unavailable as reason:
        print(f"  no second account: {reason}")
        client = measure([*place.bay, *arguments], environ=place.environ)
    (folder,) = set(place.home.runs.glob("run-*")) - before
    result = read_json(folder / "result.json")
    script_s, supervisor_s = result["cpu_seconds"], result["supervisor_cpu_seconds"]
    account = Account(
        script_s=script_s,
        client_s=client.cpu_s,
        supervisor_s=supervisor_s,
        ours_by_record=client.cpu_s + supervisor_s,
        ours_by_kernel=client.cpu_s + orphans.cpu_s - script_s if orphans else None,
    )
    return account, Sample(wall_s=client.wall_s, cpu_s=account.ours_s + script_s)


def _table(results: dict[str, tuple[list[Account], dict[str, list[Sample]]]]) -> str:
    """Return the table of medians, CPU seconds; the last columns compare whole with whole."""
    rows = []
    for name, (accounts, samples) in results.items():
        kernel = [item.ours_by_kernel for item in accounts if item.ours_by_kernel is not None]
        whole, peer = ([sample.cpu_s for sample in samples[key]] for key in ("bay train", "nohup"))
        shares, against = spread([item.share * 100 for item in accounts]), spread(ratios(whole, peer))
        rows.append(
            [
                name,
                str(len(accounts)),
                f"{spread([sample.wall_s for sample in samples['bay train']]).median:.1f}",
                f"{spread([item.script_s for item in accounts]).median:.2f}",
                f"{spread([item.client_s for item in accounts]).median:.3f}",
                f"{spread([item.supervisor_s for item in accounts]).median:.3f}",
                f"{spread(kernel).median:.3f}" if kernel else "unknown",
                f"{shares.median:.2f} ({shares.low:.2f}-{shares.high:.2f})",
                f"{spread(peer).median:.2f}",
                f"{against.median:.3f} ({against.low:.3f}-{against.high:.3f})",
            ]
        )
    head = ["script", "n", "wall s", "script", "client", "supervisor", "ours, by kernel", "ours, % of script"]
    return format_table([*head, "nohup, whole", "bay / nohup, whole"], rows)


def _judge(name: str, accounts: list[Account]) -> Verdict:
    shares = spread([item.share for item in accounts])
    return Verdict(
        what=f"our own CPU beside the script's ({name})",
        got=f"{shares.median:.2%} (median of {shares.count}, {shares.low:.2%} to {shares.high:.2%})",
        target=f"under {TARGET:.0%}",
        ok=shares.median < TARGET,
    )


if __name__ == "__main__":
    sys.exit(main())
