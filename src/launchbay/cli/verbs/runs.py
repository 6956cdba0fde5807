"""Data and runs: an API call for each verb, and what of it is shown."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import launchbay
from launchbay.cli.console import is_lively
from launchbay.cli.context import Context, list_width
from launchbay.cli.output import LastingStream, ReaderLeft, complain
from launchbay.cli.texts.runs import fetched_text, proposal_text, run_text, runs_text
from launchbay.errors import WillFail
from launchbay.units import parse_duration

__all__ = ["COMMANDS"]


def _fetch(context: Context) -> int:
    given = context.arguments
    fetched = launchbay.fetch(context.bay, given.source, into=given.output, sha256=given.sha256)
    context.show(fetched, lambda: fetched_text(fetched))
    return 0


def _train(context: Context) -> int:
    given = context.arguments
    timeout = parse_duration(given.timeout) if given.timeout else None
    started = []

    def tell(run: Any) -> None:
        started.append(run.id)
        attempt = f", attempt {run.attempt}" if run.earlier else ""
        says = f"{run.id} runs {run.script} in {run.instance}{attempt}; it goes on if this terminal closes"
        context.reporter.close()
        context.reporter.note(says)

    following: dict[str, Any] = {
        "timeout_s": timeout,
        "write": context.output,
        "on_interrupt": _ask_about_run,
        "detach": given.detach,
        "on_start": tell,
    }
    try:
        if given.resume is not None:
            own = {"--data": given.data, "--env": given.env, "arguments after --": given.args}
            instance = launchbay.complete_resumption(given.names, own=[name for name, value in own.items() if value])
            run = launchbay.resume(context.bay, given.resume, instance=instance, **following)
        else:
            wish = launchbay.complete_training(context.bay, given.names, data=given.data, args=given.args)
            place = {"data": wish.data, "args": wish.args, "env": given.env, "force": given.force}
            instance = wish.instance or _launch_for(context, wish)
            run = launchbay.train(context.bay, instance, wish.script, **place, **following)
    except ReaderLeft:
        return _leave(context, started[0])
    except WillFail as refusal:
        if given.json:
            context.show({"run": None, "problems": refusal.problems}, str)
        raise
    return _show_run(context, run)


def _launch_for(context: Context, wish: Any) -> str:
    """Launch an instance of the image that a script asks for, with the person's consent; return its name."""
    proposal = launchbay.propose_image(context.bay, wish.script, force=context.arguments.force)
    image, name = proposal.image, proposal.name
    context.reporter.note(proposal_text(proposal))
    words = ["bay", "train", name, str(wish.script), *(["--data", str(wish.data)] if wish.data else [])]
    context.agree(
        f"Launching one {image} instance named {name} to train there",
        by_hand=f"bay launch {image} --name {name}, then {shlex.join([*words, *(['--', *wish.args] if wish.args else [])])}",
        is_harmless=True,
    )
    launchbay.launch(context.bay, image, name=name)
    return name


def _leave(context: Context, name: str) -> int:
    """End following a run because nobody reads what it prints; return 1 if it goes on, because it was waited for."""
    run = launchbay.logs(context.bay, name, write=lambda _: None)
    if run.is_over:
        return _show_run(context, run)
    complain(f"bay: nobody reads the output any more; the run goes on: bay logs {run.id} -f")
    return 1


def _show_run(context: Context, run: Any) -> int:
    hint = launchbay.explain(run)
    context.show(run, lambda: run_text(run, hint))
    if context.arguments.json and hint:
        context.reporter.note(f"hint: {hint}")
    if run.state == "stopped":
        return 130
    return 0 if run.state in ("done", "running", "starting") else 1


def _ask_about_run() -> str:
    """Ask what Ctrl-C is to mean until it is said; a second one, or nobody there to answer, means stop."""
    if not sys.stdin.isatty():
        return "stop"
    question = "\nThe run goes on without this terminal. [s]top it, [d]etach, or [c]ontinue to watch (Enter)? "
    answers = {letter: word for word in ("stop", "detach", "continue") for letter in (word, word[0])}
    try:
        while True:
            LastingStream(sys.stderr).write(question)
            answer = sys.stdin.readline().strip().lower() or "continue"
            if answer in answers:
                return answers[answer]
            question = "[s]top, [d]etach or [c]ontinue (Enter)? "
    except KeyboardInterrupt:
        return "stop"


def _runs(context: Context) -> int:
    rows = launchbay.list_runs(context.bay)
    context.show(rows, lambda: runs_text(rows, context.bay.clock.now(), list_width()))
    return 0


def _logs(context: Context) -> int:
    given = context.arguments
    try:
        run = launchbay.logs(context.bay, given.run, write=context.output, follow=given.follow)
    except ReaderLeft:  # nothing but the showing was cut off
        if given.follow:
            _leave(context, given.run)
        return 0
    if given.json:
        context.show(run, str)
    return 0


def _curves(context: Context) -> int:
    given = context.arguments
    curves = launchbay.curves(context.bay, given.runs, output=given.output)
    width, height = shutil.get_terminal_size((100, 30))

    def text() -> str:
        if given.output:
            sentences = [f"{name}: {run.diagnosis.sentence}" for name, run in curves.runs.items()]
            return "\n".join([f"wrote {Path(given.output).absolute()}", *sentences])
        return launchbay.draw_curves(
            curves,
            width=min(width, 120),
            height=min(max(height - 6, 15), 32),
            color=is_lively(sys.stdout),
            unicode=sys.stdout.encoding.lower().startswith("utf"),
        )

    context.show(curves, text, is_drawn=True)
    return 0


COMMANDS = {
    "fetch": _fetch,
    "train": _train,
    "runs": _runs,
    "logs": _logs,
    "curves": _curves,
}
"""The verbs of this group."""
