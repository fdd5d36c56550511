"""The estimator: how likely is this answer to be correct?"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from ct_guard.backends import KV, Adapter, Backend, Item
from ct_guard.certificates import Arithmetic
from ct_guard.errors import (
    CtGuardError,
    MismatchError,
    UsageError,
)
from ct_guard.evidence import Fitted, with_samples
from ct_guard.query import (
    Query,
    Rendered,
    forgery_of,
    read_answer,
    render,
    screen,
    screened,
)
from ct_guard.records import Confidence, QuestionAnswer, Status
from ct_guard.store import NO_BASE, Manifest
from ct_guard.store.calibrated import calibrated, p_correct

from .fields import FieldReader, Fields, Questions, questions_of, read_fields
from .methods import Method, TextMethod
from .methods.evidence import EvidenceMethod
from .methods.readings import readable
from .novelty import Novelty
from .reading import BaseReading, read_texts
from .scope import is_outside, warn_outside
from .weighing import Read, Weighing, p_of, with_evidence

__all__ = ["Estimator"]


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
    weighing: Weighing = field(default_factory=Weighing)
    """What P(correct) follows from beside raw scores."""
    swapped: Query | None = None
    """The query with its labels exchanged, where both orders are asked and averaged."""
    reader: FieldReader | None = None
    """Asks about fields of answers; None: nobody can."""
    readings: bool = False
    """Whether confidences say by name what the base model reads, also where it is not weighed."""
    refusals: bool = True
    """Whether answers that decline get the status `refusal` instead of a score."""
    folder: Path | None = None
    """The directory that it was loaded from; None: made without one."""
    _scope_told: bool = field(default=False, init=False, repr=False)

    def __deepcopy__(self, _: object) -> Self:
        """Itself: a base model is not doubled."""
        return self

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
        asked_only = self.manifest.spec.evidence == {"query"} and not self.manifest.weighs
        if logit is None or not noise or not asked_only:
            return False
        reads = [Read(logit - noise), Read(logit + noise)]
        low, high = p_of(self.manifest, self.weighing, reads, [qa, qa]).p
        return bool(low < threshold <= high)

    @property
    def readable(self) -> tuple[str, ...]:
        """Names of `Confidence.readings`."""
        return readable(self.method) if self.readings or self.weighing.readings else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """What rows must keep for it, beside question and answer (`QuestionAnswer.columns`)."""
        own = self.method.columns if isinstance(self.method, EvidenceMethod) else ()
        return tuple(dict.fromkeys((*own, *self.weighing.columns)))

    @property
    def evidence(self) -> tuple[str, ...]:
        """Names of the evidence that it weighs; none where it reads answers by a model alone."""
        return () if self._fitted is None else self._fitted.evidence

    @property
    def _fitted(self) -> Fitted | None:
        own = self.method.fitted if isinstance(self.method, EvidenceMethod) else None
        return own or self.weighing.evidence

    def with_samples(self, qa: QuestionAnswer, texts: Sequence[str]) -> QuestionAnswer:
        """The row with further answers by its model to the same question, as evidence `agreement`
        reads them. Raises UsageError where it is not weighed."""
        if self._fitted is None or "agreement" not in self._fitted.evidence:
            raise UsageError(f"{self.name} does not weigh whether further answers agree")
        return with_samples(self._fitted, qa, texts)

    @property
    def reads_together(self) -> bool:
        """Whether an answer's score depends on the other answers to its question, so that all rows
        of a file are to come at once."""
        own = isinstance(self.method, EvidenceMethod) and self.method.reads_together
        return own or self.weighing.reads_together

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
        asked = [items[at] for at, _ in waiting]
        self._tell_scope(asked)
        plain = [at for at, qa in enumerate(asked) if qa.fields is None]
        scored: dict[int, Read | CtGuardError] = dict(
            zip(
                plain,
                self._reading.read(
                    [Item(waiting[at][1].context, waiting[at][1].answer) for at in plain],
                    [asked[at].asked() for at in plain],
                ),
                strict=True,
            )
        )
        fields: dict[int, Fields | CtGuardError] = {}
        for at, qa in enumerate(asked):
            if qa.fields is not None:
                place, made = waiting[at]
                made, scored[at], fields[at] = self._read_fields(qa, made)
                waiting[at] = place, made
        confidences = self._confidences([scored[at] for at in range(len(asked))], asked)
        for number, ((at, made), confidence) in enumerate(zip(waiting, confidences, strict=True)):
            marked = _marked(
                confidence,
                truncated=made.truncated,
                sanitized=made.sanitized,
                read_apart=made.boundary != self.manifest.boundary,
            )
            results[at] = _with_fields(marked, fields.get(number))
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
        item = Item(kv, ())
        if qa.fields is None:
            return next(self._confidences(self._reading.read([item], [qa.asked()]), [qa]))
        scored, fields = self._read_with(
            qa, item, questions_of(self.reader, qa, self.backend, self.name)
        )
        return _with_fields(next(self._confidences([scored], [qa])), fields)

    def rendered(self, items: Sequence[QuestionAnswer]) -> list[Rendered | Confidence]:
        """What is read of each item, or the confidence of one that is decided without the model."""
        return [self._screened(qa) for qa in items]

    def render(self, qa: QuestionAnswer, *, behind: int = 0) -> Rendered:
        """Token ids of a question and its answer, in this estimator's style and budget; `behind`
        are tokens that more than the query will stand there."""
        return render(
            qa,
            style=self.manifest.style,
            encoder=self.engine.encoder,
            query=self.asked,
            budget=self.budget - behind,
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
        made = p_correct(self.manifest, np.zeros(1), [model], [group], weighed=np.zeros(1))
        return bool(made.calibrated[0])

    def outside_scope(self, qa: QuestionAnswer) -> bool:
        """Whether the question uses a lower-case word that the base's closed world does not have.
        Always false for a base without a declared scope."""
        return is_outside(self.manifest.scope, qa)

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

    @property
    def _reading(self) -> BaseReading:
        if isinstance(self.method, TextMethod):
            raise UsageError(f"{self.name} works on text, and reads no query")
        return BaseReading(
            self.engine,
            self.method,
            self.asked,
            self.adapter,
            swapped=self.swapped,
            novelty=self.novelty,
            named=bool(self.readable),
        )

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
        seen = [screened(qa, refusals=self.refusals) for qa in items]
        results = [self._unread(qa, one.status) for qa, one in zip(items, seen, strict=True)]
        waiting = [at for at, result in enumerate(results) if result.status == "ok"]
        self._tell_scope([items[at] for at in waiting])
        asked = [items[at] for at in waiting]
        reads = read_texts(method, asked)
        for at, confidence in zip(waiting, self._confidences(reads, asked), strict=True):
            results[at] = _marked(confidence, sanitized=seen[at].sanitized)
        return results

    def _read_fields(
        self, qa: QuestionAnswer, made: Rendered
    ) -> tuple[Rendered, Read | CtGuardError, Fields | CtGuardError]:
        """An answer and its fields; it is cut where the queries about them need the room."""
        questions = questions_of(self.reader, qa, self.backend, self.name)
        if isinstance(questions, Questions):
            more = max(0, questions.room - len(self.asked.ids))
            whole = len(made.context) + len(made.answer) + len(self.asked.ids)
            if whole + more > self.budget:
                try:
                    made = self.render(qa, behind=more)
                except UsageError as error:
                    questions = error
        return made, *self._read_with(qa, Item(made.context, made.answer), questions)

    def _read_with(
        self, qa: QuestionAnswer, item: Item, questions: Questions | CtGuardError
    ) -> tuple[Read | CtGuardError, Fields | CtGuardError]:
        """One reading where the method's figures come with those of the fields, else two."""
        reading = self._reading
        fields, batch = read_fields(self.reader, item, questions, reading)
        if batch is None:
            return reading.read([item], [qa.asked()])[0], fields
        return reading.read_from(batch, qa.asked()), fields

    def _confidences(
        self, reads: Sequence[Read | CtGuardError], items: Sequence[QuestionAnswer]
    ) -> Iterator[Confidence]:
        """Of answers that come together, in order."""
        reads = with_evidence(self.weighing, reads, items)
        known = [
            (read, qa) for read, qa in zip(reads, items, strict=True) if isinstance(read, Read)
        ]
        some, theirs = [read for read, _ in known], [qa for _, qa in known]
        made = p_of(self.manifest, self.weighing, some, theirs)
        at = 0
        for read, qa in zip(reads, items, strict=True):
            if isinstance(read, CtGuardError):
                yield self.unscored("error", read)
                continue
            evidence = None if read.weighed is None else read.weighed.used
            counted = made.by_logprobs[at] or (evidence or {}).get("logprobs") == "used"
            by_logprobs: Literal["used", "unused"] = "used" if counted else "unused"
            yield Confidence(
                p=float(made.p[at]),
                logit=read.logit,
                estimator=self.name,
                backend=self.arithmetic.backend,
                calibrated=bool(made.calibrated[at]),
                cut_off=qa.cut_off,
                ood=read.ood,
                provider_logprobs=by_logprobs if qa.logprobs else None,
                readings=dict(read.readings) or None,
                evidence=evidence,
            )
            at += 1

    def _unread(self, qa: QuestionAnswer, status: Status) -> Confidence:
        """The confidence of a row that is decided without the model."""
        if status == "forged":
            return self.unscored(status, forgery_of(qa)).model_copy(update={"sanitized": True})
        return self.unscored(status)

    def _tell_scope(self, items: Sequence[QuestionAnswer]) -> None:
        if not self._scope_told and any(map(self.outside_scope, items)):
            self._scope_told = True
            warn_outside(self.name, self.manifest.scope)


def _with_fields(confidence: Confidence, found: Fields | CtGuardError | None) -> Confidence:
    """With its fields, or why there are none."""
    if found is None or confidence.p is None:
        return confidence
    if isinstance(found, CtGuardError):
        return confidence.model_copy(update={"error": str(found)})
    return confidence.model_copy(update={"fields": found})


def _marked(confidence: Confidence, **marks: bool) -> Confidence:
    """With what became of the text on its way to a score; without one, nothing did."""
    return confidence if confidence.p is None else confidence.model_copy(update=marks)
