"""Write down what the built-in images of this home took to build, for `docs/reference/images.md`.

    LAUNCHBAY_HOME=DIR .venv/bin/python -m tools.measure_images

Takes the figures from the records of the images that were built from the shipped locks.
"""

from __future__ import annotations

import json
import os
import sys

from launchbay.home import find_home
from launchbay.images.image import find_image
from launchbay.images.recipe import builtin_names
from tools.generate_reference import MEASURED, lock_hash, shipped_locks


def main() -> None:
    """Write one row an image; one that is not built keeps the row it had."""
    measured = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    for name in builtin_names():
        lock = shipped_locks(name).get("cpu")  # several images side by side have none of their own
        image = find_image(find_home(os.environ), lock.digest) if lock else None
        if lock is not None and image is not None:
            measured[name] = {
                "lock": lock_hash(lock),
                "size_bytes": image.size_bytes,
                "files": image.files,
                "seconds": round(sum(image.build_seconds.values()), 1),
                "first_import_s": image.first_import_s,
            }
            sys.stdout.write(f"{name}: {measured[name]}\n")
    MEASURED.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
