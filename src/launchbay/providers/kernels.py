"""A notebook kernel for each of several environments side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping

from launchbay.images.commands import command_environment
from launchbay.images.image import Image

__all__ = ["kernel_files"]


def kernel_files(image: Image) -> Mapping[str, str]:
    """Return the kernel specifications of an instance, path below its environments -> text; none for one alone.

    They name no instance. Jupyter puts in their own folder, and the variables of the server, which runs in one of the
    environments: the others lie beside it.
    """
    return {
        f"share/jupyter/kernels/{member.name}/kernel.json": json.dumps(_kernel(member, image), indent=1)
        for member in image.members
    }


def _kernel(member: Image, image: Image) -> Mapping[str, object]:
    frameworks = ", ".join(f"{name} {version}" for name, version in member.frameworks.items())
    python = f"{{resource_dir}}/../../../../{member.name}/bin/python"
    others = {name: "" for other in image.members for name in other.env}  # set for the server, and not meant for it
    return {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"{member.name} ({frameworks})" if frameworks else member.name,
        "language": "python",
        "metadata": {"debugger": True},
        "env": {
            **others,
            **command_environment(member.folder),
            **member.env,
            "VIRTUAL_ENV": f"${{VIRTUAL_ENV}}/../{member.name}",
            "PATH": f"${{VIRTUAL_ENV}}/../{member.name}/bin:${{PATH}}",
        },
    }
