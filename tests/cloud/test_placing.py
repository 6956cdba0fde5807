"""Data takes the way that costs least."""

from __future__ import annotations

from pathlib import Path

import pytest

from launchbay.afar.sending import read_tree
from launchbay.cloud.data import STORE_FROM_BYTES
from launchbay.cloud.placing import place_data
from launchbay.cloud.store import find_store
from launchbay.errors import NotFound
from launchbay.lifecycle.bay import Bay
from launchbay.providers.ec2.client import open_client
from tests.cloud.machines import far_machine
from tests.twin_process import TwinProcess


def test_small_data_goes_by_ssh_large_by_the_store_and_what_is_on_s3_from_there(
    bay: Bay, twin: TwinProcess, tmp_path: Path
) -> None:
    client = open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))
    made = [far_machine(tmp_path / f"far-{number}") for number in range(2)]
    machines = [machine for machine, _ in made]
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_bytes(b"1,2\n" * 1000)
    sent = place_data(bay, machines, str(tmp_path / "rows"), client)
    assert [read_tree(Path(item.folder)).name for item in sent] == [read_tree(tmp_path / "rows").name] * 2
    assert find_store(client) is None  # none was needed
    (tmp_path / "rows" / "b.bin").write_bytes(bytes(STORE_FROM_BYTES))
    before = [way.sent for _, way in made]
    sent = place_data(bay, machines, str(tmp_path / "rows"), client)
    assert [read_tree(Path(item.folder)).name for item in sent] == [read_tree(tmp_path / "rows").name] * 2
    assert find_store(client) is not None
    assert all(way.sent - had < 100_000 for (_, way), had in zip(made, before, strict=True))
    s3 = twin.client("s3")
    s3.create_bucket(Bucket="someones-own")
    s3.put_object(Bucket="someones-own", Key="day/a.csv", Body=b"1,2\n" * 1000)
    (first, _) = place_data(bay, machines, "s3://someones-own/day", client)
    assert (Path(first.folder) / "a.csv").read_bytes() == b"1,2\n" * 1000
    with pytest.raises(NotFound, match="no data folder"):
        place_data(bay, machines, str(tmp_path / "not"), client)
