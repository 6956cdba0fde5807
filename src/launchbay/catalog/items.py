"""What is billed beside instances: the names of the side prices, and the tiers of traffic that leaves AWS. Pure."""

from __future__ import annotations

__all__ = [
    "GP3",
    "GP3_IOPS",
    "GP3_THROUGHPUT",
    "ITEMS",
    "NAT_GATEWAY",
    "NAT_GATEWAY_DATA",
    "PUBLIC_IPV4",
    "S3_STANDARD",
    "SNAPSHOT",
    "TRANSFER_CROSS_ZONE",
    "TRANSFER_INTER_REGION",
    "TRANSFER_OUT",
    "TRANSFER_OUT_TIERS",
    "VOLUME_INITIALIZATION",
]

GP3 = "gp3"
GP3_IOPS = "gp3-iops"
GP3_THROUGHPUT = "gp3-throughput"
SNAPSHOT = "snapshot"
PUBLIC_IPV4 = "public-ipv4"
NAT_GATEWAY = "nat-gateway"
NAT_GATEWAY_DATA = "nat-gateway-data"
TRANSFER_OUT = "transfer-out"
TRANSFER_CROSS_ZONE = "transfer-cross-zone"
TRANSFER_INTER_REGION = "transfer-inter-region"
S3_STANDARD = "s3-standard"

VOLUME_INITIALIZATION = "volume-initialization"
"""What filling a disk from its snapshot at a rate that was asked for costs, once for each GiB of the snapshot.

No source that could be read names its price, so it is among no region's and no snapshot's: unknown. AWS said that it goes by the
snapshot's full size and by the rate; remembered.
"""

ITEMS: dict[str, tuple[str, str]] = {
    GP3: ("GiB-month", "space on a gp3 disk, whether or not its instance runs"),
    GP3_IOPS: ("IOPS-month", "what a gp3 disk has above 3,000 operations a second"),
    GP3_THROUGHPUT: ("MiBps-month", "what a gp3 disk has above 125 MiB a second"),
    SNAPSHOT: ("GiB-month", "what a snapshot stores, in the standard tier"),
    PUBLIC_IPV4: ("hour", "a public IPv4 address, in use or idle"),
    NAT_GATEWAY: ("hour", "a NAT gateway that stands"),
    NAT_GATEWAY_DATA: ("GB", "what goes through a NAT gateway, both ways"),
    TRANSFER_OUT: ("GB", "what leaves AWS for the internet in a month, after the first 100 GB and up to 10 TB"),
    f"{TRANSFER_OUT}-from-10tb": ("GB", "the same, from 10 TB on"),
    f"{TRANSFER_OUT}-from-50tb": ("GB", "the same, from 50 TB on"),
    f"{TRANSFER_OUT}-from-150tb": ("GB", "the same, from 150 TB on"),
    TRANSFER_CROSS_ZONE: ("GB", "what goes to another zone of a region; billed in both directions"),
    TRANSFER_INTER_REGION: ("GB", "what goes to another region of AWS"),
    S3_STANDARD: ("GiB-month", "what a bucket stores, up to 50 TB"),
    **{
        f"cpu-surplus-{family}": ("vCPU-hour", f"processor of a {family} instance above its baseline, in the long run")
        for family in ("t2", "t3", "t3a", "t4g")
    },
}
"""Every item with its unit and meaning. A price that is missing for a region is unknown there."""

TRANSFER_OUT_TIERS: tuple[tuple[int, str], ...] = (
    (0, ""),
    (100, TRANSFER_OUT),
    (10_340, f"{TRANSFER_OUT}-from-10tb"),
    (51_300, f"{TRANSFER_OUT}-from-50tb"),
    (153_700, f"{TRANSFER_OUT}-from-150tb"),
)
"""From how many GB of a month on which item counts; the first 100 GB of an account are free (no item).

AWS's price list says of the first 10 TB that they are those "beyond the global free tier": the tiers begin behind it.
"""
