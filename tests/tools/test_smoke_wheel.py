from __future__ import annotations

import pytest

from tools import smoke_wheel

LOCK = """\
rich==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
PyYAML==6.0 ; python_version < '4' \\
    --hash=sha256:cc
numpy==2.0 \\
    --hash=sha256:dd
"""


def test_pins_keep_their_hashes() -> None:
    found = smoke_wheel.pins_of({"rich", "pyyaml"}, LOCK)
    assert found.count("--hash") == 3
    assert "numpy" not in found


@pytest.mark.all
def test_the_wheel_works_alone() -> None:
    assert smoke_wheel.main() == 0
