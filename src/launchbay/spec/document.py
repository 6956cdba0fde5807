"""A YAML file whose every value knows its line, so that an error can name file, line and field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launchbay.errors import UsageError

__all__ = ["Document", "parse_document", "read_document"]


class Document:
    """The top-level mapping of a YAML file. Ask for fields by type; `finish` refuses what nobody asked for."""

    def __init__(
        self,
        source: str,
        values: dict[str, Any],
        lines: dict[str, int],
        nodes: Mapping[str, Any] | None = None,
        line: int | None = None,
    ) -> None:
        self.source = source
        self._values = values
        self._lines = lines
        self._nodes = nodes or {}
        self._line = line
        self._known: list[str] = []

    def where(self, field: str) -> str:
        """Return ``file:line`` of a field; of one that an entry of a list lacks, where the entry begins."""
        line = self._lines.get(field, self._line)
        return f"{self.source}:{line}" if line else self.source

    def has(self, field: str) -> bool:
        """Say whether the field is there and not empty."""
        return self._take(field) is not None

    def text(self, field: str, default: str = "") -> str:
        """Return a text; numbers are refused because YAML reads 3.10 as 3.1."""
        value = self._take(field)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(field, _quoted(value), value)
        return value

    def integer(self, field: str, default: int) -> int:
        """Return a whole number."""
        value = self._take(field)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(field, "a whole number", value)
        return value

    def typed(self, field: str) -> str:
        """Return a plain value as it was typed: ``0.10`` stays ``0.10``, ``730.001h`` as it is; nothing where it is not there."""
        import yaml

        value = self._take(field)
        if value is None:
            return ""
        node = self._nodes[field]
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(field, "a plain value", value)
        return str(node.value).strip()

    def flag(self, field: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._take(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(field, "true or false", value)
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        """Return a list of texts; a single text counts as a list of one."""
        value = self._take(field)
        if value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        for item in items:
            if not isinstance(item, str):
                raise self._wrong(field, "a list of texts", item)
        return tuple(items)

    def mapping(self, field: str) -> dict[str, str]:
        """Return a mapping of names to texts; numbers and booleans become texts."""
        value = self._take(field)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(field, "a mapping of names to values", value)
        for key, item in value.items():
            if isinstance(item, (dict, list)) or item is None:
                raise self._wrong(field, f"a plain value for {key}", item)
        return {str(key): str(item) for key, item in value.items()}

    def documents(self, field: str) -> tuple[Document, ...]:
        """Return a list of mappings, each of which knows its own lines; a single mapping counts as a list of one."""
        import yaml

        if self._take(field) is None:
            return ()
        node = self._nodes[field]
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for item in items:
            if not isinstance(item, yaml.MappingNode):
                where = f"{self.source}:{item.start_mark.line + 1}"
                raise UsageError(f"{field} must be a list of entries with 'field: value' lines", where=where)
        return tuple(_document(item, self.source, line=item.start_mark.line + 1) for item in items)

    def document(self, field: str) -> Document | None:
        """Return a mapping that knows its own lines, or None where the field is not there."""
        entries = self.documents(field)
        if len(entries) > 1:
            raise UsageError(f"{field} must be one mapping, got a list of {len(entries)}", where=self.where(field))
        return entries[0] if entries else None

    def finish(self) -> None:
        """Raise UsageError for a field that nobody asked for; a typo must not pass in silence."""
        for field in self._values:
            if field not in self._known:
                known = ", ".join(sorted(self._known))
                raise UsageError(f"unknown field {field!r}; known fields are {known}", where=self.where(field))

    def _take(self, field: str) -> Any:
        if field not in self._known:
            self._known.append(field)
        return self._values.get(field)

    def _wrong(self, field: str, expected: str, got: Any) -> UsageError:
        return UsageError(f"{field} must be {expected}, got {_short(got)}", where=self.where(field))


def _short(value: Any) -> str:
    """Show a value in a line, however much it holds: a few aliases of aliases are millions of items."""
    import reprlib

    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 70, 70
    text = short.repr(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


_WIDEST = 80


def _quoted(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "a text in quotes"
    trap = "; unquoted, YAML reads 3.10 as 3.1" if isinstance(value, float) else ""
    return f'a text in quotes (such as "{str(value)[:_WIDEST]}"{trap})'


def read_document(path: Path, *, hint: str = "") -> Document:
    """Read a YAML file. Raises UsageError naming file and line when it cannot be read or parsed.

    `hint` is what to do where there is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError("there is no such file", where=str(path), hint=hint) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"not a text file: byte {error.start} is not UTF-8", where=str(path)) from error
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return parse_document(text, str(path))


def parse_document(text: str, source: str) -> Document:
    """Parse YAML text; `source` names it in errors."""
    import yaml  # 20 ms, and most commands read no YAML

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return Document(source, {}, {})
        if not isinstance(node, yaml.MappingNode):
            raise UsageError("must hold 'field: value' lines", where=f"{source}:{node.start_mark.line + 1}")
        return _document(node, source)
    except yaml.reader.ReaderError as error:
        where = f"{source}:{text.count(chr(10), 0, error.position) + 1}"
        what = f"a character that no text holds (#x{error.character:02x})"
        raise UsageError(f"not valid YAML: {what}", where=where) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        problem = getattr(error, "problem", None) or str(error)
        hint = _quote_hint(text.splitlines()[mark.line]) if mark and mark.line < len(text.splitlines()) else ""
        raise UsageError(f"not valid YAML: {problem}", where=where, hint=hint) from error
    except RecursionError:
        raise UsageError("not valid YAML: nested too deeply", where=source) from None


def _quote_hint(line: str) -> str:
    """Say how to write a line whose value begins with what means something to YAML: a cron line's star is an alias to it."""
    found = re.match(r" *(?:- +)?(\w+): +([*&!%@`][^'\"#]*)", line)
    return f"{found[1]}: '{found[2].strip()}'    # in quotes: YAML reads {found[2][0]} as its own" if found else ""


def _document(node: Any, source: str, *, line: int | None = None) -> Document:
    """Turn a mapping's node into a document; `line` is where an entry of a list begins."""
    import yaml

    lines: dict[str, int] = {}
    for key, _ in node.value:
        at = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise UsageError("a field's name must be a plain word", where=f"{source}:{at}")
        if key.value in lines:
            first = lines[key.value]
            raise UsageError(f"field {key.value!r} stands twice, first in line {first}", where=f"{source}:{at}")
        lines[key.value] = at
    return Document(source, _construct(node, source), lines, {key.value: value for key, value in node.value}, line)


def _construct(node: Any, source: str) -> dict[str, Any]:
    """Turn nodes into values, under the names that were typed: YAML takes ``on`` for a truth and 2026-02-31 for a date."""
    import yaml

    loader = yaml.SafeLoader("")
    values: dict[str, Any] = {}
    for key, value in node.value:
        try:
            values[key.value] = loader.construct_object(value, deep=True)
        except ValueError as error:
            where = f"{source}:{key.start_mark.line + 1}"
            raise UsageError(f"{key.value} must be a text in quotes: {error}", where=where) from error
    return values
