"""The store needs no more than the least policy says, and what it lends to an instance is no more than its own."""

from __future__ import annotations

import json
import os
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from launchbay.afar.sending import read_tree
from launchbay.cloud.data import send_tree_by_store
from launchbay.cloud.source import fetch_source, list_source
from launchbay.cloud.store import empty_store, open_store, view_store, what_stays
from launchbay.errors import LaunchbayError
from launchbay.home import Home
from launchbay.onboard.parcel import _post
from launchbay.planning.leastpolicy import least_policy
from launchbay.providers.ec2.bucket import presign_post, read_kept
from launchbay.providers.ec2.client import Client, open_client
from tests.cloud.machines import far_machine
from tests.twin_process import TwinProcess


def under(twin: TwinProcess, policy: Any) -> Client:
    """Return a way to the twin for a user with a policy and no other."""
    iam = twin.client("iam")
    iam.create_user(UserName="somebody")
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="somebody")["AccessKey"]
    return open_client("us-east-1", endpoint=twin.url, keys=(key["AccessKeyId"], key["SecretAccessKey"]))


def test_the_least_policy_is_enough_for_the_store(twin: TwinProcess, tmp_path: Path) -> None:
    twin.client("s3").create_bucket(Bucket="our-datasets")
    twin.client("s3").put_object(Bucket="our-datasets", Key="day/a.csv", Body=b"1\n")
    policy = least_policy(regions=["us-east-1"], account="123456789012", parts=["store"], buckets=["our-datasets"])
    client = under(twin, policy)
    store = open_store(client)
    assert open_store(client) == store
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.bin").write_bytes(os.urandom(1000))
    machine, _ = far_machine(tmp_path / "far")
    send_tree_by_store([machine], read_tree(tmp_path / "rows"), store, home=Home(tmp_path / "home"))
    fetch_source([machine], list_source(client, "s3://our-datasets/day"), client)
    _post(presign_post(client, store.name, "runs/exp/r/", seconds=60, most_bytes=9), "runs/exp/r/list.json", b"{}")
    assert read_kept(client, store.name, "runs/exp/r/list.json") == b"{}"
    stay = what_stays(client, store.name, "exp", side={})
    assert (stay.runs.objects, stay.runs.bytes, stay.data.objects) == (1, 2, 2)
    view = view_store(client, side={})
    assert [shelf.prefix for shelf in view.shelves][1:] == ["runs/exp/r/"]
    assert (view.objects, view.usd_per_month) == (3, None)
    assert empty_store(client, "runs/exp/").objects == 1
    assert empty_store(client).is_bucket_gone
    assert view_store(client, side={}).bucket is None
    with pytest.raises(LaunchbayError):
        list_source(client, "s3://anybodys/day")


def test_a_form_can_do_no_more_than_who_signed_it(twin: TwinProcess) -> None:
    owner = open_client("us-east-1", endpoint=twin.url, keys=("twin", "twin"))
    name = open_store(owner).name
    client = under(twin, least_policy(regions=["us-east-1"], account="123456789012", parts=["images"]))
    with pytest.raises(urllib.error.HTTPError) as caught:
        _post(presign_post(client, name, "runs/exp/r/", seconds=60, most_bytes=9), "runs/exp/r/a", b"{}")
    assert caught.value.code == 403
    caught.value.close()
