"""What escalations have cost lately: the state that budgets need, kept out of policies."""

from collections import deque
from dataclasses import dataclass

from ct_guard.forks import ForkLock

__all__ = ["Ledger"]

_ROUNDING = 1e-9
"""Sums of floats may pass a limit by this much."""


@dataclass
class _Call:
    escalations: int = 0
    cost: float = 0.0


class Ledger:
    """The latest `window` calls and what was spent on them. Safe to share between threads."""

    def __init__(self, window: int) -> None:
        self._calls: deque[_Call] = deque([_Call()], maxlen=window)
        self._lock = ForkLock()

    def enter(self) -> None:
        """A call begins; the oldest one that is remembered may be forgotten."""
        with self._lock:
            self._calls.append(_Call())

    def spend(self, price: float, *, most: float, limit: float) -> bool:
        """Spend `price` on one escalation, where that keeps the remembered calls within `most`
        escalations and a total cost of `limit`. Whether it was spent: checking and spending are one
        step, so that threads cannot overspend together."""
        with self._lock:
            escalations = 1 + sum(call.escalations for call in self._calls)
            cost = price + sum(call.cost for call in self._calls)
            if escalations > most + _ROUNDING or cost > limit + _ROUNDING:
                return False
            self._calls[-1].escalations += 1
            self._calls[-1].cost += price
            return True
