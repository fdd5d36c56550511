"""One call of a guarded model: who is asked, what they answered, and what is delivered."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.utils import LC_ID_PREFIX

from ct_guard.errors import BackendError, UsageError
from ct_guard.guard import Guard, Ladder
from ct_guard.policies import draws
from ct_guard.records import Decision

from .assess import Case, Scores, tool_gate
from .candidates import Candidate, checked
from .climbing import Drawn, Further, aclimb, check_varied, climb, further
from .delivery import Delivery
from .fields import dropped_in
from .hearing import note
from .provided import harmless
from .record import ConfidenceRecord, make_record, total_usage
from .streaming import can_stream, last_chunk, opened, retold, whole
from .telling import tell_judged

__all__ = ["Call", "check_gate"]


@dataclass(frozen=True)
class Call:
    """A conversation, and all that stays the same while models are asked about it.

    Raises UsageError for a model that gives no further answers, where the policy wants some.
    """

    guard: Guard
    candidates: Sequence[Candidate]
    messages: list[BaseMessage]
    stop: list[str] | None
    kwargs: Mapping[str, Any]
    """Keywords of the call."""
    bound: Mapping[str, Any]
    """Those of them that were bound to the first candidate in its provider's form."""
    schemas: Collection[str]
    delivery: Delivery
    held: bool
    """Whether nobody may hear of an answer before it is decided that it is delivered."""

    def __post_init__(self) -> None:
        if draws(self.guard.policy):
            check_varied(self.candidates[0].temperature(self.kwargs))

    def generate(self, run_manager: CallbackManagerForLLMRun | None) -> ChatResult:
        """Ask, score and decide until the policy is content; every answer carries its record.

        Raises what the first model raises, and CtGuardError where `on_error` is "raise".
        """
        attempts, heard_by = _Attempts(self), None if self.held else run_manager
        climb(attempts, partial(self._ask, attempts, heard_by), partial(self._ask, attempts, None))
        return attempts.delivered(run_manager)

    async def agenerate(self, run_manager: AsyncCallbackManagerForLLMRun | None) -> ChatResult:
        """`generate` without blocking the event loop."""
        attempts, heard_by = _Attempts(self), None if self.held else run_manager
        ask, draw = partial(self._aask, attempts, heard_by), partial(self._aask, attempts, None)
        await aclimb(attempts, ask, draw)
        return attempts.delivered(run_manager)

    def stream(self, run_manager: CallbackManagerForLLMRun | None) -> Iterator[ChatGenerationChunk]:
        """What is delivered, in parts: as they are said, unless the answer is held. The run hears
        of each part."""
        for chunk in self._chunks(run_manager):
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def astream(
        self, run_manager: AsyncCallbackManagerForLLMRun | None
    ) -> AsyncIterator[ChatGenerationChunk]:
        """`stream` without blocking the event loop."""
        async for chunk in self._achunks(run_manager):
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _chunks(
        self, run_manager: CallbackManagerForLLMRun | None
    ) -> Iterator[ChatGenerationChunk]:
        inner = self.candidates[0].model
        if self.held or not can_stream(inner, sync=True):
            yield from retold(self.generate(run_manager))
            return
        parts: list[ChatGenerationChunk] = []
        for chunk in map(opened, inner._stream(self.messages, stop=self.stop, **self.kwargs)):
            parts.append(chunk)
            yield chunk
        record = self._judge(_named(whole(parts, inner), run_manager), run_manager)
        yield last_chunk(record, parts[-1].message)

    async def _achunks(
        self, run_manager: AsyncCallbackManagerForLLMRun | None
    ) -> AsyncIterator[ChatGenerationChunk]:
        inner = self.candidates[0].model
        if self.held or not can_stream(inner, sync=False):
            for chunk in retold(await self.agenerate(run_manager)):
                yield chunk
            return
        parts: list[ChatGenerationChunk] = []
        async for given in inner._astream(self.messages, stop=self.stop, **self.kwargs):
            chunk = opened(given)
            parts.append(chunk)
            yield chunk
        record = await self._ajudge(_named(whole(parts, inner), run_manager), run_manager)
        yield last_chunk(record, parts[-1].message)

    def _judge(self, answer: BaseMessage, run_manager: Any) -> ConfidenceRecord:
        """The record of an answer that is delivered already: nothing more can be done about it."""
        attempts = _Attempts(self, delivered=True)
        climb(attempts, lambda _: _result(answer), partial(self._ask, attempts, None))
        return attempts.record(run_manager)

    async def _ajudge(self, answer: BaseMessage, run_manager: Any) -> ConfidenceRecord:
        """`_judge` without blocking the event loop."""
        attempts = _Attempts(self, delivered=True)

        async def given(_: Candidate) -> ChatResult:
            return _result(answer)

        await aclimb(attempts, given, partial(self._aask, attempts, None))
        return attempts.record(run_manager)

    def _ask(
        self,
        attempts: "_Attempts",
        heard_by: CallbackManagerForLLMRun | None,
        candidate: Candidate,
    ) -> ChatResult:
        limiter = candidate.model.rate_limiter
        if attempts.results and limiter is not None:
            limiter.acquire(blocking=True)
        return candidate.model._generate(
            self.messages, stop=self.stop, run_manager=heard_by, **self._keywords(candidate)
        )

    async def _aask(
        self,
        attempts: "_Attempts",
        heard_by: AsyncCallbackManagerForLLMRun | None,
        candidate: Candidate,
    ) -> ChatResult:
        limiter = candidate.model.rate_limiter
        if attempts.results and limiter is not None:
            await limiter.aacquire(blocking=True)
        return await candidate.model._agenerate(
            self.messages, stop=self.stop, run_manager=heard_by, **self._keywords(candidate)
        )

    def _keywords(self, candidate: Candidate) -> dict[str, Any]:
        return candidate.keywords(self.kwargs, self.bound)

    def cases(
        self, candidate: Candidate, kwargs: Mapping[str, Any], answers: Sequence[BaseMessage]
    ) -> list[Case]:
        """What is judged of a candidate's answers, asked with these keywords."""
        name = candidate.name(kwargs)
        return [Case(self.guard, self.messages, answer, name, self.schemas) for answer in answers]


class _Attempts:
    """What a call has tried so far."""

    def __init__(self, call: Call, *, delivered: bool = False) -> None:
        self.call = call
        models = call.candidates[:1] if delivered else call.candidates
        self.ladder = Ladder[Candidate, ChatResult](call.guard, models, delivered=delivered)
        self.results: list[ChatResult] = []
        self._cases: Sequence[Case] = ()
        self._further = Further()

    def heard(self, candidate: Candidate, result: ChatResult) -> list[Case]:
        """The answers in a result. Raises BackendError where there is none."""
        watched = self.call.guard.monitor is not None
        self.results.append(_told_whole(checked(result, candidate.model), named=watched))
        answers = [generation.message for generation in self.results[-1].generations]
        keywords = candidate.keywords(self.call.kwargs, self.call.bound)
        cases = self.call.cases(candidate, keywords, answers)
        return cases if self.ladder.index else list(map(self._further.beside, cases))

    def scored(self, cases: Sequence[Case], scores: Sequence[Scores]) -> Decision | None:
        """The latest result was scored: the policy says how it goes on, or wants further answers of
        the same model first, of several in a result by what it makes of the first one."""
        situation = self.ladder.situation
        first = cases[0].decided(scores[0], situation)
        if wanting := self.ladder.wanting(first):
            return wanting
        others = zip(cases[1:], scores[1:], strict=True)
        assessments = [first, *(case.decided(each, situation) for case, each in others)]
        self._cases = cases
        self.ladder.answered(self.results[-1], assessments, turn=cases[0].turn)
        return None

    def drew(
        self, cases: Sequence[Case], decision: Decision, found: Sequence[ChatResult | Exception]
    ) -> list[Case]:
        """The latest result's cases, with further answers for evidence."""
        drawn = [each if isinstance(each, Exception) else _drawn(each) for each in found]
        self._further = further(self.ladder, decision, drawn, self.call.schemas)
        return list(map(self._further.beside, cases))

    def record(self, run_manager: Any) -> ConfidenceRecord:
        """Of the first answer in the only result, which is delivered already; the run that is told
        of it has its confidence noted."""
        outcome, case = self.ladder.outcome(), self._cases[0]
        record = make_record(
            outcome.assessments[0],
            attempts=outcome.attempts,
            error=outcome.error,
            turn=case.turn,
            discarded_usage=total_usage(self._further.messages),
            calls=getattr(case.answer, "tool_calls", ()),
            samples=outcome.samples,
            cost=outcome.cost,
        )
        note(run_manager, record)
        self._tell(record, case.answer, run_manager)
        return record

    def _tell(self, record: ConfidenceRecord, answer: BaseMessage, run_manager: Any) -> None:
        call = self.call
        tell_judged(
            call.guard, record, answer, call.messages, run=run_manager, schemas=call.schemas
        )

    def delivered(self, run_manager: Any) -> ChatResult:
        """The result that counts; the run that is told of it has its confidence noted."""
        outcome = self.ladder.outcome()
        discarded = [
            generation.message
            for result in self.results
            if result is not outcome.result
            for generation in result.generations
        ]
        generations: list[ChatGeneration] = []
        records: list[ConfidenceRecord] = []
        for generation, assessment in zip(
            outcome.result.generations, outcome.assessments, strict=True
        ):
            message, record = self.call.delivery.deliver(
                generation.message,
                assessment,
                self.call.messages,
                attempts=outcome.attempts,
                model_index=outcome.model_index,
                error=outcome.error,
                discarded_usage=total_usage([*discarded, *self._further.messages]),
                schemas=self.call.schemas,
                samples=outcome.samples,
                cost=outcome.cost,
            )
            info = generation.generation_info
            if info is not None and _keeps_back(record):
                info = harmless(info)
            generations.append(ChatGeneration(message=message, generation_info=info))
            records.append(record)
            self._tell(record, generation.message, run_manager)
        asked = self.call.candidates[outcome.model_index]
        answered = asked.name(self.call.kwargs) if outcome.model_index else None
        note(run_manager, records[0], model=answered)
        about = outcome.result.llm_output
        if any(map(_keeps_back, records)):
            about = harmless(about or {})
        return ChatResult(generations=generations, llm_output=about)


def check_gate(guard: Guard, tools: Collection[str] | None) -> None:
    """Raises UsageError for a tool gate that sends calls to a person, whom a chat model cannot wait
    for, and PolicyError for one that misspells one of the `tools`; None: not known."""
    gate = tool_gate(guard)
    if gate is not None and gate.below == "human":
        raise UsageError(
            "a chat model cannot wait for a person before a call of a tool: give the tool gate"
            " below='abstain', or use ConfidenceMiddleware"
        )
    if gate is not None and tools is not None:
        gate.check_names(tools)


def _keeps_back(record: ConfidenceRecord) -> bool:
    """Whether an answer is not delivered, or not with all of its fields."""
    return record["action"] == "abstain" or bool(dropped_in(record))


def _result(answer: BaseMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=answer)])


def _drawn(result: ChatResult) -> Drawn | Exception:
    said = [generation.message for generation in result.generations]
    return Drawn(said[0], said) if said else BackendError("it gave no answer")


def _named(answer: BaseMessage, run_manager: Any) -> BaseMessage:
    """A message that was streamed, with the id that LangChain gives its parts."""
    if answer.id is not None or run_manager is None:
        return answer
    return answer.model_copy(update={"id": f"{LC_ID_PREFIX}-{run_manager.run_id}"})


def _told_whole(result: ChatResult, *, named: bool) -> ChatResult:
    """With what a provider tells beside its message in the message's metadata, where LangChain puts
    it once a model is through: log-probabilities, and who answered. `named`: each has an id, by
    which outcomes find it."""
    beside = (result.llm_output or {}) if len(result.generations) == 1 else {}
    generations = []
    for generation in result.generations:
        message = generation.message
        told = {**beside, **(generation.generation_info or {}), **message.response_metadata}
        update: dict[str, Any] = {"response_metadata": told}
        if named and message.id is None:
            update["id"] = str(uuid4())
        message = message.model_copy(update=update)
        generations.append(generation.model_copy(update={"message": message}))
    return ChatResult(generations=generations, llm_output=result.llm_output)
