"""`ConfidenceGuard`: confidence for any chain, and for answers that are there already."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Never, NotRequired

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.base import RunnableLike
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import BaseModel, create_model
from typing_extensions import TypedDict

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard, Observer, Terms
from ct_guard.monitoring import Monitor
from ct_guard.policies import OnError, Policy, Situation, refuse_draws

from .assess import Case, Scores, ascore_each, decided, score_each
from .chain import GuardedChain
from .delivery import ABSTAIN_MESSAGE, AbstainMessage, Delivery, Redact, may_replace
from .guarding import Guarded, Guarding, Parts, Vectorised
from .hearing import note_in
from .outputs import Selector, answer_of, asked_of, context_in
from .per_call import POLICY, POLICY_SPEC, Guards, needs_estimator, no_option
from .sole import check_sole
from .telling import tell_judged

__all__ = ["POLICY", "ConfidenceGuard", "Guarded", "Pair"]

_OF_WRAP = ("models", "question", "answer", "context")


class Pair(TypedDict):
    """An answer and what it answers."""

    input: Any
    output: Any
    context: NotRequired[Any]
    """Passages that the question is about: texts or documents."""


class ConfidenceGuard(Vectorised[Guarded]):
    """Gives answers a confidence and does what the policy says.

    It needs the question beside the answer. Around a chain it sees both:

        guard = ConfidenceGuard("mini", policy=0.7)
        guarded = guard.wrap(prompt | model | parser)
        guarded.invoke({"question": "What is 2 plus 2?"})["confidence"]["p"]

    Alone it takes pairs, which is the way to judge answers that are there already; it adds the key
    `confidence` and keeps the others, of which `context` is what was read for the answer:

        guard.batch([{"input": "What is 2 plus 2?", "output": "4"}])

    `output` can be text, a message, messages, an agent's state, a dict with an answer in it or
    structured output. An answer that the policy abstains from becomes `abstain_message`, in the
    same form (structured output becomes None); with `keep_original` its text, as `redact` leaves
    it, is kept in the record. With every other action it stays as it is, for the caller to act on,
    for example by a `confidence_router`. With a `ToolGate`, calls of which one may not run are an
    answer that is abstained from, or left to a person.

    `batch` scores all its pairs in one batch. A stream of pairs passes through, with the confidence
    in its last part, unless an answer may be replaced, by the policy or by `on_error`, or
    `hold_stream` says otherwise: then nothing leaves before the decision.
    `config={"configurable": {"ct_guard_policy": 0.9}}`, or a `ct_guard_policy` in the context of a
    LangGraph run, sets another policy for one call.
    """

    def __init__(
        self,
        estimator: str | Path | Estimator | None = None,
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        *,
        samples: int | None = None,
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
        input_key: str = "input",
        output_key: str = "output",
    ) -> None:
        """`estimator`, which must be given, `policy`, `on_error` and `deadline` to `observers`
        are those of `ct_guard.Guard`; `samples` are further answers of a wrapped chain. The keys
        say where in a pair the question and the answer are."""
        given = needs_estimator("ConfidenceGuard", estimator)
        guard = Guard(
            given,
            policy,
            on_error=on_error,
            deadline=deadline,
            window=window,
            max_batch=max_batch,
            max_waiting=max_waiting,
            monitor=monitor,
            observers=observers,
        )
        self.guarding = Guarding(
            Guards(guard, "ConfidenceGuard", draws=True, samples=samples),
            Delivery(abstain_message, keep_original, redact),
            hold_stream,
            input_key,
            output_key,
        )

    @property
    def guard(self) -> Guard:
        """The guard with the policy of this object."""
        return self.guarding.guard

    def wrap(
        self,
        chain: RunnableLike[Any, Any],
        *,
        models: Sequence[RunnableLike[Any, Any]] = (),
        question: Callable[[Any], Any] | None = None,
        answer: Selector | None = None,
        context: Selector | None = None,
        **unknown: Never,
    ) -> GuardedChain:
        """The chain with a confidence on every answer: see `GuardedChain`."""
        for name in unknown:
            raise no_option("ConfidenceGuard.wrap", name, _OF_WRAP)
        return GuardedChain(
            self.guarding, chain, models=models, question=question, answer=answer, context=context
        )

    @property
    def InputType(self) -> Any:
        keys = (self.guarding.input_key, self.guarding.output_key)
        return Pair if keys == ("input", "output") else dict[str, Any]

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """With `context` left out where there is none, which the type alone cannot tell a tool."""
        keys: dict[str, Any] = {
            self.guarding.input_key: (Any, ...),
            self.guarding.output_key: (Any, ...),
        }
        return create_model("Pair", **keys, context=(Any, None))

    @property
    def OutputType(self) -> Any:
        return self.guarding.output_type

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What a call's config can set, beside LangChain's own."""
        return [POLICY_SPEC]

    # --- over pairs ---------------------------------------------------------------------------

    def answer_all(
        self, inputs: list[Any], config: list[RunnableConfig], **kwargs: Any
    ) -> list[Guarded | Exception]:
        cases = self._cases(inputs, config)
        found = score_each([case for case in cases if isinstance(case, Case)])
        return self._in_order(inputs, cases, found, config)

    async def aanswer_all(
        self, inputs: list[Any], config: list[RunnableConfig], **kwargs: Any
    ) -> list[Guarded | Exception]:
        cases = self._cases(inputs, config)
        found = await ascore_each([case for case in cases if isinstance(case, Case)])
        return self._in_order(inputs, cases, found, config)

    def flow(
        self, inputs: Iterator[Any], config: RunnableConfig, **kwargs: Any
    ) -> Iterator[Guarded]:
        parts = self._parts(config)
        for part in inputs:
            yield from parts.add(self._checked(part))
        yield parts.last(self.answer_all([parts.whole], [config])[0])

    async def aflow(
        self, inputs: AsyncIterator[Any], config: RunnableConfig, **kwargs: Any
    ) -> AsyncIterator[Guarded]:
        parts = self._parts(config)
        async for part in inputs:
            for passed in parts.add(self._checked(part)):
                yield passed
        yield parts.last((await self.aanswer_all([parts.whole], [config]))[0])

    def _cases(
        self, pairs: Sequence[Any], config: Sequence[RunnableConfig]
    ) -> list[Case | Exception]:
        return [self._case(pair, each) for pair, each in zip(pairs, config, strict=True)]

    def _case(self, pair: Any, config: RunnableConfig) -> Case | Exception:
        try:
            self._checked(pair, self.guarding.input_key, self.guarding.output_key)
            given, output = pair[self.guarding.input_key], pair[self.guarding.output_key]
            answer = answer_of(output)
            guard, asked = self.guarding.guard_for(config), asked_of(given)
            check_sole(output, answer, gated=may_replace(guard), given=given)
            read = context_in(pair) or context_in(given)
            refuse_draws(guard.policy, "a ConfidenceGuard over pairs")
            return Case(guard, asked, answer, context=read)
        except Exception as error:  # this pair's, and no other's
            return error

    def _checked(self, pair: Any, *keys: str) -> Mapping[str, Any]:
        if isinstance(pair, Mapping) and all(key in pair for key in keys):
            return pair
        got = f"the keys {sorted(pair)}" if isinstance(pair, Mapping) else type(pair).__name__
        raise UsageError(
            f"a confidence needs the question beside the answer, and this guard got {got}: use"
            " guard.wrap(chain) instead of chain | guard, or give"
            f" {{{self.guarding.input_key!r}: question, {self.guarding.output_key!r}: answer}}"
        )

    def _in_order(
        self,
        pairs: Sequence[Any],
        cases: Sequence[Case | Exception],
        found: Sequence[Scores | Exception],
        config: Sequence[RunnableConfig],
    ) -> list[Guarded | Exception]:
        rest = iter(found)
        made: list[Guarded | Exception] = []
        for pair, case, each in zip(pairs, cases, config, strict=True):
            if isinstance(case, Exception):
                made.append(case)
                continue
            result = decided(case, next(rest), Situation())
            if isinstance(result, Exception):
                made.append(result)
                continue
            try:
                guarded = self.guarding.guarded(pair, result, case)
            except Exception as error:  # of a function that the caller gave
                made.append(error)
                continue
            record = guarded["confidence"]
            note_in(each, record)
            tell_judged(case.guard, record, case.answer, case.messages, config=each)
            made.append(guarded)
        return made

    def _parts(self, config: RunnableConfig) -> Parts:
        return Parts(self.guarding.output_key, hold=self.guarding.holds(config))
