"""What each caller may hold while others want some, too."""

import threading
from collections import Counter

from tensorhop.rpc.fairness.callers import Caller

OVERSHOOT = 2  # times `most`: what is held in all, at most
GROUP_OVERSHOOT = 1.5  # times its share: what a group holds at most where its members share; the rest is for others


class FairShare:
    """Room for `most` units: calls, items or bytes.

    A caller may hold all of it. Even then, another that holds less than an equal share is not refused: it gets in
    beside one that has filled everything. Nothing is taken away again, so up to OVERSHOOT times `most` may be held for
    some time.

    A share is equal at each level of a caller: half for each of two addresses, and a quarter for each of two
    connections of one of them.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self._held: dict[Caller, int] = {}
        self._lock = threading.Lock()

    def take(self, caller: Caller, units: int = 1) -> bool:
        """Take some, and return True; or False, if there is no room for this caller."""
        with self._lock:
            if not self._fits(caller, units):
                return False
            self.held += units
            self._held[caller] = self._held.get(caller, 0) + units
            return True

    def has_room(self, caller: Caller, units: int = 1) -> bool:
        """Whether `take` would succeed now."""
        with self._lock:
            return self._fits(caller, units)

    def give_back(self, caller: Caller, units: int = 1) -> None:
        with self._lock:
            self.held -= units
            left = self._held[caller] - units
            if left:
                self._held[caller] = left
            else:
                del self._held[caller]

    def _fits(self, caller: Caller, units: int) -> bool:
        return not self.held or self.held + units <= self.most or self._within_share(caller, units)

    def _within_share(self, caller: Caller, units: int) -> bool:
        if self.held + units > OVERSHOOT * self.most:
            return False
        share = float(self.most)
        for level in range(len(caller)):
            group, member = caller[:level], caller[: level + 1]
            # By member of the group, what it and those below it hold. Only a share that is filled is counted through.
            held: Counter[Caller] = Counter({member: 0})
            for one, count in self._held.items():
                if one[:level] == group and len(one) > level:
                    held[one[: level + 1]] += count
            share /= len(held)
            # A group may have filled everything before others came; its members that hold little get in all the same.
            allowed = share if member == caller else GROUP_OVERSHOOT * share
            if held[member] + units > allowed:
                return False
        return bool(caller)
