"""Board and notebook as a person sees them: in a real browser, let in by the private page, refused without.

With ``LAUNCHBAY_PICTURES=DIR`` the pictures that are taken on the way are kept there; those in `docs/images` came so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import launchbay
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay
from launchbay.planning.fleet import Instance
from tests.runs.running import make_instance
from tests.services.browser import Browser, open_browser
from tests.sockets import listening

pytestmark = pytest.mark.all


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return Path(os.environ.get("LAUNCHBAY_PICTURES", str(tmp_path / "pictures")))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with open_browser(tmp_path / "profile") as page:
        yield page


@pytest.fixture
def trained(bay: Bay, with_image: Callable[[str], Image], tmp_path: Path) -> Instance:
    """Return an instance in which the scaffold's script has trained a model."""
    instance = make_instance(bay, with_image("tensorflow"))
    launchbay.init(tmp_path / "project")
    run = launchbay.train(
        bay,
        instance.name,
        tmp_path / "project" / "train.py",
        data=tmp_path / "project" / "data",
        args=["--epochs", "60"],
    )
    assert run.state == "done", run.log.read_text(encoding="utf-8")
    return instance


def test_a_board_in_a_browser(bay: Bay, trained: Instance, browser: Browser, pictures: Path) -> None:
    service = launchbay.board(bay)
    browser.open(service.url)
    browser.wait("document.querySelector('input[type=password]') !== null")
    assert "run-" not in browser.text()

    browser.open(service.door.as_uri())
    browser.wait(f"location.href.startsWith('{service.url}') && document.querySelector('tb-webapp') !== null")
    assert service.token not in browser.evaluate("location.href")
    browser.wait("document.body.innerText.includes('--epochs 60')")
    browser.wait("deep('line-chart canvas, line-chart .series-view svg path').length > 0")
    browser.evaluate("new Promise(done => setTimeout(done, 2000))")  # until the lines are drawn
    browser.picture(pictures / "board.png")

    assert trained.name
    assert service.pid is not None
    assert {address for address, _ in listening(service.pid)} == {"127.0.0.1"}


def run_first_cell(browser: Browser) -> None:
    """Run it by hand, as a person does: a click into it, Shift and Enter.

    And as a person does, again where nothing came of it: a page that is still arranging itself takes the cursor away.
    """
    for _ in range(30):
        browser.evaluate("document.querySelector('.jp-CodeCell .cm-content').focus()")
        browser.press("Enter", shift=True)
        browser.evaluate("new Promise(done => setTimeout(done, 1000))")
        if browser.evaluate(
            "/\\[(\\*|\\d+)\\]/.test(document.querySelector('.jp-CodeCell .jp-InputPrompt').innerText)"
        ):
            return
    raise AssertionError(f"the first cell was never run; the page says: {browser.text()[:2000]}")


def test_a_notebook_in_a_browser(bay: Bay, trained: Instance, browser: Browser, pictures: Path) -> None:
    service = launchbay.notebook(bay, trained.name)
    browser.open(service.url)
    browser.wait("document.querySelector('input[type=password]') !== null")
    assert "JupyterLab" not in browser.text()

    browser.open(service.door.as_uri())
    browser.wait("document.querySelectorAll('.jp-Notebook .jp-Cell').length > 5")
    assert service.token not in browser.evaluate("location.href")
    browser.wait("document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]') !== null")
    run_first_cell(browser)
    browser.wait("document.querySelector('.jp-CodeCell .jp-OutputArea-output')?.innerText.includes('TensorFlow')")
    for _ in range(8):
        browser.press("Enter", shift=True)
    browser.wait("document.querySelectorAll('.jp-OutputArea-output img').length === 2")
    said = browser.wait("[...document.querySelectorAll('.jp-OutputArea-output')].map(i => i.innerText).join(' ')")
    assert "r2" in said
    assert "Traceback" not in said
    assert "notified" not in browser.text()  # nobody is asked whether to look outside for news
    browser.evaluate("document.querySelector('.jp-OutputArea-output img').scrollIntoView({block: 'center'})")
    browser.evaluate("new Promise(done => setTimeout(done, 1000))")
    browser.picture(pictures / "notebook.png")

    assert service.pid is not None
    assert {address for address, _ in listening(service.pid)} == {"127.0.0.1"}
    assert service.token not in service.log.read_text(encoding="utf-8")
