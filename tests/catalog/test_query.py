from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from launchbay.catalog.capability import ANY_CUDA
from launchbay.catalog.column import COLUMNS
from launchbay.catalog.match import wants_gpu
from launchbay.catalog.offer import named_gbps
from launchbay.catalog.price import Catalogue, Price
from launchbay.catalog.query import compare_types, find_types, like
from launchbay.catalog.question import Question
from launchbay.catalog.ranges import Range
from launchbay.catalog.snapshot import load_snapshot
from launchbay.catalog.type import Accelerator, InstanceType
from launchbay.errors import NotFound, UsageError

MakeType = Callable[..., InstanceType]
MakePrice = Callable[..., Price]
Make = Callable[..., Catalogue]


@pytest.fixture
def catalogue(make_catalogue: Make, make_type: MakeType, make_price: MakePrice) -> Catalogue:
    """Return a small market: with prices and without, here and elsewhere, of three makers."""
    nvidia, amd, habana = ("NVIDIA", "A10G", 22888), ("AMD", "Radeon Pro V520", 8192), ("Habana", "Gaudi HL-205", 32768)
    types = [
        make_type("m1.large"),
        make_type("m1.xlarge", vcpus=4, memory_mib=16384),
        make_type("t1.micro", is_burstable=True, memory_mib=1024, is_current=False),
        make_type("a1.large", architectures=("arm64",), processor="AWS", usage_classes=("on-demand",)),
        make_type("m1.metal", is_bare_metal=True, vcpus=96, network="100 Gigabit", efa_interfaces=1),
        make_type("g5.xlarge", gpu=(*nvidia, 1), local_disk_gb=250, local_disk_kind="ssd"),
        make_type("g5.12xlarge", gpu=(*nvidia, 4), vcpus=48),
        make_type("g4ad.xlarge", gpu=(*amd, 1)),
        make_type("dl1.24xlarge", gpu=(*habana, 8), vcpus=96),
        make_type("p2.xlarge", gpu=("NVIDIA", "K80", 12288, 1), is_retired=True, regions=frozenset()),
        make_type("c9.large", regions=frozenset({"eu-west-1"})),
        make_type(
            "inf2.xlarge",
            accelerators=(Accelerator(kind="neuron", maker="AWS", name="Inferentia2", count=1, memory_mib=32768),),
        ),
    ]
    prices = [
        make_price("m1.large", "0.10"),
        make_price("m1.xlarge", "0.20"),
        make_price("g5.xlarge", "1.006"),
        make_price("g5.12xlarge", "5.672"),
        make_price("g4ad.xlarge", "0.379"),
        make_price("p2.xlarge", "0.90"),
        make_price("t1.micro", "0.01"),
        make_price("m1.large", "0.04", market="spot"),
    ]
    return make_catalogue(types, prices)


def names(catalogue: Catalogue, **asked: Any) -> list[str]:
    question = Question(**{"regions": ("us-east-1",), **asked})
    return [offer.type.name for offer in find_types(catalogue, question).offers]


def test_without_a_wish_all_that_is_offered_comes_by_price(catalogue: Catalogue) -> None:
    assert names(catalogue) == [
        "t1.micro", "m1.large", "m1.xlarge", "g4ad.xlarge", "g5.xlarge", "g5.12xlarge",
        "a1.large", "dl1.24xlarge", "inf2.xlarge", "m1.metal",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"gpus": Range(low=1)}, ["g4ad.xlarge", "g5.xlarge", "g5.12xlarge", "dl1.24xlarge"]),
        ({"gpus": Range(low=2, high=8)}, ["g5.12xlarge", "dl1.24xlarge"]),
        ({"gpus": Range(low=4, high=4)}, ["g5.12xlarge"]),
        ({"gpu": "a10g"}, ["g5.xlarge", "g5.12xlarge"]),
        ({"gpu": "radeon-pro-v520"}, ["g4ad.xlarge"]),
        ({"gpu": "Radeon*"}, ["g4ad.xlarge"]),
        ({"maker": "nvidia"}, ["g5.xlarge", "g5.12xlarge"]),
        ({"capability": ANY_CUDA}, ["g5.xlarge", "g5.12xlarge"]),
        ({"capability": (8, 6)}, ["g5.xlarge", "g5.12xlarge"]),
        ({"capability": (8, 9)}, []),
        ({"gpu_memory_gib": Range(low=24)}, ["g5.xlarge", "g5.12xlarge", "dl1.24xlarge"]),
        ({"gpu_memory_gib": Range(low=24, high=24)}, ["g5.xlarge", "g5.12xlarge"]),
        ({"gpu_memory_total_gib": Range(low=96)}, ["g5.12xlarge", "dl1.24xlarge"]),
        ({"accelerator": "neuron"}, ["inf2.xlarge"]),
        ({"accelerator": "GPU", "maker": "amd"}, ["g4ad.xlarge"]),
        ({"accelerator": "inferentia2"}, ["inf2.xlarge"]),
        ({"vcpus": Range(low=4, high=4)}, ["m1.xlarge"]),
        ({"memory_gib": Range(low=16)}, ["m1.xlarge"]),
        ({"memory_gib": Range(high=1)}, ["t1.micro"]),
        ({"architectures": ("arm64",)}, ["a1.large"]),
        ({"processor": "aws"}, ["a1.large"]),
        ({"local_disk_gb": Range(low=1)}, ["g5.xlarge"]),
        ({"network_gbps": Range(low=100)}, ["m1.metal"]),
        ({"efa": True}, ["m1.metal"]),
        ({"families": ("g5", "dl*")}, ["g5.xlarge", "g5.12xlarge", "dl1.24xlarge"]),
        ({"is_current": False}, ["t1.micro"]),
        ({"is_burstable": True}, ["t1.micro"]),
        ({"is_bare_metal": True}, ["m1.metal"]),
        ({"max_usd_per_hour": Decimal("0.20")}, ["t1.micro", "m1.large", "m1.xlarge"]),
        ({"is_retired_too": True, "gpu": "k80"}, ["p2.xlarge"]),
        ({"gpu": "k80"}, []),
        ({"gpus": Range(low=0, high=0), "vcpus": Range(low=2, high=4), "is_current": True, "efa": False},
         ["m1.large", "m1.xlarge", "a1.large", "inf2.xlarge"]),
    ],
)  # fmt: skip
def test_each_thing_that_can_be_asked(catalogue: Catalogue, asked: dict[str, Any], expected: list[str]) -> None:
    assert names(catalogue, **asked) == expected


def test_an_unknown_price_never_passes_a_ceiling_and_is_counted(catalogue: Catalogue) -> None:
    found = find_types(catalogue, Question(regions=("us-east-1",), max_usd_per_hour=Decimal(1_000_000)))
    assert (found.matched, found.unpriced) == (6, 4)
    assert all(offer.price for offer in found.offers)


def test_what_a_ceiling_leaves_of_the_retired_is_what_would_be_listed(catalogue: Catalogue) -> None:
    for usd, retired in (("0.50", 0), ("0.90", 1)):
        asked = Question(regions=("us-east-1",), maker="nvidia", max_usd_per_hour=Decimal(usd))
        found = find_types(catalogue, asked)
        assert found.retired == retired
        assert find_types(catalogue, replace(asked, is_retired_too=True)).matched == found.matched + retired
    nowhere = Question(regions=("eu-west-1",), gpu="k80")
    assert find_types(catalogue, nowhere).retired == 0  # the catalogue has never seen it there
    assert names(catalogue, regions=("eu-west-1",), gpu="k80", is_retired_too=True) == []


def test_a_gpu_of_nvidia_that_no_table_has_runs_cuda_at_a_capability_that_is_not_known(
    make_catalogue: Make, make_type: MakeType
) -> None:
    new, old = make_type("g99.xlarge", gpu=("NVIDIA", "of next year", 99999, 1)), make_type("m1.large")
    catalogue = make_catalogue([new, old, make_type("g5.xlarge", gpu=("NVIDIA", "A10G", 22888, 1))])
    assert names(catalogue, capability=ANY_CUDA) == ["g5.xlarge", "g99.xlarge"]
    found = find_types(catalogue, Question(regions=("us-east-1",), capability=(8, 0)))
    assert ([offer.type.name for offer in found.offers], found.unrated) == (["g5.xlarge"], 1)
    shown = COLUMNS["capability"].text
    offers = find_types(catalogue, Question(regions=("us-east-1",), sort="type")).offers
    assert [shown(offer) for offer in offers] == ["8.6", "unknown", "-"]
    ceiling = Question(regions=("us-east-1",), capability=(8, 0), max_usd_per_hour=Decimal(1))
    assert find_types(catalogue, ceiling).unrated == 0


def test_a_price_for_each_gpu_and_vcpu_is_of_the_market_and_as_stale_as_the_whole(
    make_catalogue: Make, make_type: MakeType, make_price: MakePrice
) -> None:
    types = [make_type("g5.xlarge", gpu=("NVIDIA", "A10G", 22888, 4), vcpus=8), make_type("m1.large")]
    prices = [make_price("g5.xlarge", "8", is_stale=True), make_price("g5.xlarge", "2", market="spot")]

    def shown(market: str) -> list[tuple[str, str]]:
        found = find_types(
            make_catalogue(types, prices), Question(regions=("us-east-1",), market=market, sort="price-per-gpu")
        )
        gpu, vcpu = COLUMNS["price-per-gpu"], COLUMNS["price-per-vcpu"]
        return [(gpu.text(offer), vcpu.text(offer)) for offer in found.offers]

    assert shown("on-demand") == [("2.0000*", "1.0000*"), ("-", "unknown")]
    assert shown("spot") == [("0.5000", "0.2500"), ("-", "unknown")]


def test_what_is_left_out_is_counted(catalogue: Catalogue) -> None:
    found = find_types(catalogue, Question(regions=("us-east-1",), limit=2))
    assert (len(found.offers), found.matched, found.unpriced, found.retired, found.elsewhere) == (2, 10, 4, 1, 1)
    everything = find_types(catalogue, Question(regions=("us-east-1",), is_retired_too=True))
    assert (everything.matched, everything.retired) == (11, 0)


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_sorts_both_ways_with_what_is_unknown_at_the_end(catalogue: Catalogue, column: str) -> None:
    key = COLUMNS[column].key
    for is_reversed in (False, True):
        question = Question(regions=("us-east-1",), sort=column, is_reversed=is_reversed, is_retired_too=True)
        keys = [key(offer) for offer in find_types(catalogue, question).offers]
        known = [item for item in keys if item is not None]
        assert keys == [*known, *[None] * (len(keys) - len(known))]
        assert known == sorted(known, reverse=is_reversed)
        assert len(keys) == 11


def test_sizes_come_in_the_order_of_their_size(make_catalogue: Make, make_type: MakeType) -> None:
    ordered = ["m1.nano", "m1.large", "m1.xlarge", "m1.2xlarge", "m1.12xlarge", "m1.metal", "m2.large"]
    catalogue = make_catalogue([make_type(name) for name in sorted(ordered)])
    assert names(catalogue, sort="type") == ordered
    assert names(catalogue) == ordered  # also where no price tells them apart


def test_the_spot_market_has_its_own_types_and_price(catalogue: Catalogue) -> None:
    found = find_types(catalogue, Question(regions=("us-east-1",), market="spot", max_usd_per_hour=Decimal("0.05")))
    assert [offer.type.name for offer in found.offers] == ["m1.large"]
    assert "a1.large" not in names(catalogue, market="spot")
    assert names(catalogue, market="spot")[0] == "m1.large"


def test_several_regions_give_an_offer_each(catalogue: Catalogue) -> None:
    question = Question(regions=("us-east-1", "eu-west-1"), families=("m1", "c9"), is_bare_metal=False)
    offers = find_types(catalogue, question).offers
    assert [(offer.type.name, offer.region) for offer in offers] == [
        ("m1.large", "us-east-1"), ("m1.xlarge", "us-east-1"), ("c9.large", "eu-west-1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpu": "a10"}, r"no GPU named 'a10'; did you mean a10g\?"),
        ({"gpu": "v520"}, r"no GPU named 'v520'; did you mean radeon pro v520\?"),
        ({"maker": "nvida"}, r"no maker of GPUs named 'nvida'; did you mean nvidia\?"),
        ({"accelerator": "neurons"}, r"no accelerator named 'neurons'; did you mean inference or neuron\?"),
        ({"processor": "intl"}, r"no maker of processors named 'intl'; did you mean intel\?"),
        ({"families": ("g55",)}, r"no family of types named 'g55'; did you mean g5\?"),
        ({"sort": "prise"}, r"no column named 'prise'; did you mean .*price"),
        ({"regions": ("us-est-1",)}, r"no region named 'us-est-1'; did you mean .*us-east-1"),
    ],
)
def test_a_slip_is_answered_with_the_nearest(catalogue: Catalogue, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(NotFound, match=said):
        names(catalogue, **asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpus": Range(low=0, high=0), "gpu": "a10g"}, r"no GPU at all .* cannot both be"),
        ({"gpus": Range(high=0), "gpu_memory_gib": Range(low=1)}, r"no GPU at all .* cannot both be"),
        ({"gpus": Range(low=0, high=0), "accelerator": "gpu"}, r"no GPU at all .* cannot both be"),
        ({"gpus": Range(low=0, high=0), "accelerator": "a10g"}, r"no GPU at all .* cannot both be"),
        ({"gpu": "a10g", "maker": "amd"}, r"no GPU that is called a10g is made by amd"),
        (
            {"maker": "ha*", "capability": ANY_CUDA},
            r"a GPU of ha\* has no CUDA compute capability, and CUDA is asked for",
        ),
        ({"gpu": "radeon*", "capability": (7, 0)}, r"a radeon\* has no CUDA compute capability, and 7\.0 is asked for"),
        ({"maker": "amd", "capability": (8, 0)}, r"a GPU of amd has no CUDA compute capability, and 8\.0 is asked for"),
        ({"maker": "Habana", "capability": ANY_CUDA}, r"and CUDA is asked for"),
        ({"architectures": ("arm",)}, r"--arch must be one of x86_64, arm64"),
        ({"max_usd_per_hour": Decimal(0)}, r"--max-price must be above 0"),
        ({"limit": 0}, r"--limit must be 1 or more, got 0"),
        ({"market": "moon"}, r"market must be on-demand or spot"),
    ],
)
def test_what_cannot_be_is_refused(catalogue: Catalogue, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        names(catalogue, **asked)


@pytest.mark.parametrize(
    ("asked", "is_wanted"),
    [
        ({}, False),
        ({"gpus": Range(high=4)}, False),
        ({"gpus": Range(low=1)}, True),
        ({"maker": "amd"}, True),
        ({"accelerator": "gpu"}, True),
        ({"accelerator": "A10G"}, True),
        ({"accelerator": "*"}, False),
        ({"accelerator": "inferentia2"}, False),
    ],
)
def test_who_wants_a_gpu(catalogue: Catalogue, asked: dict[str, Any], is_wanted: bool) -> None:  # noqa: FBT001
    assert wants_gpu(catalogue, Question(regions=("us-east-1",), **asked)) is is_wanted


def test_types_like_one(catalogue: Catalogue) -> None:
    question = like(catalogue, "m1.large", Question(regions=("us-east-1",)))
    assert [offer.type.name for offer in find_types(catalogue, question).offers] == ["m1.large", "inf2.xlarge"]
    asked_more = like(catalogue, "m1.large", Question(regions=("us-east-1",), vcpus=Range(low=4)))
    assert asked_more.vcpus == Range(low=4)
    with pytest.raises(NotFound, match=r"no instance type named 'm1\.lrge'; did you mean .*m1\.large"):
        like(catalogue, "m1.lrge", question)


def test_types_side_by_side(catalogue: Catalogue) -> None:
    offers = compare_types(catalogue, ["p2.xlarge", "g5.xlarge", "p2.xlarge"], "us-east-1")
    assert [offer.type.name for offer in offers] == ["p2.xlarge", "g5.xlarge"]
    (alone,) = compare_types(catalogue, ["p2.xlarge", " P2.XLARGE"], "us-east-1")
    assert alone.type.name == "p2.xlarge"
    with pytest.raises(UsageError, match="comparing needs a type"):
        compare_types(catalogue, [], "us-east-1")
    with pytest.raises(
        NotFound, match=r"'G5' is a family of instance types\n  Try: one of its sizes: g5.xlarge, g5.12xlarge"
    ):
        compare_types(catalogue, ["p2.xlarge", "G5"], "us-east-1")
    with pytest.raises(NotFound, match="did you mean"):
        compare_types(catalogue, ["p2.xlarge", "g5.xlrge"], "us-east-1")


@pytest.mark.parametrize(
    ("words", "gbps"),
    [("10 Gigabit", 10), ("Up to 12.5 Gigabit", 12.5), ("4x 100 Gigabit", 100), ("Moderate", None), ("", None)],
)
def test_the_bandwidth_that_ec2_names(words: str, gbps: float | None) -> None:
    assert named_gbps(words) == gbps


def test_a_question_changes_nothing(catalogue: Catalogue) -> None:
    before = replace(catalogue, types=dict(catalogue.types), prices=dict(catalogue.prices))
    names(catalogue, gpus=Range(low=1), sort="type")
    assert catalogue == before


def test_no_two_sizes_of_gpu_memory_are_as_close_as_the_slack() -> None:
    """Else asking for one size would find the next smaller one too."""
    sizes = {gpu.memory_mib for item in load_snapshot([]).types.values() if (gpu := item.gpu)}
    for sold in (3, 6, 8, 12, 16, 24, 32, 40, 48, 80, 96, 141, 192, 288):
        found = {size for size in sizes if Range(low=sold, high=sold).holds(size / 1024, slack=0.07)}
        assert len(found) <= (2 if sold in (12, 192) else 1), (sold, found)
