"""The estimator: how likely is this answer to be correct?"""

import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ct_guard.adapters import NO_BASE, Manifest
from ct_guard.adapters.calibrated import Probabilities, calibrated, p_correct
from ct_guard.backends import KV, Adapter, Backend, Item
from ct_guard.errors import (
    BackendError,
    CtGuardError,
    MismatchError,
    NonFiniteScoreError,
    UsageError,
)
from ct_guard.query import (
    Query,
    Rendered,
    clean,
    forgery_of,
    read_answer,
    render,
    screen,
    was_sanitized,
)
from ct_guard.records import Arithmetic, Confidence, QuestionAnswer, Status

from .methods import Method, TextMethod
from .methods.base import Read
from .methods.evidence import EvidenceMethod
from .novelty import Novelty, state_wants, states_of

__all__ = ["Estimator", "OutOfScopeWarning"]

_WORD = re.compile(r"(?<![\w'’])[^\W\d_][\w'’]*")


class OutOfScopeWarning(UserWarning):
    """The base model cannot know what was asked: its world is a closed one."""


@dataclass
class Estimator:
    """Judges answers that any model wrote. Synchronous, and safe to call from any thread: its
    backend does one thing at a time."""

    manifest: Manifest
    method: Method | TextMethod
    backend: Backend | None
    """The base model; None for methods that read none."""
    query: Query | None
    adapter: Adapter | None
    fingerprint: str
    """Identifies the manifest, and with it every file of the estimator."""
    novelty: Novelty | None = None
    """What answers are compared with for `ood`; None: it is not measured."""
    swapped: Query | None = None
    """The query with its labels exchanged, where both orders are asked and averaged."""
    refusals: bool = True
    """Whether answers that decline get the status `refusal` instead of a score."""
    _scope_told: bool = field(default=False, init=False, repr=False)

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def engine(self) -> Backend:
        """The base model. Raises UsageError where the method reads none."""
        if self.backend is None:
            raise UsageError(
                f"{self.name} has no base model: its method {self.manifest.method!r} reads none"
            )
        return self.backend

    @property
    def asked(self) -> Query:
        """The query. Raises UsageError where there is no base model to ask it."""
        if self.query is None:
            raise UsageError(
                f"{self.name} asks no query: its method {self.manifest.method!r} reads no model"
            )
        return self.query

    @property
    def budget(self) -> int:
        """Most tokens of context + answer + query; without a base there is no limit."""
        most = sys.maxsize if self.backend is None else self.backend.max_tokens
        return min(self.manifest.budget or most, most)

    @property
    def batching_gains(self) -> bool:
        """Whether answers take less time together than one after the other."""
        return self.backend is None or self.backend.capabilities.batching_gains

    @property
    def arithmetic(self) -> Arithmetic:
        """What its logits are computed in."""
        backend = self.backend
        if backend is None:
            return Arithmetic(backend=NO_BASE, format=NO_BASE, noise=0.0)
        return Arithmetic(backend=backend.name, format=backend.format, noise=backend.noise)

    def is_within_noise(self, confidence: Confidence, qa: QuestionAnswer, threshold: float) -> bool:
        """Whether the noise of the number format alone decides on which side of `threshold` an
        answer lies. False where the logit is not the query's: its noise is not measured."""
        noise, logit = self.arithmetic.noise, confidence.logit
        if logit is None or not noise or self.manifest.spec.evidence != {"query"}:
            return False
        low, high = (float(self._p(at, qa).p[0]) for at in (logit - noise, logit + noise))
        return low < threshold <= high

    @property
    def columns(self) -> tuple[str, ...]:
        """What rows must keep for it, beside question and answer (`QuestionAnswer.columns`)."""
        return self.method.columns if isinstance(self.method, EvidenceMethod) else ()

    @property
    def evidence(self) -> tuple[str, ...]:
        """Names of the evidence that it weighs; none where it reads answers by a model alone."""
        return self.method.fitted.evidence if isinstance(self.method, EvidenceMethod) else ()

    @property
    def reads_together(self) -> bool:
        """Whether an answer's score depends on the other answers to its question, so that all rows
        of a file are to come at once."""
        return isinstance(self.method, EvidenceMethod) and self.method.reads_together

    def score(self, items: Sequence[QuestionAnswer]) -> list[Confidence]:
        """One `Confidence` for each item, in order.

        An item that cannot be scored gets a status that says why and `p` None; the others are not
        affected.
        """
        results: list[Confidence | None] = [None] * len(items)
        if isinstance(self.method, TextMethod):
            return self._judged(items, self.method)
        waiting: list[tuple[int, Rendered]] = []
        for at, made in enumerate(self.rendered(items)):
            if isinstance(made, Rendered):
                waiting.append((at, made))
            else:
                results[at] = made
        self._tell_scope([items[at] for at, _ in waiting])
        scored = self._read(
            [Item(made.context, made.answer) for _, made in waiting],
            [items[at].asked() for at, _ in waiting],
        )
        for (at, made), read in zip(waiting, scored, strict=True):
            results[at] = self._confidence(
                read,
                items[at],
                truncated=made.truncated,
                sanitized=made.sanitized,
                read_apart=made.boundary != self.manifest.boundary,
            )
        return [result for result in results if result is not None]

    def score_generated(self, qa: QuestionAnswer, kv: KV) -> Confidence:
        """The confidence of an answer that this estimator's base has just generated: only the query
        is read, behind the live KV. `qa.answer` is the generated text; where it has to be cleaned
        first, or the method needs more than the query, the text is read instead."""
        # A cache keeps no hidden states, its ids are those of parts encoded apart, and it holds
        # nothing for those who ask in text.
        from_text = (
            isinstance(self.method, TextMethod)
            or "hidden" in self.manifest.spec.evidence
            or self.manifest.boundary == "joint"
        )
        if read_answer(qa.answer)[1] or from_text or screen(qa, refusals=self.refusals) != "ok":
            return self.score([qa])[0]
        self._tell_scope([qa])
        return self._confidence(self._read([Item(kv, ())], [qa.asked()])[0], qa)

    def rendered(self, items: Sequence[QuestionAnswer]) -> list[Rendered | Confidence]:
        """What is read of each item, or the confidence of one that is decided without the model."""
        return [self._screened(qa) for qa in items]

    def render(self, qa: QuestionAnswer) -> Rendered:
        """Token ids of a question and its answer, in this estimator's style and budget."""
        return render(
            qa,
            style=self.manifest.style,
            encoder=self.engine,
            query=self.asked,
            budget=self.budget,
            boundary=self.manifest.boundary,
            asked="query" in self.manifest.spec.evidence,
        )

    def calibrate(
        self, logits: NDArray[np.float64], model: str | None = None, group: str | None = None
    ) -> NDArray[np.float64]:
        """P(correct) from raw logits, by the calibrator of the group, else of the answering model,
        else the common one, else the plain sigmoid."""
        return calibrated(self.manifest.calibrators, logits, model, group)

    def is_calibrated_for(self, model: str | None, group: str | None = None) -> bool:
        """Whether P(correct) is calibrated for such answers, see `Probabilities.calibrated`."""
        return bool(p_correct(self.manifest, np.zeros(1), [model], [group]).calibrated[0])

    def outside_scope(self, qa: QuestionAnswer) -> bool:
        """Whether the question uses a lower-case word that the base's closed world does not have.
        Always false for a base without a declared scope."""
        scope = self.manifest.scope
        if scope is None:
            return False
        asked, _ = clean(qa.asked())
        words = {word for word in _WORD.findall(asked) if word.islower() and len(word) > 1}
        framed = {
            asked.removeprefix(begin).removesuffix(end)
            for begin, end in scope.frames
            if asked.startswith(begin) and asked.endswith(end)
        }
        quoted = set(re.findall(r"'(\w+)'", asked))
        return not words <= scope.words | framed | quoted

    def unscored(self, status: Status, error: str | Exception | None = None) -> Confidence:
        """The confidence of an answer without a score, and why there is none."""
        return Confidence(
            p=None,
            status=status,
            estimator=self.name,
            backend=self.arithmetic.backend,
            error=None if error is None else str(error),
        )

    def close(self) -> None:
        """Free the model."""
        if self.backend is not None:
            self.backend.close()

    # --- inside ---------------------------------------------------------------------------------

    def _screened(self, qa: QuestionAnswer) -> Rendered | Confidence:
        status = screen(qa, refusals=self.refusals)
        if status != "ok":
            return self._unread(qa, status)
        try:
            return self.render(qa)
        except MismatchError as error:
            return self.unscored("unsupported", error)
        except UsageError as error:
            return self.unscored("error", error)

    def _judged(self, items: Sequence[QuestionAnswer], method: TextMethod) -> list[Confidence]:
        results = [self._unread(qa, screen(qa, refusals=self.refusals)) for qa in items]
        waiting = [at for at, result in enumerate(results) if result.status == "ok"]
        self._tell_scope([items[at] for at in waiting])
        judged = method.judge([items[at] for at in waiting])
        for at, found in zip(waiting, judged, strict=True):
            read = found if isinstance(found, (Read, CtGuardError)) else Read(found)
            results[at] = self._confidence(read, items[at], sanitized=was_sanitized(items[at]))
        return results

    def _read(self, items: list[Item], questions: list[str]) -> list[Read | CtGuardError]:
        """What is read of items and what they were asked; for one that the backend cannot score,
        its error. One such item does not cost the others their score: the batch is halved until it
        is alone."""
        if not items:
            return []
        try:
            values, unlike = self._measured(items, questions, self.asked)
            if self.swapped is not None:
                values = (values + self._measured(items, questions, self.swapped)[0]) / 2
            if not np.isfinite(values).all():
                raise NonFiniteScoreError("the score is NaN or infinite")
        except BackendError as error:
            if len(items) == 1:
                return [error]
            half = len(items) // 2
            first = self._read(items[:half], questions[:half])
            return first + self._read(items[half:], questions[half:])
        return [Read(float(value), ood) for value, ood in zip(values, unlike, strict=True)]

    def _measured(
        self, items: Sequence[Item], questions: Sequence[str], query: Query
    ) -> tuple[NDArray[np.float64], Sequence[float | None]]:
        """Raw logits and, where they are measured, p-values for `ood`."""
        if isinstance(self.method, TextMethod):
            raise UsageError(f"{self.name} works on text, and reads no query")
        wants = self.method.wants
        if self.novelty is None or query is not self.query:
            batch = self.engine.score(items, query, self.adapter, wants)
            return self.method.logits(batch, questions), [None] * len(items)
        batch = self.engine.score(items, query, self.adapter, wants | state_wants(self.method))
        unlike = self.novelty.p(states_of(self.method, batch))
        return self.method.logits(batch, questions), unlike.tolist()

    def _confidence(
        self,
        read: Read | CtGuardError,
        qa: QuestionAnswer,
        *,
        truncated: bool = False,
        sanitized: bool = False,
        read_apart: bool = False,
    ) -> Confidence:
        if isinstance(read, CtGuardError):
            return self.unscored("error", read)
        made = self._p(read.logit, qa)
        return Confidence(
            p=float(made.p[0]),
            logit=read.logit,
            estimator=self.name,
            backend=self.arithmetic.backend,
            calibrated=bool(made.calibrated[0]),
            truncated=truncated,
            sanitized=sanitized,
            ood=read.ood,
            read_apart=read_apart,
            missing=read.missing,
            provider_logprobs=_use_of(qa, made),
        )

    def _p(self, logit: float, qa: QuestionAnswer) -> Probabilities:
        return p_correct(self.manifest, np.array([logit]), [qa.model], [qa.group], [qa.logprobs])

    def _unread(self, qa: QuestionAnswer, status: Status) -> Confidence:
        """The confidence of a row that is decided without the model."""
        if status == "forged":
            return self.unscored(status, forgery_of(qa)).model_copy(update={"sanitized": True})
        return self.unscored(status)

    def _tell_scope(self, items: Sequence[QuestionAnswer]) -> None:
        scope = self.manifest.scope
        if scope is None or self._scope_told:
            return
        if any(self.outside_scope(qa) for qa in items):
            self._scope_told = True
            warnings.warn(
                f"{self.name} knows only its own world ({scope.description}); its figures for"
                " other questions mean nothing",
                OutOfScopeWarning,
                stacklevel=3,
            )


def _use_of(qa: QuestionAnswer, made: Probabilities) -> Literal["used", "unused"] | None:
    if not qa.logprobs:
        return None
    return "used" if made.by_logprobs[0] else "unused"
