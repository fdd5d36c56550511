"""The inputs of a guarded chain, each on its way from one answer to the next."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs

from ct_guard.guard import Guard, Ladder
from ct_guard.policies import Situation
from ct_guard.records import Assessment, Decision

from .assess import Case, Scores, decided
from .climbing import is_control_flow
from .delivery import silent
from .guarding import Guarded, Guarding
from .listening import LastCall, ModelCall, alone
from .outputs import Selector, answer_of, asked_of, context_in, context_of
from .record import attach
from .telling import note_in

__all__ = ["Reading", "Row", "by_chain", "decide", "hear", "waiting"]

Chain = Runnable[Any, Any]


@dataclass(frozen=True)
class Reading:
    """Where in what goes into a chain and comes out of it the parts are that are judged; None:
    where they are known to be."""

    question: Callable[[Any], Any] | None = None
    answer: Selector | None = None
    context: Selector | None = None


_INTERRUPT = "__interrupt__"
"""LangGraph's key for what a paused graph waits for."""


class Row:
    """One input, asked of chain after chain until the policy is content."""

    def __init__(
        self,
        over: Guarding,
        chains: Sequence[Chain],
        reading: Reading,
        value: Any,
        config: RunnableConfig,
    ) -> None:
        self.value = value
        self.config = config
        self.guard: Guard = over.guard_for(config)
        self.held = over.holds(config)
        """Whether nobody may hear what is said in the chain before it is decided on."""
        self.case: Case | None = None
        """The answer that waits for its assessment."""
        self._over, self._reading = over, reading
        self._ladder = Ladder[Chain, _Answer](self.guard, chains)
        self._climb = iter(self._ladder)
        self.chain: Chain | None = next(self._climb)
        """Who is asked next; None when nobody is."""
        self._ear = LastCall()
        self._heard: list[LastCall] = []
        self._output: Any = None
        self._error: Exception | None = None

    def listen(self) -> RunnableConfig:
        """The config to ask with, which hears what the models in the chain are asked."""
        self._ear = LastCall()
        self._heard.append(self._ear)
        if self.held:
            return alone(self.config, [self._ear])
        return merge_configs(self.config, {"callbacks": [self._ear]})

    def told(self) -> Iterator[tuple[ModelCall, BaseMessage | None]]:
        """The model calls that were held, with what may be told of each: its answer where the
        output that it led to is delivered, else only that it was made."""
        if not self.held:
            return
        made = self.made()
        counts = None if isinstance(made, Exception) else self._ladder.outcome().result.ear
        for ear in self._heard:
            for call in ear.calls:
                if isinstance(made, Exception) or ear is not counts:
                    yield call, None
                elif made["confidence"]["action"] != "abstain":
                    yield call, call.answer
                elif call is ear.call:
                    yield call, attach(silent(call.answer), made["confidence"])
                else:
                    yield call, None

    def answered(self, output: Any) -> None:
        """The chain that was asked returned this, or raised it."""
        self.chain = None
        try:
            if isinstance(output, Exception):
                if is_control_flow(output) or not self._ladder.failed(output):
                    raise output
                self.chain = next(self._climb, None)
            elif isinstance(output, Mapping) and _INTERRUPT in output:
                nothing = Case(self.guard, [], answer_of(output.get("messages") or ""))
                self._ladder.answered(
                    _Answer(output, nothing, self._ear), [_not_answered(self.guard)]
                )
            else:
                self.case = self._case(output, self._answer(output))
                self._output = output
        except Exception as error:
            self._error = error

    def scored(self, scores: Scores | Exception) -> None:
        """The answer was scored, or could not be and `on_error` is "raise"."""
        case, self.case = self.case, None
        if case is None:
            return
        assessment = decided(case, scores, self._ladder.situation)
        if isinstance(assessment, Exception):
            self._error = assessment
            return
        answer = _Answer(self._output, case, self._ear)
        self._ladder.answered(answer, [assessment], turn=case.turn)
        self.chain = next(self._climb, None)

    def made(self) -> Guarded | Exception:
        """What comes of it when nobody is asked any more."""
        if self._error is not None:
            return self._error
        outcome = self._ladder.outcome()
        return self._made(
            outcome.result,
            outcome.assessments[0],
            attempts=outcome.attempts,
            model_index=outcome.model_index,
            error=outcome.error,
        )

    def spoken(self, output: Any) -> Case:
        """The case of an answer that was streamed: its reader has it, and nothing more can be done.
        Where its parts make no text or message, as an agent's updates, it is the model's own."""
        self._output = output
        heard = self._ear.call
        if heard is None or isinstance(output, str | BaseMessage) or self._reading.answer:
            return self._case(output, self._answer(output))
        return self._case(output, heard.answer)

    def judged(self, case: Case, scores: Scores | Exception) -> Guarded | Exception:
        """What comes of a streamed answer."""
        assessment = decided(case, scores, Situation(models_left=0, exhausted=True))
        if isinstance(assessment, Exception):
            return assessment
        return self._made(_Answer(self._output, case, self._ear), assessment)

    def _made(self, answer: "_Answer", assessment: Assessment, **tried: Any) -> Guarded:
        heard = answer.ear.call
        made = self._over.guarded(
            self._pair(answer.output),
            assessment,
            answer.case,
            answer=self._reading.answer,
            heard=heard.answer if heard is not None else None,
            **tried,
        )
        note_in(self.config, made["confidence"])
        return made

    def _answer(self, output: Any) -> BaseMessage:
        heard = self._ear.call
        said = heard.answer if heard is not None else None
        return answer_of(output, answer=self._reading.answer, heard=said)

    def _case(self, output: Any, answer: BaseMessage) -> Case:
        heard, reading = self._ear.call, self._reading
        read = None
        if reading.question is not None:
            messages = asked_of(reading.question(self.value))
        elif heard is not None:
            messages = heard.messages
        else:
            messages, read = asked_of(self.value), context_in(self.value)
        if reading.context is not None:
            read = context_of(output, self.value, reading.context) or None
        who = heard.model if heard is not None else None
        return Case(self.guard, messages, answer, who, context=read)

    def _pair(self, output: Any) -> dict[str, Any]:
        return {self._over.input_key: self.value, self._over.output_key: output}


@dataclass(frozen=True)
class _Answer:
    """What a chain returned, and what is judged of it."""

    output: Any
    case: Case
    ear: LastCall


def by_chain(rows: Sequence[Row]) -> list[tuple[Chain, list[Row]]]:
    """Who is asked in this round, and by which rows; those that are held by themselves."""
    groups: dict[tuple[int, bool], tuple[Chain, list[Row]]] = {}
    for row in rows:
        if row.chain is not None:
            groups.setdefault((id(row.chain), row.held), (row.chain, []))[1].append(row)
    return list(groups.values())


def hear(rows: Sequence[Row], outputs: Sequence[Any]) -> None:
    """The outputs or errors of a chain, row by row."""
    for row, output in zip(rows, outputs, strict=True):
        row.answered(output)


def waiting(rows: Sequence[Row]) -> list[tuple[Row, Case]]:
    """The answers to assess now."""
    return [(row, row.case) for row in rows if row.case is not None]


def decide(cases: Sequence[tuple[Row, Case]], scored: Sequence[Scores | Exception]) -> None:
    """The scores of these cases, in order: each row goes on as its policy says."""
    for (row, _), scores in zip(cases, scored, strict=True):
        row.scored(scores)


def _not_answered(guard: Guard) -> Assessment:
    """An agent that waits for a person has said nothing yet that could be judged."""
    return Assessment(
        confidence=guard.estimator.unscored(
            "unsupported", "the agent waits for a person: resume it for an answer"
        ),
        decision=Decision(action="pass", policy=guard.policy.name, reason="not answered yet"),
    )
