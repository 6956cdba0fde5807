"""What was typed of a launch on EC2, and plans in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.api.cloud import CloudOptions, ask_cloud, plan_launch, read_plan, save_plan
from launchbay.cli.main import main
from launchbay.errors import NotFound, UsageError
from launchbay.lifecycle.bay import Bay
from tests.cloud.fleets import asked, make_place
