"""`GuardedChain`: a chain or an agent whose every answer has a confidence."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableLike, coerce_to_runnable
from langchain_core.runnables.utils import ConfigurableFieldSpec, get_unique_config_specs
from pydantic import BaseModel

from .assess import ascore_each, score_each
from .guarding import Guarded, Guarding, Parts, Vectorised, joined
from .hearing import ModelCall, atell, tell, unheard
from .muted import Muted
from .outputs import Selector
from .per_call import POLICY_SPEC
from .rounds import by_chain, decide, hear, waiting
from .rows import Reading, Row

__all__ = ["GuardedChain"]


class GuardedChain(Vectorised[Guarded]):
    """A chain, and what the policy does about its answers. Made by `ConfidenceGuard.wrap`.

        guarded = guard.wrap(prompt | small | parser, models=[prompt | large | parser])
        guarded.invoke({"question": "What is 2 plus 2?"})
        # {"input": {"question": …}, "output": "4", "confidence": {"p": 0.97, "action": "pass", …}}

    What is asked is what the chain's last model call was asked: the filled prompt, retrieved
    passages, an agent's instructions and tool results. Where that is not the question, as in a
    chain that ends in two models side by side, `question` makes it from the chain's input; where
    no model was heard, the input is the question. Of an output that is a dict, the answer is what
    the last model said, or what lies under `answer`, `output`, `text` or `result`; `answer` and
    `context` name, or pick from the output, the answer and the passages that were read for it:

        guard.wrap(rag, answer="answer", context="context")

    An output that holds what other models in the chain said as well, or different texts under those
    keys, raises UsageError with their names, a stream that is not held at its end; where no answer
    can be withheld it is a warning. What echoes the input, a question, also one that was rewritten,
    passages or a history is none of them. With `answer` given, that one is judged, and the others
    are delivered beside it as they are. Where it is withheld, so is whatever else there is of the
    message that it came of, and whatever repeats it. An agent that ends with what a tool returned,
    as with `return_direct`, is judged by that.

    The policy acts: `retry` asks the chain again, `escalate` the next of `models`, the best
    answer counts, and one that is abstained from is replaced; `human` is left to the caller. With
    the guard's `samples`, or a `Resample` in its policy, the chain is asked for further answers
    where P is only just good enough, and whether they agree counts for the answer at hand. A
    stronger chain that fails is noted in the record and passed over; the first one's error is the
    caller's. `max_concurrency` bounds the chains, and all answers of one round of a batch are
    scored in one batch.

    An agent that pauses for a person passes as it is. Asking an agent with a checkpointer again
    adds to its thread: there, `ConfidenceMiddleware` is what retries and escalates.

    A stream passes through, unless the policy or `on_error` can replace an answer: then it is held
    until the decision and comes in one part, and what runs in the chain is heard by no callback,
    tracer or stream around it, nor by those that its models have or that are bound in it. They are
    told of the models' calls afterwards: with their answers where the output is delivered, else
    without. A history goes around the guard; inside, it is refused. The guard's
    `hold_stream=False` lets everything be heard at once.
    """

    def __init__(
        self,
        guarding: Guarding,
        chain: RunnableLike[Any, Any],
        *,
        models: Sequence[RunnableLike[Any, Any]] = (),
        question: Callable[[Any], Any] | None = None,
        answer: Selector | None = None,
        context: Selector | None = None,
    ) -> None:
        """`question` gives a text or messages for an input of the chain. A chain that is guarded
        already is guarded once, by this guard."""
        self.guarding, self.reading = guarding, Reading(question, answer, context)
        self.chains: tuple[Runnable[Any, Any], ...] = tuple(
            bare for each in (chain, *models) for bare in _unguarded(coerce_to_runnable(each))
        )

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        chains = [spec for chain in self.chains for spec in chain.config_specs]
        return get_unique_config_specs([POLICY_SPEC, *chains])

    @property
    def InputType(self) -> Any:
        return self.chains[0].InputType

    @property
    def OutputType(self) -> Any:
        return self.guarding.output_type

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        schema: Any = self.chains[0].get_input_schema(config)
        made: type[BaseModel] = schema
        return made

    def answer_all(
        self, inputs: list[Any], config: list[RunnableConfig], **kwargs: Any
    ) -> list[Guarded | Exception]:
        rows = self._rows(inputs, config)
        self._finish(rows, **kwargs)
        return [row.made() for row in rows]

    async def aanswer_all(
        self, inputs: list[Any], config: list[RunnableConfig], **kwargs: Any
    ) -> list[Guarded | Exception]:
        rows = self._rows(inputs, config)
        await self._afinish(rows, **kwargs)
        return [row.made() for row in rows]

    def _finish(self, rows: Sequence[Row], **kwargs: Any) -> None:
        """Ask, score and decide, round by round, until every row's policy is content."""
        while True:
            cases = waiting(rows)
            decide(cases, score_each([case for _, case in cases]))
            if not (groups := by_chain(rows)):
                break
            for chain, group in groups:
                asked = self._asking(chain, group)
                with _around(group):
                    said = asked.batch(*_asked(group), return_exceptions=True, **kwargs)
                hear(group, said)
        for row in rows:
            for call, answer in row.told():
                tell(call, answer, row.config, callbacks=self._own(call))

    async def _afinish(self, rows: Sequence[Row], **kwargs: Any) -> None:
        """`_finish` without blocking the event loop."""
        while True:
            cases = waiting(rows)
            decide(cases, await ascore_each([case for _, case in cases]))
            if not (groups := by_chain(rows)):
                break
            for chain, group in groups:
                asked = self._asking(chain, group)
                with _around(group):
                    said = await asked.abatch(*_asked(group), return_exceptions=True, **kwargs)
                hear(group, said)
        for row in rows:
            for call, answer in row.told():
                await atell(call, answer, row.config, callbacks=self._own(call))

    def _asking(self, chain: Runnable[Any, Any], rows: Sequence[Row]) -> Runnable[Any, Any]:
        """The chain as these rows ask it: held, without callbacks of its own."""
        return self._muted[id(chain)].chain if rows[0].unheard else chain

    def _own(self, call: ModelCall) -> list[BaseCallbackHandler]:
        return [handler for muted in self._muted.values() for handler in muted.own(call)]

    @cached_property
    def _muted(self) -> dict[int, Muted]:
        return {id(chain): Muted(chain) for chain in self.chains}

    def flow(
        self, inputs: Iterator[Any], config: RunnableConfig, **kwargs: Any
    ) -> Iterator[Guarded]:
        value: Any = None
        for part in inputs:
            value = joined(value, part)
        (row,) = self._rows([value], [config])
        parts = self._parts(row)
        if parts.hold:
            yield parts.last(self.answer_all([value], [config], **kwargs)[0])
            return
        yield from parts.add({self.guarding.input_key: value})
        for said in self.chains[0].stream(value, *row.listen(), **kwargs):
            row.says(said)
            yield from parts.add({self.guarding.output_key: said})
        row.spoken()
        self._finish([row], **kwargs)
        yield parts.last(row.made())

    async def aflow(
        self, inputs: AsyncIterator[Any], config: RunnableConfig, **kwargs: Any
    ) -> AsyncIterator[Guarded]:
        value: Any = None
        async for part in inputs:
            value = joined(value, part)
        (row,) = self._rows([value], [config])
        parts = self._parts(row)
        if parts.hold:
            yield parts.last((await self.aanswer_all([value], [config], **kwargs))[0])
            return
        for passed in parts.add({self.guarding.input_key: value}):
            yield passed
        async for said in self.chains[0].astream(value, *row.listen(), **kwargs):
            row.says(said)
            for passed in parts.add({self.guarding.output_key: said}):
                yield passed
        row.spoken()
        await self._afinish([row], **kwargs)
        yield parts.last(row.made())

    def _rows(self, inputs: Sequence[Any], config: Sequence[RunnableConfig]) -> list[Row]:
        return [
            Row(self.guarding, self.chains, self.reading, value, each)
            for value, each in zip(inputs, config, strict=True)
        ]

    def _parts(self, row: Row) -> Parts:
        return Parts(self.guarding.output_key, hold=row.held)


def _around(rows: Sequence[Row]) -> AbstractContextManager[None]:
    """Rows that are asked together are held together."""
    return unheard() if rows[0].unheard else nullcontext()


def _asked(rows: Sequence[Row]) -> tuple[list[Any], list[RunnableConfig]]:
    """What a chain is asked for these rows, and each time's config."""
    values = [row.value for row in rows for _ in range(row.times)]
    return values, [config for row in rows for config in row.listen()]


def _unguarded(chain: Runnable[Any, Any]) -> tuple[Runnable[Any, Any], ...]:
    return chain.chains if isinstance(chain, GuardedChain) else (chain,)
