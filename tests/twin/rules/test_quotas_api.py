"""Service Quotas for EC2."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

P = "L-417A185B"


@pytest.fixture
def quotas(twin: Any) -> Any:
    return twin.client("service-quotas")


def test_a_quota_of_the_account_and_that_of_a_new_one(quotas: Any) -> None:
    quota = quotas.get_service_quota(ServiceCode="ec2", QuotaCode=P)["Quota"]
    assert (quota["QuotaName"], quota["Value"]) == ("Running On-Demand P instances", 2000.0)
    assert quota["UsageMetric"]["MetricDimensions"]["Class"] == "P/OnDemand"
    assert quotas.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode=P)["Quota"]["Value"] == 0.0
    standard = quotas.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]
    assert standard["Value"] == 5.0


def test_what_the_twin_was_told_counts_in_its_region(twin: Any, quotas: Any) -> None:
    twin.ask("quota", region="us-east-1", code=P, vcpus=96)
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode=P)["Quota"]["Value"] == 96.0
    elsewhere = twin.client("service-quotas", "us-west-2")
    assert elsewhere.get_service_quota(ServiceCode="ec2", QuotaCode=P)["Quota"]["Value"] == 2000.0


def test_lists_come_in_pages_and_name_every_quota_once(quotas: Any) -> None:
    pages = list(
        quotas.get_paginator("list_service_quotas").paginate(ServiceCode="ec2", PaginationConfig={"PageSize": 7})
    )
    codes = [quota["QuotaCode"] for page in pages for quota in page["Quotas"]]
    assert len(pages) == 3
    assert len(codes) == len(set(codes)) == 20
    (one,) = quotas.list_service_quotas(ServiceCode="ec2", QuotaCode=P)["Quotas"]
    assert one["QuotaCode"] == P
    defaults = quotas.list_aws_default_service_quotas(ServiceCode="ec2")["Quotas"]
    assert {quota["Value"] for quota in defaults} == {0.0, 5.0}


@pytest.mark.parametrize(("service", "code"), [("ec2", "L-00000000"), ("nothing", P)])
def test_what_does_not_exist_is_refused(quotas: Any, service: str, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        quotas.get_service_quota(ServiceCode=service, QuotaCode=code)
    assert caught.value.response["Error"]["Code"] == "NoSuchResourceException"


def test_a_request_is_granted_after_two_days(twin: Any, quotas: Any) -> None:
    made = quotas.request_service_quota_increase(ServiceCode="ec2", QuotaCode=P, DesiredValue=3000)["RequestedQuota"]
    assert (made["Status"], made["DesiredValue"]) == ("PENDING", 3000.0)
    with pytest.raises(ClientError) as caught:
        quotas.request_service_quota_increase(ServiceCode="ec2", QuotaCode=P, DesiredValue=4000)
    assert caught.value.response["Error"]["Code"] == "ResourceAlreadyExistsException"
    twin.ask("advance", seconds=86400)
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode=P)["Quota"]["Value"] == 2000.0
    twin.ask("advance", seconds=86400)
    assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode=P)["Quota"]["Value"] == 3000.0
    history = quotas.list_requested_service_quota_change_history_by_quota(ServiceCode="ec2", QuotaCode=P)
    (request,) = history["RequestedQuotas"]
    assert (request["Id"], request["Status"]) == (made["Id"], "APPROVED")
    assert (request["LastUpdated"] - request["Created"]).total_seconds() == 2 * 86400
    assert quotas.get_requested_service_quota_change(RequestId=made["Id"])["RequestedQuota"]["Status"] == "APPROVED"
    assert quotas.list_requested_service_quota_change_history(Status="PENDING")["RequestedQuotas"] == []


def test_less_than_there_is_cannot_be_asked_for(quotas: Any) -> None:
    with pytest.raises(ClientError) as caught:
        quotas.request_service_quota_increase(ServiceCode="ec2", QuotaCode=P, DesiredValue=2000)
    assert caught.value.response["Error"]["Code"] == "IllegalArgumentException"
