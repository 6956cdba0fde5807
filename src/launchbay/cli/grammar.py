"""How a command line of ours is read: one parser for each verb, an example in each help, the nearest verb for a slip.

Imports nothing but argparse, so that `bay --help` is instant.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Mapping, Sequence

__all__ = ["Formatter", "Parser", "Verbs", "add_common", "add_verb"]


class Formatter(argparse.HelpFormatter):
    """Help as written, but as wide as the terminal; options in a column wide enough for ours."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + _wrap(line, width) for line in text.splitlines())


def _wrap(line: str, width: int) -> str:
    """Break a line that is too long; in a list, below what it explains."""
    found = re.match(r" +(\S.*?  +)?", line)
    inner = found.end() if found and found.end() < width - 20 else 4
    return textwrap.fill(line, width, subsequent_indent=" " * (inner if found else 0), break_long_words=False)


Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse gives the type no public name
"""Where verbs are added, as argparse calls it."""


class Parser(argparse.ArgumentParser):
    """A parser that knows what a mistyped verb or option was meant to be.

    `other_words` are those of other programs for ours; `no_verb` says what a word is probably for that is no verb, which
    stands in it as ``{}``.
    """

    other_words: Mapping[str, str] = {}
    no_verb = ""

    def find_verb(self, words: Sequence[str]) -> Parser:
        """Return the parser of the verb, or verb below a verb, that these words are for."""
        for action in self._actions:
            if isinstance(action, Verbs):
                for place, word in enumerate(words):
                    if isinstance(verb := action.choices.get(word), Parser):
                        return verb.find_verb(words[place + 1 :])
        return self

    def check_options(self, words: Sequence[str]) -> None:
        """End with a message where an option is mistyped before a verb that need not follow.

        argparse would take what stands behind it for that verb, and complain about the wrong word.
        """
        for action in self._actions:
            if isinstance(action, Verbs):
                parsers = [self, *action.choices.values()]
                known = {option for parser in parsers for option in parser._option_string_actions}  # noqa: SLF001
                for place, word in enumerate(words):
                    if isinstance(verb := action.choices.get(word), Parser):
                        if not action.required:
                            verb.refuse_others(words[:place])
                        return verb.check_options(words[place + 1 :])
                    typed = word.partition("=")[0]
                    if not action.required and word.startswith("--") and not any(o.startswith(typed) for o in known):
                        self.error(f"it does not take {word}; {self.near_option(word)}")
        return None

    def refuse_others(self, words: Sequence[str]) -> None:
        """End with a message where an option stands before this verb that means nothing to it: argparse would drop it."""
        for word in words:
            typed = word.partition("=")[0]
            if word.startswith("--") and not any(option.startswith(typed) for option in self._option_string_actions):
                self.error(f"it does not take {typed}; {self.near_option(word)}")

    def near_option(self, word: str) -> str:
        """Say which option a word was meant to be, or where they are listed."""
        import difflib

        if meant := self.other_words.get(word.partition("=")[0]):
            return f"here it is {meant}"
        options = [name for name in self._option_string_actions if name != "--yes"]  # nobody shall agree by a slip
        close = difflib.get_close_matches(word.partition("=")[0], options, n=1)
        return (
            f"did you mean {close[0]}?"
            if close and word.startswith("-")
            else f"`{self.prog} --help` lists what it does"
        )

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Answer a mistyped verb with the nearest one, where argparse lists them all."""
        if isinstance(action, Verbs) and value not in action.choices:
            import difflib

            close = difflib.get_close_matches(str(value), action.choices, n=1)
            other = self.no_verb.format(value) or f"`{self.prog} --help` lists what there is"
            meant = f"did you mean {close[0]}?" if close else other
            raise argparse.ArgumentError(None, f"there is no '{self.prog} {value}'; {meant}")
        super()._check_value(action, value)


_WHERE = "where instances are: local, ec2 or twin (default: local)"


def add_common(parser: argparse._ActionsContainer, *, defaults: bool, where: str = _WHERE) -> None:
    """Add what every verb takes; after the verb it only overrides, so that both places work.

    `where` is what `--provider` says of itself.
    """
    unset = None if defaults else argparse.SUPPRESS
    false = False if defaults else argparse.SUPPRESS
    parser.add_argument(
        "--json", action="store_true", default=false, help="print the value as JSON, and nothing else on stdout"
    )
    parser.add_argument(
        "--provider",
        choices=("local", "ec2", "twin"),
        metavar="WHERE",
        default=unset,
        help=where,
    )
    parser.add_argument(
        "-y",
        "--yes",
        action="store_true",
        default=false,
        help="do not ask before something is removed, or launched for a script",
    )


def add_verb(verbs: Verbs[Parser], name: str, says: str, example: str, *, where: str = _WHERE) -> Parser:
    """Add a verb with what its help says, an example in it, and the options that every verb takes; `where` as `add_common`."""
    parser = verbs.add_parser(
        name,
        description=says,
        formatter_class=Formatter,
        epilog="example:\n  " + example.replace("\n", "\n  "),
        add_help=False,
    )
    options = parser.add_argument_group("options of every verb")
    options.add_argument("-h", "--help", action="help", help="show this")
    add_common(options, defaults=False, where=where)
    return parser
