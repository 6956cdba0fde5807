"""A machine elsewhere, for tests: a second home on this one, with everything in between as it is over a wire."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launchbay.afar.bundle import Bundle, find_bundle
from launchbay.afar.machine import FarMachine
from launchbay.afar.prepare import Cargo, Prepared, pack_image, prepare
from launchbay.home import Home
from launchbay.images.image import Image
from launchbay.lifecycle.bay import Bay, open_bay
from launchbay.providers.processes import end_processes, instance_processes
from launchbay.transport.local import LocalTransport


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home whose bundle is made, once for all tests."""
    root = tmp_path_factory.mktemp("packed")
    find_bundle(Home(root))
    return root


@pytest.fixture
def bundle(packed: Path, bay: Bay) -> Bundle:
    """Return the bundle, which is in this test's home too."""
    bay.home.root.mkdir(parents=True, exist_ok=True)
    (bay.home.root / "bundles").symlink_to(packed / "bundles")
    return find_bundle(bay.home)


@pytest.fixture
def far_home(tmp_path: Path) -> Path:
    """Return the home of the machine elsewhere."""
    return tmp_path / "far" / "bay"


@pytest.fixture
def bare(far_home: Path) -> FarMachine:
    """Return a machine on which nothing of ours is."""
    far_home.parent.mkdir()
    own = {name: value for name, value in os.environ.items() if name not in ("LAUNCHBAY_HOME", "LAUNCHBAY_ERRORS")}
    path = os.pathsep.join([str(Path(sys.executable).parent), own["PATH"]])
    own |= {"HOME": str(far_home.parent), "PATH": path}
    return FarMachine(
        transport=LocalTransport(environment=own, folder=str(far_home.parent)), home=str(far_home), name="far"
    )


@pytest.fixture
def machine(bare: FarMachine, bundle: Bundle) -> FarMachine:
    """Return a machine with Launchbay on it."""
    return bare.install(bundle)


@pytest.fixture
def cargo(bay: Bay, with_image: Callable[[str], Image], tmp_path: Path) -> Cargo:
    """Return the tiny image as it travels; it is built here."""
    with_image("tiny")
    return pack_image(bay, str(tmp_path / "tiny.yaml"))


@pytest.fixture
def prepared(bay: Bay, machine: FarMachine, cargo: Cargo) -> Iterator[Prepared]:
    """Return the machine with an instance exp-1, on the image that lies built on it; whatever runs in it is ended."""
    made = prepare(bay, machine, cargo, "exp-1", shared_images=[str(bay.home.images)])
    yield made
    there = open_bay(environ={**os.environ, "LAUNCHBAY_HOME": machine.home})
    end_processes(instance_processes([item.id for item in there.provider.observe()]))
