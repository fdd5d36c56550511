"""Watching: the confidence of every model call in a run, without changing a single answer."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, dispatch_custom_event
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

from ct_guard.errors import LowConfidenceError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard
from ct_guard.policies import OnError, Policy

from .assess import assess
from .messages import turn_of
from .record import ConfidenceRecord, get_confidence, make_record
from .report import Observation, report

if TYPE_CHECKING:
    from langsmith import Client

__all__ = ["EVENT", "ConfidenceCallbackHandler", "get_confidence_callback"]

EVENT = "ct_guard.confidence"
"""The name of the custom event of one confidence, and of its LangSmith feedback."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Asked:
    messages: list[BaseMessage]
    model: str | None


class ConfidenceCallbackHandler(BaseCallbackHandler):
    """Scores what chat models and LLMs answer while they run, in chains and agents alike.

        watch = ConfidenceCallbackHandler("mini", policy=0.7)
        chain.batch(questions, {"callbacks": [watch]})
        print(watch.report())

    It observes: an answer reaches its reader as it is, and the record tells what the policy would
    have done. With `raise_error=True` an answer that does not pass raises LowConfidenceError out of
    the run; a stream has then been seen already. An answer that carries a record, as those of a
    `GuardedChatModel` do, is listed with that record and not scored again.

    `events=True` also sends every record as the custom event `ct_guard.confidence`, for
    `astream_events`; outside of a chain or graph there is no run to send it in, and it is left out.
    `feedback`, a LangSmith client, gets every p as feedback on its run; its failures are logged and
    fail no run.

    Safe to share between threads and event loops: async runs call it on a thread.
    """

    run_inline = False

    def __init__(
        self,
        estimator: str | Path | Estimator = "mini",
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        *,
        on_error: OnError = "pass",
        deadline: float | None = None,
        raise_error: bool = False,
        events: bool = False,
        feedback: "Client | None" = None,
    ) -> None:
        """`estimator`, `policy`, `on_error` and `deadline` are those of `ct_guard.Guard`."""
        self.raise_error = raise_error
        self._guard = Guard(estimator, policy, on_error=on_error, deadline=deadline)
        self._events, self._feedback = events, feedback
        self._asked: dict[UUID, _Asked] = {}
        self._seen: list[Observation] = []
        self._lock = threading.Lock()

    @property
    def observations(self) -> list[Observation]:
        """What was seen so far, in the order in which it was answered."""
        with self._lock:
            return list(self._seen)

    @property
    def records(self) -> list[ConfidenceRecord]:
        return [seen.record for seen in self.observations]

    def report(self, *, lowest: int = 5) -> str:
        """What was seen so far as a text: how many answers, their mean p, what the policy makes of
        them, and the `lowest` ones."""
        return report(self.observations, lowest=lowest)

    # --- LangChain's events -----------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._remember(run_id, messages[0] if messages else [], metadata)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._remember(run_id, [HumanMessage(prompt) for prompt in prompts[:1]], metadata)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        asked = self._forget(run_id)
        if asked is None or not response.generations or not response.generations[0]:
            return
        generation = response.generations[0][0]
        is_chat = isinstance(generation, ChatGeneration)
        answer = generation.message if is_chat else AIMessage(generation.text)
        record = get_confidence(answer) or self._judge(asked, answer)
        seen = Observation(run_id, asked.messages, answer, record, asked.model)
        with self._lock:
            self._seen.append(seen)
        self._tell(seen)
        if self.raise_error and record["action"] != "pass":
            said = "not measured" if record["p"] is None else f"{record['p']:.3f}"
            raise LowConfidenceError(
                f"an answer with P(correct) {said} does not pass {record['policy']}: catch this"
                " error, or ask a stronger model"
            )

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._forget(run_id)

    # --- inside -----------------------------------------------------------------------------------

    def _remember(
        self, run_id: UUID, messages: list[BaseMessage], metadata: dict[str, Any] | None
    ) -> None:
        asked = _Asked(messages, (metadata or {}).get("ls_model_name"))
        with self._lock:
            self._asked[run_id] = asked

    def _forget(self, run_id: UUID) -> _Asked | None:
        with self._lock:
            return self._asked.pop(run_id, None)

    def _judge(self, asked: _Asked, answer: BaseMessage) -> ConfidenceRecord:
        (assessment,) = assess(self._guard, asked.messages, [answer], model=asked.model)
        return make_record(assessment, turn=turn_of(answer))

    def _tell(self, seen: Observation) -> None:
        if self._events:
            try:
                dispatch_custom_event(EVENT, dict(seen.record))
            except RuntimeError:
                _logger.debug("no run to send the event %s in", EVENT)
        if self._feedback is not None:
            try:
                self._feedback.create_feedback(
                    run_id=seen.run_id,
                    key=EVENT,
                    score=seen.record["p"],
                    value=seen.record["action"],
                )
            except Exception as error:
                _logger.warning("no feedback was sent to LangSmith: %r", error)


_current: ContextVar[ConfidenceCallbackHandler | None] = ContextVar(
    "ct_guard_confidence_callback", default=None
)
register_configure_hook(_current, inheritable=True)


@contextmanager
def get_confidence_callback(
    estimator: str | Path | Estimator = "mini",
    policy: str | float | Path | dict[str, Any] | Policy | None = None,
    **options: Any,
) -> Iterator[ConfidenceCallbackHandler]:
    """Watch every model call in a `with` block, without passing callbacks around:

        with get_confidence_callback("mini", policy=0.7) as watch:
            agent.invoke({"messages": "What is 2 plus 2?"})
        print(watch.report())

    Takes what `ConfidenceCallbackHandler` takes. Blocks can be nested; the inner one watches.
    """
    handler = ConfidenceCallbackHandler(estimator, policy, **options)
    token = _current.set(handler)
    try:
        yield handler
    finally:
        _current.reset(token)
