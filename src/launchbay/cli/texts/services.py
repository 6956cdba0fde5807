"""Boards and notebooks as text for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchbay.units import format_bytes

if TYPE_CHECKING:
    from launchbay.store.service import Service

__all__ = ["service_cell", "service_text"]


def service_text(service: Service, *, is_open: bool = False) -> str:
    """Say where a board or a notebook answers, and how to get in."""
    verb = " ".join(["bay", service.kind, *([service.instance] if service.instance else [])])
    what = f"The {service.kind} of {service.name}"
    if not service.is_running:
        return f"{what} is ended. `{verb}` starts it again, with the same port and token."
    lines = [f"{what}: {service.url}"]
    if service.through:
        lines.append(f"  through a tunnel to {service.name}, which connects again by itself; its log is {service.log}")
    elif service.memory_bytes is not None:
        lines.append(f"  memory  {format_bytes(service.memory_bytes)}")
    if is_open:
        lines.append("  opened  in your browser, signed in")
    else:
        lines.append(f"  open    {service.door} in a browser: it signs you in")
    lines.append(f"  token   in {service.token_file}, for signing in by hand; only you can read it")
    lines.append(f"  end     {verb} --stop    (it goes on if this terminal closes)")
    return "\n".join(lines)


def service_cell(service: Service) -> str:
    """Say in a word what stands, for a list."""
    memory = f" {format_bytes(service.memory_bytes)}" if service.memory_bytes is not None else ""
    return f"{service.kind}:{service.port}{memory}"
