"""Into an instance without a public address, through an endpoint: by OpenSSH with a program of ours, and who is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
import websocket
from botocore.model import ServiceId
from botocore.signers import RequestSigner

from launchbay.providers.ec2.opentunnel import Target, sign_address
from launchbay.transport.door import Door
from launchbay.transport.hostkeys import pin_host_key
from launchbay.transport.ssh import SshTransport
from launchbay.twin.tunnels import MOST
from tests.opentunnel_process import tunnel_words
from tests.twin_process import IMAGE, TwinProcess

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="hosts need bubblewrap")

OWN = {"AWS_ACCESS_KEY_ID": "twin", "AWS_SECRET_ACCESS_KEY": "twin"}
REGION = "us-east-1"
ZONE = {"Name": "availability-zone", "Values": ["us-east-1a"]}
MB = 1 << 20
UNREACHED = "Unable to connect to target"


class Place:
    """A twin with a network, an endpoint in it, and an instance without a public address that lets the endpoint in."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)  # hosts run as nobody where the twin is root's
        self.folder, self.key = folder, folder / "key"
        self.twin = TwinProcess(folder / "twin", has_hosts=True, is_virtual=True)
        self.opened: list[websocket.WebSocket] = []
        self.ec2 = self.twin.client("ec2")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.ec2.import_key_pair(KeyName="k", PublicKeyMaterial=self.key.with_suffix(".pub").read_bytes())
        self.vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.subnet = self.ec2.describe_subnets(Filters=[ZONE])["Subnets"][0]["SubnetId"]
        self.near, self.far = self.group("endpoint"), self.group("instance")
        self.let_in(self.far, UserIdGroupPairs=[{"GroupId": self.near}])
        made = self.ec2.create_instance_connect_endpoint(SubnetId=self.subnet, SecurityGroupIds=[self.near])
        self.endpoint = made["InstanceConnectEndpoint"]
        self.instance, self.address = self.launch(self.far)
        self.twin.ask("advance", seconds=130)
        self.host_key = self.twin.ask("hosts")["hosts"][self.instance]["host_key"]
        (folder / "known").write_text(f"{self.instance} {self.host_key}\n")

    def group(self, name: str, vpc: str = "") -> str:
        made = self.ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc or self.vpc)
        return str(made["GroupId"])

    def network(self, block: str) -> tuple[str, str]:
        """Return a network of its own, and a subnet that is all of it."""
        vpc = self.ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
        made = self.ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone="us-east-1a")
        return str(vpc), str(made["Subnet"]["SubnetId"])

    def let_in(self, group: str, **peers: Any) -> None:
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, **peers}
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])

    def launch(self, group: str, subnet: str = "") -> tuple[str, str]:
        """Return id and private address of an instance."""
        interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": False, "Groups": [group]}
        interface["SubnetId"] = subnet or self.subnet
        asked = {"ImageId": IMAGE, "InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1, "KeyName": "k"}
        (made,) = self.ec2.run_instances(**asked, NetworkInterfaces=[interface])["Instances"]
        self.twin.ask("advance", seconds=20)
        return str(made["InstanceId"]), str(made["PrivateIpAddress"])

    def target(self, **other: Any) -> Target:
        target = Target(
            region=REGION,
            endpoint=self.endpoint["InstanceConnectEndpointId"],
            name=self.endpoint["DnsName"],
            address=self.address,
            url=self.twin.url,
        )
        return dataclasses.replace(target, **other)

    def words(self, command: str, **other: Any) -> list[str]:
        """Return the words of OpenSSH for a command in the instance."""
        options = {
            "ProxyCommand": shlex.join(tunnel_words(self.target(**other))),
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self.folder / "known",
            "HostKeyAlias": self.instance,
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", *words, "-i", str(self.key), "ec2-user@192.0.2.1", command]

    def ssh(self, command: str, *, keys: Mapping[str, str] = OWN, data: bytes = b"", **other: Any) -> Any:
        """Run a command in the instance, by OpenSSH through the endpoint."""
        words = self.words(command, **other)
        return subprocess.run(words, input=data, capture_output=True, check=False, timeout=60, env=environment(keys))

    def open(self, path: str, *, host: str = "") -> websocket.WebSocket:
        """Open a WebSocket by a signed address, with another's implementation of it."""
        where = urlsplit(self.twin.url)
        url = f"ws://{where.netloc}{path}"
        self.opened.append(
            websocket.create_connection(url, host=host or self.endpoint["DnsName"], suppress_origin=True, timeout=20)
        )
        return self.opened[-1]

    def refused(self, path: str, *, host: str = "") -> tuple[int, str]:
        """Return status and code with which an address is refused."""
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            self.open(path, host=host)
        return int(caught.value.status_code), str(json.loads(caught.value.resp_body or b"{}")["ErrorCode"])


def environment(keys: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", **keys}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("tunnels"))
    yield place
    place.twin.end()


@pytest.fixture(autouse=True)
def _keys(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    yield
    while place.opened:
        tunnel: Any = place.opened.pop()
        tunnel.shutdown()


def user_key(place: Place, *statements: Mapping[str, Any]) -> dict[str, str]:
    """Return the key of a new user with these permissions, as the environment says it."""
    iam, name = place.twin.client("iam"), secrets.token_hex(4)
    iam.create_user(UserName=name)
    if statements:
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **item} for item in statements]}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def test_ssh_reaches_an_instance_without_a_public_address(place: Place) -> None:
    done = place.ssh("echo hi; echo $SSH_CONNECTION")
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[0] == b"hi"
    interface = place.endpoint["NetworkInterfaceIds"][0]
    own = place.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]
    knocks = place.twin.ask("hosts")["knocks"]
    assert knocks[-1]["peer"] == own["PrivateIpAddress"]  # as EC2 shows it, without the client's address
    assert place.twin.ask("calls")["ec2-instance-connect:OpenTunnel"] >= 1


def test_our_own_transport_takes_it_as_its_proxy(place: Place) -> None:
    pin_host_key(place.folder / "pinned", place.instance, place.host_key)
    door = Door(
        address="192.0.2.1",
        user="ec2-user",
        keys=(place.key,),
        known_hosts=place.folder / "pinned",
        alias=place.instance,
        proxy=tunnel_words(place.target()),
    )
    transport = SshTransport(door=door, variables={}, folder="/tmp")
    try:
        assert transport.run(["echo", "hi"]).stdout == b"hi\n"
    finally:
        transport.close()


def test_much_goes_through_both_ways_and_stays_as_it_was(place: Place) -> None:
    data = secrets.token_bytes(5 * MB + 17)
    done = place.ssh("cat > big && sha256sum < big", data=data)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest(), done
    assert place.ssh("cat big").stdout == data
    assert place.ssh("cat", data=data).stdout == data  # at the same time


def test_what_a_user_may_do_is_on_the_endpoint_with_conditions(place: Place) -> None:
    name = "ec2-instance-connect"
    allowed = {
        "Action": f"{name}:OpenTunnel",
        "Resource": place.endpoint["InstanceConnectEndpointArn"],
        "Condition": {
            "NumericEquals": {f"{name}:remotePort": "22"},
            "IpAddress": {f"{name}:privateIpAddress": f"{place.address}/32"},
            "NumericLessThanEquals": {f"{name}:maxTunnelDuration": "900"},
        },
    }
    key = user_key(place, allowed)
    assert place.ssh("echo hi", keys=key, seconds=900).stdout == b"hi\n"
    done = place.ssh("echo hi", keys=key, seconds=901)
    assert done.returncode == 255
    assert b"403" in done.stderr
    assert b"not authorized to perform: ec2-instance-connect:OpenTunnel" in done.stderr
    other = place.ssh("echo hi", keys=user_key(place), seconds=900)
    assert b"AccessDeniedException" in other.stderr
    assert other.stdout == b""


def test_a_wrong_secret_is_refused(place: Place) -> None:
    for key in (OWN, user_key(place, {"Action": "*", "Resource": "*"})):
        done = place.ssh("echo hi", keys={**key, "AWS_SECRET_ACCESS_KEY": "another"})
        assert (done.returncode, done.stdout) == (255, b"")
        assert b"InvalidSignatureException" in done.stderr
        lines = [line for line in done.stderr.splitlines() if b"endpoint" in line]
        assert len(lines) == 1  # what went wrong takes one line


def test_what_is_signed_cannot_be_changed(place: Place) -> None:
    path = sign_address(place.target())
    assert place.refused(path.replace(place.address, "172.31.0.99")) == (403, "InvalidSignatureException")
    assert place.refused(path, host="127.0.0.1") == (403, "InvalidSignatureException")
    assert place.refused(path.partition("&X-Amz-Signature")[0]) == (403, "MissingAuthenticationToken")
    assert place.refused(path.replace("ec2-instance-connect%2Faws4", "ec2%2Faws4"))[0] == 403
    assert place.refused("/openTunnel") == (403, "MissingAuthenticationToken")


def test_what_botocore_signs_for_a_websocket_is_signed(place: Place) -> None:
    """As AWS CLI does it: by a client's signer, for an address of the scheme wss, with a body that is not there."""
    session = botocore.session.get_session()
    session.set_credentials(*OWN.values())
    emitter, service = session.get_component("event_emitter"), ServiceId("EC2 Instance Connect")
    signer = RequestSigner(service, REGION, "ec2-instance-connect", "v4", session.get_credentials(), emitter)
    target = place.target()
    query = f"instanceConnectEndpointId={target.endpoint}&remotePort=22&privateIpAddress={target.address}"
    asked = {
        "url": f"wss://{target.name}/openTunnel?{query}",
        "method": "GET",
        "body": {},
        "headers": {},
        "context": {},
    }
    signed = signer.generate_presigned_url({**asked, "query_string": "", "url_path": "/"}, "openTunnel", expires_in=60)
    path = signed.removeprefix(f"wss://{target.name}")
    assert place.open(path).recv_data()[1].startswith(b"SSH-2.0-")
    assert place.refused(path[:-1] + ("0" if path[-1] != "0" else "1")) == (403, "InvalidSignatureException")


def test_an_address_expires_after_a_minute(place: Place) -> None:
    path = sign_address(place.target())
    place.open(path).close()
    time.sleep(1.1)  # a signature is dated to the second, and what the clock is set forward by within it does not count
    place.twin.ask("advance", seconds=50)
    place.open(path).close()
    place.twin.ask("advance", seconds=10)
    assert place.refused(path) == (403, "InvalidSignatureException")


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"port": 5432}, "InvalidParameter"),
        ({"seconds": 3601}, "InvalidParameter"),
        ({"address": "nowhere"}, "InvalidParameter"),
        ({"endpoint": "eice-0123456789abcdef0"}, "InvalidInstanceConnectEndpointId.NotFound"),
        ({"region": "eu-west-1"}, "InvalidInstanceConnectEndpointId.NotFound"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_makes_no_sense_is_refused(place: Place, other: Mapping[str, Any], code: str) -> None:
    assert place.refused(sign_address(place.target(**other))) == (400, code)


def test_an_endpoint_answers_to_its_own_name_only(place: Place) -> None:
    other = "eice-1.2.ec2-instance-connect-endpoint.us-east-1.amazonaws.com"
    assert place.refused(sign_address(place.target(name=other)), host=other) == (400, "InvalidParameter")


def closed(place: Place, **other: Any) -> str:
    """Return the reason with which a tunnel that was opened is closed at once."""
    target = place.target(**other)
    tunnel = place.open(sign_address(target), host=target.name)
    opcode, data = tunnel.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(data[:2], "big") != 1000
    return bytes(data[2:]).decode()


def test_an_instance_of_another_network_is_not_reached(place: Place) -> None:
    vpc, subnet = place.network("10.9.0.0/20")
    group = place.group("elsewhere", vpc)
    place.let_in(group, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    _, address = place.launch(group, subnet)
    assert closed(place, address=address) == UNREACHED
    assert closed(place, address="172.31.0.250") == UNREACHED  # nobody is there


def test_an_endpoint_may_keep_the_address_of_its_client(place: Place) -> None:
    vpc, subnet = place.network("10.8.0.0/20")
    near, far = place.group("near", vpc), place.group("far", vpc)
    asked = {"SubnetId": subnet, "SecurityGroupIds": [near], "PreserveClientIp": True}
    made = place.ec2.create_instance_connect_endpoint(**asked)["InstanceConnectEndpoint"]
    _, address = place.launch(far, subnet)
    other = {"endpoint": made["InstanceConnectEndpointId"], "name": made["DnsName"], "address": address}
    path = sign_address(place.target(**other))
    assert place.refused(path, host=made["DnsName"]) == (400, "InvalidState")  # it takes its time
    place.twin.ask("advance", seconds=120)
    place.let_in(far, IpRanges=[{"CidrIp": "10.8.0.0/20"}])  # the endpoint's own address is not what is seen
    assert closed(place, **other) == UNREACHED
    place.let_in(far, IpRanges=[{"CidrIp": "203.0.113.1/32"}])
    tunnel = place.open(sign_address(place.target(**other)), host=made["DnsName"])
    assert tunnel.recv_data()[1].startswith(b"SSH-2.0-")


def test_the_groups_on_both_sides_have_to_let_it_through(place: Place) -> None:
    group = place.group("closed")
    name, address = place.launch(group)
    assert closed(place, address=address) == UNREACHED
    done = place.ssh("echo hi", address=address)
    assert UNREACHED.encode() in done.stderr
    interface = place.ec2.describe_network_interfaces(NetworkInterfaceIds=place.endpoint["NetworkInterfaceIds"])
    own = interface["NetworkInterfaces"][0]["PrivateIpAddress"]
    place.let_in(group, IpRanges=[{"CidrIp": "203.0.113.0/24"}])  # the client's address is not what it sees
    assert closed(place, address=address) == UNREACHED
    place.let_in(group, IpRanges=[{"CidrIp": f"{own}/32"}])
    assert place.open(sign_address(place.target(address=address))).recv_data()[1].startswith(b"SSH-2.0-")
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    place.ec2.revoke_security_group_egress(GroupId=place.near, IpPermissions=everything)
    try:
        assert closed(place, address=address) == UNREACHED
        place.ec2.authorize_security_group_egress(
            GroupId=place.near,
            IpPermissions=[
                {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": group}]}
            ],
        )
        assert place.open(sign_address(place.target(address=address))).recv_data()[1].startswith(b"SSH-2.0-")
    finally:
        place.ec2.authorize_security_group_egress(GroupId=place.near, IpPermissions=everything)
    place.ec2.stop_instances(InstanceIds=[name])
    place.twin.ask("advance", seconds=60)
    assert closed(place, address=address) == UNREACHED


def test_another_implementation_speaks_with_the_twin(place: Place) -> None:
    tunnel = place.open(sign_address(place.target()))
    hello = tunnel.recv_data()[1]
    assert hello.startswith(b"SSH-2.0-")
    tunnel.ping("there?")
    assert tunnel.recv_data_frame(control_frame=True)[1].data == b"there?"
    tunnel.send("text")
    opcode, data = tunnel.recv_data(control_frame=True)
    assert (opcode, int.from_bytes(data[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1003)


def test_only_so_many_go_through_an_endpoint_at_a_time(place: Place) -> None:
    path = sign_address(place.target())
    held = [place.open(path) for _ in range(MOST)]
    assert place.refused(path) == (400, "LimitExceeded")
    for tunnel in held:
        tunnel.close()
    end = time.monotonic() + 10
    while True:
        try:
            place.open(path).close()
            break
        except websocket.WebSocketBadStatusException:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_tunnel_ends_with_its_time(place: Place) -> None:
    tunnel = place.open(sign_address(place.target(seconds=100)))
    tunnel.recv()
    place.twin.ask("advance", seconds=101)
    opcode, data = tunnel.recv_data()
    assert (opcode, bytes(data[2:])) == (websocket.ABNF.OPCODE_CLOSE, b"the tunnel's time is over")


def test_the_program_ends_when_the_instance_does(place: Place) -> None:
    name, address = place.launch(place.far)
    words = tunnel_words(place.target(address=address))
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(OWN)) as program:
        assert program.stdout is not None
        assert program.stdout.readline().startswith(b"SSH-2.0-")
        place.ec2.terminate_instances(InstanceIds=[name])
        place.twin.ask("advance", seconds=60)
        assert program.wait(timeout=20) == 0  # stdin is still open


def test_the_program_ends_when_its_stdin_does(place: Place) -> None:
    words = tunnel_words(place.target())
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30, env=environment(OWN)
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_page_in_a_browser_opens_no_tunnel(place: Place) -> None:
    where = urlsplit(place.twin.url)
    url = f"ws://{where.netloc}{sign_address(place.target())}"
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(url, host=place.endpoint["DnsName"], origin="https://example.org", timeout=20)


def test_a_host_opens_no_tunnel_by_the_way_that_it_has_to_the_store(place: Place) -> None:
    url = f"{place.twin.url}{sign_address(place.target())}"
    done = place.ssh(f"curl -s {shlex.quote(url)}")
    assert b"<Code>AccessDenied</Code>" in done.stdout, done


def test_the_twin_answers_others_while_tunnels_are_open(place: Place) -> None:
    words = place.words("sleep 2; echo over")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment(OWN)) as held:
        asked = threading.Thread(target=place.ec2.describe_instances)
        asked.start()
        asked.join(timeout=10)
        assert not asked.is_alive()
        assert held.communicate(timeout=30)[0] == b"over\n"
