"""`GuardedChatModel`: any chat model, with a confidence on every answer and a policy behind it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import (
    BaseChatModel,
    LangSmithParams,
    LanguageModelInput,
    ModelProfile,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tools import BaseTool
from pydantic import Field, PrivateAttr

from ct_guard.estimators import Estimator
from ct_guard.guard import Guard, Ladder, Outcome
from ct_guard.policies import OnError, Policy

from .assess import ABSTAIN_MESSAGE, aassess, assess, deliver

__all__ = ["GuardedChatModel"]

_LIFTED = (
    "cache",
    "callbacks",
    "custom_get_token_ids",
    "metadata",
    "output_version",
    "rate_limiter",
    "tags",
)
"""What LangChain applies around a model: the inner one is called underneath, so it is lifted."""


class GuardedChatModel(BaseChatModel):
    """A drop-in chat model: asks `inner`, scores the answer, and does what the policy says.

        model = GuardedChatModel(inner=small, estimator="mini", policy=0.7, models=(large,))
        answer = model.invoke("What is 2 plus 2?")
        answer.response_metadata["ct_guard"]["p"]

    What happens to an answer, by the policy's action:

    * `pass`: it is returned as it is.
    * `abstain` and `escalate`: the next of `models` is asked the same. When none passes, the
      answer with the highest p counts (or the last, for a policy that keeps the last): returned
      if the policy then passes it, else replaced by `abstain_message`, without tool calls, its
      text kept as the record's `original`.
    * `retry` and `human`: it is returned as it is; the caller acts on the record.

    The record (see `get_confidence`) lies in `response_metadata["ct_guard"]`. Token usage is that
    of the model whose answer is returned. A stronger model that raises is noted in the record and
    passed over; the inner model's error is the caller's. With LangChain's cache, decisions are
    cached with their answers.

    An answer's tool calls are scored with it, as JSON. `stream` yields the whole answer at once.
    """

    inner: BaseChatModel
    """The model that answers first."""
    estimator: Any = Field(exclude=True, repr=False)
    """The loaded `Estimator`."""
    policy: Any
    """The `Policy` in force."""
    models: tuple[BaseChatModel, ...]
    """Stronger models, in the order in which they are asked."""
    on_error: OnError
    """What happens to an answer that cannot be scored: "pass", "block" (abstain) or "raise"."""
    deadline: float | None
    """Most seconds for one scoring; later counts as not scored."""
    abstain_message: str

    _guard: Guard = PrivateAttr()

    def __init__(
        self,
        *,
        inner: BaseChatModel,
        estimator: str | Path | Estimator = "mini",
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        models: Sequence[BaseChatModel] = (),
        on_error: OnError = "block",
        deadline: float | None = None,
        abstain_message: str = ABSTAIN_MESSAGE,
        **kwargs: Any,
    ) -> None:
        """`estimator` and `policy` are given by name, path or object, as for `ct_guard.Guard`;
        other keywords are those of every chat model, by default the inner model's own.

        Raises EstimatorError or PolicyError that says what does not fit.
        """
        guard = Guard(estimator, policy, on_error=on_error, deadline=deadline)
        super().__init__(
            inner=inner,
            estimator=guard.estimator,
            policy=guard.policy,
            models=tuple(models),
            on_error=on_error,
            deadline=deadline,
            abstain_message=abstain_message,
            **{**_lifted(inner), **kwargs},
        )
        self._guard = guard

    # --- answering ------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        ladder = self._ladder()
        for model in ladder:
            try:
                if ladder.index and model.rate_limiter is not None:
                    model.rate_limiter.acquire(blocking=True)
                result = model._generate(messages, stop=stop, run_manager=run_manager, **kwargs)
            except Exception as error:
                if not ladder.failed(error):
                    raise
                continue
            assessments = assess(
                self._guard,
                messages,
                [generation.message for generation in result.generations],
                model=_name(model, **kwargs),
                situation=ladder.situation,
            )
            ladder.answered(result, assessments)
        return self._delivered(ladder.outcome())

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        ladder = self._ladder()
        for model in ladder:
            try:
                if ladder.index and model.rate_limiter is not None:
                    await model.rate_limiter.aacquire(blocking=True)
                result = await model._agenerate(
                    messages, stop=stop, run_manager=run_manager, **kwargs
                )
            except Exception as error:
                if not ladder.failed(error):
                    raise
                continue
            assessments = await aassess(
                self._guard,
                messages,
                [generation.message for generation in result.generations],
                model=_name(model, **kwargs),
                situation=ladder.situation,
            )
            ladder.answered(result, assessments)
        return self._delivered(ladder.outcome())

    def _ladder(self) -> Ladder[BaseChatModel, ChatResult]:
        return Ladder(self._guard, (self.inner, *self.models))

    def _delivered(self, outcome: Outcome[ChatResult]) -> ChatResult:
        generations = [
            ChatGeneration(
                message=deliver(
                    generation.message,
                    assessment,
                    abstain_message=self.abstain_message,
                    attempts=outcome.attempts,
                    model_index=outcome.model_index,
                    error=outcome.error,
                ),
                generation_info=generation.generation_info,
            )
            for generation, assessment in zip(
                outcome.result.generations, outcome.assessments, strict=True
            )
        ]
        return ChatResult(generations=generations, llm_output=outcome.result.llm_output)

    # --- tools ----------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools as the inner model does; its answers stay guarded.

        Raises NotImplementedError with `models`, each of which would need tools in its own
        provider's form, and for an inner model whose binding is no plain chat model.
        """
        if self.models:
            raise NotImplementedError(
                "tools for stronger models are not supported yet: leave `models` empty, or bind"
                " the tools' keywords with `bind`"
            )
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        bound = self.inner.bind_tools(tools, **kwargs)
        if not isinstance(bound, RunnableBinding) or not isinstance(bound.bound, BaseChatModel):
            raise NotImplementedError(
                f"{type(self.inner).__name__}.bind_tools returns a {type(bound).__name__}, which"
                " cannot be guarded yet"
            )
        guarded = self.model_copy(update={"inner": bound.bound})
        return type(bound)(bound=guarded, kwargs=bound.kwargs, config=bound.config)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Not supported yet: raises NotImplementedError."""
        raise NotImplementedError(
            "a guarded model has no structured output yet: use `inner.with_structured_output` and"
            " assess its text with ct_guard.Guard"
        )

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
                "estimator": self._guard.estimator.name,
                "fingerprint": self._guard.estimator.fingerprint,
                "policy": repr(self.policy),
                "on_error": self.on_error,
                "deadline": self.deadline,
                "abstain_message": self.abstain_message,
                "inner": type(self.inner).__name__,
                "models": [
                    {**model._identifying_params, "_type": model._llm_type} for model in self.models
                ],
            },
        }

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


def _lifted(inner: BaseChatModel) -> dict[str, Any]:
    values = {name: getattr(inner, name, None) for name in _LIFTED}
    return {name: value for name, value in values.items() if value is not None}


def _name(model: BaseChatModel, **kwargs: Any) -> str | None:
    """Who answers, by the name that its provider knows: it selects the calibrator."""
    return model._get_ls_params(**kwargs).get("ls_model_name")
