"""Boards and notebooks: an API call for each verb, and what of it is shown."""

from __future__ import annotations

import sys
from typing import Any

import launchbay
from launchbay.cli.context import Context
from launchbay.cli.texts.services import service_text

__all__ = ["COMMANDS"]


def _board(context: Context) -> int:
    given = context.arguments
    if given.stop:
        return _show_service(context, launchbay.end_board(context.bay, given.names))
    return _show_service(context, launchbay.board(context.bay, given.names, port=given.port))


def _notebook(context: Context) -> int:
    given = context.arguments
    if given.stop:
        return _show_service(context, launchbay.end_notebook(context.bay, given.name))
    return _show_service(context, launchbay.notebook(context.bay, given.name, port=given.port))


def _show_service(context: Context, service: Any) -> int:
    given = context.arguments
    is_asked = service.is_running and not given.no_browser and not given.json and sys.stdout.isatty()
    is_open = is_asked and launchbay.open_in_browser(context.bay, service)
    context.show(service, lambda: service_text(service, is_open=is_open))
    return 0


COMMANDS = {
    "board": _board,
    "notebook": _notebook,
}
"""The verbs of this group."""
