"""One call of an agent's model: who is asked, what is judged of what they say, what goes on."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import uuid4

from langchain.agents.middleware.types import ExtendedModelResponse, ModelRequest, ModelResponse
from langchain.agents.structured_output import AutoStrategy, ToolStrategy
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from langchain_core.runnables import ensure_config
from langgraph.types import Command

from ct_guard.errors import BackendError
from ct_guard.guard import Guard, Ladder, Outcome
from ct_guard.policies import Situation, draws
from ct_guard.records import Assessment, Confidence, Decision
from ct_guard.runs import RunLayer, RunTurn

from ..assess import Case, Scores
from ..climbing import Drawn, Further, check_varied, further
from ..delivery import Delivered, Delivery
from ..fields import dropped_in, object_without
from ..hearing import LastCall, ModelCall, atell, hearing, note_in, tell
from ..muted import Muted
from ..record import KEY, ConfidenceRecord, record_in, total_usage
from ..telling import tell_judged
from .state import RUN, VERDICTS, GateRecord, run_record, turns_in, verdict_of

__all__ = ["MISPLACED", "AgentCall", "NothingSaidError", "Said"]

MISPLACED = (
    "a middleware listed after %s changed what the model was asked, or which model: that is what"
    " was judged, but calls of tools that it changes have no score; list %s last"
)
"""What the log says of one (`AgentCall.misplaced`), by the name of the guard."""

MISFIT = "this structured answer does not fit its schema"
"""What the record of one says, and the result of its call where its words are withheld."""


@dataclass(frozen=True)
class Said:
    """A response, the AI message in it that is judged, and the model call that it came of; None
    where no model was heard to say it."""

    response: ModelResponse[Any]
    message: AIMessage
    call: ModelCall | None


class NothingSaidError(BackendError):
    """A response that answers nothing: no model said anything in it, or what it said, which are the
    `cases`, does not fit the schema."""

    def __init__(self, response: ModelResponse[Any], cases: Sequence[Case] = ()) -> None:
        super().__init__(MISFIT if cases else "it gave no answer that can be judged")
        self.response, self.cases = response, cases


class AgentCall:
    """One call of an agent's model, as attempts of a climb:

    def ask(model):
        with call.listening():
            return handler(call.request_to(model))

    def draw(model):
        with call.drawing():
            return handler(call.request_to(model, held=True))

    climb(call, ask, draw)
    call.delivered()
    call.tell()

    Judged is what the model was asked, however the middlewares inside have changed the request, and
    by the calibrator of the one that answered.
    """

    def __init__(
        self,
        name: str,
        guard: Guard,
        request: ModelRequest[Any],
        models: Sequence[BaseChatModel],
        *,
        hold: bool,
        delivery: Delivery,
        gate: GateRecord | None = None,
    ) -> None:
        """`gate` is that of a policy which the call has set."""
        self._gate = gate
        self._name, self._guard, self._request, self._hold = name, guard, request, hold
        self._delivery = delivery
        self._schemas = _schemas(request)
        self._ears: list[LastCall] = []
        self._apart: list[LastCall] = []
        self._muted: list[Muted] = []
        self._further = Further()
        self._heard: list[Said] = []
        self._delivered: tuple[ModelCall | None, BaseMessage] | None = None
        self.ladder = Ladder[BaseChatModel, Said](guard, (request.model, *models))
        system = [request.system_message] if request.system_message else []
        self._messages: list[BaseMessage] = [*system, *request.messages]
        self._turns = turns_in(request.state)
        self._told = ""
        if draws(guard.policy) and isinstance(request.model, BaseChatModel):
            params = request.model._get_ls_params(**request.model_settings)
            check_varied(params.get("ls_temperature"))
        self.misplaced = False
        """Whether a middleware inside asked something else, or somebody else."""

    def listening(self) -> AbstractContextManager[None]:
        """Around the handler: hears the models in it. Held, nobody else does before it is decided
        whose answer counts."""
        self._ears.append(LastCall())
        return hearing(self._ears[-1], held=self._hold)

    def drawing(self) -> AbstractContextManager[None]:
        """Around the handler that draws a further answer, of which nobody hears what it is. Safe to
        enter from several threads at once."""
        ear = LastCall()
        self._apart.append(ear)
        return hearing(ear, held=True)

    def request_to(self, model: BaseChatModel, *, held: bool = False) -> ModelRequest[Any]:
        """The request for this model, with what the policy wants it told; held, without callbacks
        of its own."""
        request = self._request
        if self._told:
            before = request.system_message
            instructions = "" if before is None else f"{before.text}\n\n"
            told = SystemMessage(f"{instructions}{self._told}")
            request = request.override(system_message=told)
        if self._hold or held:
            self._muted.append(Muted(model))
            model = cast("BaseChatModel", self._muted[-1].chain)
        return request if model is request.model else request.override(model=model)

    def heard(self, model: object, response: ModelResponse[Any]) -> list[Case]:
        """What is judged of a response. Raises NothingSaidError where it is no answer to go on
        with: no message of a model, or a structured answer that does not fit its schema, which the
        agent asks for again."""
        all_said = _said_in(response)
        if not all_said:
            raise NothingSaidError(response)
        message = all_said[-1]  # whose calls run
        said = Said(response, message, _call_of(message, self._ears[-1]))
        self._heard.append(said)
        asked, who = self._messages, _name(model)
        if said.call is not None and not self._told:  # which is no part of what was asked
            self.misplaced |= said.call.messages != asked or (
                who is not None and said.call.model not in (None, who)
            )
            asked = said.call.messages
        if said.call is not None:
            who = said.call.model or who
        cases = [Case(self._guard, asked, e, who, self._schemas, gated=True) for e in all_said]
        answers = cases[-1].turn == "answer" and message.tool_calls
        if answers and response.structured_response is None:
            raise NothingSaidError(response, cases)
        return cases if self.ladder.index else list(map(self._further.beside, cases))

    def scored(self, cases: Sequence[Case], scores: Sequence[Scores]) -> Decision | None:
        """The latest response was scored: the policy says how it goes on, or wants further answers
        first."""
        case, found = cases[-1], scores[-1]
        turn = RunTurn(turn=case.turn, p=tuple(map(_worth, found)), retries=self.ladder.retried)
        run = (*self._turns, turn)
        situation = replace(self.ladder.situation, run=run)
        assessment = _weakest(cases, scores, situation)
        if wanting := self.ladder.wanting(assessment):
            return wanting
        self._told = assessment.decision.told
        self.ladder.answered(self._heard[-1], [assessment], turn=case.turn, run=run)
        return None

    def drew(
        self,
        cases: Sequence[Case],
        decision: Decision,
        found: Sequence[ModelResponse[Any] | Exception],
    ) -> list[Case]:
        """The latest response's case, with further answers for evidence."""
        drawn = [each if isinstance(each, Exception) else _drawn(each) for each in found]
        self._further = further(self.ladder, decision, drawn, self._schemas)
        return list(map(self._further.beside, cases))

    def passed_on(
        self, nothing: NothingSaidError, scores: Sequence[Scores]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """A response that answers nothing, given the scores of its cases. The agent asks again for
        an answer that does not fit its schema; unless the policy lets all of it pass, the history
        has only that it was given. A person is not asked: whatever they say, it is not used."""
        if not nothing.cases:
            return nothing.response
        said = self._heard[-1]
        assessment = _weakest(nothing.cases, scores, Situation(models_left=0, exhausted=True))
        passes = _passes_whole(assessment.decision)
        if not passes:
            decision = assessment.decision.model_copy(update={"action": "abstain"})
            assessment = assessment.model_copy(update={"decision": decision})
        outcome = Outcome(said, [assessment], 0, 1, MISFIT)
        message, record = self._message(outcome)
        response = _response(outcome, message)
        if not passes:
            response = _emptied(said, message, self._schemas)
            message = response.result[0]
        self._delivered = (said.call, message)
        self._tell(record, said)
        return ExtendedModelResponse(response, Command(update={KEY: record}))

    def delivered(self) -> ExtendedModelResponse[Any]:
        """The response that counts, its record on the message and in the state."""
        outcome = self.ladder.outcome()
        message, record = self._message(outcome)
        self._delivered = (outcome.result.call, message)
        verdict = verdict_of(
            cast("AIMessage", message), outcome.assessments[0], self._guard.policy, self._gate
        )
        self._tell(record, outcome.result)
        known = self._guard.estimator.manifest.known
        layer = next((one for one in known if isinstance(one, RunLayer)), None)
        run = run_record(self._run(outcome), layer)
        update = {KEY: record, VERDICTS: {self._name: verdict}, RUN: run}
        return ExtendedModelResponse(_response(outcome, message), Command(update=update))

    def _run(self, outcome: Outcome[Said]) -> tuple[RunTurn, ...]:
        """The turns with the one that counts, for which models were asked as often as in all."""
        turns: tuple[RunTurn, ...] = outcome.run or ()
        *before, last = turns
        return (*before, last.model_copy(update={"retries": self.ladder.retried}))

    def tell(self) -> None:
        """Those who listen to the run, or to the model itself, hear of what was held."""
        for each, said in self._held():
            tell(each, said, ensure_config(), callbacks=self._own(each))

    async def atell(self) -> None:
        """`tell`, from an async run."""
        for each, said in self._held():
            await atell(each, said, ensure_config(), callbacks=self._own(each))

    def _own(self, call: ModelCall) -> list[BaseCallbackHandler]:
        """The callbacks of the model that was called."""
        return [handler for muted in self._muted for handler in muted.own(call)]

    def _held(self) -> Iterator[tuple[ModelCall, BaseMessage | None]]:
        """The model calls that were held, and what may be told of each: the message that is
        delivered, or only that it was made."""
        for ear in self._apart:
            for each in ear.calls:
                yield each, None
        if not self._hold or self._delivered is None:
            return
        call, message = self._delivered
        for ear in self._ears:
            for each in ear.calls:
                yield each, message if each is call else None

    def _message(self, outcome: Outcome[Said]) -> Delivered:
        said = outcome.result
        discarded = [other.message for other in self._heard if other is not said]
        message = _with_ids(said.message, self._schemas)
        return self._delivery.deliver(
            message,
            outcome.assessments[0],
            said.call.messages if said.call is not None else self._messages,
            attempts=outcome.attempts,
            model_index=outcome.model_index,
            error=outcome.error,
            discarded_usage=total_usage([*discarded, *self._further.messages]),
            schemas=self._schemas,
            samples=outcome.samples,
            cost=outcome.cost,
        )

    def _tell(self, record: ConfidenceRecord, said: Said) -> None:
        """Whoever streams the agent with the mode `custom`, tracers, and observers."""
        event = {"type": "ct_guard.confidence", "middleware": self._name, **record}
        self._request.runtime.stream_writer(event)
        note_in(ensure_config(), record)
        tell_judged(
            self._guard,
            record,
            said.message,
            self._messages,
            config=ensure_config(),
            schemas=self._schemas,
        )


def _worth(confidence: Confidence) -> float | None:
    """Of a turn in a run: what policies take for an answer of no worth is one."""
    return 0.0 if confidence.status in ("empty", "refusal", "forged") else confidence.p


def _said_in(response: ModelResponse[Any]) -> list[AIMessage]:
    return [said for said in response.result if isinstance(said, AIMessage)]


def _with_ids(said: AIMessage, schemas: Collection[str]) -> AIMessage:
    """The message with an id of its own, and so each of its calls: by these alone a result, and
    what a person decides, are told from those of other calls."""
    taken: set[str | None] = {None, ""}
    calls = []
    for call in said.tool_calls:
        own = call
        if call["id"] in taken and call["name"] not in schemas:
            own = {**call, "id": f"call_{uuid4().hex}"}
        taken.add(own["id"])
        calls.append(own)
    return said.model_copy(update={"id": said.id or str(uuid4()), "tool_calls": calls})


def _drawn(response: ModelResponse[Any]) -> Drawn | Exception:
    said = _said_in(response)
    return Drawn(said[-1], said) if said else NothingSaidError(response)


def _weakest(cases: Sequence[Case], scores: Sequence[Scores], situation: Situation) -> Assessment:
    """What the policy makes of the weakest case, with the calls of the last one, which run."""
    made = [each.decided(p, situation) for each, p in zip(cases, scores, strict=True)]
    weakest = min(made, key=lambda each: -1.0 if each.p is None else each.p)
    return weakest.model_copy(update={"calls": made[-1].calls})


def _passes_whole(decision: Decision) -> bool:
    """Whether an answer passes with all its fields."""
    return decision.action == "pass" and set((decision.fields or {}).values()) <= {"pass"}


def _emptied(said: Said, withheld: BaseMessage, schemas: Collection[str]) -> ModelResponse[Any]:
    """A structured answer that does not fit its schema without its words: calls of `schemas` alone,
    each with a result that does not repeat it, so that the agent asks again."""
    calls = [{**call, "args": {}} for call in said.message.tool_calls if call["name"] in schemas]
    emptied = withheld.model_copy(update={"content": "", "tool_calls": calls})
    told = {"content": f"Error: {MISFIT}. Answer again, as it wants it.", "artifact": None}
    results = [
        each.model_copy(update=told)
        for each in said.response.result
        if isinstance(each, ToolMessage) and each.name in schemas
    ]
    return ModelResponse(result=[emptied, *results], structured_response=None)


def _response(outcome: Outcome[Said], message: BaseMessage) -> ModelResponse[Any]:
    """With the message in its place; of an answer that was abstained from nothing else stays, lest
    a result of a tool be left without its call."""
    response = outcome.result.response
    if outcome.assessments[0].action == "abstain":
        kept = [said for said in response.result if not isinstance(said, AIMessage | ToolMessage)]
        return ModelResponse(result=[*kept, message], structured_response=None)
    result = [message if said is outcome.result.message else said for said in response.result]
    record = record_in(message)
    dropped = [] if record is None else dropped_in(record)
    structured = object_without(response.structured_response, dropped)
    if dropped:  # which the result of the schema's tool repeats
        told = {"content": f"Returning structured response: {structured}", "artifact": None}
        result = [
            said.model_copy(update=told) if isinstance(said, ToolMessage) else said
            for said in result
        ]
    return ModelResponse(result=result, structured_response=structured)


def _call_of(message: AIMessage, ear: LastCall) -> ModelCall | None:
    """The model call that the message came of: others may have been made around it."""
    for call in reversed(ear.calls):
        said = call.answer
        if said is message or (said.id is not None and said.id == message.id):
            return call
    return ear.calls[0] if len(ear.calls) == 1 else None


def _name(model: object) -> str | None:
    """Who answers: it selects the calibrator. Unknown where the model is chosen at run time."""
    if not isinstance(model, BaseChatModel):
        return None
    return model._get_ls_params().get("ls_model_name")


def _schemas(request: ModelRequest[Any]) -> frozenset[str]:
    """The names of the tools by which a model gives a structured answer."""
    strategy = request.response_format
    if isinstance(strategy, AutoStrategy):
        strategy = ToolStrategy(schema=strategy.schema)
    if not isinstance(strategy, ToolStrategy):
        return frozenset()
    return frozenset(spec.name for spec in strategy.schema_specs)
