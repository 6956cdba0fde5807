"""Runs on instances on EC2: started there, followed from here, brought home, stopped, resumed.

A run is known here from the moment it is started; what came of it since is asked of its instance, as far as that answers.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from launchbay.afar.bring import sync_run
from launchbay.afar.bundle import find_bundle
from launchbay.afar.machine import FarMachine
from launchbay.afar.moving import send_run
from launchbay.afar.origin import Origin, forget_origin, read_origin, seen_at, write_origin
from launchbay.afar.runs import follow_afar, resume_afar, submit_afar
from launchbay.cloud.fleet import CloudFleet
from launchbay.cloud.placing import is_on_s3
from launchbay.cloud.reach import ports_of
from launchbay.cloud.standing import (
    AT_ONCE,
    CONNECT_S,
    FarInstance,
    InstanceGone,
    find_far,
    machine_of,
    observe_fleets,
    open_machine,
    open_transport,
)
from launchbay.cloud.storing import get_back, place_for, renew_courier, restoring, send_courier, stored_by
from launchbay.errors import Conflict, LaunchbayError, UserError
from launchbay.files import explain_os_error
from launchbay.lifecycle.bay import Bay
from launchbay.lifecycle.end import Ended
from launchbay.providers.ec2.instances import Row
from launchbay.runs.end import settle_run
from launchbay.runs.resume import refuse_unless_over
from launchbay.runs.start import check_time_limit, read_again
from launchbay.runs.train import RunSpec, find_script
from launchbay.store.records import Run, open_runs
from launchbay.transport.ssh import SshTransport
from launchbay.transport.trouble import ConnectionBroken, Unreachable
from launchbay.units import format_duration

__all__ = [
    "bring_runs",
    "follow_far",
    "is_far",
    "refresh_runs",
    "resume_far",
    "running_runs",
    "show_log",
    "stop_far",
    "take_home",
    "train_far",
]

_QUICK_S = 6.0
"""How long EC2, and then an instance, is waited for by who only asks whether there is news."""
_AGAIN_S = 5.0
_MOST_TRIES = 24
"""How often a connection that broke while a run is followed is opened again, so many seconds apart."""


def is_far(run: Run) -> bool:
    """Say whether a run is on an instance on EC2 (or was, and was brought home)."""
    return run.afar is not None and bool(read_origin(run.folder).machine_id)


def train_far(
    bay: Bay,
    far: FarInstance,
    spec: RunSpec,
    *,
    write: Callable[[bytes], None] = lambda _: None,
    on_interrupt: Callable[[], str] = lambda: "stop",
    on_start: Callable[[Run], None] = lambda _: None,
    detach: bool = False,
) -> Run:
    """Run a script as it is on an instance on EC2, and (unless `detach`) follow it until it is home. As `train` locally.

    Its data goes there by the way that costs least, and what it makes goes to the store while it runs.
    """
    find_script(spec.script)  # before data is sent for it
    check_time_limit(spec.timeout_s)
    with open_machine(bay, far) as machine:
        placed = place_for(bay, far, machine, spec.source or spec.data)
        named = {"fleet": far.fleet.name, "machine_id": _identity(machine)}
        run = submit_afar(bay, machine, far.name, spec, placed=placed, **named)
        send_courier(bay, far, machine, run)
        for problem in run.foreseen:
            bay.reporter.note(problem)
        on_start(run)
        return run if detach else _follow(bay, machine, run, write, on_interrupt=on_interrupt)


def resume_far(
    bay: Bay,
    run: Run,
    far: FarInstance | None = None,
    *,
    timeout_s: float | None = None,
    write: Callable[[bytes], None] = lambda _: None,
    on_interrupt: Callable[[], str] = lambda: "stop",
    on_start: Callable[[Run], None] = lambda _: None,
    detach: bool = False,
) -> Run:
    """Start another attempt of a run on an instance on EC2: its own, or one that it is sent to with all that it left.

    Raises Conflict where it goes on, or is done; InstanceGone where its own instance is asked and stands no more.
    """
    check_time_limit(timeout_s)
    run = take_home(bay, run)
    far = far or _own_instance(bay, run)
    with open_machine(bay, far) as machine:
        origin = read_origin(run.folder) if run.afar else None
        if origin is None or origin.machine_id != _identity(machine):
            is_there = run.data is not None and (is_on_s3(run.data) or os.path.isdir(run.data))
            placed = place_for(bay, far, machine, run.data) if is_there else None
            named = {"fleet": far.fleet.name, "machine_id": _identity(machine)}
            origin = send_run(bay, machine, run, far.name, placed=placed, **named)
        resumed = resume_afar(bay, machine, run.id, far.name, origin, timeout_s=timeout_s)
        if not resumed.is_over:
            send_courier(bay, far, machine, resumed)
        on_start(resumed)
        if detach:
            return resumed
        return _follow(bay, machine, resumed, write, on_interrupt=on_interrupt, skip=resumed.log_start)


def take_home(bay: Bay, run: Run, *, is_moved: bool = False) -> Run:
    """Return a run that is over and whole here, so that it can be resumed. Raises Conflict while it goes on, or is done.

    With `is_moved` it is one of this machine from then on.
    """
    if run.afar and not run.is_over:
        run = _refreshed(bay, run)
    refuse_unless_over(bay, run)
    run = settle_run(run)
    if is_moved:
        if run.data and is_on_s3(run.data):
            hint = f"bay train INSTANCE --resume {run.id}, with an instance on EC2"
            raise UserError(
                f"{run.id} has its data from S3, and this machine has none of it", where=run.data, hint=hint
            )
        if run.data and not os.path.lexists(run.work / "data"):  # made when a run is brought whole, and it never was
            (run.work / "data").symlink_to(run.data)
        forget_origin(run.folder)
    return read_again(run.folder)


def follow_far(
    bay: Bay, run: Run, write: Callable[[bytes], None], *, on_interrupt: Callable[[], str] = lambda: "detach"
) -> Run:
    """Pass on what a run on EC2 printed and prints, until it is over and home. One that is lost comes back as it is here."""
    try:
        with _machine_for(bay, run) as machine:
            return _follow(bay, machine, run, write, on_interrupt=on_interrupt)
    except InstanceGone as gone:
        run = _settle_gone(bay, run, gone)
        _write_log(run, write)
        return run


def show_log(bay: Bay, run: Run, write: Callable[[bytes], None]) -> Run:
    """Pass on what is here of a run's log, with what is new of it if its instance answers soon."""
    (run,) = refresh_runs(bay, [run])
    _write_log(run, write)
    return run


def stop_far(bay: Bay, run: Run) -> Ended:
    """Stop a run on its instance, and bring it home. Idempotent. Raises UserError where its instance does not answer."""
    if run.is_over and run.state != "lost":
        return Ended(verb="stop", names=[run.id], state=run.state, changed=False)
    try:
        with _machine_for(bay, run) as machine:
            told = machine.call(["stop", run.id])
            run = sync_run(bay, machine, run.id)
    except InstanceGone as gone:
        was_over, run = run.is_over, _settle_gone(bay, run, gone)
        return Ended(verb="stop", names=[run.id], state=run.state, changed=not was_over)
    ended, changed = int(told["processes_ended"]), bool(told["changed"])
    return Ended(verb="stop", names=[run.id], processes_ended=ended, state=run.state, changed=changed)


# --- what is new of runs -------------------------------------------------------------------------------------------


def refresh_runs(bay: Bay, runs: Sequence[Run], *, patience_s: float = _QUICK_S) -> Sequence[Run]:
    """Bring what is new of runs that go on on EC2; return all of them as they are known then, in order.

    Those that are over, or not on EC2, come back as they are. Of an instance that does not answer within `patience_s` a note
    says since when nothing is known.
    """
    open_ones = [run for run in runs if not run.is_over and is_far(run)]
    if not open_ones:
        return runs
    try:
        found = _find_machines(bay, open_ones, patience_s=patience_s)
    except (LaunchbayError, TimeoutError) as error:
        for run in open_ones:
            _note_unknown(bay, run, error)
        return runs
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            one = _Refreshing(bay, found).one
            fresh = dict(zip((run.id for run in open_ones), pool.map(one, open_ones), strict=True))
    finally:
        for machine in found.values():
            if isinstance(machine, FarMachine):
                machine.transport.close()
    return [fresh.get(run.id, run) for run in runs]


@dataclass(frozen=True, slots=True)
class _Refreshing:
    bay: Bay
    machines: Mapping[str, FarMachine | LaunchbayError]

    def one(self, run: Run) -> Run:
        """Bring what is new of one run, or say why nothing is."""
        machine = self.machines[run.id]
        try:
            if isinstance(machine, LaunchbayError):
                raise machine
            return _synced(self.bay, machine, run)
        except InstanceGone as gone:
            try:
                return _settle_gone(self.bay, run, gone)
            except InstanceGone:
                _note_unknown(self.bay, run, gone)
        except LaunchbayError as error:
            _note_unknown(self.bay, run, error)
        return run


def _refreshed(bay: Bay, run: Run) -> Run:
    """Bring what is new of one run. Raises whatever keeps that from being known."""
    try:
        with _machine_for(bay, run) as machine:
            return _synced(bay, machine, run)
    except InstanceGone as gone:
        return _settle_gone(bay, run, gone)


def _synced(bay: Bay, machine: FarMachine, run: Run) -> Run:
    """Bring what is new of a run from its machine, and let what is to come go on to the store."""
    run = sync_run(bay, machine, run.id)
    if not run.is_over:
        renew_courier(bay, _own_instance(bay, run), machine, run)
    return run


def _note_unknown(bay: Bay, run: Run, error: Exception) -> None:
    age = format_duration(max(bay.clock.now() - seen_at(run.folder), 0))
    why = error.what if isinstance(error, LaunchbayError) else "no answer from EC2"
    bay.reporter.note(f"{run.id} is shown as it was {age} ago ({run.state}): {why}")


def bring_runs(bay: Bay, fleet: CloudFleet) -> list[Run]:
    """Bring what is new of every run of a fleet that is not home whole; return them. One whose instance is silent is noted.

    Those that come back over are whole here; those that go on (`running_runs`) end with their instance.
    """
    return list(refresh_runs(bay, running_runs(bay, fleet), patience_s=CONNECT_S))


def running_runs(bay: Bay, fleet: CloudFleet) -> list[Run]:
    """Return the runs of a fleet that go on, as far as is known here: whoever wants the news calls `bring_runs` first."""
    return [run for run in open_runs(bay.home) if is_far(run) and read_origin(run.folder).fleet == fleet.name]


# --- the instance of a run -----------------------------------------------------------------------------------------


def _identity(machine: FarMachine) -> str:
    """Return EC2's id of the instance that a machine is."""
    transport = machine.transport
    return transport.door.alias if isinstance(transport, SshTransport) else ""


def _own_instance(bay: Bay, run: Run) -> FarInstance:
    """Return the instance that a run is on, by its name. Raises InstanceGone when its fleet was ended from here."""
    origin = read_origin(run.folder)
    found = [far for far in find_far(bay, origin.instance) if far.name == origin.instance]
    if not found:
        raise _ended_here(run, origin)
    return found[0]


def _ended_here(run: Run, origin: Origin) -> InstanceGone:
    what = f"{origin.instance}, on which {run.id} ran, is gone"
    return InstanceGone(
        what, hint=f"bay train INSTANCE --resume {run.id}, on the same image", machine_id=origin.machine_id
    )


@contextlib.contextmanager
def _machine_for(bay: Bay, run: Run) -> Iterator[FarMachine]:
    """Lend the machine that a run is on. Raises InstanceGone when it stands no more, or another has its name."""
    origin = read_origin(run.folder)
    with open_machine(bay, _own_instance(bay, run)) as machine:
        if _identity(machine) != origin.machine_id:
            raise _ended_here(run, origin)
        yield machine


def _find_machines(bay: Bay, runs: Sequence[Run], *, patience_s: float) -> Mapping[str, FarMachine | LaunchbayError]:
    """Find the machine of each run, by its id, or why there is none; all at once, with one question to EC2 a region."""
    own: dict[str, FarInstance | LaunchbayError] = {}
    for run in runs:
        try:
            own[run.id] = _own_instance(bay, run)
        except InstanceGone as gone:
            own[run.id] = gone
    fars = {far.name: far for far in own.values() if isinstance(far, FarInstance)}
    fleets = list({far.fleet.name: far.fleet for far in fars.values()}.values())
    rows = _within(patience_s, lambda: observe_fleets(bay, fleets)) if fleets else {}
    port_of = {fleet.name: ports_of(bay, fleet) for fleet in fleets}
    bundle = find_bundle(bay.home)

    def one(far: FarInstance) -> FarMachine | LaunchbayError:
        row = rows.get(far.name)
        try:
            port = port_of[far.fleet.name](row) if row else None
            transport = open_transport(bay, far, row=row, port=port, connect_timeout=patience_s)
        except LaunchbayError as error:
            return error
        try:
            return machine_of(far, transport).install(bundle)
        except LaunchbayError as error:
            transport.close()
            return error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        machines = dict(zip(fars, pool.map(one, fars.values()), strict=True))
    found: dict[str, FarMachine | LaunchbayError] = {}
    for run in runs:
        far = own[run.id]
        found[run.id] = far if isinstance(far, LaunchbayError) else machines[far.name]
        origin = read_origin(run.folder)
        row = rows.get(origin.instance)
        if row is not None and row.id != origin.machine_id:
            found[run.id] = _ended_here(run, origin)
    return found


def _within(seconds: float, ask: Callable[[], Mapping[str, Row]]) -> Mapping[str, Row]:
    """Ask something that may take minutes where there is no network. Raises TimeoutError when there is no answer in time."""
    answer: list[Mapping[str, Row] | LaunchbayError] = []

    def run() -> None:
        try:
            answer.append(ask())
        except LaunchbayError as error:
            answer.append(error)

    asking = threading.Thread(target=run, name="ask EC2", daemon=True)  # nobody waits for it when this process ends
    asking.start()
    asking.join(seconds)
    if not answer:
        raise TimeoutError
    if isinstance(answer[0], LaunchbayError):
        raise answer[0]
    return answer[0]


def _settle_gone(bay: Bay, run: Run, gone: InstanceGone) -> Run:
    """Write down that a run is lost with its instance, and look at what had come here of it.

    Only where it is proven that the instance ended: other credentials would show nothing of it either. Raises `gone` else.
    """
    origin = stored_by(run)
    if not gone.machine_id:
        if origin.stored_until:
            gone.hint = f"{restoring(origin, run)}, if it is gone for good: then it can be resumed"
        raise gone
    if not run.is_over:
        kept = get_back(bay, run)
        if kept is None:
            write_origin(run.folder, origin, state="lost", seen_at=bay.clock.now())
        run = read_again(run.folder)
        with contextlib.suppress(Conflict):  # its script is seen to go on: a twin's hosts are on this very machine
            run = settle_run(run)
        if kept is None:
            what = f"What had come here of it stays, in {run.folder}."
        else:
            what = f"What it had sent to the store is here, in {run.folder}: bay train INSTANCE --resume {run.id}"
        if run.state == "lost":
            bay.reporter.note(f"{run.id} is lost: {gone.what}. {what}")
        else:
            bay.reporter.note(f"{gone.what}; {run.id} had ended before ({run.state}), and was got from the store.")
    return run


# --- following -----------------------------------------------------------------------------------------------------


def _follow(
    bay: Bay,
    machine: FarMachine,
    run: Run,
    write: Callable[[bytes], None],
    *,
    on_interrupt: Callable[[], str],
    skip: int = 0,
) -> Run:
    """Follow a run; a connection that breaks is opened again, for as long as somebody would wait.

    Raises the connection's error when it stays away, InstanceGone when the instance ended.
    """
    passed, tries = skip, 0

    def pass_on(chunk: bytes) -> None:
        nonlocal passed, tries
        passed, tries = passed + len(chunk), 0
        write(chunk)

    def renew() -> None:
        renew_courier(bay, _own_instance(bay, run), machine, run)

    while True:
        try:
            return follow_afar(bay, machine, run.id, pass_on, on_interrupt=on_interrupt, skip=passed, also=renew)
        except (ConnectionBroken, Unreachable) as error:
            if not tries:
                bay.reporter.note(f"The connection to {machine.called} is gone, and is tried again; {run.id} goes on.")
            tries += 1
            lost = UserError(error.what, where=error.where, hint=f"it goes on without us: bay logs {run.id} -f")
            if tries > _MOST_TRIES:
                raise lost from error
            try:
                bay.clock.sleep(_AGAIN_S)
                _check_stands(bay, run)
            except InstanceGone as gone:
                return _settle_gone(bay, run, gone)
            except KeyboardInterrupt:
                if on_interrupt() in ("stop", "detach"):
                    raise lost from error


def _check_stands(bay: Bay, run: Run) -> None:
    """Raise InstanceGone when the instance of a run stands no more, Conflict when it is stopped; where EC2 is silent, nothing."""
    try:
        far, origin = _own_instance(bay, run), read_origin(run.folder)
        row = observe_fleets(bay, [far.fleet]).get(far.name)
        if row is not None and row.id != origin.machine_id:
            raise _ended_here(run, origin)
        open_transport(bay, far, row=row)
    except (InstanceGone, Conflict):
        raise
    except LaunchbayError:
        return


def _write_log(run: Run, write: Callable[[bytes], None]) -> None:
    if not run.log.exists():
        return
    try:
        with run.log.open("rb") as log:
            while chunk := log.read(1 << 16):
                write(chunk)
    except OSError as error:
        raise explain_os_error(error, f"reading the log of {run.id}") from error
