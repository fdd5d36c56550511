"""Write a calibration down: into an estimator, or into the confidences of another scored file."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from ct_guard.certificates import Arithmetic
from ct_guard.errors import InputError, OutputExistsError
from ct_guard.estimators.novelty import Novelty, novelty_file
from ct_guard.estimators.weighing import values_in
from ct_guard.evaluation import Scored
from ct_guard.evaluation.disjoint import recorded
from ct_guard.evaluation.scored import logit_of
from ct_guard.evidence import Fitted as Evidence
from ct_guard.evidence import evidence_file
from ct_guard.files import Rejected, open_rows, open_writer, question_answer
from ct_guard.records import CalibratorState, GroupCorrections
from ct_guard.store import (
    LogisticLayer,
    Manifest,
    load_manifest,
    question_hash,
    revise_estimator,
    set_hash,
)
from ct_guard.store.calibrated import Fitted, p_correct
from ct_guard.store.figures import Value

__all__ = ["RECALIBRATED", "apply_to_file", "save_calibration"]

RECALIBRATED: dict[str, type] = {"confidence": float, "calibrated": bool, "action": str}
"""Columns that are written anew; what stood there stays as `input_<name>`. `action` is left empty:
it was decided on the old confidence."""


def save_calibration(
    source: Path,
    target: Path,
    calibrators: Mapping[str, CalibratorState],
    scored: Scored,
    *,
    provider: Mapping[str, LogisticLayer] | None = None,
    novelty: tuple[Novelty, Arithmetic] | None = None,
    evidence: Evidence | None = None,
    groups: Sequence[GroupCorrections] = (),
    figures: Mapping[str, Value] | None = None,
    overwrite: bool = False,
) -> Manifest:
    """The estimator at `source` with other calibrators, and layers over answering models'
    log-probabilities (`provider`), at `target`; with fitted `evidence` of rows to weigh beside its
    raw scores, where there is any (else it keeps its own), and corrections within `groups`.

    Certificates and figures are left out, but for new `figures`: they were of the old
    probabilities, as what answers were
    compared with for `ood` was of the old rows; `novelty`, of the new ones, and what read them,
    take its place. The questions that were calibrated on are recorded as the split `calibration`.

    Raises:
        OutputExistsError: `target` exists and may not be replaced, or is no estimator.
        ManifestError: the estimator at `source` is not whole.
    """
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target}: exists; name another output or use `overwrite`")
    manifest = load_manifest(source)
    keys = scored.question_keys()
    splits = recorded(source, manifest) | {"calibration": frozenset(map(question_hash, keys))}
    data = manifest.data | {"calibration": set_hash(keys)}
    for known in (splits, data):
        known.pop("certification", None)
    file = {} if novelty is None else dict([novelty_file(novelty[0])])
    fitted = {} if evidence is None else dict([evidence_file(evidence)])
    old = [manifest.novelty, manifest.evidence if fitted else None]
    changed = manifest.model_copy(
        update={
            "calibrators": dict(calibrators),
            "provider": dict(provider or {}),
            "evidence": next(iter(fitted), manifest.evidence),
            "groups": tuple(groups),
            "certificates": (),
            "promises": (),
            "figures": dict(figures or {}),
            "data": data,
            "novelty": next(iter(file), None),
            "novelty_by": None if novelty is None else novelty[1],
        }
    )
    return revise_estimator(
        source,
        target,
        changed,
        questions=splits,
        added={**file, **fitted},
        dropped=[name for name in old if name is not None],
        overwrite=overwrite,
    )


def apply_to_file(
    calibrators: Mapping[str, CalibratorState],
    source: str,
    output: str,
    *,
    fitted_on: Collection[str],
    groups: Sequence[GroupCorrections] = (),
    overwrite: bool = False,
) -> int:
    """Write the scored file `source` to `output` with confidences from its logits.

    Args:
        calibrators: by answering model; `"*"` serves the rest.
        source: a scored file.
        output: `.jsonl`, `.csv` or `.parquet`, or `-`.
        fitted_on: question keys of the rows that the calibrators were fitted on; a row with one of
            them would look better than it is.
        groups: corrections within them.
        overwrite: whether an existing output may be replaced.

    Returns:
        The number of rows that have a confidence.

    Raises:
        InputError: a row that was calibrated on, without a column `logit`, or unreadable; files
            that cannot be read or written. Nothing is written then.
    """
    fitted, known, done = Fitted(calibrators, {}, groups), set(fitted_on), 0
    columns = [one.column for one in groups]
    with open_writer(output, RECALIBRATED, source=source, overwrite=overwrite) as writer:
        for row in open_rows(source):
            if "logit" not in row.fields and row.error is None:
                raise InputError(
                    f"{row.where}: no column 'logit': score the file first (ct-guard score)"
                )
            item = question_answer(row, columns)
            logit = None if isinstance(item, Rejected) else logit_of(row)
            if isinstance(item, Rejected) or logit is None:
                writer.write(row, {"calibrated": False})
                continue
            if item.question_key() in known:
                raise InputError(
                    f"{row.where}: the calibrators were fitted on answers to this question: apply"
                    " them to other questions"
                )
            made = p_correct(
                fitted,
                np.array([logit]),
                [item.model],
                [item.group],
                [item.logprobs],
                within={column: values_in([item], column) for column in columns},
            )
            values = {"confidence": float(made.p[0]), "calibrated": bool(made.calibrated[0])}
            writer.write(row, values)
            done += 1
    return done
