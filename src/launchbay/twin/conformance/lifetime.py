"""What becomes of instances: states, stops, protection, pages, spot."""

from __future__ import annotations

from datetime import UTC, datetime

from launchbay.twin.conformance.account import Account
from launchbay.twin.conformance.behaviour import REMEMBERED, SEEN, VERIFIED, listed

__all__: list[str] = []

_MODEL = "botocore's model of EC2"
_ERRORS = "EC2's list of error codes"
_LIFECYCLE = "EC2's page on the life of an instance"


@listed("A launch answers with instances that are pending.", known=SEEN, source=_LIFECYCLE, usd="0.01")
def _pending_first(account: Account) -> None:
    states = {item["State"]["Name"] for item in account.launched()["Instances"]}
    assert states == {"pending"}, f"{states}"


@listed("Terminating goes through shutting-down, and again is no error.", known=SEEN, source=_LIFECYCLE, usd="0.01")
def _terminate_states(account: Account) -> None:
    names = account.launch()
    account.wait(names, "running")
    first = account.ec2.terminate_instances(InstanceIds=names)["TerminatingInstances"][0]["CurrentState"]["Name"]
    assert first == "shutting-down", first
    shown = account.describe(names[0])["State"]["Name"]
    assert shown in ("shutting-down", "terminated"), shown
    account.wait(names, "terminated")
    again = account.ec2.terminate_instances(InstanceIds=names)["TerminatingInstances"][0]["CurrentState"]["Name"]
    assert again == "terminated", again


@listed("One unknown id, and none is terminated.", known=VERIFIED, source=_MODEL, usd="0.01")
def _terminate_unknown(account: Account) -> None:
    names = account.launch()
    with account.refused("InvalidInstanceID.NotFound"):
        account.ec2.terminate_instances(InstanceIds=[*names, "i-0123456789abcdef0"])
    assert account.describe(names[0])["State"]["Name"] in ("pending", "running"), "it was terminated"


@listed(
    "Stopping goes through stopping; what is not stopped cannot be started.", known=SEEN, source=_LIFECYCLE, usd="0.01"
)
def _stop_states(account: Account) -> None:
    names = account.launch()
    account.wait(names, "running")
    first = account.ec2.stop_instances(InstanceIds=names)["StoppingInstances"][0]["CurrentState"]["Name"]
    assert first == "stopping", first
    with account.refused("IncorrectInstanceState"):
        account.ec2.start_instances(InstanceIds=names)
    account.wait(names, "stopped")
    assert not account.describe(names[0]).get("PublicIpAddress"), "a stopped instance keeps its address"
    account.ec2.start_instances(InstanceIds=names)
    account.wait(names, "running")


@listed("What is pending cannot be stopped.", known=REMEMBERED, source="issues of other tools", usd="0.01")
def _stop_pending(account: Account) -> None:
    names = account.launch()
    with account.refused("IncorrectInstanceState"):
        account.ec2.stop_instances(InstanceIds=names)


@listed("A terminated instance says who ended it.", known=SEEN, source="EC2's list of state reasons", usd="0.01")
def _state_reason(account: Account) -> None:
    names = account.launch()
    account.ec2.terminate_instances(InstanceIds=names)
    account.wait(names, "terminated")
    reason = account.describe(names[0]).get("StateReason", {}).get("Code")
    assert reason == "Client.UserInitiatedShutdown", f"{reason}"


@listed("An instance with termination protection is not terminated.", known=SEEN, source=_ERRORS, usd="0.01")
def _protection(account: Account) -> None:
    names = account.launch(DisableApiTermination=True)

    def unprotect() -> object:
        return account.ec2.modify_instance_attribute(InstanceId=names[0], DisableApiTermination={"Value": False})

    account.later(unprotect)
    with account.refused("OperationNotPermitted"):
        account.ec2.terminate_instances(InstanceIds=names)
    assert account.describe(names[0])["State"]["Name"] in ("pending", "running"), "it was terminated"


@listed("A page of DescribeInstances counts instances.", known=REMEMBERED, source="memory of real answers", usd="0.06")
def _pages(account: Account) -> None:
    names = account.launch(count=6)
    filters = [{"Name": "instance-id", "Values": names}]
    first = account.ec2.describe_instances(Filters=filters, MaxResults=5)
    count = sum(len(group["Instances"]) for group in first["Reservations"])
    assert count == 5, f"{count} on a page of 5"
    rest = account.ec2.describe_instances(Filters=filters, MaxResults=5, NextToken=first["NextToken"])
    assert sum(len(group["Instances"]) for group in rest["Reservations"]) == 1, "the rest is not one"


@listed("Ids and MaxResults do not go together.", known=VERIFIED, source=_MODEL, usd="0.01")
def _pages_with_ids(account: Account) -> None:
    names = account.launch()
    with account.refused("InvalidParameterCombination"):
        account.ec2.describe_instances(InstanceIds=names, MaxResults=5)


@listed("A spot instance has a request that stands for it.", known=VERIFIED, source=_MODEL, usd="0.01")
def _spot_request(account: Account) -> None:
    kinds = account.tags("instance", "spot-instances-request")
    launched = account.launched(InstanceMarketOptions={"MarketType": "spot"}, TagSpecifications=kinds)["Instances"][0]
    assert launched.get("InstanceLifecycle") == "spot", "it is not said to be spot"
    identity = launched.get("SpotInstanceRequestId")
    assert identity, "it names no request"
    found = account.ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[identity])["SpotInstanceRequests"]
    assert [item["State"] for item in found] == ["active"], f"{[item['State'] for item in found]}"
    assert found[0]["Tags"], "the request has no tags"


@listed(
    "A spot instance of a one-time request cannot be stopped.", known=SEEN, source="EC2's pages on spot", usd="0.01"
)
def _spot_stop(account: Account) -> None:
    names = account.launch(InstanceMarketOptions={"MarketType": "spot"})
    account.wait(names, "running")
    with account.refused("UnsupportedOperation"):
        account.ec2.stop_instances(InstanceIds=names)


@listed("A price limit below the market's is refused.", known=SEEN, source=_ERRORS)
def _spot_price_limit(account: Account) -> None:
    with account.refused("SpotMaxPriceTooLow"):
        account.launch(InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.0011"}})


@listed("The history of spot prices is of now, by zone.", known=VERIFIED, source=_MODEL)
def _spot_prices(account: Account) -> None:
    now = datetime.now(UTC)
    rows = account.ec2.describe_spot_price_history(
        InstanceTypes=["c5.xlarge"], ProductDescriptions=["Linux/UNIX"], StartTime=now
    )["SpotPriceHistory"]
    assert rows, "no prices"
    assert all(float(row["SpotPrice"]) > 0.001 for row in rows), "a price that nobody pays"
    assert {row["ProductDescription"] for row in rows} == {"Linux/UNIX"}, "of other products"
    assert len({row["AvailabilityZone"] for row in rows}) > 1, "of one zone only"


@listed(
    "EC2 takes a spot instance back two minutes after its notice, and says why.",
    known=SEEN,
    source="EC2's page on spot interruptions",
    is_for_all=False,
)
def _spot_interruption(account: Account) -> None:
    (name,) = account.launch(InstanceMarketOptions={"MarketType": "spot"})
    account.wait([name], "running")
    account.target.tell("interrupt", instance=name)
    account.target.tell("advance", seconds=119)
    assert account.describe(name)["State"]["Name"] == "running", "gone before its time"
    account.target.tell("advance", seconds=60)
    item = account.describe(name)
    assert item["State"]["Name"] == "terminated", item["State"]["Name"]
    assert item["StateReason"]["Code"] == "Server.SpotInstanceTermination", item["StateReason"]["Code"]
