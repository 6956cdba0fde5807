"""JupyterLab in an instance: its own Python, its working folder, its home."""

from __future__ import annotations

import json

from launchbay.errors import Conflict
from launchbay.files import locked
from launchbay.lifecycle.bay import Bay, connect, image_of
from launchbay.planning.fleet import Instance
from launchbay.providers.environment import find_environment
from launchbay.services.door import leading_page
from launchbay.services.standing import Program, ensure_service, reserve
from launchbay.store.service import Service
from launchbay.transport.onboard import install_onboard

__all__ = ["stand_notebook"]


def stand_notebook(bay: Bay, instance: Instance, *, port: int | None = None) -> Service:
    """Return the notebook of an instance, started if it does not stand; blocks until it answers.

    Raises Conflict when the instance is stopped, or its image has no JupyterLab.
    """
    with locked(bay.home.lock(f"fleet-{instance.fleet}"), shared=True):  # nobody stops or terminates it under us
        transport = connect(bay, instance)
        environment = find_environment(instance.root, image_of(bay, instance), None)
        if "jupyterlab" not in environment.image.packages:
            hint = "launch one on an image that has it: bay images jupyterlab"
            raise Conflict(f"the image of {instance.name} has no JupyterLab", hint=hint)
        service = reserve(bay, "notebook", instance, port=port)
        program = str(install_onboard(bay.home))
        python = str(environment.python)
        wish = {"port": service.port, "work": str(instance.root / "work")}
        return ensure_service(
            bay,
            service,
            Program(
                transport=transport,
                python=python,
                argv=[python, program, "notebook"],
                variables={
                    "LAUNCHBAY_FLEET": instance.fleet,
                    "LAUNCHBAY_PROGRAM": program,
                    "LAUNCHBAY_RUNS": str(bay.home.runs),
                },
                files={"notebook.json": json.dumps(wish), "open.html": leading_page(service.url, service.token)},
            ),
        )
