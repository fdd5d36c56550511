"""One call of an agent's model: who is asked, what is judged of what they say, what goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from langchain.agents.middleware.types import ExtendedModelResponse, ModelRequest, ModelResponse
from langchain.agents.structured_output import AutoStrategy, ToolStrategy
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.types import Command

from ct_guard.errors import BackendError
from ct_guard.guard import Guard, Ladder, Outcome
from ct_guard.policies import Situation, Turn
from ct_guard.records import Assessment

from .assess import deliver
from .holding import held
from .messages import turn_of
from .record import KEY, ConfidenceRecord, get_confidence
from .state import VERDICTS, Verdict
from .usage import total_usage

__all__ = ["AgentCall", "Said"]


@dataclass(frozen=True)
class Said:
    """A response, and the AI message in it that is judged."""

    response: ModelResponse[Any]
    message: AIMessage
    turn: Turn
    calls: dict[str, float | None]
    """P(correct) of each tool call, by its id."""

    @property
    def parts(self) -> list[AIMessage]:
        """What is scored: the answer, or each call of a tool by itself."""
        calls = self.message.tool_calls
        if self.turn == "answer" or len(calls) < 2:
            return [self.message]
        return [
            self.message.model_copy(update={"tool_calls": [call], "invalid_tool_calls": []})
            for call in calls
        ]


class AgentCall:
    """Asks nobody itself, so that the sync and the async hook share it:

    for model in call.ladder:
        said = call.heard(handler(call.request_to(model)))
        call.judged(said, assess(…, said.parts, **call.about(said, model)))
    call.delivered()
    """

    def __init__(
        self,
        name: str,
        guard: Guard,
        request: ModelRequest[Any],
        models: Sequence[BaseChatModel],
        *,
        hold: bool,
        abstain_message: str,
    ) -> None:
        self._name, self._guard, self._request, self._hold = name, guard, request, hold
        self._abstain_message = abstain_message
        self._schemas = _schemas(request)
        self._heard: list[AIMessage] = []
        self.ladder = Ladder[BaseChatModel, Said](guard, (request.model, *models))
        system = [request.system_message] if request.system_message else []
        self.messages: list[BaseMessage] = [*system, *request.messages]
        """The conversation that was answered."""

    def request_to(self, model: BaseChatModel) -> ModelRequest[Any]:
        """The request for this model. Held, its tokens do not reach the agent's stream before it is
        decided whose answer counts; the answer itself does, as one message."""
        if self._hold:
            return self._request.override(model=held(model))
        unchanged = model is self._request.model
        return self._request if unchanged else self._request.override(model=model)

    def heard(self, response: ModelResponse[Any]) -> Said | None:
        """What a response says; None where nothing in it can be judged: no message of a model, or
        a structured answer that does not fit its schema, which the agent asks for again."""
        message = next((said for said in response.result if isinstance(said, AIMessage)), None)
        if message is None:
            return None
        self._heard.append(message)
        turn = turn_of(message, self._schemas)
        if turn == "answer" and message.tool_calls and response.structured_response is None:
            return None
        return Said(response, message, turn, {})

    def about(self, said: Said, model: BaseChatModel) -> dict[str, Any]:
        """How its parts are assessed. The decision is taken later, once for all parts."""
        return {
            "model": _name(model),
            "situation": Situation(models_left=0, exhausted=True, turn=said.turn),
            "schemas": self._schemas,
        }

    def judged(self, said: Said, assessments: Sequence[Assessment]) -> None:
        """The parts were scored. A turn of several calls is as likely right as its weakest call."""
        scores = [assessment.p for assessment in assessments]
        ids = [call["id"] or "" for call in said.message.tool_calls]
        if said.turn == "tool_call":
            said = replace(said, calls=dict(zip(ids, scores, strict=bool(ids))))
        weakest = min(assessments, key=lambda made: -1.0 if made.p is None else made.p)
        decision = self._guard.decide(
            weakest.confidence, replace(self.ladder.situation, turn=said.turn)
        )
        assessment = Assessment(confidence=weakest.confidence, decision=decision)
        self.ladder.answered(said, [assessment], turn=said.turn)

    def delivered(self) -> ExtendedModelResponse[Any]:
        """The response that counts, its record on the message and in the state."""
        outcome = self.ladder.outcome()
        message = self._message(outcome)
        record = get_confidence(message)
        if record is None:
            raise BackendError("the delivered message carries no record")
        verdict = _verdict(message, outcome)
        self._tell(record)
        update = {KEY: record, VERDICTS: {self._name: verdict}}
        return ExtendedModelResponse(_response(outcome, message), Command(update=update))

    def _message(self, outcome: Outcome[Said]) -> BaseMessage:
        said = outcome.result
        discarded = [message for message in self._heard if message is not said.message]
        message = said.message
        if message.id is None:
            message = message.model_copy(update={"id": str(uuid4())})
        return deliver(
            message,
            outcome.assessments[0],
            abstain_message=self._abstain_message,
            attempts=outcome.attempts,
            model_index=outcome.model_index,
            error=outcome.error,
            discarded_usage=total_usage(discarded),
            schemas=self._schemas,
        )

    def _tell(self, record: ConfidenceRecord) -> None:
        """For whoever streams the agent with the mode `custom`."""
        event = {"type": "ct_guard.confidence", "middleware": self._name, **record}
        self._request.runtime.stream_writer(event)


def _response(outcome: Outcome[Said], message: BaseMessage) -> ModelResponse[Any]:
    """With the message in its place; of an answer that was abstained from nothing else stays, lest
    a result of a tool be left without its call."""
    response = outcome.result.response
    if outcome.assessments[0].action == "abstain":
        kept = [said for said in response.result if not isinstance(said, AIMessage | ToolMessage)]
        return ModelResponse(result=[*kept, message], structured_response=None)
    result = [message if said is outcome.result.message else said for said in response.result]
    return ModelResponse(result=result, structured_response=response.structured_response)


def _verdict(message: BaseMessage, outcome: Outcome[Said]) -> Verdict:
    decision = outcome.assessments[0].decision
    return Verdict(
        message_id=message.id,
        action=decision.action,
        allowed=list(decision.allowed),
        reason=decision.reason,
        calls=outcome.result.calls,
        reviewed=[],
    )


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
