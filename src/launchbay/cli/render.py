"""API values as text for people. Pure: every function returns text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launchbay.cli.baked import baked_text
from launchbay.cli.table import table
from launchbay.units import count_of, format_bytes, format_duration, format_number

if TYPE_CHECKING:
    from launchbay.api.images import Exported, ImageCheck, ImageRow, Imported
    from launchbay.api.listing import Row
    from launchbay.api.project import Check
    from launchbay.lifecycle.end import Ended
    from launchbay.lifecycle.launch import Launch
    from launchbay.lifecycle.update import Update
    from launchbay.lifecycle.verify import Verification
    from launchbay.models.card import Evaluation, ModelCard, Predictions, Tensor
    from launchbay.runs.propose import Proposal
    from launchbay.store.fetch import Fetched
    from launchbay.store.records import Attempt, Run
    from launchbay.store.service import Service

__all__ = [
    "baked_text",
    "checks_text",
    "clock_text",
    "ended_text",
    "evaluation_text",
    "exported_text",
    "fetched_text",
    "image_check_text",
    "image_text",
    "images_text",
    "imported_text",
    "launch_text",
    "model_text",
    "predictions_text",
    "proposal_text",
    "ps_text",
    "run_text",
    "runs_text",
    "service_text",
    "update_text",
    "verification_text",
]


_BUILD_STEPS = ("install", "compile", "verify", "import")
"""In the order in which they are made, which a record, sorted by name, does not keep."""


def images_text(rows: Sequence[ImageRow], width: int | None = None) -> str:
    """Say what images there are."""
    if not rows:
        return "No image matches."
    return table(
        ("NAME", "KIND", "FRAMEWORKS", "PYTHON", "SIZE", "BUILT", "INSTANCES", "DIGEST"),
        [
            (
                row.name,
                row.kind if row.accelerator in (None, "cpu") else f"{row.kind} {row.accelerator}",
                ", ".join(f"{name} {version}" for name, version in row.frameworks.items()) or "-",
                row.python,
                format_bytes(row.size_bytes) if row.size_bytes is not None else "-",
                (row.built or "not yet")[:10],
                str(row.instances),
                (row.digest or "-")[:12],
            )
            for row in rows
        ],
        right=(4, 6),
        width=width,
        least=("DIGEST", "KIND", "INSTANCES", "PYTHON"),
    )


def image_text(shown: Mapping[str, Any]) -> str:
    """Describe one image."""
    lines = [f"{shown['name']}  {shown.get('description', '')}".rstrip()]
    for key in ("digest", "content", "python_version", "python", "platform", "accelerator", "built"):
        lines += [f"  {key.replace('_', ' '):15} {shown[key]}"] if shown.get(key) else []
    if shown.get("size_bytes") is not None:
        lines.append(f"  {'size':15} {format_bytes(shown['size_bytes'])} in {shown['files']} files")
        took = shown["build_seconds"]
        order = [name for name in _BUILD_STEPS if name in took] + [name for name in took if name not in _BUILD_STEPS]
        lines.append(f"  {'build':15} {', '.join(f'{name} {took[name]:.1f} s' for name in order)}")
    if shown.get("first_import_s"):
        lines.append(f"  {'first import':15} {shown['first_import_s']:.1f} s")
    if shown.get("env"):
        lines.append(f"  {'env':15} " + " ".join(f"{key}={value}" for key, value in shown["env"].items()))
    if shown.get("built") is None:
        lines.append(f"  {'not built yet':15} bay image build {shown['name']}")
    packages = shown["packages"]
    lines += ["", f"{len(packages)} packages:", *(f"  {name} {version}" for name, version in sorted(packages.items()))]
    return "\n".join(lines)


def image_check_text(check: ImageCheck) -> str:
    """Say how an image's hashing came out."""
    if check.ok:
        return (
            f"{check.name} {check.digest[:12]}: {check.files} files are what their packages say, and nothing was added."
        )
    return "\n".join(
        [f"{check.name} {check.digest[:12]}: {count_of(len(check.problems), 'problem')}", *_few(check.problems)]
    )


def exported_text(exported: Exported) -> str:
    """Say where an image was written to."""
    return "\n".join(
        [
            f"{exported.path}: {exported.name} {exported.digest[:12]}, {format_bytes(exported.bytes)}",
            f"  sha256  {exported.sha256}",
            f"  next    on the other machine: bay image import {shlex.quote(exported.path.name)}",
        ]
    )


def imported_text(imported: Imported) -> str:
    """Say which image came from an archive."""
    image = imported.image
    if not imported.is_new:
        return f"{image.name} {image.digest[:12]} was there already."
    return "\n".join(
        [
            f"{image.name} {image.digest[:12]}: {format_bytes(image.size_bytes)} in {image.files} files, all as exported",
            f"  sha256  {imported.sha256}",
            f"  next    bay launch {image.name}",
        ]
    )


def clock_text(clock: Mapping[str, float | None]) -> str:
    """Say where a launch's time went."""
    words = {
        "image": "image built",
        **{name: name for name in ("plan", "create", "stage", "switch", "replay", "verify")},
    }
    parts = [
        f"{words[name]} {format_duration(seconds)}"
        for name, seconds in clock.items()
        if name in words and seconds is not None
    ]
    first = clock.get("first_import")
    if first is not None:
        parts.append(f"first import {format_duration(first)} (measured when the image was built)")
    return ", ".join(parts)


def launch_text(launch: Launch, *, has_project: bool = False) -> str:
    """Say what a launch brought; with a bay.yaml that says what to train, that is not said again."""
    names = [item.name for item in launch.instances]
    image = launch.image
    what = ", ".join(f"{name} {version}" for name, version in image.frameworks.items()) or "no framework"
    if not launch.created:
        first = f"{launch.fleet} stands already: {_span(names)}; nothing to launch."
    else:
        first = f"{len(launch.created)} of {len(names)} launched: {_span(launch.created)}"
    train = "bay train" if has_project else f"bay train {names[0]} train.py --data data"
    proof = "identical" if launch.identical else f"NOT identical; `bay verify {launch.fleet}` says what differs"
    return "\n".join(
        [
            first,
            f"  image   {image.name} {image.digest[:12]} ({what}, Python {image.python_version})",
            f"  proof   {count_of(len(names), 'fingerprint')}, {proof}",
            f"  clock   {clock_text(launch.clock)}",
            *(f"  share   {line}" for line in launch.parts),
            "  cost    $0.00 an hour: they are on this machine. A layer keeps packages and files apart, not hostile users.",
            f"  next    {train}    bay shell {names[0]}    bay terminate {launch.fleet}",
        ]
    )


def update_text(updated: Update) -> str:
    """Say what an update brought, and what people have to install again themselves."""
    image, names = updated.image, [item.name for item in updated.instances]
    if not updated.updated:
        return f"{updated.fleet} stands on {image.name} {image.digest[:12]} already: {_span(names)}; nothing to update."
    lines = [
        f"{len(updated.updated)} of {len(names)} moved: {_span(updated.updated)}; homes, working folders and runs stay",
        f"  image   {image.name} {image.digest[:12]}",
        f"  proof   {count_of(len(names), 'fingerprint')}, " + _sameness(updated),
        f"  clock   {clock_text(updated.clock)}",
    ]
    for item in updated.replayed:
        if item.packages:
            lines.append(f"  {item.instance}: installed again: {', '.join(item.packages)}")
        lines += [f"  {item.instance}: NOT installed again: {name}: {why}" for name, why in item.left.items()]
    if updated.kept:
        lines.append("  files that had been put into an environment were copied into the homes:")
        lines += [f"    {path}" for path in updated.kept[:20]]
    return "\n".join(lines)


def _sameness(updated: Update) -> str:
    if any(item.packages for item in updated.replayed):
        return "identical but for what people had installed"
    return "identical" if updated.identical else f"NOT identical; `bay verify {updated.fleet}` says what differs"


def ps_text(rows: Sequence[Row], width: int | None = None) -> str:
    """Say what instances there are."""
    if not rows:
        return "No instances. `bay launch tensorflow -n 3` makes some."
    has_people = any(row.person for row in rows)
    return table(
        ("NAME", *(["PERSON"] if has_people else []), "FLEET", "STATE", "IMAGE", "PROVIDER", *_COST, "AGE", "RUNNING"),
        [
            (
                row.name,
                *([row.person or "-"] if has_people else []),
                row.fleet,
                row.state,
                row.image,
                row.provider,
                row.usd_per_hour or "unknown",
                row.cost_so_far or "unknown",
                format_duration(row.age_s),
                " ".join([*row.running, *map(_service_cell, row.services)]) or "-",
            )
            for row in rows
        ],
        right=[column + has_people for column in (5, 6, 7)],
        width=width,
        least=("FLEET", "PROVIDER", "SO FAR", "USD/H", "AGE"),
    )


_COST = ("USD/H", "SO FAR")


def verification_text(name: str, proof: Verification) -> str:
    """Say whether instances are identical, and what is not."""
    count = len(proof.fingerprints)
    all_ = count_of(count, "instance")
    odd_ones = [item for item in proof.differences if item.kind != "gpu"]
    lines = []
    if proof.identical:
        lines.append(f"{name}: {all_}, identical, and every file of the image is what its packages say.")
    else:
        odd = list(dict.fromkeys(item.instance for item in odd_ones))
        lines.append(
            f"{name}: NOT identical. {len(odd)} of {all_} differ{'s' if len(odd) == 1 else ''}."
            if odd
            else f"{name}: the image was changed."
        )
        lines += _few([f"{item.instance}: {item.what}" for item in odd_ones])
        if proof.image_problems:
            lines.append(f"the image below all {count} of them was changed:")
            lines += _few(proof.image_problems)
    if proof.gpu_proven is not None:
        lines.append(
            f"  gpu     {'the framework can use every GPU' if proof.gpu_proven else 'NOT every GPU can be used by the framework'}"
        )
        lines += _few([f"{item.instance}: {item.what}" for item in proof.differences if item.kind == "gpu"])
    if proof.content:
        lines.append(f"  content {proof.content}")
    lines.append(
        f"  clock   fingerprints {format_duration(proof.seconds['fingerprints'])} "
        f"({format_duration(proof.seconds['per_instance'])} an instance), image {format_duration(proof.seconds['images'])}"
    )
    return "\n".join(lines)


def ended_text(ended: Ended) -> str:
    """Say what was stopped, started or removed."""
    done = {"stop": "stopped", "start": "started", "reboot": "restarted", "terminate": "terminated"}[ended.verb]
    if not ended.names:
        return "Nothing of it is left: it was terminated before."
    names = ended.names[0] if len(ended.names) == 1 else f"{ended.names[0]} to {ended.names[-1]} ({len(ended.names)})"
    if not ended.changed:
        return f"{names} {'is' if len(ended.names) == 1 else 'are'} {ended.state} already."
    ended_words = f", {count_of(ended.processes_ended, 'process')} ended" if ended.processes_ended else ""
    left = "; runs, logs and models stay (`bay runs`)" if ended.verb == "terminate" else ""
    is_of_interest = ended.verb == "terminate" or ended.usd_per_day != "0.00"
    cost = f" What still costs: ${ended.usd_per_day} a day." if is_of_interest else ""
    return f"{names} {done}{ended_words}{left}.{cost}"


def fetched_text(fetched: Fetched) -> str:
    """Say what was fetched."""
    shape = ""
    if fetched.rows is not None and fetched.columns is not None:
        shape = f", {count_of(fetched.rows, 'row')} x {count_of(fetched.columns, 'column')}"
    state = "" if fetched.is_new else " (was there already)"
    resumed = f", resumed after {format_bytes(fetched.resumed_from)}" if fetched.resumed_from else ""
    lines = [f"{fetched.path}: {format_bytes(fetched.bytes)}{shape}{resumed}{state}", f"  sha256  {fetched.sha256}"]
    return "\n".join([*lines, *(f"  note    {note}" for note in fetched.notes)])


_EARLIER_SHOWN = 5


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


def service_text(service: Service, *, is_open: bool = False) -> str:
    """Say where a board or a notebook answers, and how to get in."""
    verb = " ".join(["bay", service.kind, *([service.instance] if service.instance else [])])
    what = f"The {service.kind} of {service.name}"
    if not service.is_running:
        return f"{what} is ended. `{verb}` starts it again, with the same port and token."
    lines = [f"{what}: {service.url}"]
    if service.memory_bytes is not None:
        lines.append(f"  memory  {format_bytes(service.memory_bytes)}")
    if is_open:
        lines.append("  opened  in your browser, signed in")
    else:
        lines.append(f"  open    {service.door} in a browser: it signs you in")
    lines.append(f"  token   in {service.token_file}, for signing in by hand; only you can read it")
    lines.append(f"  end     {verb} --stop    (it goes on if this terminal closes)")
    return "\n".join(lines)


def _service_cell(service: Service) -> str:
    memory = f" {format_bytes(service.memory_bytes)}" if service.memory_bytes is not None else ""
    return f"{service.kind}:{service.port}{memory}"


def model_text(card: ModelCard) -> str:
    """Describe a model as Keras' own summary does."""
    rows = [
        (
            layer.name,
            layer.kind,
            _shape(layer.output_shape),
            "-" if layer.parameters is None else f"{layer.parameters:,}",
        )
        for layer in card.layers
    ]
    lines = [table(("LAYER", "KIND", "OUTPUT SHAPE", "PARAMETERS"), rows, right=(3,)), ""] if rows else []
    if card.tensors and not any(layer.parameters for layer in card.layers):
        weights = [(item.name or "-", _shape(item.shape), item.dtype or "-") for item in card.tensors]
        lines += [table(("TENSOR", "SHAPE", "TYPE"), weights), ""]
    for name, tensors in (("input", card.inputs), ("output", card.outputs)):
        lines += [f"{name:11} {_tensor(item)}" for item in tensors]
    lines.append(f"parameters  {card.parameters:,}" if card.parameters is not None else "parameters  unknown")
    for name, value in (
        ("trainable", card.trainable_parameters),
        ("loss", card.loss),
        ("optimizer", card.optimizer),
        ("format", card.format),
        ("framework", " ".join(filter(None, (card.framework, card.framework_version)))),
        ("sha256", card.sha256),
    ):
        if value is not None:
            lines.append(f"{name:11} {f'{value:,}' if isinstance(value, int) else value}")
    return "\n".join([*lines, *(f"finding     {item}" for item in card.findings)])


def _tensor(item: Tensor) -> str:
    return " ".join(filter(None, (item.name, _shape(item.shape), item.dtype)))


def evaluation_text(result: Evaluation) -> str:
    """Say how good a model is on data."""
    values = (("mse", result.mse), ("rmse", result.rmse), ("mae", result.mae), ("r2", result.r2), ("loss", result.loss))
    rows = "\n".join(f"  {name:6} {'unknown' if value is None else format_number(value)}" for name, value in values)
    return "\n".join([count_of(result.rows, "row"), rows, *(f"  note   {note}" for note in result.notes)])


def predictions_text(result: Predictions) -> str:
    """Show predictions, beside the truth where the data holds it."""
    truth = result.targets is not None
    rows = []
    for index, row in enumerate(result.predictions):
        shown = ", ".join(format_number(value) for value in (row if isinstance(row, Sequence) else [row]))
        target = format_number(result.targets[index]) if result.targets is not None else ""
        rows.append((str(result.first_row + index), shown, *([target] if truth else [])))
    head = ("ROW", "PREDICTION", *(["TARGET"] if truth else []))
    return "\n".join([table(head, rows, right=(0, 1, 2)), *(f"note  {note}" for note in result.notes)])


def checks_text(checks: Sequence[Check]) -> str:
    """Say what works here and what does not."""
    mark = {"ok": "ok", "warning": "warn", "broken": "BROKEN"}
    lines = [
        f"{mark[check.state]:7} {check.name:12} {check.found}" + (f"\n{'':20} -> {check.mend}" if check.mend else "")
        for check in checks
    ]
    return "\n".join(lines)


def _gpu_use(use: Mapping[str, Any]) -> str:
    """Say how a GPU was used; a script may be over before the first sample."""
    if use["mean_percent"] is None:
        return "use unknown"
    memory = f", peak memory {format_bytes(use['peak_memory_bytes'])}" if use["peak_memory_bytes"] else ""
    return f"{use['mean_percent']} % on average{memory}"


def _span(names: Sequence[str]) -> str:
    """Name a few, or the first and the last of many."""
    return ", ".join(names) if len(names) < 3 else f"{names[0]} to {names[-1]}"


def _shape(shape: Any) -> str:
    if shape is None:
        return "unknown"
    return "(" + ", ".join("None" if size is None else str(size) for size in shape) + ")"


def _few(items: Sequence[str], most: int = 20) -> list[str]:
    shown = [f"  {item}" for item in items[:most]]
    return [*shown, f"  ... and {len(items) - most} more"] if len(items) > most else shown
