from __future__ import annotations

from dataclasses import replace

import pytest

from launchbay.catalog.snapshot import load_snapshot
from launchbay.images.recipe import find_recipe
from launchbay.planning.fit import Ami, ImageNeeds, needs_of, read_families, why_not

TYPES = load_snapshot(["us-west-2"]).types
DLAMI = Ami(
    id="ami-1",
    architecture="x86_64",
    driver="580.126.09",
    families=read_families(
        "Release notes: x. Supported EC2 instances: G4dn, G5, G6, Gr6, G6e, P4, P4de, P5, P5e, P5en, P6-B200. PyTorch version: 2"
    ),
)
OPEN = Ami(id="ami-2", architecture="x86_64", driver="580.126.09")
CUDA13 = ImageNeeds(accelerator="cuda13", capability=(7, 5), driver="580")


@pytest.mark.parametrize(
    "name",
    [
        "g4dn.xlarge",
        "g5.48xlarge",
        "g6e.xlarge",
        "gr6.4xlarge",
        "p4d.24xlarge",
        "p4de.24xlarge",
        "p5.48xlarge",
        "p6-b200.48xlarge",
    ],
)
def test_what_runs(name: str) -> None:
    assert why_not(CUDA13, TYPES[name], DLAMI) == ()


@pytest.mark.parametrize(
    ("needs", "name", "ami", "reasons"),
    [
        (CUDA13, "p3.2xlarge", OPEN, ("the image needs compute capability 7.5, and p3.2xlarge's V100 has 7.0",)),
        (CUDA13, "p3.2xlarge", None, ("the image needs compute capability 7.5, and p3.2xlarge's V100 has 7.0",)),
        (CUDA13, "c5.large", OPEN, ("the image is locked for cuda13, and c5.large has no GPU",)),
        (CUDA13, "trn1.2xlarge", OPEN, (
            "trn1.2xlarge has Trainium, which only a Neuron AMI drives, and ami-2 is none",
            "the image is locked for cuda13, and trn1.2xlarge has no GPU",
        )),
        (ImageNeeds(), "inf1.xlarge", OPEN, ("inf1.xlarge has Inferentia, which only a Neuron AMI drives, and ami-2 is none",)),
        (CUDA13, "g4ad.xlarge", OPEN, (
            "the image is locked for cuda13, and the GPU of g4ad.xlarge is of AMD, which runs no CUDA",
        )),
        (CUDA13, "g5g.xlarge", OPEN, (
            "the image is for x86_64, and g5g.xlarge is arm64",
            "ami-2 is for x86_64, and g5g.xlarge is arm64",
        )),
        (CUDA13, "g5.xlarge", replace(OPEN, architecture="arm64"), (
            "ami-2 is for arm64, and g5.xlarge is x86_64",
            "the image is for x86_64, and ami-2 for arm64",
        )),
        (CUDA13, "g5.xlarge", replace(OPEN, driver="570.99.01"), (
            "the image needs NVIDIA driver 580 or newer, and ami-2 has 570.99.01",
        )),
        (replace(CUDA13, driver="580.100"), "g5.xlarge", replace(OPEN, driver="580.95.05"), (
            "the image needs NVIDIA driver 580.100 or newer, and ami-2 has 580.95.05",
        )),
        (CUDA13, "g5.xlarge", replace(OPEN, driver=""), ("the image needs an NVIDIA driver, and ami-2 has none",)),
        (CUDA13, "g5.xlarge", replace(OPEN, driver=None), (
            "the image needs NVIDIA driver 580, and that of ami-2 is not known",
        )),
        (replace(CUDA13, driver=""), "g5.xlarge", replace(OPEN, driver=None), (
            "the image needs NVIDIA driver of some version, and that of ami-2 is not known",
        )),
        (ImageNeeds(accelerator="cuda12", driver="525"), "p3.2xlarge", replace(OPEN, driver="595.71.05"), (
            "NVIDIA's driver since 590 wants compute capability 7.5, p3.2xlarge's V100 has 7.0, and ami-2 has driver 595.71.05",
        )),
        (ImageNeeds(accelerator="cuda12", driver="525"), "p2.xlarge", OPEN, (
            "NVIDIA's driver since 495 wants compute capability 5.0, p2.xlarge's K80 has 3.7, and ami-2 has driver 580.126.09",
        )),
        (ImageNeeds(accelerator="cuda12", capability=(6, 0), driver="525"), "p3.2xlarge", DLAMI, (
            "ami-1 supports g4dn, g5, g6, gr6, g6e, p4, p4de, p5, p5e, p5en, p6-b200, and p3.2xlarge is none of them",
        )),
    ],
)  # fmt: skip
def test_what_does_not_run_is_told_why(needs: ImageNeeds, name: str, ami: Ami | None, reasons: tuple[str, ...]) -> None:
    assert why_not(needs, TYPES[name], ami) == reasons


def test_a_gpu_of_next_year_is_not_taken_for_one_that_will_do() -> None:
    known = TYPES["g5.xlarge"]
    new = replace(known, accelerators=(replace(known.accelerators[0], name="X900"),))
    assert why_not(CUDA13, new, OPEN) == (
        "the image needs compute capability 7.5, and that of g5.xlarge's X900 is not known",
    )
    assert why_not(replace(CUDA13, capability=None), new, OPEN) == ()


@pytest.mark.parametrize("name", ["c5.large", "g5.xlarge", "p3.2xlarge"])
def test_an_image_for_the_cpu_runs_on_every_type_of_its_architecture(name: str) -> None:
    assert why_not(ImageNeeds(), TYPES[name], OPEN) == ()


def test_a_type_without_devices_need_not_be_on_a_list_of_gpus() -> None:
    assert why_not(ImageNeeds(), TYPES["c5.large"], DLAMI) == ()


def test_a_neuron_ami_drives_what_is_awss_own() -> None:
    ami = Ami(id="ami-3", architecture="x86_64", families=("inf2", "trn1", "trn1n"), is_neuron=True)
    assert why_not(ImageNeeds(), TYPES["trn1.2xlarge"], ami) == ()
    assert why_not(ImageNeeds(), TYPES["inf1.xlarge"], ami) == (
        "ami-3 supports inf2, trn1, trn1n, and inf1.xlarge is none of them",
    )


@pytest.mark.parametrize(
    ("text", "families"),
    [
        ("Supported EC2 instances: G4dn, G5", ("g4dn", "g5")),
        ("supported EC2 instance types: P6-B300, P6e-GB200; more", ("p6-b300", "p6e-gb200")),
        ("Supported EC2 instances: Inf2 and Trn1n | PyTorch 2.9", ("inf2", "trn1n")),
        ("Ubuntu 24.04 with NVIDIA driver", ()),
        ("", ()),
    ],
)
def test_families_are_read_from_a_description(text: str, families: tuple[str, ...]) -> None:
    assert read_families(text) == families


@pytest.mark.parametrize(
    ("name", "accelerator", "needs"),
    [
        ("pytorch", "cuda13", ImageNeeds(accelerator="cuda13", capability=(7, 5), driver="580")),
        ("pytorch", "cpu", ImageNeeds()),
        ("tensorflow-2.15", "cuda12", ImageNeeds(accelerator="cuda12", capability=(5, 0), driver="525")),
    ],
)
def test_what_the_recipes_need(name: str, accelerator: str, needs: ImageNeeds) -> None:
    assert needs_of(find_recipe(name), accelerator) == needs


def test_a_recipes_own_driver_comes_first() -> None:
    recipe = replace(find_recipe("pytorch"), gpu_driver="590.44")
    assert needs_of(recipe, "cuda13", "arm64") == ImageNeeds(
        accelerator="cuda13", architecture="arm64", capability=(7, 5), driver="590.44"
    )
