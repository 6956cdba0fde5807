"""Which image a script asks for. Apart from the runs: it reads every recipe and lock, and few runs need it."""

from __future__ import annotations

from pathlib import Path

from launchbay.lifecycle.bay import Bay
from launchbay.runs.preview import refuse
from launchbay.runs.propose import Proposal, propose
from launchbay.runs.train import find_script

__all__ = ["propose_image"]


def propose_image(bay: Bay, script: str | Path, *, force: bool = False) -> Proposal:
    """Say which image a script asks for, and why; reads it and the modules of its folder, and executes nothing.

    Raises NotFound when there is no such script, or when it imports what no image has; WillFail when it is certain to
    fail in every image (unless `force`).
    """
    proposal = propose(bay, find_script(Path(script)))
    if any(problem.is_sure for problem in proposal.best.problems) and not force:
        raise refuse(proposal.script.name, "every image", proposal.best.problems)
    return proposal
