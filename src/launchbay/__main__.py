"""`python -m launchbay` is `bay`."""

import sys

from launchbay.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
