"""The documented examples of amazon-ec2-instance-selector, asked of our types.

Expected answers were read from the rows of moto 5.2.5 by a program of its own, which knows nothing of ours. `AS_PUBLISHED`
is what the tool's own page shows (for version 2.3, of 2022): all of these that EC2 still offers must be among ours.
"""

from __future__ import annotations

from typing import Any

import pytest

from launchbay.api.types import find_types
from launchbay.lifecycle.bay import Bay

AS_PUBLISHED = {
    "--memory 4 --vcpus 2 --cpu-architecture x86_64 -r us-east-1": (
        "c5.large c5a.large c5ad.large c5d.large c6a.large c6i.large t2.medium t3.medium t3a.medium"
    ),
    "--network-performance 100 --usage-class spot -r us-east-1": (
        "c5n.18xlarge c5n.metal c6gn.16xlarge dl1.24xlarge g4dn.metal g5.48xlarge i3en.24xlarge i3en.metal im4gn.16xlarge"
        " inf1.24xlarge m5dn.24xlarge m5dn.metal m5n.24xlarge m5n.metal m5zn.12xlarge m5zn.metal p3dn.24xlarge"
        " p4d.24xlarge r5dn.24xlarge r5dn.metal"
    ),
    "VCpusRange 2..4, MemoryRange 2..4 GiB, CPUArchitecture x86_64, us-east-2": (
        "c4.large c5.large c5a.large c5ad.large c5d.large c6i.large t2.medium t3.medium t3.small t3a.medium t3a.small"
    ),
}

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "--memory 4 --vcpus 2 --cpu-architecture x86_64 -r us-east-1": (
        {"regions": ["us-east-1"], "memory": "4", "vcpus": "2", "architectures": ["x86_64"]},
        """
c5.large c5a.large c5ad.large c5d.large c6a.large c6i.large c6id.large c6in.large c7a.large c7i-flex.large
c7i.large c8a.large c8i-flex.large c8i.large c8ib.large c8id.large c8in.large c8ine.large t2.medium t3.medium
t3a.medium t8i.medium
""",
    ),
    "--network-performance 100 --usage-class spot -r us-east-1": (
        {"regions": ["us-east-1"], "network": "100", "is_spot": True},
        """
c5n.18xlarge c5n.metal c6gn.16xlarge c6in.16xlarge c7gn.8xlarge c8gb.12xlarge c8gn.8xlarge c8i.96xlarge
c8i.metal-96xl c8ib.24xlarge c8id.96xlarge c8id.metal-96xl c8in.16xlarge c9g.48xlarge c9g.metal-48xl
c9gd.48xlarge c9gd.metal-48xl f2.48xlarge g4dn.metal g5.48xlarge g6.48xlarge g6e.12xlarge g7.4xlarge
g7.8xlarge g7e.8xlarge i3en.24xlarge i3en.metal i7i.48xlarge i7i.metal-48xl i7ie.24xlarge i7ie.metal-24xl
i8g.48xlarge i8g.metal-48xl im4gn.16xlarge inf1.24xlarge inf2.48xlarge m5dn.24xlarge m5dn.metal m5n.24xlarge
m5n.metal m5zn.12xlarge m5zn.metal m6idn.16xlarge m6in.16xlarge m8azn.12xlarge m8azn.metal-12xl m8gb.12xlarge
m8gn.8xlarge m8i.96xlarge m8i.metal-96xl m8ib.24xlarge m8id.96xlarge m8id.metal-96xl m8idb.24xlarge
m8idn.16xlarge m8in.16xlarge m9g.48xlarge m9g.metal-48xl m9gd.48xlarge m9gd.metal-48xl p3dn.24xlarge
p4d.24xlarge p4de.24xlarge p5.4xlarge r5dn.24xlarge r5dn.metal r5n.24xlarge r5n.metal r6idn.16xlarge
r6in.16xlarge r8gb.12xlarge r8gn.8xlarge r8i.96xlarge r8i.metal-96xl r8ib.24xlarge r8id.96xlarge
r8id.metal-96xl r8idb.24xlarge r8idn.16xlarge r8in.16xlarge r9g.48xlarge r9g.metal-48xl r9gd.48xlarge
r9gd.metal-48xl trn1.32xlarge trn1n.32xlarge x2idn.32xlarge x2idn.metal x2iedn.32xlarge x2iedn.metal
x2iezn.12xlarge x2iezn.metal x8i.96xlarge x8i.metal-96xl
""",
    ),
    "VCpusRange 2..4, MemoryRange 2..4 GiB, CPUArchitecture x86_64, us-east-2": (
        {"regions": ["us-east-2"], "vcpus": "2..4", "memory": "2..4", "architectures": ["x86_64"]},
        """
c4.large c5.large c5a.large c5ad.large c5d.large c6a.large c6i.large c6id.large c6in.large c7a.large
c7i-flex.large c7i.large c8a.large c8i-flex.large c8i.large c8id.large c8in.large t2.medium t3.medium t3.small
t3a.medium t3a.small t8i.medium t8i.small
""",
    ),
    "--memory-min 4 --memory-max 8 --vcpus-min 4 --vcpus-max 8 --region us-east-2": (
        {"regions": ["us-east-2"], "memory": "4GiB..8GiB", "vcpus": "4..8"},
        """
a1.xlarge c4.xlarge c5.xlarge c5a.xlarge c5ad.xlarge c5d.xlarge c6a.xlarge c6g.xlarge c6gd.xlarge c6gn.xlarge
c6i.xlarge c6id.xlarge c6in.xlarge c7a.xlarge c7g.xlarge c7gd.xlarge c7gn.xlarge c7i-flex.xlarge c7i.xlarge
c8a.xlarge c8g.xlarge c8gd.xlarge c8gn.xlarge c8i-flex.xlarge c8i.xlarge c8id.xlarge c8in.xlarge c9g.xlarge
c9gd.xlarge inf1.xlarge
""",
    ),
    "--gpus-min 1 --gpu-memory-total-min 320 -r us-west-2": (
        {"regions": ["us-west-2"], "gpus": "1+", "gpu_memory_total": "320+"},
        """
g6e.48xlarge g7e.24xlarge g7e.48xlarge p4d.24xlarge p4de.24xlarge p5.48xlarge p5e.48xlarge p5en.48xlarge
p6-b200.48xlarge p6-b300.48xlarge
""",
    ),
    "--gpu-manufacturer AMD -r us-east-1": ({"regions": ["us-east-1"], "maker": "AMD"}, ""),
    "--efa-support --gpus-min 1 -r us-west-2": (
        {"regions": ["us-west-2"], "efa": True, "gpus": "1+"},
        """
g4dn.12xlarge g4dn.16xlarge g4dn.8xlarge g4dn.metal g5.12xlarge g5.16xlarge g5.24xlarge g5.48xlarge g5.8xlarge
g6.12xlarge g6.16xlarge g6.24xlarge g6.48xlarge g6.8xlarge g6e.12xlarge g6e.16xlarge g6e.24xlarge g6e.48xlarge
g6e.8xlarge g7.12xlarge g7.24xlarge g7.48xlarge g7.8xlarge g7e.12xlarge g7e.24xlarge g7e.48xlarge g7e.8xlarge
gr6.8xlarge p3dn.24xlarge p4d.24xlarge p4de.24xlarge p5.48xlarge p5.4xlarge p5e.48xlarge p5en.48xlarge
p6-b200.48xlarge p6-b300.48xlarge
""",
    ),
    "--burst-support --cpu-architecture arm64 --vcpus 2 -r us-east-1": (
        {"regions": ["us-east-1"], "is_burstable": True, "architectures": ["arm64"], "vcpus": "2"},
        "t4g.large t4g.medium t4g.micro t4g.nano t4g.small",
    ),
    "--baremetal --gpus-min 1 -r us-west-2": (
        {"regions": ["us-west-2"], "is_bare_metal": True, "gpus": "1+"},
        "g4dn.metal g5g.metal",
    ),
    "--instance-storage-min 7000GB --instance-storage-max 8000GB --vcpus-max 99 -r us-west-2": (
        {"regions": ["us-west-2"], "local_disk": "7000..8000", "vcpus": "..99"},
        """
g7e.24xlarge h1.8xlarge i3.8xlarge i3en.3xlarge i4g.8xlarge i4i.8xlarge i7i.8xlarge i7ie.3xlarge i8g.8xlarge
i8ge.3xlarge im4gn.4xlarge is4gen.2xlarge p4d.24xlarge p4de.24xlarge x8aedz.24xlarge x8aedz.metal-24xl
""",
    ),
    "--base-instance-type g4dn.xlarge -r us-west-2": (
        {"regions": ["us-west-2"], "like": "g4dn.xlarge"},
        "g4dn.xlarge g5.xlarge g6.xlarge g6f.xlarge",
    ),
    "--base-instance-type m5.xlarge --current-generation=false -r us-west-2": (
        {"regions": ["us-west-2"], "like": "m5.xlarge", "is_current": False},
        "m1.xlarge m3.xlarge m4.xlarge m5.xlarge m6i.xlarge",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_filters_give_the_same_types(bay: Bay, case: str) -> None:
    asked, expected = CASES[case]
    found = [offer.type.name for offer in find_types(bay, **asked).found.offers]
    assert sorted(found) == sorted(expected.split())


@pytest.mark.parametrize("case", AS_PUBLISHED)
def test_what_was_published_and_is_still_offered_is_found(bay: Bay, case: str) -> None:
    asked, _ = CASES[case]
    found = find_types(bay, **{**asked, "is_retired_too": True}).found.offers
    assert set(AS_PUBLISHED[case].split()) - {offer.type.name for offer in found} == set()
