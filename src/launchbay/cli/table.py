"""Rows under a head, no wider than the terminal."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["table"]

_GAP = "  "
_NARROWEST = 4


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    width: int | None = None,
    least: Sequence[str] = (),
) -> str:
    """Align rows under a head; columns in `right` are aligned to the right.

    What is wider than `width` loses the columns in `least`, in that order, as far as needed; then the widest cells are
    cut. The first column stays whole: it is what a person types next.
    """
    lines = [list(map(str, head)), *[list(map(str, row)) for row in rows]]
    widths = {column: max(len(line[column]) for line in lines) for column in range(len(head))}

    def excess() -> int:
        return sum(widths.values()) + len(_GAP) * (len(widths) - 1) - width if width is not None else 0

    for name in least:
        if excess() > 0:
            del widths[head.index(name)]
    cuttable = list(widths)[1:]
    while excess() > 0 and cuttable:
        widest = max(cuttable, key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    return "\n".join(
        _GAP.join(
            _cut(line[column], size).rjust(size) if column in right else _cut(line[column], size).ljust(size)
            for column, size in widths.items()
        ).rstrip()
        for line in lines
    )


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: size - 1] + "…"
