from __future__ import annotations

import pytest

from launchbay.runs.imports import find_distribution


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("sklearn", "scikit-learn"),
        ("cv2", "opencv-python-headless"),
        ("PIL", "Pillow"),
        ("yaml", "PyYAML"),
        ("bs4", "beautifulsoup4"),
        ("skimage", "scikit-image"),
        ("dateutil", "python-dateutil"),
        ("pandas", "pandas"),
        ("torch", "torch"),
        ("myutils", None),
        ("utils", None),
        ("config", None),
        ("pil", None),
        ("", None),
    ],
)
def test_only_known_modules_have_a_package(module: str, package: str | None) -> None:
    assert find_distribution(module) == package
