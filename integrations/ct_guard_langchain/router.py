"""Where an answer goes by its confidence."""

from collections.abc import Mapping
from typing import Any, get_args

from langchain_core.runnables import Runnable, RunnableBranch, RunnableLambda
from langchain_core.runnables.base import RunnableLike, coerce_to_runnable

from ct_guard.errors import UsageError
from ct_guard.records import Action

from .record import ConfidenceRecord, get_confidence

__all__ = ["confidence_router"]


def confidence_router(
    branches: Mapping[float | Action, RunnableLike[Any, Any]], default: RunnableLike[Any, Any]
) -> RunnableBranch[Any, Any]:
    """A branch on what carries a confidence: the result of a `ConfidenceGuard`, a message, a state.

        guard.wrap(chain) | confidence_router(
            {"abstain": hand_over, 0.9: send, 0.5: send_with_a_caution}, default=ask_a_person
        )

    A key is an action of the policy, or a threshold that p reaches. Actions go before thresholds,
    and the highest threshold that is reached counts. Whatever fits no key goes to `default`, also
    an answer that was not measured. Each branch gets what the router got.

    Raises UsageError for keys that make no sense, and, when it runs, for an input without a
    confidence.
    """
    if not branches:
        raise UsageError("a router needs a branch: give an action or a threshold, such as {0.9: …}")
    actions: list[Any] = [key for key in branches if isinstance(key, str)]
    thresholds: list[Any] = [key for key in branches if not isinstance(key, str)]
    for key in actions:
        if key not in get_args(Action):
            known = ", ".join(get_args(Action))
            raise UsageError(f"{key!r} is no action: there are {known}, and thresholds from 0 to 1")
    for key in thresholds:
        if isinstance(key, bool) or not isinstance(key, int | float) or not 0 <= key <= 1:
            raise UsageError(f"a threshold is a probability between 0 and 1, not {key!r}")
    ordered = [*actions, *sorted(thresholds, reverse=True)]
    return RunnableBranch(
        *[(_fits(key), coerce_to_runnable(branches[key])) for key in ordered],
        coerce_to_runnable(default),
    )


def _fits(key: float | Action) -> Runnable[Any, bool]:
    def fits(source: Any) -> bool:
        record = _record(source)
        if isinstance(key, str):
            return record["action"] == key
        return record["p"] is not None and record["p"] >= key

    return RunnableLambda(fits)


def _record(source: Any) -> ConfidenceRecord:
    record = get_confidence(source)
    if record is None:
        raise UsageError(
            f"a {type(source).__name__} without a confidence cannot be routed: put a guarded model"
            " or guard.wrap(chain) in front of the router"
        )
    return record
