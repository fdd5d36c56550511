"""`ConfidenceGuard`: confidence for any chain, and for answers that are there already."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.utils import ConfigurableFieldSpec

from ct_guard.errors import UsageError
from ct_guard.estimators import Estimator
from ct_guard.guard import Guard, Terms
from ct_guard.policies import OnError, Policy, load_policy
from ct_guard.records import Assessment

from .assess import ABSTAIN_MESSAGE, deliver, may_replace
from .cases import Case, aassess_cases, assess_cases
from .outputs import answer_of, asked_of, with_answer
from .parts import Parts
from .record import ConfidenceRecord, get_confidence
from .vectorised import Vectorised

if TYPE_CHECKING:
    from langchain_core.runnables.base import RunnableLike

    from .chain import GuardedChain

__all__ = ["POLICY", "ConfidenceGuard", "Guarded"]

POLICY = "ct_guard_policy"
"""The key in `config["configurable"]` that sets another policy for one call."""

_MOST_OTHERS = 32
"""Policies set by calls that are remembered."""


class Guarded(TypedDict):
    """An answer with its confidence: a plain dict, so that LCEL's own tools apply, as
    `pick("output")`, `assign(…)` and a prompt's variables."""

    input: Any
    """What was asked, as it was given."""
    output: Any
    """What is answered, in the form that the chain gave it."""
    confidence: ConfidenceRecord
    """P(correct) and what was decided on it."""


class ConfidenceGuard(Vectorised[Guarded]):
    """Gives answers a confidence and does what the policy says.

    It needs the question beside the answer. Around a chain it sees both:

        guard = ConfidenceGuard("mini", policy=0.7)
        guarded = guard.wrap(prompt | model | parser)
        guarded.invoke({"question": "What is 2 plus 2?"})["confidence"]["p"]

    Alone it takes pairs, which is the way to judge answers that are there already; it adds the key
    `confidence` and keeps the others:

        guard.batch([{"input": "What is 2 plus 2?", "output": "4"}])

    `output` can be text, a message, messages, an agent's state or structured output. An answer that
    the policy abstains from becomes `abstain_message`, in the same form (structured output becomes
    None), and its text is kept in the record; with every other action it stays as it is, for the
    caller to act on, for example by a `confidence_router`.

    `batch` scores all its pairs in one batch. A stream of pairs passes through, with the confidence
    in its last part, unless the policy can replace an answer: then nothing leaves before the
    decision. `config={"configurable": {"ct_guard_policy": 0.9}}` sets another policy for one call.
    """

    def __init__(
        self,
        estimator: str | Path | Estimator = "mini",
        policy: str | float | Path | dict[str, Any] | Policy | None = None,
        *,
        on_error: OnError = "block",
        deadline: float | None = None,
        window: float = Terms.window,
        max_batch: int | None = None,
        max_waiting: int = Terms.max_waiting,
        abstain_message: str = ABSTAIN_MESSAGE,
        input_key: str = "input",
        output_key: str = "output",
    ) -> None:
        """`estimator` to `on_error` and `deadline` to `max_waiting` are those of
        `ct_guard.Guard`. The keys say where in a pair the question and the answer are."""
        self.guard = Guard(
            estimator,
            policy,
            on_error=on_error,
            deadline=deadline,
            window=window,
            max_batch=max_batch,
            max_waiting=max_waiting,
        )
        self.abstain_message = abstain_message
        self.input_key, self.output_key = input_key, output_key
        self._others: dict[str, Guard] = {}
        self._lock = threading.Lock()

    def wrap(
        self,
        chain: "RunnableLike[Any, Any]",
        *,
        stronger: "Sequence[RunnableLike[Any, Any]]" = (),
        question: Callable[[Any], Any] | None = None,
    ) -> "GuardedChain":
        """The chain with a confidence on every answer: see `GuardedChain`."""
        from .chain import GuardedChain

        return GuardedChain(self, chain, stronger=stronger, question=question)

    def guard_for(self, config: RunnableConfig) -> Guard:
        """The guard with the policy that a call's config sets, if it does. Equal policies share a
        guard, and with it a batch and a budget.

        Raises PolicyError for a policy that makes no sense.
        """
        given = config.get("configurable", {}).get(POLICY)
        if given is None:
            return self.guard
        policy = load_policy(given, self.guard.estimator.manifest.certificates)
        with self._lock:
            key = repr(policy)
            if key not in self._others:
                while len(self._others) >= _MOST_OTHERS:
                    self._others.pop(next(iter(self._others)))
                self._others[key] = self.guard.under(policy)
            return self._others[key]

    def guarded(self, pair: Mapping[str, Any], assessment: Assessment, **tried: Any) -> Guarded:
        """The pair with its confidence; `tried` says what the answer took."""
        output = pair[self.output_key]
        answer = deliver(
            answer_of(output), assessment, abstain_message=self.abstain_message, **tried
        )
        made = {
            **pair,
            self.output_key: with_answer(output, answer, replaced=assessment.action == "abstain"),
            "confidence": get_confidence(answer),
        }
        return cast(Guarded, made)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What a call's config can set, beside LangChain's own."""
        about = "A threshold such as 0.9, or any other policy, for this call"
        return [ConfigurableFieldSpec(POLICY, Any, name="Policy", description=about)]

    # --- over pairs ---------------------------------------------------------------------------

    def answer_all(
        self, inputs: list[Any], config: list[RunnableConfig], **kwargs: Any
    ) -> list[Guarded | Exception]:
        cases = self._cases(inputs, config)
        found = assess_cases([case for case in cases if isinstance(case, Case)])
        return self._in_order(inputs, cases, found)

    async def aanswer_all(
        self, inputs: list[Any], config: list[RunnableConfig], **kwargs: Any
    ) -> list[Guarded | Exception]:
        cases = self._cases(inputs, config)
        found = await aassess_cases([case for case in cases if isinstance(case, Case)])
        return self._in_order(inputs, cases, found)

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
            self._checked(pair, self.input_key, self.output_key)
            answer = answer_of(pair[self.output_key])
            who = answer.response_metadata.get("model_name")
            return Case(self.guard_for(config), asked_of(pair[self.input_key]), answer, who)
        except UsageError as error:
            return error

    def _checked(self, pair: Any, *keys: str) -> Mapping[str, Any]:
        if isinstance(pair, Mapping) and all(key in pair for key in keys):
            return pair
        got = f"the keys {sorted(pair)}" if isinstance(pair, Mapping) else type(pair).__name__
        raise UsageError(
            f"a confidence needs the question beside the answer, and this guard got {got}: use"
            " guard.wrap(chain) instead of chain | guard, or give"
            f" {{{self.input_key!r}: question, {self.output_key!r}: answer}}"
        )

    def _in_order(
        self,
        pairs: Sequence[Any],
        cases: Sequence[Case | Exception],
        found: Sequence[Assessment | Exception],
    ) -> list[Guarded | Exception]:
        rest = iter(found)
        results = [next(rest) if isinstance(case, Case) else case for case in cases]
        return [
            result if isinstance(result, Exception) else self.guarded(pair, result)
            for pair, result in zip(pairs, results, strict=True)
        ]

    def _parts(self, config: RunnableConfig) -> Parts:
        return Parts(self.output_key, hold=may_replace(self.guard_for(config).policy))
