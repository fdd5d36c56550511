"""What an estimator's P(correct) follows from beside its raw scores: evidence of rows that is
weighed with them, and the groups (a domain, a language, a tenant) that rows are in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ct_guard.calibration.groups import Within
from ct_guard.errors import CtGuardError, InputError
from ct_guard.evidence import OF_BASE, Fitted, Weighed, load_evidence, wanted_columns, weighed_apart
from ct_guard.files.columns import cell
from ct_guard.records import QuestionAnswer
from ct_guard.store import Manifest
from ct_guard.store.calibrated import Probabilities, p_correct

__all__ = ["Read", "Weighing", "p_of", "values_in", "weighing_of", "with_evidence"]


class Read(NamedTuple):
    """What was read of one answer."""

    logit: float
    ood: float | None = None
    readings: Mapping[str, float] = {}
    """By name, what the raw score is made of, where that is asked for."""
    weighed: Weighed | None = None
    """With evidence of the row, where there is any to be weighed."""


@dataclass(frozen=True)
class Weighing:
    """`evidence` None: raw scores go to the calibrators as they are."""

    evidence: Fitted | None = None
    groups: tuple[str, ...] = ()
    """Columns."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What rows must keep for it."""
        read = () if self.evidence is None else wanted_columns(self.evidence.evidence)
        return tuple(dict.fromkeys((*read, *self.groups)))

    @property
    def readings(self) -> tuple[str, ...]:
        """What the base model reads of an answer that is weighed by name, beside its raw score."""
        names = () if self.evidence is None else self.evidence.evidence
        return tuple(name for name in names if name in OF_BASE and name != "logit")

    @property
    def reads_together(self) -> bool:
        """Whether answers to one question tell of each other."""
        return self.evidence is not None and "agreement" in self.evidence.evidence

    def weigh(
        self, items: Sequence[QuestionAnswer], reads: Sequence[Read]
    ) -> list[Weighed | InputError] | None:
        """What n answers' evidence and what was read of them come to, or what is wrong with a row;
        None where there is none to weigh."""
        if self.evidence is None:
            return None
        readings = {
            name: np.array([read.readings.get(name, np.nan) for read in reads])
            for name in self.readings
        }
        readings["logit"] = np.array([read.logit for read in reads])
        return weighed_apart(self.evidence, items, readings=readings)

    def within(self, items: Sequence[QuestionAnswer]) -> Within:
        """The groups that n answers are in."""
        return {column: values_in(items, column) for column in self.groups}


def values_in(items: Sequence[QuestionAnswer], column: str) -> list[str | None]:
    """What rows hold in a column, as text; None where they hold nothing. `model` is who answered,
    wherever that is said."""
    values = [qa.columns.get(column, qa.model if column == "model" else None) for qa in items]
    return [cell(value) or None for value in values]


def weighing_of(manifest: Manifest, folder: Path) -> Weighing:
    """Of the estimator in `folder`. Raises ManifestError for a file that holds no evidence."""
    evidence = None
    if manifest.evidence is not None and manifest.weighs:
        evidence = load_evidence(folder / manifest.evidence)
    return Weighing(evidence, tuple(one.column for one in manifest.groups))


def with_evidence(
    weighing: Weighing, reads: Sequence[Read | CtGuardError], items: Sequence[QuestionAnswer]
) -> list[Read | CtGuardError]:
    """What was read of answers that come together, with the evidence of each where the estimator
    weighs it; the error of a row whose evidence cannot be read."""
    known = [(at, read) for at, read in enumerate(reads) if isinstance(read, Read)]
    found = weighing.weigh([items[at] for at, _ in known], [read for _, read in known])
    results = list(reads)
    for (at, read), one in zip(known, found or (), strict=found is not None):
        results[at] = read._replace(weighed=one) if isinstance(one, Weighed) else one
    return results


def p_of(
    manifest: Manifest, weighing: Weighing, reads: Sequence[Read], items: Sequence[QuestionAnswer]
) -> Probabilities:
    """P(correct) of what was read."""
    weighed = [read.weighed.logit for read in reads if read.weighed is not None]
    return p_correct(
        manifest,
        np.array([read.logit for read in reads]),
        [qa.model for qa in items],
        [qa.group for qa in items],
        [qa.logprobs for qa in items],
        weighed=np.array(weighed) if manifest.weighs else None,
        within=weighing.within(items),
    )
