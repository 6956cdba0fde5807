"""The twin's own addresses, below ``/twin/``: its status, its bill, its clock, and what shall go wrong.

They answer who knows the token that lies, for its owner alone, beside the twin's state.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from moto.core.base_backend import BackendDict

from launchbay.twin.addresses import presented
from launchbay.twin.backend import find_instance, instances, is_region
from launchbay.twin.call import Answer
from launchbay.twin.rules.faults import FAULTS
from launchbay.twin.rules.spot import NOTICE_S, interrupt
from launchbay.twin.truth import Armed, Fault, new_truth
from launchbay.twin.world import World

__all__ = ["Admin"]

_TEXT = (("Content-Type", "text/plain"),)
_LONGEST_S = 10 * 365 * 86400


class Admin:
    """Answers the twin's own addresses. Called under the twin's lock."""

    def __init__(self, world: World, token: str, *, ended: Callable[[], None]) -> None:
        self.world = world
        self._token = token
        self._ended = ended
        self._doors: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
            "status": self._status,
            "bill": self._bill,
            "calls": self._calls,
            "advance": self._advance,
            "fault": self._fault,
            "faults": self._faults,
            "capacity": self._capacity,
            "quota": self._quota,
            "spot": self._spot,
            "interrupt": self._interrupt,
            "left": self._left,
            "hosts": self._hosts,
            "reset": self._reset,
            "stop": self._stop,
        }

    def __call__(self, environ: Mapping[str, Any], body: bytes) -> Answer:
        """Answer one request."""
        if environ.get("PATH_INFO") == "/twin/address":  # what a client asks to see itself as EC2 does
            return Answer(status=200, headers=_TEXT, body=presented(str(environ["REMOTE_ADDR"])).encode() + b"\n")
        given = str(environ.get("HTTP_X_TWIN_TOKEN", ""))
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return _json(403, {"error": "these addresses are for who started the twin"})
        door = self._doors.get(str(environ.get("PATH_INFO", ""))[len("/twin/") :])
        if door is None:
            return _json(404, {"error": f"there are {', '.join(self._doors)}"})
        try:
            asked = dict(json.loads(body) if body else {})
            self.world.catch_up()
            return _json(200, door(asked))
        except (KeyError, TypeError, ValueError, InvalidOperation) as error:
            plain = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
            return _json(400, {"error": plain})

    def _status(self, _: Mapping[str, Any]) -> Any:
        states = Counter(str(item.state) for item in instances())
        settings = self.world.truth.settings
        return {
            "now": self.world.now().isoformat(),
            "clock": "virtual" if settings.is_virtual else "real",
            "seed": settings.seed,
            "pending_s": settings.pending_s,
            "instances": dict(states),
            "running": states["running"],
            "calls": sum(self.world.truth.calls.values()),
            "due": len(self.world.clock.waiting),
            "faults": len(self.world.truth.faults),
            "problems": list(self.world.problems.values()),
        }

    def _bill(self, _: Mapping[str, Any]) -> Any:
        return self.world.truth.ledger.as_json(self.world.now().replace(microsecond=0))  # as spans begin and end

    def _calls(self, _: Mapping[str, Any]) -> Any:
        return {**self.world.truth.calls, **self.world.bucket_calls}

    def _advance(self, asked: Mapping[str, Any]) -> Any:
        seconds = float(asked["seconds"])
        if not 0 <= seconds <= _LONGEST_S:
            raise ValueError(
                f"a clock can be set forward by {_LONGEST_S / 86400:.0f} days at most, got {seconds / 86400:g} days"
            )
        left = seconds
        while left > 0:
            self.world.hosts.wait_for_boots()  # a host that comes up sets its timers by the time that it is now
            passes = min([left, *self._until_hosts_come_up()])
            self.world.clock.advance(passes)
            self.world.catch_up()
            left -= passes
        return {"now": self.world.now().isoformat()}

    def _until_hosts_come_up(self) -> list[float]:
        """Return in how many seconds instances come up that are about to."""
        now = self.world.now()
        moments = [due.at for due in self.world.clock.waiting if due.kind == "state" and due.data["to"] == "running"]
        return [(at - now).total_seconds() for at in moments if at > now]

    def _fault(self, asked: Mapping[str, Any]) -> Any:
        fault = Fault(**asked)
        if fault.name not in FAULTS:
            raise ValueError(f"there is no fault {fault.name!r}; there are {', '.join(FAULTS)}")
        self.world.truth.faults.append(Armed(fault))
        return {"faults": len(self.world.truth.faults)}

    def _faults(self, asked: Mapping[str, Any]) -> Any:
        if asked.get("clear"):
            self.world.truth.faults.clear()
        return {"faults": [armed.fault.name for armed in self.world.truth.faults], "known": dict(FAULTS)}

    def _capacity(self, asked: Mapping[str, Any]) -> Any:
        key = (str(asked["type"]), str(asked.get("zone", "")), str(asked.get("market", "")))
        self.world.truth.capacity[key] = int(asked["count"])
        return {"capacity": list(self.world.truth.capacity.items())}

    def _quota(self, asked: Mapping[str, Any]) -> Any:
        key = (str(asked["region"]), str(asked["code"]))
        self.world.truth.quotas[key] = Decimal(str(asked["vcpus"]))
        return {"quotas": [[*key, str(value)] for key, value in self.world.truth.quotas.items()]}

    def _spot(self, asked: Mapping[str, Any]) -> Any:
        key = (str(asked["type"]), str(asked.get("zone", "")))
        self.world.truth.spot_usd[key] = Decimal(str(asked["usd"]))
        self.world.settle()
        return {"spot": [[*key, str(value)] for key, value in self.world.truth.spot_usd.items()]}

    def _interrupt(self, asked: Mapping[str, Any]) -> Any:
        instance = find_instance(str(asked["instance"]))
        if instance is None:
            raise ValueError(f"there is no instance {asked['instance']}")
        notice_s, rebalance_s = float(asked.get("notice_s", NOTICE_S)), float(asked.get("rebalance_s", 0))
        interrupt(self.world, instance, notice_s=notice_s, rebalance_s=rebalance_s)
        self.world.catch_up()
        return {"due": len(self.world.clock.waiting)}

    def _hosts(self, _: Mapping[str, Any]) -> Any:
        return self.world.hosts.shown()

    def _left(self, _: Mapping[str, Any]) -> Any:
        """Return what still stands, as the twin knows it: what costs, and what does not but would be in the way."""
        from launchbay.twin.left import list_left

        found = list_left(self.world)
        return {"left": sum(len(names) for names in found.values()), **found}

    def _reset(self, asked: Mapping[str, Any]) -> Any:
        """Forget everything, and begin again with other settings where some are given."""
        before = self.world.truth
        self.world.bucket_calls.clear()
        settings = replace(before.settings, **asked)  # what cannot be is refused before anything is gone
        if not is_region(settings.region):
            raise ValueError(f"there is no region {settings.region!r}")
        BackendDict.reset()
        self.world.truth = new_truth(settings)
        self.world.problems.clear()
        # where hosts listen is this process's, whatever it forgets; and an address that was just let go is not had again
        self.world.truth.network, self.world.truth.addresses = before.network, before.addresses
        self.world.settle()
        return self._status({})

    def _stop(self, _: Mapping[str, Any]) -> Any:
        self._ended()
        return {"stopped": True}


def _json(status: int, value: Any) -> Answer:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Answer(status=status, headers=headers, body=json.dumps(value, indent=1).encode())
