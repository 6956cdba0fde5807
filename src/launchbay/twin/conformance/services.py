"""What stands around EC2: types, prices, quotas, S3 and IAM."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from launchbay.twin.conformance.account import Account
from launchbay.twin.conformance.behaviour import REMEMBERED, SEEN, VERIFIED, listed

__all__: list[str] = []

_MODEL = "botocore's model of EC2"
_ERRORS = "EC2's list of error codes"


@listed("Types are described page by page, and found by patterns.", known=VERIFIED, source=_MODEL)
def _types(account: Account) -> None:
    page = account.ec2.describe_instance_types(MaxResults=5)
    assert len(page["InstanceTypes"]) == 5, f"{len(page['InstanceTypes'])} on a page of 5"
    assert page.get("NextToken"), "no next page"
    offers = account.ec2.describe_instance_type_offerings(Filters=[{"Name": "instance-type", "Values": ["g5.*"]}])
    assert offers["InstanceTypeOfferings"], "no g5"


@listed("What is no type is not described.", known=REMEMBERED, source="issues of other tools")
def _types_unknown(account: Account) -> None:
    with account.refused("InvalidInstanceType"):
        account.ec2.describe_instance_types(InstanceTypes=["zz9.huge"])


@listed("The price list knows one on-demand price of a type in a region.", known=SEEN, source="code of public tools")
def _price_list(account: Account) -> None:
    fields = {
        "regionCode": account.target.region,
        "instanceType": "c5.xlarge",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in fields.items()]
    pricing = account.client("pricing", region="us-east-1")
    found = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    terms = [term for item in found for term in json.loads(item)["terms"].get("OnDemand", {}).values()]
    prices = [float(one["pricePerUnit"]["USD"]) for term in terms for one in term["priceDimensions"].values()]
    assert [price for price in prices if price > 0], f"{prices}"


@listed("Savings Plans have rates by type.", known=VERIFIED, source="botocore's model of Savings Plans")
def _savings_plans(account: Account) -> None:
    found = account.client("savingsplans", region="us-east-1").describe_savings_plans_offering_rates(
        savingsPlanTypes=["Compute"],
        products=["EC2"],
        serviceCodes=["AmazonEC2"],
        filters=[
            {"name": "instanceType", "values": ["c5.xlarge"]},
            {"name": "region", "values": [account.target.region]},
        ],
    )["searchResults"]
    assert found, "no rates"
    assert all(float(item["rate"]) > 0 for item in found), "a rate of nothing"


@listed("Quotas of EC2 are told by their codes.", known=SEEN, source="EC2's pages on quotas")
def _quotas(account: Account) -> None:
    quota = account.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]
    assert quota["Value"] > 0, f"{quota['Value']}"
    assert "Standard" in quota["QuotaName"], quota["QuotaName"]


@listed(
    "A presigned address works until it expires, and not after.", known=SEEN, source="S3's page on presigned addresses"
)
def _presigned(account: Account) -> None:
    s3 = account.client("s3")
    bucket = account.unique("b").lower()[:63]
    s3.create_bucket(Bucket=bucket)
    account.later(lambda: s3.delete_bucket(Bucket=bucket))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    account.later(lambda: s3.delete_object(Bucket=bucket, Key="k"))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=1)
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - the address is the service's own
        assert answer.read() == b"x", "another content"
    time.sleep(2.1)
    status = 200
    try:
        urllib.request.urlopen(url)  # noqa: S310 - the address is the service's own
    except urllib.error.HTTPError as error:
        status = error.code
    assert status == 403, f"it answers with {status} after it expired"


@listed("A bucket's name that somebody else has is not to be had.", known=SEEN, source="S3's list of error codes")
def _bucket_taken(account: Account) -> None:
    with account.refused("BucketAlreadyExists"):
        account.client("s3").create_bucket(Bucket="test")


@listed("What is not allowed is an UnauthorizedOperation.", known=SEEN, source=_ERRORS)
def _unauthorized(account: Account) -> None:
    iam = account.client("iam")
    name = account.unique("user")[:60]
    iam.create_user(UserName=name)
    account.later(lambda: iam.delete_user(UserName=name))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    account.later(lambda: iam.delete_access_key(UserName=name, AccessKeyId=made["AccessKeyId"]))
    if account.target.keys is None:
        time.sleep(15)  # a new key is not known everywhere at once
        import boto3

        limited = boto3.client(
            "ec2",
            region_name=account.target.region,
            aws_access_key_id=made["AccessKeyId"],
            aws_secret_access_key=made["SecretAccessKey"],
        )
    else:
        limited = account.client("ec2", key=made["AccessKeyId"])
    with account.refused("UnauthorizedOperation"):
        limited.describe_instances()
