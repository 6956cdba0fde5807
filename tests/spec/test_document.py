from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from launchbay.errors import UsageError
from launchbay.spec.document import Document, parse_document, read_document


def parse(text: str) -> Document:
    return parse_document(text, "x.yaml")


def read_all(text: str) -> None:
    """Read every kind of field, as a recipe does."""
    document = parse(text)
    document.text("name")
    document.text("python")
    document.integer("count", 1)
    document.texts("packages")
    document.mapping("env")
    document.finish()


def test_fields_come_out_as_they_were_written() -> None:
    document = parse("name: exp\ncount: 3\npackages: [a, 'b>=2']\nenv: {A: text, B: 1, C: true, D: 1.5}\nargs: one\n")
    assert document.text("name") == "exp"
    assert document.integer("count", 1) == 3
    assert document.texts("packages") == ("a", "b>=2")
    assert document.texts("args") == ("one",)
    assert document.mapping("env") == {"A": "text", "B": "1", "C": "True", "D": "1.5"}
    document.finish()


@pytest.mark.parametrize("text", ["", "# nothing but words\n", "name:\ncount:\npackages:\nenv:\n"])
def test_what_is_not_said_has_its_default(text: str) -> None:
    document = parse(text)
    assert document.text("name", "none") == "none"
    assert document.integer("count", 1) == 1
    assert document.texts("packages") == ()
    assert document.mapping("env") == {}
    assert not document.has("name")
    document.finish()


def test_a_field_knows_its_line() -> None:
    document = parse("# head\n\nname: exp\npackages:\n  - a\n  - b\ncount: 3\n")
    assert [document.where(name) for name in ("name", "packages", "count")] == ["x.yaml:3", "x.yaml:4", "x.yaml:7"]
    assert document.where("image") == "x.yaml"


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("name: exp\npackages: [a, b\ncount: 3\n", "not valid YAML: expected ',' or ']'", "x.yaml:3:6"),
        ("name: exp\n\tcount: 3\n", "not valid YAML: found character '\\t'", "x.yaml:2:1"),
        ("name: 'exp\n", "not valid YAML: found unexpected end of stream", "x.yaml:2:1"),
        ("name: a: b\n", "not valid YAML: mapping values are not allowed here", "x.yaml:1:8"),
        ("name: *nobody\n", "not valid YAML: found undefined alias", "x.yaml:1:7"),
        ("name: a\n---\nname: b\n", "not valid YAML: but found another document", "x.yaml:2:1"),
        ("name: !!python/object:os.system x\n", "not valid YAML: could not determine a constructor", "x.yaml:1:7"),
        ("name: a\ncount: 3\nname: b\n", "field 'name' stands twice, first in line 1", "x.yaml:3"),
        ("nam: a\n", "unknown field 'nam'; known fields are count, env, name, packages, python", "x.yaml:1"),
        ("name: a\n\nCount: 3\n", "unknown field 'Count'; known fields are count, env,", "x.yaml:3"),
        ("name: a\non: 1\n", "unknown field 'on'; known", "x.yaml:2"),
        ("name: a\n1: 1\n", "unknown field '1'; known", "x.yaml:2"),
        ("- a\n- b\n", "must hold 'field: value' lines", "x.yaml:1"),
        ("\njust words\n", "must hold 'field: value' lines", "x.yaml:2"),
        ("name: a\n? [b, c]\n: d\n", "a field's name must be a plain word", "x.yaml:2"),
        ("name: a\n{b: c}: d\n", "a field's name must be a plain word", "x.yaml:2"),
        (
            "count: 3\npython: 3.11\n",
            'python must be a text in quotes (such as "3.11"; unquoted, YAML reads 3.10 as 3.1), got 3.11',
            "x.yaml:2",
        ),
        ("python: 3.10\n", "python must be a text in quotes", "x.yaml:1"),
        ("name: no\n", 'name must be a text in quotes (such as "False"), got False', "x.yaml:1"),
        ("name: [a]\n", "name must be a text in quotes", "x.yaml:1"),
        ("name: 2026-02-31\n", "name must be a text in quotes: day is out of range", "x.yaml:1"),
        ("count: 1\nname: !!int abc\n", "name must be a text in quotes: invalid literal", "x.yaml:2"),
        ("count: three\n", "count must be a whole number, got 'three'", "x.yaml:1"),
        ("count: 3.0\n", "count must be a whole number, got 3.0", "x.yaml:1"),
        ("count: true\n", "count must be a whole number, got True", "x.yaml:1"),
        ("packages: [a, 1.5]\n", "packages must be a list of texts, got 1.5", "x.yaml:1"),
        ("name: a\npackages:\n  a: 1\n", "packages must be a list of texts, got {'a': 1}", "x.yaml:2"),
        ("env: [A]\n", "env must be a mapping of names to values, got ['A']", "x.yaml:1"),
        ("env:\n  A: [1]\n", "env must be a plain value for A, got [1]", "x.yaml:1"),
        ("env: {A: }\n", "env must be a plain value for A, got None", "x.yaml:1"),
        ("name: a\nx: \0\n", "not valid YAML: a character that no text holds (#x00)", "x.yaml:2"),
        ("name: " + "[" * 5000, "not valid YAML: nested too deeply", "x.yaml"),
    ],
)
def test_what_cannot_be_is_named_with_file_line_and_field(text: str, what: str, where: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_all(text)
    error = caught.value
    assert error.what.startswith(what)
    assert error.where == where
    assert error.exit_code == 2
    assert "\n" not in error.what


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("jobs:\n  - cron: * 2 * * 1-5  # at two\n", "cron: '* 2 * * 1-5'    # in quotes: YAML reads * as its own"),
        ("jobs:\n  - cron: */15 * * * *\n", "cron: '*/15 * * * *'    # in quotes: YAML reads * as its own"),
        ("name: @daily\n", "name: '@daily'    # in quotes: YAML reads @ as its own"),
        ("name: 'exp\n", ""),
        ("name: a: b\n", ""),
    ],
)
def test_what_begins_with_a_sign_of_yaml_is_shown_in_quotes(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match="not valid YAML") as caught:
        parse(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize("field", ["name", "count", "packages", "env"])
def test_a_long_value_is_cut(field: str) -> None:
    laughs = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12))
    document = parse(f"x0: &x0 [{'ha' * 99}]\n{laughs}\n{field}: [*x11, {{a: *x11}}]\n")
    read: dict[str, Callable[[str], object]] = {
        "name": document.text,
        "packages": document.texts,
        "env": document.mapping,
    }
    with pytest.raises(UsageError, match=f"{field} must be") as caught:
        read[field](field) if field in read else document.integer(field, 1)
    assert len(caught.value.what.partition("got ")[2]) <= 80
    with pytest.raises(UsageError) as caught:
        parse(f"count: {'ha' * 99}").integer("count", 1)
    assert len(caught.value.what) < 120


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("\ufeffname: exp\r\ncount: 3\r\n".encode())
    document = read_document(path)
    assert (document.text("name"), document.integer("count", 1)) == ("exp", 3)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file") as caught:
        read_document(tmp_path / "bay.yaml")
    assert caught.value.where == str(tmp_path / "bay.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory") as caught:
        read_document(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_a_binary_file_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(UsageError, match="not a text file: byte 4 is not UTF-8") as caught:
        read_document(path)
    assert caught.value.where == str(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bay.yaml"
    path.symlink_to(path)  # what the root user, too, is refused
    with pytest.raises(UsageError, match="cannot be read: Too many levels of symbolic links") as caught:
        read_document(path)
    assert caught.value.where == str(path)
