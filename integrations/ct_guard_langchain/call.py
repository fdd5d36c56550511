"""One call of a guarded model: who is asked, what they answered, and what is delivered."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from ct_guard.guard import Guard, Ladder
from ct_guard.policies import Situation
from ct_guard.records import Assessment

from .assess import aassess, assess, deliver
from .candidates import Candidate, checked
from .messages import turn_of
from .record import ConfidenceRecord, make_record
from .usage import total_usage

__all__ = ["Call"]


@dataclass(frozen=True)
class Call:
    """A conversation, and all that stays the same while models are asked about it."""

    guard: Guard
    candidates: Sequence[Candidate]
    messages: list[BaseMessage]
    stop: list[str] | None
    kwargs: Mapping[str, Any]
    """Keywords of the call."""
    bound: Mapping[str, Any]
    """Those of them that were bound to the first candidate in its provider's form."""
    schemas: Collection[str]
    abstain_message: str

    def generate(self, run_manager: CallbackManagerForLLMRun | None) -> ChatResult:
        """Ask, score and decide until the policy is content; every answer carries its record.

        Raises what the first model raises, and CtGuardError where `on_error` is "raise".
        """
        attempts = _Attempts(self)
        for candidate in attempts.ladder:
            model, kwargs = candidate.model, candidate.keywords(self.kwargs, self.bound)
            try:
                if attempts.results and model.rate_limiter is not None:
                    model.rate_limiter.acquire(blocking=True)
                result = model._generate(
                    self.messages, stop=self.stop, run_manager=run_manager, **kwargs
                )
                answers = attempts.heard(result, model)
            except Exception as error:
                if not attempts.ladder.failed(error):
                    raise
                continue
            asked = self._asked(candidate, kwargs, answers, attempts.ladder.situation)
            attempts.assessed(assess(self.guard, self.messages, answers, **asked))
        return attempts.delivered()

    async def agenerate(self, run_manager: AsyncCallbackManagerForLLMRun | None) -> ChatResult:
        """`generate` without blocking the event loop."""
        attempts = _Attempts(self)
        for candidate in attempts.ladder:
            model, kwargs = candidate.model, candidate.keywords(self.kwargs, self.bound)
            try:
                if attempts.results and model.rate_limiter is not None:
                    await model.rate_limiter.aacquire(blocking=True)
                result = await model._agenerate(
                    self.messages, stop=self.stop, run_manager=run_manager, **kwargs
                )
                answers = attempts.heard(result, model)
            except Exception as error:
                if not attempts.ladder.failed(error):
                    raise
                continue
            asked = self._asked(candidate, kwargs, answers, attempts.ladder.situation)
            attempts.assessed(await aassess(self.guard, self.messages, answers, **asked))
        return attempts.delivered()

    def judge(self, answer: BaseMessage) -> ConfidenceRecord:
        """The record of an answer that is delivered already: nothing more can be done about it."""
        about = self._delivered_already(answer)
        return self._record(answer, assess(self.guard, self.messages, [answer], **about)[0])

    async def ajudge(self, answer: BaseMessage) -> ConfidenceRecord:
        """`judge` without blocking the event loop."""
        about = self._delivered_already(answer)
        assessments = await aassess(self.guard, self.messages, [answer], **about)
        return self._record(answer, assessments[0])

    def _delivered_already(self, answer: BaseMessage) -> dict[str, Any]:
        last = Situation(models_left=0, exhausted=True)
        return self._asked(self.candidates[0], self.kwargs, [answer], last)

    def _asked(
        self,
        candidate: Candidate,
        kwargs: Mapping[str, Any],
        answers: Sequence[BaseMessage],
        situation: Situation,
    ) -> dict[str, Any]:
        return {
            "model": candidate.name(kwargs),
            "situation": replace(situation, turn=turn_of(answers[0], self.schemas)),
            "schemas": self.schemas,
        }

    def _record(self, answer: BaseMessage, assessment: Assessment) -> ConfidenceRecord:
        return make_record(assessment, turn=turn_of(answer, self.schemas))


class _Attempts:
    """What a call has tried so far."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.ladder: Ladder[Candidate, ChatResult] = Ladder(call.guard, call.candidates)
        self.results: list[ChatResult] = []

    def heard(self, result: ChatResult, model: Any) -> list[BaseMessage]:
        """The answers in a result. Raises BackendError where there is none."""
        self.results.append(checked(result, model))
        return [generation.message for generation in result.generations]

    def assessed(self, assessments: Sequence[Assessment]) -> None:
        """The latest result was assessed."""
        first = self.results[-1].generations[0].message
        turn = turn_of(first, self.call.schemas)
        self.ladder.answered(self.results[-1], assessments, turn=turn)

    def delivered(self) -> ChatResult:
        outcome = self.ladder.outcome()
        discarded = [
            generation.message
            for result in self.results
            if result is not outcome.result
            for generation in result.generations
        ]
        generations = [
            ChatGeneration(
                message=deliver(
                    generation.message,
                    assessment,
                    abstain_message=self.call.abstain_message,
                    attempts=outcome.attempts,
                    model_index=outcome.model_index,
                    error=outcome.error,
                    discarded_usage=total_usage(discarded),
                    schemas=self.call.schemas,
                ),
                generation_info=generation.generation_info,
            )
            for generation, assessment in zip(
                outcome.result.generations, outcome.assessments, strict=True
            )
        ]
        return ChatResult(generations=generations, llm_output=outcome.result.llm_output)
