"""Markdown as far as the checks of the documentation need it: headings, links, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Command", "anchors", "bay_commands", "dead_links", "headings"]

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}) *([\w-]*).*$")
_HEADING = re.compile(r"^#{1,6} +(.*?) *#*$")
_LINK = re.compile(r"\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_SOURCE = re.compile(r"<(?:img|a|source)\b[^>]*?\b(?:src|srcset|href)=\"([^\"]+)\"")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_PROMPT = re.compile(r"^\s*(?:\([\w.-]+\) )?\$ +")
_NOT_COMMANDS = {"text", "python", "yaml", "json", "toml", "html", "ini", "diff"}
_ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "2>&1", ")"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A `bay` command that a page tells people to type; `args` are the words behind `bay`."""

    where: str
    text: str
    args: tuple[str, ...]


def _lines(text: str) -> Iterator[tuple[int, str, str | None]]:
    """Yield number, line, and the language of the block that the line stands in (None outside)."""
    fence, language = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        match = _FENCE.match(line)
        if match and not fence:
            fence, language = match[1], match[2].lower()
        elif match and match[1].startswith(fence) and not match[2]:
            fence, language = "", None
        else:
            yield number, line, language


def headings(text: str) -> list[str]:
    """Return the words of each heading, code marks left out."""
    found = (_HEADING.match(line) for _, line, language in _lines(text) if language is None)
    return [match[1].replace("`", "") for match in found if match]


def anchors(text: str) -> set[str]:
    """Return what a link may name behind ``#``, by the rule that code forges share."""
    found: set[str] = set()
    for heading in headings(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def dead_links(path: Path) -> list[str]:
    """Return ``file:line: target`` for each relative link of a page that leads nowhere."""
    text = path.read_text(encoding="utf-8")
    found = []
    for number, line, language in _lines(text):
        if language is not None:
            continue
        prose = re.sub(r"`[^`]*`", "``", line)
        targets = [item for item in _LINK.findall(prose) + _SOURCE.findall(prose) if not _ELSEWHERE.match(item)]
        found += [f"{path}:{number}: {target}" for target in targets if not _leads_somewhere(path, target)]
    return found


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = page.parent / name if name else page
    if not file.exists():
        return False
    return not anchor or file.suffix != ".md" or anchor in anchors(file.read_text(encoding="utf-8"))


def bay_commands(path: Path) -> list[Command]:
    """Return every `bay ...` of a page's shell blocks (`sh`, `console` and so on; `text` is output)."""
    found: list[Command] = []
    pending, start = "", 0
    for number, line, language in _lines(path.read_text(encoding="utf-8")):
        if language is None or language in _NOT_COMMANDS:
            continue
        prompt = _PROMPT.match(line)
        if not pending:
            start = number
            if language == "console" and not prompt:
                continue  # what the command before it printed
        pending = f"{pending} {_PROMPT.sub('', line).strip()}".strip()
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        found += [Command(where=f"{path}:{start}", text=pending, args=args) for args in _calls_of_bay(pending)]
        pending = ""
    return found


def _calls_of_bay(line: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # an open quote: part of a here-document, not a command
        return
    current: list[str] | None = None
    at_start = True
    for word in [*words, ";"]:
        if word in _ENDS:
            if current is not None:
                yield tuple(current)
            current = None
            at_start = word in ("|", "||", "&&", ";", "&")
        elif current is not None:
            current.append(word)
        elif at_start and (word == "bay" or word.endswith("/bin/bay")):
            current = []
        elif not re.fullmatch(r"\w+=.*|time|env|watch|\$|\(", word):
            at_start = False
