"""Streams that whoever started us had closed: cron and service managers do that."""

from __future__ import annotations

import subprocess

import pytest


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_bug(bay_command: list[str], closed: str) -> None:
    done = subprocess.run(["/bin/sh", "-c", f'"$@" ps {closed}', "sh", *bay_command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_consent_is_not_read_from_a_closed_stream(bay_command: list[str]) -> None:
    shell = ["/bin/sh", "-c", '"$@" image remove nothing <&-', "sh", *bay_command]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "-y" in done.stderr
