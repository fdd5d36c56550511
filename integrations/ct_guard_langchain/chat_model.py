"""`GuardedChatModel`: any chat model, with a confidence on every answer and a policy behind it."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import (
    BaseChatModel,
    LangSmithParams,
    LanguageModelInput,
    ModelProfile,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import Field

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard, Observer, Terms
from ct_guard.monitoring import Monitor
from ct_guard.policies import OnError, Policy

from .assess import tool_gate
from .call import Call, check_gate
from .candidates import (
    Candidate,
    candidate_of,
    lifted,
    named,
    reader_of,
    reading,
    schema_names,
    tool_name,
)
from .deciding import DecidingChatModel
from .delivery import ABSTAIN_MESSAGE, AbstainMessage, Delivery, Redact
from .per_call import POLICY, Guards, needs_estimator, refuse_unknown
from .streaming import can_stream

__all__ = ["GuardedChatModel"]


class GuardedChatModel(DecidingChatModel):
    """A drop-in chat model: asks `inner`, scores the answer, and does what the policy says.

        model = GuardedChatModel(inner=small, estimator="mini", policy=0.7, models=(large,))
        answer = model.invoke("What is 2 plus 2?")
        answer.response_metadata["ct_guard"]["p"]

    What happens to an answer, by the policy's action:

    * `pass`: it is returned as it is.
    * `retry` and `escalate`: the same model, or the next of `models`, is asked the same. The answer
      with the highest p counts, or the last, for a policy that keeps the last.
    * `abstain`: it is replaced by `abstain_message`, without tool calls. With `keep_original` its
      text, as `redact` leaves it, is kept as the record's `original`; nothing else of it is kept,
      and no callback, tracer or stream hears of it.
    * `human`: it is returned as it is. A model cannot stop and wait for a person: whoever called it
      reads the action and does not use the answer before one has looked at it. In an agent,
      `ConfidenceMiddleware` interrupts.

    With `samples`, or a `Resample` in the policy, `inner` is asked for further answers where P lies
    in a band, by default where it is only just good enough: all at once, heard by nobody. Whether
    they agree is evidence, with which the answer is scored again. The estimator must weigh it
    (`ct-guard calibrate --evidence agreement`), and `inner` must have a temperature.

    With a `ToolGate`, a turn in which a call may not run is abstained from.

    `config={"configurable": {"ct_guard_policy": 0.9}}`, or a `ct_guard_policy` in the context of a
    LangGraph run, sets another policy for one call.

    The record (see `get_confidence`) lies in `response_metadata["ct_guard"]`. Token usage is that
    of the answer which is returned; the record's `discarded_usage` adds up what the others cost. A
    stronger model that raises is noted in the record and passed over; the inner model's error is
    the caller's. With LangChain's cache, decisions are cached with their answers, but no answer
    that something failed on: it is asked for again.

    A stream ends in an empty chunk with the record. Where an answer may be replaced, nothing is
    streamed before the decision: see `hold_stream`.

    A guarded model holds a loaded estimator: it cannot be pickled, and LangChain's `dumps` writes
    it as not serialisable.
    """

    fixed: ClassVar[frozenset[str]] = DecidingChatModel.fixed | {
        "samples", "deadline", "window", "max_batch", "max_waiting", "monitor", "observers",
    }  # fmt: skip

    inner: BaseChatModel
    """The model that answers first."""
    samples: int | None
    """How many further answers the policy draws where P is only just good enough; None: as many as
    it says itself."""
    models: tuple[Any, ...]
    """Stronger chat models, bare or with keywords bound, in the order in which they are asked."""
    on_error: OnError | None
    """What happens to an answer that cannot be scored: "pass", "block" (abstain) or "raise". None:
    "block", but "pass" under `annotate`."""
    deadline: float | None
    """Most seconds for one scoring; later counts as not scored."""
    window: float
    """Most seconds for which a scoring waits for others, to share a forward with them."""
    max_batch: int | None
    """Most answers in that forward. None: as many as the estimator's backend gains from."""
    max_waiting: int
    """Most answers that wait to be scored; what more arrives counts as not scored."""
    monitor: Any = Field(exclude=True, repr=False)
    """The `Monitor` that sees the confidences; outcomes find an answer by its message's id."""
    observers: Any = Field(exclude=True, repr=False)
    """Who hears of what is judged, as for `ct_guard.Guard`."""
    bound: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)
    """Keywords that were bound to `inner` in its provider's form; stronger models with keywords of
    their own are not given them."""
    schemas: tuple[str, ...] = Field(default=(), exclude=True, repr=False)
    """Tools whose call is a structured answer: its JSON is what is scored."""
    tools: tuple[str, ...] | None = Field(default=None, exclude=True, repr=False)
    """The names of the tools that are bound, as far as `bind_tools` bound them."""

    def __init__(
        self,
        *,
        inner: BaseChatModel,
        estimator: str | Path | Estimator | None = None,
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        samples: int | None = None,
        models: Sequence[Runnable[LanguageModelInput, AIMessage]] = (),
        on_error: OnError | None = None,
        deadline: float | None = None,
        window: float = Terms.window,
        max_batch: int | None = None,
        max_waiting: int = Terms.max_waiting,
        monitor: Monitor | None = None,
        observers: Sequence[Observer] = (),
        hold_stream: bool | None = None,
        abstain_message: AbstainMessage = ABSTAIN_MESSAGE,
        keep_original: bool = False,
        redact: Redact | None = None,
        **kwargs: Any,
    ) -> None:
        """`estimator`, which must be given, and `policy` are a name, path or object, as for
        `ct_guard.Guard`; other keywords are those of every chat model, by default the inner model's
        own.

        Raises EstimatorError, PolicyError or UsageError that says what does not fit.
        """
        if not isinstance(inner, BaseChatModel):
            raise UsageError(f"a {type(inner).__name__} is no chat model: guard it with wrap(...)")
        refuse_unknown("GuardedChatModel", kwargs, type(self).model_fields)
        for model in models:
            candidate_of(model)
        delivery = Delivery(abstain_message, keep_original, redact)
        terms: dict[str, Any] = {
            "on_error": on_error,
            "deadline": deadline,
            "window": window,
            "max_batch": max_batch,
            "max_waiting": max_waiting,
            "monitor": monitor,
            "observers": tuple(observers),
        }
        guard = Guard(needs_estimator("GuardedChatModel", estimator), policy, **terms)
        guards = Guards(guard, "GuardedChatModel", draws=True, samples=samples)
        super().__init__(
            inner=inner,
            estimator=guard.estimator,
            policy=guards.guard.policy,
            samples=samples,
            models=tuple(models),
            hold_stream=hold_stream,
            abstain_message=abstain_message,
            keep_original=keep_original,
            redact=redact,
            **{**lifted(inner), **terms, **kwargs},
        )
        self._guards, self._delivery = guards, delivery
        check_gate(guards.guard, self.tools)

    # --- answering ------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._call(messages, stop, kwargs).generate(run_manager)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await self._call(messages, stop, kwargs).agenerate(run_manager)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._call(messages, stop, kwargs).stream(run_manager)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in self._call(messages, stop, kwargs).astream(run_manager):
            yield chunk

    def _call(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: Any) -> Call:
        kwargs = dict(kwargs)
        guard = self._guards.under(kwargs.pop(POLICY, None))
        check_gate(guard, self.tools)
        return Call(
            guard=guard,
            candidates=self._candidates,
            messages=messages,
            stop=stop,
            kwargs=kwargs,
            bound=self.bound,
            schemas=self.schemas,
            delivery=self._delivery,
            held=self._holds(guard),
        )

    @property
    def _candidates(self) -> list[Candidate]:
        return [Candidate(self.inner), *map(candidate_of, self.models)]

    def _streaming_disabled(self, **kwargs: Any) -> bool:
        return (
            super()._streaming_disabled(**kwargs)
            or not can_stream(self.inner, sync=False)
            or self.inner._streaming_disabled(**kwargs)
        )

    def _should_stream(self, **kwargs: Any) -> bool:
        """Also where only the inner model was told to stream."""
        return super()._should_stream(**kwargs) or (
            not self._streaming_disabled(**kwargs) and self.inner._should_stream(**kwargs)
        )

    # --- tools and structured output ------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to each model in its own provider's form; the answers stay guarded.

        Raises NotImplementedError for a model that cannot call tools, and PolicyError where a tool
        gate misspells one of them.
        """
        names = tuple(map(tool_name, tools))
        if (gate := tool_gate(self._guard)) is not None:
            gate.check_names(names)
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        bound = [
            candidate_of(each.model.bind_tools(tools, **kwargs), within=each.kwargs)
            for each in self._candidates
        ]
        return self._guarding(bound, tools=names)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Structured output by each model's own means (`method`, `strict`… are passed on), the JSON
        being what is scored.

        With `include_raw` the raw message carries the record (`get_confidence(result["raw"])`), and
        an answer that is withheld has a LowConfidenceError as its `parsing_error`; without, that
        error is raised. The object is read once it is complete: `stream` yields it in one piece.

        Raises NotImplementedError for a model that has none, or one in a form of its own.
        """
        readers = [reader_of(each, schema, **kwargs) for each in self._candidates]
        guarded = self._guarding([reader.candidate for reader in readers], schema_names(schema))
        return reading(guarded, readers, include_raw=include_raw)

    def _guarding(
        self,
        candidates: Sequence[Candidate],
        schemas: tuple[str, ...] = (),
        tools: tuple[str, ...] | None = None,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This guard around candidates that had something bound, with what the first one had."""
        inner, *stronger = candidates
        guarded = self.model_copy(
            update={
                "inner": inner.model,
                "models": tuple(each.binding() for each in stronger),
                "bound": dict(inner.kwargs),
                "schemas": schemas,
                "tools": tools,
            }
        )
        return replace(inner, model=guarded).binding()

    # --- identity -------------------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Whatever changes an answer or its record, for caches and traces."""
        return {
            **self.inner._identifying_params,
            "ct_guard": {
                **self._decided_by,
                "deadline": self.deadline,
                "schemas": list(self.schemas),
                "inner": named(self.inner),
                "models": [each.identity for each in self._candidates[1:]],
            },
        }

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The cache's key: two guarded models share an entry only where the caches of all the
        models behind them would."""
        asked = {key: value for key, value in kwargs.items() if key != POLICY}
        keys = [each.cache_key(stop, asked, self.bound) for each in self._candidates]
        return "---".join([super()._get_llm_string(stop, **kwargs), *keys])

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop=stop, **kwargs)

    def _resolve_model_profile(self) -> ModelProfile | None:
        return self.inner.profile

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        return self.inner._combine_llm_outputs(llm_outputs)

    def get_token_ids(self, text: str) -> list[int]:
        return self.inner.get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        return self.inner.get_num_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        return self.inner.get_num_tokens_from_messages(messages, tools=tools)

    def __getstate__(self) -> dict[Any, Any]:
        raise TypeError("a guarded model cannot be pickled: make it where it is used")
