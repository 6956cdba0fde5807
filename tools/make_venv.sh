#!/bin/sh
# Make a virtual environment in the folder $1, with the first Python that will do, or say what to install.
set -eu

minimum="3, 11"
found=""
for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if "$name" -c "import sys; sys.exit(sys.version_info < ($minimum))" 2>/dev/null; then
        found=$name
        break
    fi
done

if [ -z "$found" ]; then
    have=$("${PYTHON:-python3}" --version 2>/dev/null || echo "none")
    echo "Launchbay needs Python 3.11 or newer; found: $have." >&2
    echo "  Try: apt-get install python3 python3-venv (Debian 12 and Ubuntu 24.04 or newer), or" >&2
    echo "       make PYTHON=/path/to/python3.11 ..." >&2
    exit 1
fi

if ! "$found" -c "import ensurepip, venv" 2>/dev/null; then
    package=$("$found" -c "import sys; print('python%d.%d-venv' % sys.version_info[:2])")
    echo "$found has no venv module." >&2
    echo "  Try: apt-get install $package" >&2
    exit 1
fi

echo "making $1 with $("$found" --version) ($(command -v "$found"))"
"$found" -m venv --clear "$1"
