"""How likely is each field of an answer to be right? One reading of question and answer serves the
answer's own query, and one query a field."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from ct_guard.backends import Adapter, Asked, Asking, Backend, Item, ScoreBatch, Want
from ct_guard.calibration import apply
from ct_guard.errors import CtGuardError, MismatchError, UsageError
from ct_guard.fields import Leaf, fields_of, read_object
from ct_guard.query import (
    FIELD_QUERY_HASH,
    ContextStyle,
    FieldQuery,
    Query,
    build_field_query,
    read_answer,
)
from ct_guard.records import CalibratorState, FieldConfidence, QuestionAnswer
from ct_guard.store import EVERY_MODEL, FieldReading, Manifest

from .reading import BaseReading

__all__ = [
    "FieldReader",
    "Fields",
    "Questions",
    "calibrated_fields",
    "field_reader_for",
    "questions_of",
    "read_fields",
    "reader_of",
]

Floats = NDArray[np.float64]

Fields = dict[str, FieldConfidence]
"""By path."""


class Questions(NamedTuple):
    """The fields of one answer, and a query about each."""

    leaves: tuple[Leaf, ...]
    queries: tuple[Query, ...]
    room: int
    """Tokens behind the answer: of the longest query."""


@dataclass(frozen=True)
class FieldReader:
    """Asks about fields, over a base model."""

    query: FieldQuery
    adapter: Adapter | None
    known: FieldReading

    def questions(self, qa: QuestionAnswer, engine: Backend) -> Questions:
        """What is asked about the fields of an answer. Raises UsageError for one that has none."""
        value = read_object(read_answer(qa.answer)[0])
        leaves = tuple(fields_of(value, qa.fields or ()))
        queries = tuple(
            self.query.about(leaf.path, leaf.value, engine.encoder, empty=not leaf.filled)
            for leaf in leaves
        )
        longest = max((len(query.ids) for query in queries), default=0)
        return Questions(leaves, queries, longest)

    def asking(
        self,
        item: Item,
        questions: Questions,
        query: Query,
        adapter: Adapter | None,
        wants: Collection[Want],
    ) -> Asking:
        """What a backend is asked; also the answer's own query, and its log-probabilities, as far
        as it `wants` them and one reading serves both."""
        asking = Asking(item, questions.queries, self.adapter)
        if not wants:
            return asking
        try:
            return replace(
                asking,
                first=query,
                first_adapter=adapter,
                logprobs="answer_logprobs" in wants,
                state="query_hidden" in wants,
            )
        except UsageError:
            return asking

    def fields(self, questions: Questions, asked: Asked) -> Fields:
        """The confidences that the logits come to."""
        logits = (asked.logits[:, 1] - asked.logits[:, 0]).astype(np.float64)
        groups = [leaf.group for leaf in questions.leaves]
        p, fitted = calibrated_fields(self.known.calibrators, logits, groups)
        return {
            leaf.path: FieldConfidence(
                p=float(p[at]), logit=float(logits[at]), kind=leaf.kind, calibrated=bool(fitted[at])
            )
            for at, leaf in enumerate(questions.leaves)
        }


def questions_of(
    reader: FieldReader | None, qa: QuestionAnswer, backend: Backend | None, name: str
) -> Questions | CtGuardError:
    """What the estimator `name` asks about the fields of an answer, or why it can ask nothing."""
    if reader is None or backend is None:
        return UsageError(f"{name} reads no model that could be asked about fields")
    try:
        return reader.questions(qa, backend)
    except CtGuardError as error:
        return error


def read_fields(
    reader: FieldReader | None,
    item: Item,
    questions: Questions | CtGuardError,
    reading: BaseReading,
) -> tuple[Fields | CtGuardError, ScoreBatch | None]:
    """The fields of one answer, or why there are none; and what the backend's `score` would have
    said of the answer alone, where the same reading served it."""
    if isinstance(questions, CtGuardError) or reader is None:
        return questions if isinstance(questions, CtGuardError) else UsageError("no reader"), None
    wants: Collection[Want] = reading.wants if reading.serves_fields else ()
    try:
        asking = reader.asking(item, questions, reading.query, reading.adapter, wants)
        asked = reading.engine.ask(asking)
        fields = reader.fields(questions, asked)
    except CtGuardError as error:
        return error, None
    if asked.first is None:
        return fields, None
    none = np.zeros(1, np.int32)
    logprobs = None if asked.answer_logprobs is None else [asked.answer_logprobs]
    state = None if asked.state is None else asked.state[None]
    return fields, ScoreBatch(asked.first[None], logprobs, None, none, none, state)


def calibrated_fields(
    states: Mapping[str, CalibratorState], logits: Floats, groups: Sequence[str]
) -> tuple[Floats, NDArray[np.bool_]]:
    """P of fields from their raw logits, shape (n,), by the calibrator of their group, else of all,
    else the plain sigmoid; and whether it was fitted, shape (n,)."""
    p = np.asarray(expit(logits))
    fitted = np.zeros(len(logits), np.bool_)
    by_state: dict[str, list[int]] = {}
    for at, group in enumerate(groups):
        by_state.setdefault(group if group in states else EVERY_MODEL, []).append(at)
    for key, places in by_state.items():
        if key in states:
            p[places] = apply(states[key], logits[places])
            fitted[places] = True
    return p, fitted


def reader_of(
    style: ContextStyle,
    engine: Backend,
    query: Query,
    adapter: Adapter | None = None,
    known: FieldReading | None = None,
) -> FieldReader:
    """The reader beside an answer's own `query`, whose labels it shares."""
    about = build_field_query(style, engine.encoder, query.label_ids)
    return FieldReader(about, adapter, known or FieldReading())


def field_reader_for(
    manifest: Manifest, folder: Path, engine: Backend, query: Query, adapter: Adapter | None
) -> FieldReader:
    """The reader that a manifest describes. Raises MismatchError where it was fitted on another
    query about fields."""
    known = manifest.fields or FieldReading()
    if known.query_hash != FIELD_QUERY_HASH:
        raise MismatchError(
            f"{folder} was fitted on another query about fields ({known.query_hash[:12]}) than this"
            f" version asks ({FIELD_QUERY_HASH[:12]}): use the ct-guard that made it, or calibrate"
            " its fields again"
        )
    if known.adapter is not None:
        path = folder / known.adapter
        place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
        adapter = Adapter(f"fields-{place}", path, "query")
    return reader_of(manifest.style, engine, query, adapter, known)
