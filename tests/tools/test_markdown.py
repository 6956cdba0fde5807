from __future__ import annotations

from pathlib import Path

import pytest

from tools import markdown

PAGE = """
# The `bay` command
Text with a [link](other.md), a [dead one](gone.md), `[code](no.md)` and [one out](https://example.org).
## Twice
## Twice
[here](#twice-1) [not here](#thrice) [there](other.md#its-part) [not there](other.md#nothing)
<img src="picture.svg" alt="x"> [![badge](badge.svg)](other.md)

```sh
# not a heading
bay launch tensorflow -n 3 --name exp   # three of them
FOO=1 bay ps --json | head -1 && .venv/bin/bay verify exp
bay train exp-1 train.py --data data \\
    -- --epochs 500
echo bay nothing
```

```console
$ bay ps
bay is not called in output
```

```text
bay [-h] VERB
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "other.md").write_text("# Other\n## Its part\n")
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_headings_are_not_comments_in_code() -> None:
    assert markdown.headings(PAGE) == ["The bay command", "Twice", "Twice"]
    assert markdown.anchors(PAGE) == {"the-bay-command", "twice", "twice-1"}


def test_dead_links_are_found_with_their_line(page: Path) -> None:
    found = [complaint.removeprefix(f"{page}:") for complaint in markdown.dead_links(page)]
    assert found == [
        "3: gone.md",
        "6: #thrice",
        "6: other.md#nothing",
        "7: badge.svg",
        "7: picture.svg",
    ]


def test_commands_are_found_as_a_shell_reads_them(page: Path) -> None:
    assert [command.args for command in markdown.bay_commands(page)] == [
        ("launch", "tensorflow", "-n", "3", "--name", "exp"),
        ("ps", "--json"),
        ("verify", "exp"),
        ("train", "exp-1", "train.py", "--data", "data", "--", "--epochs", "500"),
        ("ps",),
    ]
    assert markdown.bay_commands(page)[3].where.endswith("page.md:13")
