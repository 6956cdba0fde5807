"""What doctor found, as text."""

from __future__ import annotations

from launchbay.cli.texts.start import checks_text
from launchbay.lifecycle.doctor import Check


def test_checks() -> None:
    checks = [
        Check(name="uv", state="ok", found="0.8.1"),
        Check(name="disk", state="warning", found="2 GB free", mend="bay images"),
        Check(name="home", state="broken", found="read-only", mend="chmod u+w"),
    ]
    text = checks_text(checks)
    assert [line.split()[0] for line in text.splitlines()] == ["ok", "warn", "->", "BROKEN", "->"]
    assert "-> chmod u+w" in text
