"""Why packages cannot live together: the resolver's derivation, cut down to what a person can act on. Pure."""

from __future__ import annotations

import re

__all__ = ["shorten_conflict"]

_MOST = 4
_SENTENCE = re.compile(r"\.\s+(?=And |Because )")
_CONCLUSION = re.compile(r",? we can conclude that .*| which implies .*")
_BETWEEN = re.compile(r"\s+and\s+(?=(?:all versions of )?\S+ depends? on |you require |your |only |there |any )")
_NEED = re.compile(r"(?:all versions of )?(?P<who>\S+) depends? on (?P<what>.+)")
_MARKER = re.compile(r"\{[^}]*\}")


def shorten_conflict(words: str) -> str:
    """Return the facts of a derivation without its conclusions; nothing where packages are not at odds.

    The derivation goes back and forth ("Because A depends on B and ..., we can conclude that ..."); what a person can
    change are the requirements, and what stands against them is what packages depend on.
    """
    _, because, derivation = _MARKER.sub("", words).partition("Because ")
    if not because:
        return ""
    needs: dict[str, str] = {}
    asked: dict[str, None] = {}
    for sentence in _SENTENCE.split(derivation.rstrip(". ")):
        facts = _CONCLUSION.sub("", re.sub(r"^(And because|Because) ", "", sentence))
        for fact in _BETWEEN.split(facts):
            if fact.startswith("you require "):
                asked.update(dict.fromkeys(fact.removeprefix("you require ").split(" and ")))
            elif need := _NEED.match(fact):
                needs.setdefault(f"{need['who']} needs {need['what']}", _package(need["what"]))
    if not asked or not needs:
        return ""
    wanted, many = " and ".join(asked), "are" if len(asked) > 1 else "is"
    return f"{wanted} {many} asked for, but {'; '.join(_most_telling(needs, asked))}"


def _most_telling(needs: dict[str, str], asked: dict[str, None]) -> list[str]:
    """Return the needs of what is asked for, and others that are about the same packages."""
    names = {_package(item) for item in asked}
    own = [need for need in needs if _package(need) in names]
    contested = {needs[need] for need in own} | names
    told = own + [need for need in needs if need not in own and needs[need] in contested]
    return (told or list(needs))[:_MOST]


def _package(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]
