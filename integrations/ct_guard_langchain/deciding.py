"""What chat models share that decide on their own answers: a policy for one call, and what a cache
is given of it."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatResult, Generation
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import Field, PrivateAttr

from ct_guard.errors import UsageError
from ct_guard.guard import Guard

from .delivery import Delivery, may_replace
from .per_call import POLICY, POLICY_SPEC, Guards, policy_in, refuse_settings
from .record import attach, record_in

__all__ = ["DecidingChatModel", "LastingCache"]


class DecidingChatModel(BaseChatModel):
    """A chat model with a guard in it. LangChain hands down a call's keywords, and nothing else of
    its config: the policy that a call sets goes along as the keyword `ct_guard_policy`."""

    estimator: Any = Field(exclude=True, repr=False)
    """The loaded `Estimator`."""
    policy: Any
    """The `Policy` in force."""
    hold_stream: bool | None
    """Whether a stream waits for the decision and then says all at once. None: where the answer may
    be replaced, by a policy other than `annotate` or by an `on_error` other than "pass". What was
    streamed cannot be taken back: of an answer that turns out not to be fit for delivery, only the
    record's action tells then."""
    abstain_message: Any
    """A text, or a function of the record (and of the conversation, where it takes two arguments)
    that returns one."""
    keep_original: bool
    """Whether the record keeps the text of an answer that was withheld."""
    redact: Any
    """A function from text to text, applied to what is kept."""

    fixed: ClassVar[frozenset[str]] = frozenset(
        {"estimator", "policy", "on_error", "abstain_message", "keep_original", "redact"}
    )
    """What is settled when the model is made: to change the field would change nothing else."""

    _guards: Guards = PrivateAttr()
    _delivery: Delivery = PrivateAttr()

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        return super().invoke(input, config, **_with_policy(config, kwargs))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        return await super().ainvoke(input, config, **_with_policy(config, kwargs))

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        yield from super().stream(input, config, **_with_policy(config, kwargs))

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        async for chunk in super().astream(input, config, **_with_policy(config, kwargs)):
            yield chunk

    def stream_events(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        return super().stream_events(input, config, **_with_policy(config, kwargs))

    def astream_events(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        return super().astream_events(input, config, **_with_policy(config, kwargs))

    def bind(self, **kwargs: Any) -> Any:
        """Keywords for every call. Raises UsageError for one that names a setting of the guard."""
        refuse_settings(kwargs)
        return super().bind(**kwargs)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Raises UsageError for an update of what is `fixed`."""
        self._refuse_changes(update or ())
        return super().model_copy(update=update, deep=deep)

    def __setattr__(self, name: str, value: Any) -> None:
        self._refuse_changes([name])
        super().__setattr__(name, value)

    def _refuse_changes(self, names: Collection[str]) -> None:
        for name in names:
            if name in self.fixed:
                raise UsageError(
                    f"the {name} of a {type(self).__name__} stays as it was made: make another one,"
                    f" as by wrap(model, {name}=…); {POLICY} in a call's config sets a policy for"
                    " that call"
                )

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What a call's config can set, beside LangChain's own."""
        return [*super().config_specs, POLICY_SPEC]

    @property
    def _guard(self) -> Guard:
        return self._guards.guard

    def _holds(self, guard: Guard) -> bool:
        return may_replace(guard) if self.hold_stream is None else self.hold_stream

    @property
    def _decided_by(self) -> dict[str, Any]:
        """What of the guard changes an answer or its record, for caches and traces."""
        guard = self._guard
        return {
            "estimator": guard.estimator.name,
            "fingerprint": guard.estimator.fingerprint,
            "policy": repr(self.policy),
            "on_error": guard.on_error,
            **self._delivery.identity,
        }

    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        made: ChatResult = BaseChatModel._generate_with_cache(self._caching(), *args, **kwargs)
        return made

    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        return await BaseChatModel._agenerate_with_cache(self._caching(), *args, **kwargs)

    def _caching(self) -> "DecidingChatModel":
        """This model, or where there is a cache, a copy that puts in it what will hold tomorrow."""
        cache = self.cache if isinstance(self.cache, BaseCache) else get_llm_cache()
        if cache is None or self.cache is False:
            return self
        return self.model_copy(update={"cache": LastingCache(cache)})


def _with_policy(config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    refuse_settings(kwargs)
    given = policy_in(ensure_config(config))
    return kwargs if given is None else {**kwargs, POLICY: given}


_LASTING = ("unsupported", "invalid", "too_long")
"""Why an answer was not scored that will be so again."""


class LastingCache(BaseCache):
    """A cache that is not given answers on which something has failed: the estimator, or a stronger
    model. Asked again, it may work. What it is asked for are answers of the same guard, also where
    another process has put them there."""

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache

    def lookup(self, prompt: str, llm_string: str) -> Any:
        return _ours(self._cache.lookup(prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        if not any(map(_failed, return_val)):
            self._cache.update(prompt, llm_string, return_val)

    async def alookup(self, prompt: str, llm_string: str) -> Any:
        return _ours(await self._cache.alookup(prompt, llm_string))

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        if not any(map(_failed, return_val)):
            await self._cache.aupdate(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        self._cache.clear(**kwargs)


def _ours(found: Sequence[Generation] | None) -> list[Generation] | None:
    return None if found is None else [_with_own_record(each) for each in found]


def _with_own_record(generation: Generation) -> Generation:
    record = record_in(generation)
    if record is None or not isinstance(generation, ChatGeneration):
        return generation
    return generation.model_copy(update={"message": attach(generation.message, record)})


def _failed(generation: Generation) -> bool:
    record = record_in(generation)
    if record is None or record["status"] in _LASTING:
        return False
    return record["status"] == "error" or record["error"] is not None
