"""`ChatLocal`: an estimator's own base model as a chat model, at almost no cost for confidence."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import run_in_executor
from pydantic import Field, PrivateAttr

from ct_guard.backends import Backend, Generation, GenerationSettings
from ct_guard.backends.conversations import Conversations
from ct_guard.errors import MismatchError, UsageError
from ct_guard.estimators import Estimator, load_estimator
from ct_guard.guard import Guard, Reply
from ct_guard.policies import OnError, Policy
from ct_guard.query import ContextStyle
from ct_guard.records import Assessment

from .assess import tool_gate
from .deciding import DecidingChatModel
from .delivery import ABSTAIN_MESSAGE, AbstainMessage, Delivery, Redact
from .hearing import note
from .messages import question_answer
from .per_call import POLICY, Guards, needs_estimator, refuse_unknown
from .record import make_record
from .streaming import rest_of, text_chunk

__all__ = ["ChatLocal"]

_STYLE: ContextStyle = "chat_turn"
_SETTINGS = ("max_tokens", "temperature", "top_p", "seed")
_OF_A_CALL = (*_SETTINGS, "stop", "stream", POLICY)
"""What can be given per call; of `stream`, LangChain's own word for streaming, it has read all that
it says."""


class ChatLocal(DecidingChatModel):
    """Generates with an estimator's base model and scores each answer on the same live KV cache:
    the prompt is read once, and the confidence costs the query's few tokens.

        model = ChatLocal(estimator="mini")
        model.invoke("What is 2 plus 2?").response_metadata["ct_guard"]["p"]

    The caches of the last `keep_conversations` conversations are kept, so that the next turn reads
    what is new only: `usage_metadata["input_token_details"]["cache_read"]` counts the rest.

    Without a policy every answer passes with its record attached. With one, an answer that it
    abstains from is replaced by `abstain_message` (with `keep_original` its text, as `redact`
    leaves it, is the record's `original`); every other action returns the answer as it is, for the
    caller to act on. It calls no tools: a policy with a tool gate is refused.
    `config={"configurable": {"ct_guard_policy": 0.9}}` sets another policy for one call.

    A stream's last chunk carries the record, the usage and no text. What may still be replaced is
    not streamed before the decision: see `hold_stream`.

    The estimator must be of the style `chat_turn`, the only one that goes on from a conversation's
    cache. `max_tokens`, `temperature`, `top_p`, `seed` and `stop` can also be given per call, or by
    `bind`; any other keyword of a call is a UsageError. Conversations of several threads or tasks
    are generated token by token in turns.
    """

    fixed: ClassVar[frozenset[str]] = DecidingChatModel.fixed | {"keep_conversations"}

    on_error: OnError
    """What happens to an answer that cannot be scored: "pass", "block" (abstain) or "raise"."""
    max_tokens: int = Field(gt=0)
    """Most tokens of an answer; fewer where the estimator's budget leaves less room."""
    temperature: float = Field(ge=0.0)
    """0 takes the likeliest token, which makes the answer deterministic."""
    top_p: float = Field(gt=0.0, le=1.0)
    seed: int | None
    stop: list[str] | None
    """An answer ends before the first of these."""
    keep_conversations: int = Field(ge=0)
    """How many conversations' caches are kept, each as large as the cache of its tokens; 0 reads
    every prompt afresh."""

    _conversations: Conversations = PrivateAttr()

    def __init__(
        self,
        *,
        estimator: str | Path | Estimator | Guard | None = None,
        backend: str | Backend | None = None,
        base: str | Path | None = None,
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        on_error: OnError | None = None,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: list[str] | None = None,
        abstain_message: AbstainMessage = ABSTAIN_MESSAGE,
        keep_original: bool = False,
        redact: Redact | None = None,
        hold_stream: bool | None = None,
        keep_conversations: int = 4,
        **kwargs: Any,
    ) -> None:
        """`estimator`, which must be given, and `policy` are a name, path or object, as for
        `ct_guard.Guard`; `backend`, by name or object, runs an estimator that is given by name,
        over `base` where that is given: a directory, a GGUF file, `hub:owner/name/FILE.gguf`. A
        `Guard` brings its own estimator, policy and on_error, which are then not given. Other
        keywords are those of every chat model.

        Raises MismatchError for an estimator of another style or a backend that cannot generate,
        UsageError for what does not go together, EstimatorError or PolicyError for what cannot be
        loaded.
        """
        refuse_unknown("ChatLocal", kwargs, type(self).model_fields)
        given = needs_estimator("ChatLocal", estimator)
        delivery = Delivery(abstain_message, keep_original, redact)
        guard = _guard(given, backend, base, policy, on_error)
        _check(guard.estimator)
        _check_policy(guard)
        super().__init__(
            estimator=guard.estimator,
            policy=guard.policy,
            on_error=guard.on_error,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            stop=stop,
            abstain_message=abstain_message,
            keep_original=keep_original,
            redact=redact,
            hold_stream=hold_stream,
            keep_conversations=keep_conversations,
            **kwargs,
        )
        self._guards, self._delivery = Guards(guard, "ChatLocal"), delivery
        self._conversations = Conversations(
            guard.estimator.engine,
            keep_conversations,
            reserve=len(guard.estimator.asked.ids),
        )

    def close(self) -> None:
        """Free the conversations' caches and the model."""
        self._conversations.clear()
        self._guard.close()

    # --- answering ------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Raises UsageError for content that is not text and for a prompt that does not fit."""
        guard = self._guard_of(kwargs)
        with self._reply(guard, messages, stop, **kwargs) as reply:
            reply.finish()
            return self._result(reply.made, reply.assess(), messages, run_manager)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        guard = self._guard_of(kwargs)
        async with self._areply(guard, messages, stop, **kwargs) as reply:
            await run_in_executor(None, reply.finish)
            return self._result(reply.made, await reply.aassess(), messages, run_manager)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        guard = self._guard_of(kwargs)
        held = self._holds(guard)
        with self._reply(guard, messages, stop, **kwargs) as reply:
            for text in reply:
                if text and not held:
                    yield text_chunk(text)
            assessment = reply.assess()
            result = self._result(reply.made, assessment, messages, run_manager)
            yield from rest_of(result, None if held else make_record(assessment))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        guard = self._guard_of(kwargs)
        held = self._holds(guard)
        async with self._areply(guard, messages, stop, **kwargs) as reply:
            while (text := await run_in_executor(None, next, reply, None)) is not None:
                if text and not held:
                    yield text_chunk(text)
            assessment = await reply.aassess()
            result = self._result(reply.made, assessment, messages, run_manager)
            for chunk in rest_of(result, None if held else make_record(assessment)):
                yield chunk

    def _guard_of(self, kwargs: Mapping[str, Any]) -> Guard:
        """The guard with the policy that a call sets. Raises UsageError for a keyword that would
        set nothing."""
        refuse_unknown("ChatLocal", kwargs, _OF_A_CALL)
        guard = self._guards.under(kwargs.get(POLICY))
        _check_policy(guard)
        return guard

    def _reply(
        self,
        guard: Guard,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        **kwargs: Any,
    ) -> Reply:
        asked = question_answer(messages, model=self._model_name)
        settings = {name: kwargs.get(name, getattr(self, name)) for name in _SETTINGS}
        marks = self.stop if stop is None else stop
        chosen = GenerationSettings(stop=tuple(marks or ()), **settings)
        return Reply(guard, self._conversations, asked, chosen)

    @asynccontextmanager
    async def _areply(
        self,
        guard: Guard,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        **kwargs: Any,
    ) -> AsyncIterator[Reply]:
        """`_reply` without blocking the event loop, which also a cancelled answer does not: its
        token in the making is waited for elsewhere."""
        reply = await run_in_executor(None, self._reply, guard, messages, stop, **kwargs)
        try:
            yield reply
        finally:
            await run_in_executor(None, reply.close)

    # --- what it says ---------------------------------------------------------------------------

    def _result(
        self,
        made: Generation,
        assessment: Assessment,
        messages: Sequence[BaseMessage],
        run_manager: Any,
    ) -> ChatResult:
        message = AIMessage(
            content=made.text,
            response_metadata={"model_name": self._model_name},
            usage_metadata=_usage(made),
        )
        delivered, record = self._delivery.deliver(message, assessment, messages)
        note(run_manager, record)
        info = {"finish_reason": made.finish}
        return ChatResult(generations=[ChatGeneration(message=delivered, generation_info=info)])

    # --- identity -------------------------------------------------------------------------------

    @property
    def _model_name(self) -> str:
        manifest = self._guard.estimator.manifest
        name: str = manifest.name if manifest.base.id.startswith(".") else manifest.base.id
        return name

    @property
    def _llm_type(self) -> str:
        return "ct-guard-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Whatever changes an answer or its record, for caches and traces."""
        return {
            "model_name": self._model_name,
            "backend": self._guard.estimator.engine.name,
            **self._decided_by,
            "stop": self.stop,
            **{name: getattr(self, name) for name in _SETTINGS},
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "ct_guard"
        params["ls_model_name"] = self._model_name
        return params

    def get_token_ids(self, text: str) -> list[int]:
        return list(self._guard.estimator.engine.encoder.encode(text))


def _guard(
    estimator: str | Path | Estimator | Guard,
    backend: str | Backend | None,
    base: str | Path | None,
    policy: str | float | Path | dict[str, Any] | Policy | None,
    on_error: OnError | None,
) -> Guard:
    if not isinstance(estimator, str | Path):
        for name, given in (("backend", backend), ("base", base)):
            if given is not None:
                raise UsageError(f"a loaded estimator has its {name} already: leave `{name}` out")
    if isinstance(estimator, Guard):
        if policy is not None:
            raise UsageError("a Guard has its policy already: leave `policy` out")
        if on_error is not None:
            raise UsageError("a Guard has its on_error already: leave `on_error` out")
        return estimator
    loaded = load_estimator(estimator, backend=backend or "transformers", base=base)
    return Guard(loaded, "annotate" if policy is None else policy, on_error=on_error)


def _check(estimator: Estimator) -> None:
    if estimator.manifest.style != _STYLE:
        raise MismatchError(
            f"the estimator {estimator.name} is of style {estimator.manifest.style!r}, and only"
            f" {_STYLE!r} shares a cache with generation: score answers with GuardedChatModel"
        )
    able = estimator.engine.capabilities
    if not (able.generates and able.kv_handles):
        raise MismatchError(
            f"the backend {estimator.engine.name} cannot generate with a live cache: use"
            " GuardedChatModel over a model that answers"
        )


def _check_policy(guard: Guard) -> None:
    if tool_gate(guard) is not None:
        raise UsageError(
            "ChatLocal calls no tools, so that a tool gate has nothing to gate there: use"
            " ConfidenceMiddleware, or GuardedChatModel over a model that calls tools"
        )


def _usage(made: Generation) -> UsageMetadata:
    read = made.cached_tokens + made.prefilled_tokens
    return UsageMetadata(
        input_tokens=read,
        output_tokens=len(made.ids),
        total_tokens=read + len(made.ids),
        input_token_details=InputTokenDetails(cache_read=made.cached_tokens),
    )
