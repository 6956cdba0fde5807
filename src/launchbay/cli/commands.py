"""One function per verb: an API call, and what of it is shown. No decisions are made here."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import launchbay
from launchbay.cli import render
from launchbay.cli import shared as shared_texts
from launchbay.cli.console import ConsoleReporter, is_lively
from launchbay.cli.ending import ended_like_interrupted
from launchbay.cli.output import LastingStream, ReaderLeft, complain, printable, write_bytes, write_text
from launchbay.errors import UsageError, WillFail
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.ports import Event
from launchbay.units import parse_duration

__all__ = ["run"]


@dataclass(slots=True)
class _Context:
    """What every command gets: the arguments, the bay, and where to write."""

    arguments: Namespace
    bay: Bay
    reporter: ConsoleReporter
    last: bytes = b"\n"
    """How the script's output on stdout ended so far; it need not end its line."""

    def show(self, value: object, text: Callable[[], str], *, is_drawn: bool = False) -> None:
        """Print the value as JSON or as text, after all progress is off the screen.

        Names of files and scripts may hold anything: what a terminal takes for a command is only let through where we
        draw in colours.
        """
        self.reporter.close()
        if self.arguments.json:
            shown = json.dumps(launchbay.to_json(value), indent=1)
        else:
            shown = text() if is_drawn else printable(text())
        begin = "" if self.last == b"\n" else "\n"
        with contextlib.suppress(ReaderLeft):  # the work is done, and the exit code still tells how it ended
            write_text(begin + shown + "\n")

    @contextlib.contextmanager
    def waiting(self, task: str) -> Iterator[None]:
        """Show that something goes on which takes seconds and says nothing meanwhile."""
        self.reporter.event(Event(task=task))
        yield
        self.reporter.event(Event(task=task, message="done", finished=True))

    def agree(self, question: str, *, by_hand: str = "", is_harmless: bool = False) -> None:
        """Ask before something is removed; where nobody can answer, refuse and say how to agree beforehand.

        `by_hand` are the commands that do the same. For what is harmless, Enter alone means yes.
        """
        if self.arguments.yes:
            return
        if self.arguments.json or not sys.stdin.isatty():
            hint = f"{by_hand}; or the same command with -y" if by_hand else "the same command with -y"
            raise UsageError(f"{question} needs your consent", hint=hint)
        LastingStream(sys.stderr).write(f"{question}. Go on? {'[Y/n]' if is_harmless else '[y/N]'} ")
        typed = sys.stdin.readline()
        answer = typed.strip().lower() or ("y" if is_harmless and typed else "n")
        if answer not in ("y", "yes"):
            raise UsageError("nothing was done")

    def output(self, chunk: bytes) -> None:
        """Pass on what a script prints; with --json stdout is for the answer alone. Raises ReaderLeft."""
        if self.arguments.json:
            with contextlib.suppress(ReaderLeft):  # it is only told by the way
                write_bytes(sys.stderr, chunk)
        else:
            write_bytes(sys.stdout, chunk)
            self.last = chunk[-1:] or self.last


def run(arguments: Namespace) -> int:
    """Run the command that was typed; return its exit code."""
    if arguments.provider not in (None, "local"):
        raise UsageError(f"--provider {arguments.provider} comes with a later version", hint="--provider local")
    reporter = ConsoleReporter()
    context = _Context(arguments, open_bay(reporter=reporter), reporter)
    name = f"{arguments.verb} {arguments.action}" if hasattr(arguments, "action") else arguments.verb
    try:
        return _COMMANDS[name](context)
    except KeyboardInterrupt:
        reporter.close(erase=True)
        raise
    finally:
        reporter.close()


def _width() -> int | None:
    """Return how wide a list may be: as the terminal is; for a file or a pipe, as it comes."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


# --- getting started ------------------------------------------------------------------------------------------------


def _init(context: _Context) -> int:
    folder = context.arguments.folder
    written = launchbay.init(folder, image=context.arguments.image)
    move = "" if folder == "." else f"{shlex.join(['cd', folder])} && "
    context.show(
        {"written": written},
        lambda: "\n".join([*(f"wrote {path}" for path in written), f"next: {move}bay launch && bay train"]),
    )
    return 0


def _demo(context: _Context) -> int:
    def tell(text: str) -> None:
        context.reporter.close()
        context.output(text.encode() + b"\n")

    given = context.arguments
    with ended_like_interrupted():
        result = launchbay.demo(context.bay, data=given.data, epochs=given.epochs, write=context.output, tell=tell)
    if context.arguments.json:
        context.show(result, str)
    return 0 if result.left == 0 else 1


def _doctor(context: _Context) -> int:
    checks = launchbay.doctor(context.bay)
    context.show({"checks": checks}, lambda: render.checks_text(checks))
    return 1 if any(check.state == "broken" for check in checks) else 0


# --- images ---------------------------------------------------------------------------------------------------------


def _images(context: _Context) -> int:
    rows = launchbay.list_images(context.bay, " ".join(context.arguments.query))
    context.show(rows, lambda: render.images_text(rows, _width()))
    return 0


def _image_build(context: _Context) -> int:
    image = launchbay.build_image(context.bay, context.arguments.image, accelerator=context.arguments.accelerator)
    shown = {**launchbay.to_json(image), "packages": dict(image.packages)}
    context.show(image, lambda: render.image_text(shown).split("\n\n")[0])
    return 0


def _image_show(context: _Context) -> int:
    shown = launchbay.show_image(context.bay, context.arguments.image)
    context.show(shown, lambda: render.image_text(shown))
    return 0


def _image_verify(context: _Context) -> int:
    check = launchbay.verify_built(context.bay, context.arguments.image)
    context.show(check, lambda: render.image_check_text(check))
    return 0 if check.ok else 1


def _image_bake(context: _Context) -> int:
    given = context.arguments
    baked = launchbay.bake(context.bay, given.instance, name=given.name, env=given.env, output=given.output)
    context.show(baked, lambda: render.baked_text(baked))
    return 0 if baked.same else 1


def _image_export(context: _Context) -> int:
    exported = launchbay.export_image(context.bay, context.arguments.image, output=context.arguments.output)
    context.show(exported, lambda: render.exported_text(exported))
    return 0


def _image_import(context: _Context) -> int:
    given = context.arguments
    imported = launchbay.import_image(context.bay, given.file, sha256=given.sha256)
    context.show(imported, lambda: render.imported_text(imported))
    return 0


def _image_remove(context: _Context) -> int:
    context.agree(f"Removing the image {context.arguments.image}")
    image = launchbay.remove_image(context.bay, context.arguments.image)
    context.show({"removed": image}, lambda: f"{image.name} {image.digest[:12]} removed")
    return 0


# --- instances ------------------------------------------------------------------------------------------------------


def _launch(context: _Context) -> int:
    given = context.arguments
    image, count, name = launchbay.complete_launch(given.image, count=given.count, name=given.name)
    launched = launchbay.launch(
        context.bay,
        image,
        count=count,
        name=name,
        overlay=given.overlay,
        accelerator=given.accelerator,
        resources=launchbay.complete_resources(given.image),
    )
    as_in_project = given.image is None and given.name is None
    context.show(launched, lambda: render.launch_text(launched, has_project=as_in_project))
    return 0 if launched.identical else 1


def _update(context: _Context) -> int:
    updated = launchbay.update(context.bay, context.arguments.fleet, context.arguments.image)
    context.show(updated, lambda: render.update_text(updated))
    return 0


def _ps(context: _Context) -> int:
    rows = launchbay.ps(context.bay)
    context.show(rows, lambda: render.ps_text(rows, _width()))
    return 0


def _verify(context: _Context) -> int:
    proof = launchbay.verify(context.bay, context.arguments.name)
    context.show(proof, lambda: render.verification_text(context.arguments.name, proof))
    return 0 if proof.identical and proof.gpu_proven is not False else 1


def _exec(context: _Context) -> int:
    given = context.arguments
    code, output = launchbay.execute(context.bay, given.name, given.command, capture=given.json, env=given.env)
    if given.json:
        context.output(output)
        context.show({"instance": given.name, "exit_code": code}, str)
    return code


def _shell(context: _Context) -> int:
    return launchbay.shell(context.bay, context.arguments.name, env=context.arguments.env)


def _cp(context: _Context) -> int:
    given = context.arguments
    name = launchbay.copy(context.bay, given.source, given.target)
    context.show(
        {"instance": name, "from": given.source, "to": given.target}, lambda: f"{given.source} -> {given.target}"
    )
    return 0


def _power(context: _Context) -> int:
    verb = {"stop": launchbay.stop, "start": launchbay.start, "reboot": launchbay.reboot}[context.arguments.verb]
    ended = verb(context.bay, context.arguments.name)
    context.show(ended, lambda: render.ended_text(ended))
    return 0


def _terminate(context: _Context) -> int:
    name = context.arguments.name
    plan = launchbay.terminate_plan(context.bay, name)
    if plan.needs_consent:
        names = [item for action in plan.actions for item in action.names]
        context.agree(
            f"Terminating {', '.join(names[:5])}{' ...' if len(names) > 5 else ''} ({len(names)}) with their homes"
        )
    ended = launchbay.terminate(context.bay, name, plan=plan)
    context.show(ended, lambda: render.ended_text(ended))
    return 0


def _share(context: _Context) -> int:
    given = context.arguments
    if (given.revoke or given.readmit) and given.fleet is None:
        raise UsageError("which fleet?", hint=f"bay share FLEET --revoke {given.revoke or given.readmit}")
    if given.revoke:
        revoked = launchbay.revoke(context.bay, given.fleet, given.revoke)
        context.show(revoked, lambda: shared_texts.revoked_text(revoked))
    elif given.readmit:
        again = launchbay.readmit_person(context.bay, given.fleet, given.readmit)
        context.show(again, lambda: shared_texts.revoked_text(again, is_again=True))
    else:
        shared = launchbay.share(
            context.bay,
            given.fleet,
            output=given.output,
            host=given.host,
            ssh_port=given.ssh_port,
            host_key=given.host_key,
            authorized_keys=given.authorized_keys,
        )
        context.show(shared, lambda: shared_texts.shared_text(shared))
    return 0


# --- runs -----------------------------------------------------------------------------------------------------------


def _fetch(context: _Context) -> int:
    given = context.arguments
    fetched = launchbay.fetch(context.bay, given.source, into=given.output, sha256=given.sha256)
    context.show(fetched, lambda: render.fetched_text(fetched))
    return 0


def _train(context: _Context) -> int:
    given = context.arguments
    timeout = parse_duration(given.timeout) if given.timeout else None
    started = []

    def tell(run: Any) -> None:
        started.append(run.id)
        attempt = f", attempt {run.attempt}" if run.earlier else ""
        says = f"{run.id} runs {run.script} in {run.instance}{attempt}; it goes on if this terminal closes"
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


def _launch_for(context: _Context, wish: Any) -> str:
    """Launch an instance of the image that a script asks for, with the person's consent; return its name."""
    proposal = launchbay.propose_image(context.bay, wish.script, force=context.arguments.force)
    image, name = proposal.image, proposal.name
    context.reporter.note(render.proposal_text(proposal))
    words = ["bay", "train", name, str(wish.script), *(["--data", str(wish.data)] if wish.data else [])]
    context.agree(
        f"Launching one {image} instance named {name} to train there",
        by_hand=f"bay launch {image} --name {name}, then {shlex.join([*words, *(['--', *wish.args] if wish.args else [])])}",
        is_harmless=True,
    )
    launchbay.launch(context.bay, image, name=name)
    return name


def _leave(context: _Context, name: str) -> int:
    """End following a run because nobody reads what it prints; return 1 if it goes on, because it was waited for."""
    run = launchbay.logs(context.bay, name, write=lambda _: None)
    if run.is_over:
        return _show_run(context, run)
    complain(f"bay: nobody reads the output any more; the run goes on: bay logs {run.id} -f")
    return 1


def _show_run(context: _Context, run: Any) -> int:
    hint = launchbay.explain(run)
    context.show(run, lambda: render.run_text(run, hint))
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


def _runs(context: _Context) -> int:
    rows = launchbay.list_runs(context.bay)
    context.show(rows, lambda: render.runs_text(rows, context.bay.clock.now(), _width()))
    return 0


def _logs(context: _Context) -> int:
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


def _curves(context: _Context) -> int:
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


# --- services -------------------------------------------------------------------------------------------------------


def _board(context: _Context) -> int:
    given = context.arguments
    if given.stop:
        return _show_service(context, launchbay.end_board(context.bay, given.names))
    return _show_service(context, launchbay.board(context.bay, given.names, port=given.port))


def _notebook(context: _Context) -> int:
    given = context.arguments
    if given.stop:
        return _show_service(context, launchbay.end_notebook(context.bay, given.name))
    return _show_service(context, launchbay.notebook(context.bay, given.name, port=given.port))


def _show_service(context: _Context, service: Any) -> int:
    given = context.arguments
    is_asked = service.is_running and not given.no_browser and not given.json and sys.stdout.isatty()
    is_open = is_asked and launchbay.open_in_browser(context.bay, service)
    context.show(service, lambda: render.service_text(service, is_open=is_open))
    return 0


# --- models ---------------------------------------------------------------------------------------------------------


def _model_show(context: _Context) -> int:
    card = launchbay.show_model_card(context.bay, context.arguments.model)
    context.show(card, lambda: render.model_text(card))
    return 0


def _evaluate(context: _Context) -> int:
    given = context.arguments
    with context.waiting(f"evaluate {given.model}"):
        result = launchbay.evaluate(
            context.bay,
            given.model,
            given.data,
            target=given.target,
            batch_size=given.batch_size,
            trust=given.trust,
        )
    context.show(result, lambda: render.evaluation_text(result))
    return 0


def _predict(context: _Context) -> int:
    given = context.arguments
    with context.waiting(f"predict with {given.model}"):
        result = launchbay.predict(
            context.bay, given.model, given.data, rows=given.rows, target=given.target, trust=given.trust
        )
    context.show(result, lambda: render.predictions_text(result))
    return 0


_COMMANDS: dict[str, Callable[[_Context], int]] = {
    "init": _init,
    "demo": _demo,
    "doctor": _doctor,
    "images": _images,
    "image build": _image_build,
    "image show": _image_show,
    "image verify": _image_verify,
    "image bake": _image_bake,
    "image export": _image_export,
    "image import": _image_import,
    "image remove": _image_remove,
    "launch": _launch,
    "update": _update,
    "ps": _ps,
    "verify": _verify,
    "exec": _exec,
    "shell": _shell,
    "cp": _cp,
    "stop": _power,
    "start": _power,
    "reboot": _power,
    "terminate": _terminate,
    "share": _share,
    "fetch": _fetch,
    "train": _train,
    "runs": _runs,
    "logs": _logs,
    "curves": _curves,
    "board": _board,
    "notebook": _notebook,
    "model show": _model_show,
    "evaluate": _evaluate,
    "predict": _predict,
}
