"""Where an answer goes by its confidence: a node of a graph of one's own and the edge that follows
it, and a branch of a chain."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableBranch, RunnableConfig, RunnableLambda
from langchain_core.runnables.base import RunnableLike, coerce_to_runnable
from langchain_core.runnables.config import ensure_config

from ct_guard.errors import UsageError
from ct_guard.guard import Guard
from ct_guard.policies import Situation
from ct_guard.records import Action, Assessment

from .assess import Case, aassess, assess
from .delivery import ABSTAIN_MESSAGE, AbstainMessage, Delivery, Redact
from .messages import turn_of
from .per_call import Guards, policy_in
from .record import ConfidenceRecord, record_in
from .telling import tell_judged

__all__ = ["confidence_node", "confidence_router", "route_by_confidence"]


def confidence_node(
    guard: Guard,
    *,
    models: int | None = None,
    abstain_message: AbstainMessage = ABSTAIN_MESSAGE,
    keep_original: bool = False,
    redact: Redact | None = None,
    schemas: Collection[str] = (),
) -> RunnableLambda[Any, dict[str, Any]]:
    """A node that judges the last AI message of a messages state and writes its record.

        graph.add_node("confidence", confidence_node(Guard("mini", 0.7), models=1))
        graph.add_conditional_edges(
            "confidence", route_by_confidence, {"pass": END, "escalate": "strong", "abstain": END}
        )

    The graph carries out what is decided: edges lead to whoever retries, escalates or asks a
    person. `models` is to how many stronger models they lead; None: to as many as the policy wants.
    Earlier answers to the same question that were sent back so are told from the answer at hand by
    their records. An answer that is abstained from becomes `abstain_message`, and so does a turn of
    calls of which a `ToolGate` lets one not run; with `keep_original` its text, as `redact` leaves
    it, is kept in the record. `schemas` are the names of tools whose call is a structured answer.
    What the model's own node has streamed is seen before it is judged: put a `GuardedChatModel`
    there to hold it. A call's config or the run's context can set another policy by
    `ct_guard_policy`.

    Raises UsageError, when it runs, for a state whose last message is no AI message, and
    CtGuardError where the guard's `on_error` is "raise".
    """

    delivery = Delivery(abstain_message, keep_original, redact)
    guards = Guards(guard, "confidence_node")

    def judge(state: Any, config: RunnableConfig) -> dict[str, Any]:
        asked = _asked(state, models, schemas)
        case = _case(asked, config)
        return _update(asked, case, assess(case, asked.situation))

    async def ajudge(state: Any, config: RunnableConfig) -> dict[str, Any]:
        asked = _asked(state, models, schemas)
        case = _case(asked, config)
        return _update(asked, case, await aassess(case, asked.situation))

    def _case(asked: "_Asked", config: RunnableConfig) -> Case:
        under = guards.under(policy_in(config))
        return Case(under, asked.messages, asked.answer, None, schemas)

    def _update(asked: "_Asked", case: Case, made: Assessment) -> dict[str, Any]:
        message, record = delivery.deliver(
            asked.answer,
            made,
            case.messages,
            attempts=asked.attempts,
            model_index=asked.situation.model_index,
            schemas=schemas,
        )
        tell_judged(
            case.guard,
            record,
            asked.answer,
            case.messages,
            config=ensure_config(),
            schemas=schemas,
        )
        return {"messages": [message]}

    return RunnableLambda(judge, afunc=ajudge, name="confidence")


def route_by_confidence(state: Any) -> Action:
    """The action that was decided on the last AI message, for conditional edges.

    Raises UsageError where no confidence was recorded.
    """
    record = record_in(_messages(state)[-1:])
    if record is None:
        raise UsageError("the last message has no confidence: run a confidence_node before")
    return record["action"]


class _Asked(NamedTuple):
    messages: list[BaseMessage]
    answer: AIMessage
    situation: Situation
    attempts: int


def _asked(state: Any, models: int | None, schemas: Collection[str]) -> _Asked:
    """The answer at hand and its conversation, without answers that were sent back."""
    messages = _messages(state)
    answer = messages[-1] if messages else None
    if not isinstance(answer, AIMessage):
        raise UsageError("a confidence_node comes after a model: the last message is no AI message")
    turns = [at for at, said in enumerate(messages) if isinstance(said, HumanMessage)]
    start = turns[-1] if turns else 0
    kept, sent_back = list(messages[:start]), list[Action]()
    for message in messages[start:-1]:
        record = record_in(message) if isinstance(message, AIMessage) else None
        if record is not None and record["action"] in ("retry", "escalate"):
            sent_back.append(record["action"])
        else:
            kept.append(message)
    escalations = sent_back.count("escalate")
    retries = sent_back[::-1].index("escalate") if escalations else len(sent_back)
    situation = Situation(
        models_left=None if models is None else max(models - escalations, 0),
        model_index=escalations,
        retries=retries,
        turn=turn_of(answer, schemas),
    )
    return _Asked(kept, answer, situation, len(sent_back) + 1)


def _messages(state: Any) -> Sequence[BaseMessage]:
    if isinstance(state, Mapping):
        found = state.get("messages", [])
    else:
        found = state if isinstance(state, list) else getattr(state, "messages", [])
    messages: Sequence[BaseMessage] = found
    return messages


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
    record = record_in(source)
    if record is None:
        raise UsageError(
            f"a {type(source).__name__} without a confidence cannot be routed: put a guarded model"
            " or guard.wrap(chain) in front of the router"
        )
    return record
