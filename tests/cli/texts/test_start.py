"""What doctor found, as text."""

from __future__ import annotations

from launchbay.cli.texts.start import checks_text, policy_text
from launchbay.lifecycle.doctor import Check
from launchbay.planning.leastpolicy import explain_policy


def test_checks() -> None:
    checks = [
        Check(name="uv", state="ok", found="0.8.1"),
        Check(name="disk", state="warning", found="2 GB free", mend="bay images"),
        Check(name="home", state="broken", found="read-only", mend="chmod u+w"),
    ]
    text = checks_text(checks)
    assert [line.split()[0] for line in text.splitlines()] == ["ok", "warn", "->", "BROKEN", "->"]
    assert "-> chmod u+w" in text


def test_a_policy_says_why_of_each_of_its_statements() -> None:
    policy = explain_policy()
    shown = policy_text(policy)
    for statement in policy.document["Statement"]:
        assert statement["Sid"] in shown
    assert f"Its {policy.letters:,} letters" in shown
