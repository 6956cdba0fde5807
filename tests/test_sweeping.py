"""Several commands clean up at once, and what is being made is not taken for what is left over."""

from __future__ import annotations

import threading
from pathlib import Path

from launchbay.files import locked, remove_tree
from launchbay.lifecycle.bay import Bay


def _tree(folder: Path) -> Path:
    for outer in range(20):
        (folder / str(outer)).mkdir(parents=True)
        for inner in range(30):
            (folder / str(outer) / str(inner)).touch()
    return folder


def test_one_tree_removed_by_four_at_once_is_gone_and_nobody_fails(tmp_path: Path) -> None:
    for number in range(5):
        tree = _tree(tmp_path / f"tree-{number}")
        failures: list[BaseException] = []

        def remove(tree: Path = tree, failures: list[BaseException] = failures) -> None:
            try:
                remove_tree(tree)
            except OSError as error:
                failures.append(error)

        threads = [threading.Thread(target=remove) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert not tree.exists()


def test_a_draft_that_is_being_made_is_not_swept(bay: Bay) -> None:
    draft = bay.home.tmp / "new-run-1"
    draft.mkdir(parents=True)
    with locked(bay.home.lock("create"), shared=True):
        assert list(bay.provider.sweep()) == []
        assert draft.exists()
    assert list(bay.provider.sweep()) == ["new-run-1"]
    assert not draft.exists()
