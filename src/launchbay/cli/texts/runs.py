"""Runs and data as text for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launchbay.cli.table import table
from launchbay.units import count_of, format_bytes, format_duration

if TYPE_CHECKING:
    from launchbay.runs.propose import Proposal
    from launchbay.store.fetch import Fetched
    from launchbay.store.records import Attempt, Run

__all__ = ["fetched_text", "proposal_text", "run_text", "runs_text"]

_EARLIER_SHOWN = 5


def fetched_text(fetched: Fetched) -> str:
    """Say what was fetched."""
    shape = ""
    if fetched.rows is not None and fetched.columns is not None:
        shape = f", {count_of(fetched.rows, 'row')} x {count_of(fetched.columns, 'column')}"
    state = "" if fetched.is_new else " (was there already)"
    resumed = f", resumed after {format_bytes(fetched.resumed_from)}" if fetched.resumed_from else ""
    lines = [f"{fetched.path}: {format_bytes(fetched.bytes)}{shape}{resumed}{state}", f"  sha256  {fetched.sha256}"]
    return "\n".join([*lines, *(f"  note    {note}" for note in fetched.notes)])


def _how_ended(run: Run | Attempt) -> str:
    if run.timed_out:
        return "stopped at its time limit"
    if run.state == "failed":
        return f"killed by {run.signal}" if run.signal else f"failed with exit code {run.exit_code}"
    return run.state


def _attempt_text(attempt: Attempt) -> str:
    took = "" if attempt.seconds is None else f" after {format_duration(attempt.seconds)}"
    return f"{_how_ended(attempt)}{took}, in {attempt.instance}"


def run_text(run: Run, hint: str = "") -> str:
    """Say how a run ended and what it made."""
    how = _how_ended(run)
    lines = [f"{run.id}: {how}{f' in attempt {run.attempt}' if run.earlier else ''}"]
    if run.seconds is not None and run.cpu_seconds is not None:
        memory = f", peak memory {format_bytes(run.peak_memory_bytes)}" if run.peak_memory_bytes else ""
        lines[0] += f" after {format_duration(run.seconds)} ({format_duration(run.cpu_seconds)} CPU{memory})"
    earlier = [f"  before  attempt {number}: {_attempt_text(item)}" for number, item in enumerate(run.earlier, 1)]
    lines += earlier[-_EARLIER_SHOWN:]
    lines += [f"  gpu {gpu}    {_gpu_use(use)}" for gpu, use in enumerate((run.gpu or {}).get("gpus", []))]
    models = [item for item in run.artifacts if item.is_model]
    lines += [f"  model   {item.path} ({item.format}, {format_bytes(item.bytes)})" for item in models[:1]]
    lines += [f"          and {len(models) - 1} more, in {run.work}"] if len(models) > 1 else []
    if not models and run.artifacts:
        first = [item.path.name for item in run.artifacts[:3]]
        more = ", ..." if len(run.artifacts) > len(first) else ""
        lines.append(f"  files   {run.work} ({count_of(len(run.artifacts), 'file')}: {', '.join(first)}{more})")
    lines += [f"  logs    {folder}" for folder in run.logdirs][:5]
    lines += [f"  note    {note}" for note in run.notes]
    kept = run.checkpoint_sizes if run.is_over else []
    if kept:
        lines.append(f"  kept    {run.checkpoints} ({count_of(len(kept), 'file')}, {format_bytes(sum(kept))})")
    if hint:
        lines.append(f"  hint    {hint}")
    if run.state == "done":
        steps = [f"bay curves {run.id}"] if run.logdirs else []
        steps += [f"bay evaluate {run.id} --data CSV"] if any(item.is_model for item in run.artifacts) else []
        lines += ["  next    " + "    ".join(steps)] if steps else []
    elif run.is_over:
        lines.append(f"  next    bay logs {run.id}" + (f"    bay train --resume {run.id}" if kept else ""))
    else:
        lines.append(f"  next    bay logs {run.id} -f    bay stop {run.id}")
    return "\n".join(lines)


def proposal_text(proposal: Proposal) -> str:
    """Say which image a script asks for, and why."""
    best = proposal.best
    state = "built" if best.built else "not built yet"
    retired = f"; {best.retired}" if best.retired else ""
    others = [choice.image for choice in proposal.choices[1:] if not choice.missing and not choice.problems]
    more = f"\n  {' and '.join(others)} would do as well" if others else ""
    return f"{proposal.why}: image {best.image} ({state}{retired}){more}"


def runs_text(runs: Sequence[Run], now: float, width: int | None = None) -> str:
    """Say what was run."""
    if not runs:
        return "No runs. `bay train INSTANCE SCRIPT` makes one."
    return table(
        ("RUN", "STATE", "INSTANCE", "SCRIPT", "IMAGE", "SECONDS", "MODELS", "AGE"),
        [
            (
                run.id,
                run.state + (f", attempt {run.attempt}" if run.earlier else ""),
                run.instance,
                run.script.rpartition("/")[2],
                run.image,
                "-" if run.seconds is None else f"{run.seconds:.1f}",
                str(sum(item.is_model for item in run.artifacts)),
                format_duration(now - run.created_at),
            )
            for run in runs
        ],
        right=(5, 6, 7),
        width=width,
        least=("IMAGE", "MODELS", "SECONDS", "AGE", "INSTANCE"),
    )


def _gpu_use(use: Mapping[str, Any]) -> str:
    """Say how a GPU was used; a script may be over before the first sample."""
    name = f"{use['name']}: " if use.get("name") else ""
    if use["mean_percent"] is None:
        return f"{name}use unknown"
    memory = f", peak memory {format_bytes(use['peak_memory_bytes'])}" if use["peak_memory_bytes"] else ""
    return f"{name}{use['mean_percent']} % on average{memory}"
