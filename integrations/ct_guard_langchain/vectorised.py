"""LangChain's eight ways to ask, over two: all inputs at once, and a stream."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig

__all__ = ["Vectorised"]

Output = TypeVar("Output")


class Vectorised(Runnable[Any, Output], ABC):
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
        work: Any = self.flow
        yield from self._transform_stream_with_config(input, work, config, **kwargs)

    async def atransform(
        self, input: AsyncIterator[Any], config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> AsyncIterator[Output]:
        work: Any = self.aflow
        async for part in self._atransform_stream_with_config(input, work, config, **kwargs):
            yield part
