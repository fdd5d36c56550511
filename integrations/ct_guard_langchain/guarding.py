"""What a guarded chain and a guard over pairs have in common: who judges and what is delivered, of
one input, of many at once, or as a stream."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.utils import AddableDict
from typing_extensions import TypedDict

from ct_guard.forks import Shared
from ct_guard.guard import Guard
from ct_guard.records import Assessment

from .assess import Case
from .delivery import Delivery, may_replace
from .outputs import Selector
from .per_call import Guards, policy_in, refuse_settings
from .record import ConfidenceRecord, attach
from .replacing import with_answer

__all__ = ["Guarded", "Guarding", "Parts", "Vectorised", "joined"]


Output = TypeVar("Output")


class Guarded(TypedDict):
    """An answer with its confidence: a plain dict, so that LCEL's own tools apply, as
    `pick("output")`, `assign(…)` and a prompt's variables."""

    input: Any
    """What was asked, as it was given."""
    output: Any
    """What is answered, in the form that the chain gave it."""
    confidence: ConfidenceRecord
    """P(correct) and what was decided on it."""


@dataclass(frozen=True)
class Guarding:
    """A guard, how what it decides is delivered, and under which keys question and answer lie."""

    guards: Guards
    delivery: Delivery
    hold_stream: bool | None = None
    input_key: str = "input"
    output_key: str = "output"

    @property
    def guard(self) -> Guard:
        """The guard with the policy that counts where a call sets none."""
        return self.guards.guard

    @property
    def output_type(self) -> Any:
        """The type of what is delivered."""
        return Guarded if self.output_key == "output" else dict[str, Any]

    def guard_for(self, config: RunnableConfig) -> Guard:
        """The guard with the policy that a call's config or context sets, if it does.

        Raises PolicyError for a policy that makes no sense.
        """
        return self.guards.under(policy_in(config))

    def holds(self, config: RunnableConfig) -> bool:
        """Whether nobody may hear of an answer before it is decided on."""
        if self.hold_stream is not None:
            return self.hold_stream
        return may_replace(self.guard_for(config))

    def guarded(
        self,
        pair: Mapping[str, Any],
        assessment: Assessment,
        case: Case,
        *,
        answer: Selector | None = None,
        heard: BaseMessage | None = None,
        **tried: Any,
    ) -> Guarded:
        """The pair with its confidence; `tried` says what the answer took."""
        output = pair[self.output_key]
        said, record = self.delivery.deliver(case.answer, assessment, case.messages, **tried)
        replaced = assessment.action == "abstain"
        made = {
            **pair,
            self.output_key: with_answer(
                output, said, replaced=replaced, answer=answer, heard=heard
            ),
            "confidence": record,
        }
        return cast(Guarded, made)


class Vectorised(Shared, Runnable[Any, Output], ABC):
    """A runnable that answers many inputs in one go, and streams: `invoke` is a batch of one."""

    @abstractmethod
    def answer_all(
        self, inputs: list[Any], config: list[RunnableConfig], **kwargs: Any
    ) -> list[Output | Exception]:
        """An output, or the error, for each input, in order."""

    @abstractmethod
    async def aanswer_all(
        self, inputs: list[Any], config: list[RunnableConfig], **kwargs: Any
    ) -> list[Output | Exception]:
        """`answer_all` without blocking the event loop."""

    @abstractmethod
    def flow(
        self, inputs: Iterator[Any], config: RunnableConfig, **kwargs: Any
    ) -> Iterator[Output]:
        """The parts of one output, from the parts of one input."""

    @abstractmethod
    def aflow(
        self, inputs: AsyncIterator[Any], config: RunnableConfig, **kwargs: Any
    ) -> AsyncIterator[Output]:
        """`flow` without blocking the event loop."""

    def bind(self, **kwargs: Any) -> Runnable[Any, Output]:
        """Keywords for every call. Raises UsageError for one that names a setting of the guard."""
        refuse_settings(kwargs)
        return super().bind(**kwargs)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Output:
        return self.batch([input], config, **kwargs)[0]

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Output:
        return (await self.abatch([input], config, **kwargs))[0]

    def batch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[Output]:
        refuse_settings(kwargs)
        work: Any = self.answer_all  # LangChain's types leave out that keywords are passed on
        return self._batch_with_config(
            work, inputs, config, return_exceptions=return_exceptions, **kwargs
        )

    async def abatch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[Output]:
        refuse_settings(kwargs)
        work: Any = self.aanswer_all
        return await self._abatch_with_config(
            work, inputs, config, return_exceptions=return_exceptions, **kwargs
        )

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> Iterator[Output]:
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> AsyncIterator[Output]:
        async def only() -> AsyncIterator[Any]:
            yield input

        async for part in self.atransform(only(), config, **kwargs):
            yield part

    def transform(
        self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> Iterator[Output]:
        refuse_settings(kwargs)
        work: Any = self.flow
        yield from self._transform_stream_with_config(input, work, config, **kwargs)

    async def atransform(
        self, input: AsyncIterator[Any], config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> AsyncIterator[Output]:
        refuse_settings(kwargs)
        work: Any = self.aflow
        async for part in self._atransform_stream_with_config(input, work, config, **kwargs):
            yield part


def joined(whole: Any, part: Any) -> Any:
    """The stream so far and its next part; where they do not add up, the latest counts."""
    if whole is None:
        return part
    try:
        return whole + part
    except TypeError:
        return part


class Parts:
    """Parts of a dict whose `output` is an answer in the making.

    All but the latest are passed on as they come; the last one goes out together with the
    confidence, so that exactly one part carries it. With `hold` nothing is passed on before.
    """

    def __init__(self, output_key: str, *, hold: bool) -> None:
        self._output_key, self.hold = output_key, hold
        self.whole: dict[str, Any] = {}
        """All parts joined, key by key."""
        self._kept: Mapping[str, Any] | None = None

    def add(self, part: Mapping[str, Any]) -> Iterator[Any]:
        """What can be passed on now that this part is here."""
        self.whole |= {key: joined(self.whole.get(key), value) for key, value in part.items()}
        if self._kept is not None and not self.hold:
            yield AddableDict(self._kept)
        self._kept = part

    def last(self, guarded: Mapping[str, Any] | Exception) -> Any:
        """The last part, given what became of the whole: all of it, where it was held. Raises what
        the whole ended in."""
        if isinstance(guarded, Exception):
            raise guarded
        if self.hold or self._kept is None:
            return AddableDict(guarded)
        part = AddableDict(self._kept, confidence=guarded["confidence"])
        said = part.get(self._output_key)
        if isinstance(said, BaseMessage):
            part[self._output_key] = attach(said, guarded["confidence"])
        return part
