"""From rows to answers as evidence reads them, and fitted evidence as a file."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ct_guard.errors import InputError, ManifestError
from ct_guard.files.untrusted_json import LEARNT_BYTES, JsonError, read_json
from ct_guard.records import QuestionAnswer

from .agreement import AGREEMENT
from .answers import Answers, answers_of
from .fit import Fitted, features_of
from .kinds import kinds_named, wanted_columns
from .layer import logits_of
from .stated import COLUMNS, Share, split_stated

__all__ = [
    "Use",
    "Weighed",
    "answers_in",
    "evidence_file",
    "load_evidence",
    "weighed",
    "weighed_apart",
    "with_samples",
]

Floats = NDArray[np.float64]

Use = Literal["used", "missing"]


def answers_in(
    items: Sequence[QuestionAnswer],
    names: Sequence[str],
    where: Sequence[str] = (),
    *,
    readings: Mapping[str, Floats] | None = None,
) -> Answers:
    """Rows as evidence of these `names` reads them, and what a base model reads of them. Where a
    stated confidence is parsed from the answer, the answer and its samples go on without it."""
    wanted = wanted_columns(names)
    columns: dict[str, Sequence[Any]]
    columns = {name: [qa.columns.get(name) for qa in items] for name in wanted}
    columns = {
        name: values for name, values in columns.items() if any(v is not None for v in values)
    }
    if "logprobs" in wanted and "logprobs" not in columns:
        columns["logprobs"] = [qa.logprobs for qa in items]
    texts = [qa.answer for qa in items]
    parsed = "stated" in names and not any(name in columns for name in COLUMNS)
    if parsed:
        parted = [split_stated(text) for text in texts]
        texts = [text for text, _ in parted]
        columns[COLUMNS[0]] = [None if value is None else Share(value) for _, value in parted]
    answers = answers_of(
        [qa.asked() for qa in items],
        texts,
        keys=[qa.question_key() for qa in items],
        model=[qa.model for qa in items],
        columns=columns,
        where=where,
        readings=readings,
    )
    if not parsed:
        return answers
    samples = [
        tuple(replace(one, text=split_stated(one.text)[0]) for one in some)
        for some in answers.samples
    ]
    return replace(answers, samples=samples)


def with_samples(fitted: Fitted, qa: QuestionAnswer, texts: Sequence[str]) -> QuestionAnswer:
    """The row with further answers by its model, in the form of the rows that were fitted on: where
    their samples held the answer itself, these do, too."""
    known = fitted.states.get(AGREEMENT.name, {})
    samples = [qa.answer, *texts] if known.get("itself") else list(texts)
    return qa.model_copy(update={"columns": {**qa.columns, "samples": samples}})


class Weighed(NamedTuple):
    """What a layer over evidence makes of an answer."""

    logit: float
    """Of P(correct), before calibration."""
    used: dict[str, Use]
    """By name, which evidence the answer has."""


def weighed(
    fitted: Fitted,
    items: Sequence[QuestionAnswer],
    where: Sequence[str] = (),
    *,
    readings: Mapping[str, Floats] | None = None,
) -> list[Weighed]:
    """One for each row, from its evidence and, where the layer names some, from `readings` of shape
    (n,). Raises InputError for a value that is not what its column holds, naming the row, and
    ManifestError where what was fitted gives no finite number."""
    if not items:
        return []
    answers = answers_in(items, fitted.evidence, where, readings=readings)
    features = features_of(fitted, answers)
    logits = logits_of(fitted.layer, features)
    if not np.isfinite(logits).all():
        raise ManifestError(
            "the numbers of this estimator's evidence are out of range: restore its file from its"
            " source"
        )
    return list(map(Weighed, logits.tolist(), _used(fitted, features, answers)))


def weighed_apart(
    fitted: Fitted,
    items: Sequence[QuestionAnswer],
    *,
    readings: Mapping[str, Floats] | None = None,
) -> list[Weighed | InputError]:
    """As `weighed`, but that a row which cannot be read costs no other its score: it has its error
    instead, and tells nothing of others."""
    known = readings or {}
    try:
        return list(weighed(fitted, items, readings=known))
    except InputError:
        refused = {at: error for at, qa in enumerate(items) if (error := _refusal(fitted, qa))}
    kept = [at for at in range(len(items)) if at not in refused]
    read = weighed(
        fitted,
        [items[at] for at in kept],
        readings={name: values[kept] for name, values in known.items()},
    )
    found: dict[int, Weighed | InputError] = {**refused, **dict(zip(kept, read, strict=True))}
    return [found[at] for at in range(len(items))]


def _refusal(fitted: Fitted, qa: QuestionAnswer) -> InputError | None:
    try:
        features_of(fitted, answers_in([qa], fitted.evidence, ["this row"]))
    except InputError as error:
        return error
    return None


def _used(fitted: Fitted, features: Floats, answers: Answers) -> list[dict[str, Use]]:
    found: list[dict[str, Use]] = [{} for _ in answers.answer]
    at = 0
    for kind in kinds_named(fitted.evidence):
        gone = np.isnan(features[:, at])
        if kind.name == "model":  # whose number is then the pool's
            gone = np.array([not name for name in answers.model], np.bool_)
        for use, missing in zip(found, gone.tolist(), strict=True):
            use[kind.name] = "missing" if missing else "used"
        at += len(kind.features)
    return found


def evidence_file(fitted: Fitted) -> tuple[str, bytes]:
    """Name and content of its file, in an estimator's directory."""
    content = fitted.model_dump_json().encode()
    return f"evidence-{hashlib.sha256(content).hexdigest()[:8]}.json", content


def load_evidence(path: Path) -> Fitted:
    """Raises ManifestError, in one line, for a file that holds no fitted evidence."""
    try:
        fitted = Fitted.model_validate(read_json(path, LEARNT_BYTES))
        fitted.learnt  # noqa: B018  # where a state is none, this raises
    except (JsonError, ValidationError, KeyError) as error:
        said = " ".join(str(error).split())[:200]
        raise ManifestError(
            f"{path} holds no fitted evidence ({said}): restore it from its source"
        ) from error
    return fitted
