"""Sharing: an API call for each verb, and what of it is shown."""

from __future__ import annotations

import launchbay
from launchbay.cli.context import Context
from launchbay.cli.texts.sharing import far_shared_text, revoked_text, shared_text
from launchbay.cloud.sharing import FarShared

__all__ = ["COMMANDS"]


def _share(context: Context) -> int:
    given = context.arguments
    if given.revoke:
        revoked = launchbay.revoke(context.bay, given.fleet, given.revoke)
        context.show(revoked, lambda: revoked_text(revoked))
    elif given.readmit:
        again = launchbay.readmit_person(context.bay, given.fleet, given.readmit)
        context.show(again, lambda: revoked_text(again, is_again=True))
    else:
        shared = launchbay.share(
            context.bay,
            given.fleet,
            output=given.output,
            host=given.host,
            ssh_port=given.ssh_port,
            host_key=given.host_key,
            authorized_keys=given.authorized_keys,
            networks=given.allow_cidr or (),
            is_open_to_anyone=given.allow_anyone,
        )
        if isinstance(shared, FarShared):
            far = shared
            context.show(far, lambda: far_shared_text(far))
        else:
            own = shared
            context.show(own, lambda: shared_text(own))
    return 0


COMMANDS = {"share": _share}
"""The verbs of this group."""
