"""The inputs of a guarded chain, each on its way from one answer to the next."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs

from ct_guard.guard import Guard, Ladder
from ct_guard.policies import Situation
from ct_guard.records import Assessment, Confidence, Decision

from .cases import Case
from .listening import LastCall
from .messages import turn_of
from .outputs import answer_of, asked_of
from .runnable import ConfidenceGuard, Guarded

__all__ = ["Row", "by_chain", "decide", "hear", "waiting"]

Chain = Runnable[Any, Any]

_INTERRUPT = "__interrupt__"
"""LangGraph's key for what a paused graph waits for."""


class Row:
    """One input, asked of chain after chain until the policy is content."""

    def __init__(
        self,
        over: ConfidenceGuard,
        chains: Sequence[Chain],
        question: Callable[[Any], Any] | None,
        value: Any,
        config: RunnableConfig,
    ) -> None:
        self.value = value
        self.guard: Guard = over.guard_for(config)
        self.case: Case | None = None
        """The answer that waits for its assessment."""
        self._over, self._question, self._config = over, question, config
        self._ladder = Ladder[Chain, Any](self.guard, chains)
        self._climb = iter(self._ladder)
        self.chain: Chain | None = next(self._climb)
        """Who is asked next; None when nobody is."""
        self._ear = LastCall()
        self._output: Any = None
        self._error: Exception | None = None

    def listen(self) -> RunnableConfig:
        """The config to ask with, which hears what the models in the chain are asked."""
        self._ear = LastCall()
        return merge_configs(self._config, {"callbacks": [self._ear]})

    def answered(self, output: Any) -> None:
        """The chain that was asked returned this, or raised it."""
        self.chain = None
        try:
            if isinstance(output, Exception):
                if _is_control_flow(output) or not self._ladder.failed(output):
                    raise output
                self.chain = next(self._climb, None)
            elif isinstance(output, Mapping) and _INTERRUPT in output:
                self._ladder.answered(output, [_not_answered(self.guard)])
            else:
                self.case = self._case(answer_of(output), self._ladder.situation)
                self._output = output
        except Exception as error:
            self._error = error

    def assessed(self, assessment: Assessment | Exception) -> None:
        """The answer was assessed, or could not be and `on_error` is "raise"."""
        case, self.case = self.case, None
        if case is None or isinstance(assessment, Exception):
            self._error = assessment if isinstance(assessment, Exception) else None
            return
        self._ladder.answered(self._output, [assessment], turn=turn_of(case.answer))
        self.chain = next(self._climb, None)

    def made(self) -> Guarded | Exception:
        """What comes of it when nobody is asked any more."""
        if self._error is not None:
            return self._error
        outcome = self._ladder.outcome()
        return self._over.guarded(
            self._pair(outcome.result),
            outcome.assessments[0],
            attempts=outcome.attempts,
            model_index=outcome.model_index,
            error=outcome.error,
        )

    def spoken(self, output: Any) -> Case:
        """The case of an answer that was streamed: its reader has it, and nothing more can be done.
        Where its parts make no text or message, as an agent's updates, it is the model's own."""
        self._output = output
        answer = answer_of(output)
        if not isinstance(output, str | BaseMessage) and self._ear.call is not None:
            answer = self._ear.call.answer
        return self._case(answer, Situation(models_left=0, exhausted=True))

    def judged(self, assessment: Assessment | Exception) -> Guarded | Exception:
        """What comes of a streamed answer."""
        if isinstance(assessment, Exception):
            return assessment
        return self._over.guarded(self._pair(self._output), assessment)

    def _case(self, answer: BaseMessage, situation: Situation) -> Case:
        heard = self._ear.call
        if self._question is not None:
            messages = asked_of(self._question(self.value))
        else:
            messages = heard.messages if heard is not None else asked_of(self.value)
        who = heard.model if heard is not None else None
        return Case(self.guard, messages, answer, who, situation)

    def _pair(self, output: Any) -> dict[str, Any]:
        return {self._over.input_key: self.value, self._over.output_key: output}


def by_chain(rows: Sequence[Row]) -> list[tuple[Chain, list[Row]]]:
    """Who is asked in this round, and by which rows."""
    groups: dict[int, tuple[Chain, list[Row]]] = {}
    for row in rows:
        if row.chain is not None:
            groups.setdefault(id(row.chain), (row.chain, []))[1].append(row)
    return list(groups.values())


def hear(rows: Sequence[Row], outputs: Sequence[Any]) -> None:
    """The outputs or errors of a chain, row by row."""
    for row, output in zip(rows, outputs, strict=True):
        row.answered(output)


def waiting(rows: Sequence[Row]) -> list[tuple[Row, Case]]:
    """The answers to assess now."""
    return [(row, row.case) for row in rows if row.case is not None]


def decide(
    cases: Sequence[tuple[Row, Case]], assessments: Sequence[Assessment | Exception]
) -> None:
    """The assessments of these cases, in order: each row goes on as its policy says."""
    for (row, _), assessment in zip(cases, assessments, strict=True):
        row.assessed(assessment)


def _not_answered(guard: Guard) -> Assessment:
    """An agent that waits for a person has said nothing yet that could be judged."""
    return Assessment(
        confidence=Confidence(
            p=None,
            status="unsupported",
            estimator=guard.estimator.name,
            error="the agent waits for a person: resume it for an answer",
        ),
        decision=Decision(action="pass", policy=guard.policy.name, reason="not answered yet"),
    )


def _is_control_flow(error: Exception) -> bool:
    """Whether LangGraph is pausing or redirecting the graph in which the chain runs."""
    graph = sys.modules.get("langgraph.errors")
    return graph is not None and isinstance(error, graph.GraphBubbleUp)
