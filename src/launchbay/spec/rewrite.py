"""A workload file with other instances: everything else of its text stays as it was typed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from launchbay.errors import UsageError
from launchbay.spec.assignment import Assignment
from launchbay.spec.schedule import ALWAYS

__all__ = ["write_instances"]


def write_instances(text: str, source: str, instances: Sequence[Assignment]) -> str:
    """Return the text of a workload file with these instances in the place of those that it has.

    Raises UsageError for a file in one line (`{name: ...}`), of which no part can be exchanged by itself.
    """
    import yaml  # 20 ms, and most commands read no YAML

    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        raise UsageError("a workload in braces cannot be written anew", where=source, hint="one field a line")
    lines = text.splitlines()
    written = ["instances:", *(line for item in instances for line in _lines(item))]
    for key, value in node.value:
        if key.value == "instances":
            begin, end = key.start_mark.line, _last_line(value) + 1
            return "\n".join([*lines[:begin], *written, *lines[end:]]) + "\n"
    return "\n".join([*lines, "", *written]) + "\n"


def _last_line(node: Any) -> int:
    """Return the line on which a value ends; a block's own mark lies behind the comments that follow it."""
    import yaml

    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return int(node.end_mark.line) - (
            node.end_mark.column == 0
        )  # the mark of a block text lies behind its last line
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.line)
    last = node.value[-1]
    return max(_last_line(item) for item in (last if isinstance(last, tuple) else (last,)))


def _lines(item: Assignment) -> Iterator[str]:
    yield f"  - name: {_quoted(item.name)}"
    yield f"    type: {item.type}"
    yield f"    region: {item.region}"
    yield f"    market: {item.market}"
    if item.count > 1:
        yield f"    count: {item.count}"
    if item.hours is not None:
        yield f"    hours: {'always' if item.hours == ALWAYS else item.hours}"
    if item.runs:
        yield f"    runs: [{', '.join(map(_quoted, item.runs))}]"
    if item.disk_gib is not None:
        yield f"    disk: {item.disk_gib}GiB"
    if not item.disk_kept:
        yield "    disk_kept: false"
    if item.public_address:
        yield "    public_address: true"
    if item.software_usd_per_hour is not None:
        yield f"    software_usd_per_hour: {item.software_usd_per_hour:f}"


def _quoted(name: str) -> str:
    """Return a name such that YAML takes it for a text: ``on`` and ``3.10`` are names too."""
    import yaml

    return name if isinstance(yaml.safe_load(name), str) else f'"{name}"'
