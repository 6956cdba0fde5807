"""`bay doctor --iam`: the policy alone on stdout, its reasons on stderr."""

from __future__ import annotations

import json
import subprocess
import sys

from launchbay.planning.leastpolicy import least_policy


def doctor(*words: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "launchbay", "doctor", "--iam", *words], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def test_the_policy_alone_is_on_stdout_and_why_on_stderr() -> None:
    shown, told = doctor()
    assert json.loads(shown) == least_policy()
    for statement in least_policy()["Statement"]:
        assert f"\n  {statement['Sid']} " in told
    assert "aws iam create-policy" in told


def test_json_is_the_same_value() -> None:
    assert json.loads(doctor("--json")[0]) == least_policy()
