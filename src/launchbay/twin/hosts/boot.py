"""What user data asks of a first start: a script that runs, or a note in the log that it is not modelled."""

from __future__ import annotations

import zlib

__all__ = ["BOOT", "script_of"]

_LARGEST = 16 << 20
_GZIP = b"\x1f\x8b"

BOOT = """
here=/var/lib/cloud/instance log=/var/log/cloud-init-output.log
mkdir -p $here/scripts /var/log /var/lib/cloud/data
cat > $here/scripts/part-001 && chmod 700 $here/scripts/part-001
{
  $here/scripts/part-001 < /dev/null
  code=$?
  [ $code = 0 ] || echo "twin: the boot script ended with $code"
  echo $code > /var/lib/cloud/data/twin-result
  date > $here/boot-finished
} 2>&1 | cat >> $log
"""
"""For a shell in the box: runs the script on its standard input as cloud-init does, and writes down how it ended.

Its output goes through a pipe as there, so that a script may open /dev/stderr anew without emptying the log."""


def script_of(user_data: bytes) -> bytes:
    """Return the script to run for user data: itself, unpacked if it is gzip'ed; one that says so if it is none."""
    if user_data.startswith(_GZIP):
        unpacker = zlib.decompressobj(wbits=31)
        try:
            user_data = unpacker.decompress(user_data, _LARGEST)
        except zlib.error as error:
            return _complaint(f"the user data is damaged: {error}")
        if unpacker.unconsumed_tail:
            return _complaint(f"the user data is more than {_LARGEST} bytes when unpacked")
    if user_data.startswith(b"#!"):
        return user_data
    first = user_data.split(b"\n", 1)[0][:60].decode("ascii", "replace")
    return _complaint(f"the user data is no script with #! in its first line, only those are modelled: {first}")


def _complaint(text: str) -> bytes:
    quoted = f"twin: {text}".replace("'", "?")
    return f"#!/bin/sh\necho '{quoted}'\nexit 1\n".encode()
