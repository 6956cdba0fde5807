"""The lease of an instance: until when it may live. The instance holds it, and ends itself; no laptop is needed for that.

Its end is a moment, counted once from the instance's first boot and written down there. A timer of the system's, which root
alone can change, shuts the instance down at that moment, and it was launched so that this terminates it. Each boot sets the
timer anew, so it outlives reboots, and stops and starts; one that comes up overdue has five minutes, in which the lease can be
extended. The timer and its service are below /run and the end is known by the instance's id: an image that is made of an
instance carries both disks and lease, and what is launched from it must not end by another one's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from launchbay.errors import LaunchbayError, UsageError
from launchbay.transport.base import Transport

__all__ = ["GRACE_S", "PLACE", "SCRIPT", "Lease", "read_lease", "write_lease"]

PLACE = "/var/lib/launchbay/lease"
"""Where an instance keeps its id and the end of its lease, in seconds since 1970: readable by all, written by root."""

GRACE_S = 300
"""How long an instance lives at least after each boot but its first, however overdue it is."""

_PATIENCE_S = 60.0
_LATEST = 99_999_999_999
"""Eleven digits, the year 5138: a longer number in the file is damage."""

# cloud-init runs this before systemd has come up, and systemd waits for it: nothing here may wait for a job of systemd's
# (--no-block), or for what is started later (DefaultDependencies).
SCRIPT = f"""# Launchbay: the lease of this instance
set -u
place={PLACE} units=/run/systemd/system now=$(date +%s)
keep() {{
  mkdir -p "${{place%/*}}" && printf '%s %s\\n' "$1" "$2" > "$place.new" && sync "$place.new" && mv -f "$place.new" "$place"
}}
known='' ends=''
[ ! -r "$place" ] || read -r known ends < "$place" || :
case $ends in '' | *[!0-9]* | ????????????*) known='' ;; esac
case $1 in
boot)
  id=${{INSTANCE_ID:-$(cat /var/lib/cloud/data/instance-id || echo unknown)}}
  if [ "$known" = "$id" ]; then
    at=$((now + {GRACE_S}))
    [ "$ends" -le "$at" ] || at=$ends
  else
    at=$((now + $2))
    keep "$id" "$at"
  fi ;;
until)
  [ -n "$known" ] || {{ echo 'this instance has no lease' >&2; exit 1; }}
  keep "$known" "$2" || exit 1
  at=$2
  [ "$at" -gt "$((now + 5))" ] || at=$((now + 5)) ;;
esac
if [ -d "$units" ]; then
  printf '%s\\n' '[Unit]' 'Description=The end of the lease of this instance' DefaultDependencies=no \\
    '[Timer]' "OnCalendar=$(date -u -d "@$at" '+%Y-%m-%d %H:%M:%S UTC')" AccuracySec=1s > "$units/launchbay-lease.timer"
  printf '%s\\n' '[Unit]' 'Description=Ends this instance, whose lease is over' DefaultDependencies=no \\
    FailureAction=poweroff-force '[Service]' Type=oneshot 'ExecStart=/bin/systemctl poweroff' > "$units/launchbay-lease.service"
  systemctl daemon-reload && systemctl --no-block restart launchbay-lease.timer && exit 0
fi
shutdown -c 2> /dev/null
shutdown -P "+$(((at - now + 59) / 60))" &
"""
"""For a shell, as root: ``boot TTL`` at every boot, with the seconds of a new lease; ``until TIME`` to move its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Until when an instance lives, in seconds since 1970 by its own clock. One that is overdue ends in a moment."""

    ends_at: float


def read_lease(transport: Transport) -> Lease:
    """Return the lease of an instance. Raises LaunchbayError for one that has none, and what a transport raises."""
    done = transport.run(["cat", PLACE], timeout=_PATIENCE_S)
    words = done.stdout.decode(errors="replace").split()
    if done.code != 0 or len(words) != 2 or not (words[1].isascii() and words[1].isdigit()):
        raise LaunchbayError(
            "the instance has no lease, so nothing ends it by itself",
            where=PLACE,
            hint="end it yourself: `bay terminate`; instances that `bay launch` makes have one",
        )
    return Lease(ends_at=float(words[1]))


def write_lease(transport: Transport, ends_at: float) -> Lease:
    """Move the end of an instance's lease and return what it then has. Whole or not at all, and idempotent.

    A moment that has passed ends it in a few seconds. Raises UsageError for what is no moment, LaunchbayError where the
    instance has no lease or does not do it, and what a transport raises.
    """
    if not math.isfinite(ends_at) or not 0 < ends_at <= _LATEST:
        raise UsageError(f"a lease must end at a moment of this era, got {ends_at!r}")
    moment = math.ceil(ends_at)
    command = ["sudo", "-n", "/bin/sh", "-c", SCRIPT, "launchbay-lease", "until", str(moment)]
    done = transport.run(command, timeout=_PATIENCE_S)
    if done.code != 0:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise LaunchbayError(
            f"the end of the lease could not be moved: {why[0]}", hint="it ends as before, or `bay terminate`"
        )
    found = read_lease(transport)
    if found.ends_at != moment:
        raise LaunchbayError(f"the lease should end at {moment} and ends at {found.ends_at:.0f}", where=PLACE)
    return found
