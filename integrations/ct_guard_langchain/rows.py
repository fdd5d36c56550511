"""The inputs of a guarded chain, each on its way from one answer to the next."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs

from ct_guard.errors import UsageError
from ct_guard.guard import Guard, Ladder
from ct_guard.records import Assessment, Decision

from .assess import Case, Scores, decided, tool_gate
from .climbing import Drawn, Further, check_varied, further, is_control_flow
from .delivery import may_replace, silent
from .envelopes import added, is_paused, messages_in, written_in
from .fields import dropped_in, without_fields
from .guarding import Guarded, Guarding, joined
from .hearing import LastCall, ModelCall, alone, note_in
from .outputs import (
    Selector,
    answer_of,
    as_ended,
    as_heard,
    asked_of,
    context_in,
    context_of,
)
from .record import attach, total_usage
from .sayings import answering
from .sole import check_sole
from .telling import tell_judged
from .ungated import Ungated

__all__ = ["Chain", "Reading", "Row"]

Chain = Runnable[Any, Any]

_NODE = "langgraph_checkpoint_ns"
"""LangGraph's key in the metadata of what runs in a node: in which one."""


@dataclass(frozen=True)
class Reading:
    """Where in what goes into a chain and comes out of it the parts are that are judged; None:
    where they are known to be."""

    question: Callable[[Any], Any] | None = None
    answer: Selector | None = None
    context: Selector | None = None


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
        self.guard: Guard = over.guard
        self.held = True
        """Whether nobody may hear what is said in the chain before it is decided on."""
        self._error: Exception | None = None
        try:
            self.guard, self.held = over.guard_for(config), over.holds(config)
        except Exception as error:
            self._error = error
        self.case: Case | None = None
        """The answer that waits for its assessment."""
        self._over, self._reading, self._chains = over, reading, chains
        self._ladder = Ladder[Chain, _Answer](self.guard, chains)
        self._climb = iter(self._ladder)
        self.chain: Chain | None = next(self._climb) if self._error is None else None
        """Who is asked next; None when nobody is."""
        self._wanting: Decision | None = None
        self._further = Further()
        self._ear = LastCall()
        self._heard: list[LastCall] = []
        self._apart: list[LastCall] = []
        self._output: Any = None
        self._call: ModelCall | None = None
        self._state: dict[Any, Any] = {}
        self._done: Guarded | None = None

    @property
    def times(self) -> int:
        """How many answers the chain is asked for next."""
        return 1 if self._wanting is None else self._wanting.samples

    @property
    def unheard(self) -> bool:
        """Whether nobody may hear what is asked next: further answers are for the estimator."""
        return self.held or self._wanting is not None

    def listen(self) -> list[RunnableConfig]:
        """The config to ask with, for each time, which hears what the models in the chain are
        asked."""
        ears = [LastCall() for _ in range(self.times)]
        if self._wanting is None:
            (self._ear,) = ears
            self._heard += ears
        else:
            self._apart += ears
        gate = tool_gate(self.guard)
        stops = [] if gate is None else [Ungated(gate)]
        if self.unheard:
            return [alone(self.config, [ear, *stops]) for ear in ears]
        return [merge_configs(self.config, {"callbacks": [ear, *stops]}) for ear in ears]

    def told(self) -> Iterator[tuple[ModelCall, BaseMessage | None]]:
        """The model calls that were held, with what may be told of each: its answer where the
        output that it led to is delivered, else only that it was made."""
        for ear in self._apart:
            for call in ear.calls:
                yield call, None
        if not self.held:
            return
        made = self.made()
        counts = None if isinstance(made, Exception) else self._ladder.outcome().result
        for ear in self._heard:
            for call in ear.calls:
                if isinstance(made, Exception) or counts is None or ear is not counts.ear:
                    yield call, None
                elif made["confidence"]["action"] != "abstain":
                    dropped = dropped_in(made["confidence"]) if call is counts.call else []
                    yield call, without_fields(call.answer, dropped)
                elif call is counts.call:
                    yield call, attach(silent(call.answer), made["confidence"])
                else:
                    yield call, None

    def answered(self, outputs: Sequence[Any]) -> None:
        """The chain that was asked returned these, or raised them."""
        self.chain = None
        try:
            if self._wanting is not None:
                self._drew(outputs)
                return
            (output,) = outputs
            if isinstance(output, Exception):
                if is_control_flow(output) or not self._ladder.failed(output):
                    raise output
                self.chain = next(self._climb, None)
            elif is_paused(output):
                nothing = Case(self.guard, [], answer_of(messages_in(output) or ""))
                answer = _Answer(output, nothing, self._ear, self._ear.call)
                self._ladder.answered(answer, [_not_answered(self.guard)])
            else:
                self.case = self._read(output)
                self._output = output
        except Exception as error:
            self._error, self.case = error, None

    def scored(self, scores: Scores | Exception) -> None:
        """The answer was scored, or could not be and `on_error` is "raise"."""
        if self.case is None:
            return
        case, assessment = self.case, decided(self.case, scores, self._ladder.situation)
        try:
            if isinstance(assessment, Exception):
                raise assessment
            self._wanting = self._ladder.wanting(assessment)
            if self._wanting is not None:
                self._check_varied()
                self.chain = self._chains[self._ladder.index]
                return
            answer = _Answer(self._output, case, self._ear, self._call)
            self._ladder.answered(answer, [assessment], turn=case.turn)
            self.chain = next(self._climb, None)
        except Exception as error:
            self._error, self._wanting = error, None
        self.case = None

    def made(self) -> Guarded | Exception:
        """What comes of it when nobody is asked any more."""
        if self._error is not None:
            return self._error
        if self._done is not None:
            return self._done
        try:
            outcome = self._ladder.outcome()
            self._done = self._made(
                outcome.result,
                outcome.assessments[0],
                attempts=outcome.attempts,
                model_index=outcome.model_index,
                error=outcome.error,
                discarded_usage=total_usage(self._further.messages),
                samples=outcome.samples,
                cost=outcome.cost,
            )
            return self._done
        except Exception as error:  # of a caller's own function: this row's, and no other's
            self._error = error
            return error

    def says(self, part: Any) -> None:
        """A part of an answer was streamed."""
        self._output = joined(self._output, part)
        for key, value in (written_in(part) or {}).items():
            self._state[key] = added(self._state.get(key), value)

    def spoken(self) -> None:
        """An answer was streamed: its reader has it, and nothing more can be done. Of the updates
        of a graph the state that they make is judged; parts that make no output, as those of
        several streams at once, are the model's own.

        Raises UsageError where a policy gates it and it cannot be told from other answers.
        """
        self._ladder = Ladder[Chain, _Answer](self.guard, self._chains[:1], delivered=True)
        self._climb = iter(self._ladder)
        next(self._climb)
        self.chain, graph = None, self._by_graph()
        if graph and isinstance(self._output, tuple) and not self._reading.answer:
            self._call = self._ear.call
            self.case = self._case(self._output, self._ear.calls[-1].answer)
        else:
            self.case = self._read(self._state if graph and self._state else self._output)

    def _by_graph(self) -> bool:
        """Whether a graph was streamed: models spoke in nodes of one that the chain is, or ends
        in."""
        around = (self.config.get("metadata") or {}).get(_NODE)
        nodes = [(call.start.get("metadata") or {}).get(_NODE) for call in self._ear.calls]
        return any(node not in (None, around) for node in nodes)

    def _drew(self, outputs: Sequence[Any]) -> None:
        """The chain gave further answers, or failed to: the case waits with them for evidence."""
        wanting, self._wanting = self._wanting, None
        if wanting is None or self.case is None:
            return
        found = [
            self._drawn(output, ear)
            for output, ear in zip(outputs, self._apart[-len(outputs) :], strict=True)
        ]
        self._further = further(self._ladder, wanting, found)
        self.case = self._further.beside(self.case)

    def _drawn(self, output: Any, ear: LastCall) -> Drawn | Exception:
        """A further answer, or why there is none. Raises what pauses a graph."""
        try:
            if isinstance(output, Exception):
                if is_control_flow(output):
                    raise output
                return output
            if is_paused(output):
                return UsageError("the agent waits for a person")
            heard = ear.call.answer if ear.call is not None else None
            said = answer_of(output, answer=self._reading.answer, heard=heard)
        except UsageError as error:
            return error
        return Drawn(said, [call.answer for call in ear.calls])

    def _check_varied(self) -> None:
        heard = self._call
        about = (heard.start.get("metadata") or {}) if heard is not None else {}
        check_varied(about.get("ls_temperature"))

    def _made(self, answer: "_Answer", assessment: Assessment, **tried: Any) -> Guarded:
        heard = answer.call
        made = self._over.guarded(
            self._pair(answer.output),
            assessment,
            answer.case,
            answer=self._reading.answer,
            heard=heard.answer if heard is not None else None,
            **tried,
        )
        record, case = made["confidence"], answer.case
        note_in(self.config, record)
        tell_judged(self.guard, record, case.answer, case.messages, config=self.config)
        return made

    def _read(self, output: Any) -> Case:
        """What is judged of an output. Raises UsageError where it holds no answer, or several of
        which none is named under a policy that gates them."""
        calls, selector = self._ear.calls, self._reading.answer
        last = calls[-1].answer if calls else None
        answer = answer_of(output, answer=selector, heard=last)
        self._call = call = answering(calls, answer)
        if selector is None:
            check_sole(
                output,
                answer,
                gated=may_replace(self.guard),
                given=self.value,
                call=call,
                calls=calls,
            )
        heard = call.answer if call is not None and answer.text else None
        return self._case(output, as_ended(as_heard(answer, heard), heard))

    def _case(self, output: Any, answer: BaseMessage) -> Case:
        heard, reading = self._call, self._reading
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
        case = Case(self.guard, messages, answer, who, context=read)
        return case if self._ladder.index else self._further.beside(case)

    def _pair(self, output: Any) -> dict[str, Any]:
        return {self._over.input_key: self.value, self._over.output_key: output}


@dataclass(frozen=True)
class _Answer:
    """What a chain returned, and what is judged of it."""

    output: Any
    case: Case
    ear: LastCall
    call: ModelCall | None
    """Who said it."""


def _not_answered(guard: Guard) -> Assessment:
    """An agent that waits for a person has said nothing yet that could be judged."""
    return Assessment(
        confidence=guard.estimator.unscored(
            "unsupported", "the agent waits for a person: resume it for an answer"
        ),
        decision=Decision(action="pass", policy=guard.policy.name, reason="not answered yet"),
    )
