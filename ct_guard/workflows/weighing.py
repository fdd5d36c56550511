"""Make an estimator without a base model, of what else is known of graded answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ct_guard.errors import FieldError

from .settings import shape_of

if TYPE_CHECKING:
    from ct_guard.evaluation.groups import Grouped
    from ct_guard.evidence import Found
    from ct_guard.store import Manifest

__all__ = ["WeighConfig", "WeighResult", "weigh"]


@dataclass(frozen=True, kw_only=True)
class WeighConfig:
    """Which evidence is weighed."""

    evidence: Sequence[str]
    """Of `agreement`, `stated`, `logprobs`, `model`, `wording`, `question`, `column:NAME` for any
    number and `group:NAME` for any name."""
    by: Sequence[str] = ()
    """Columns (a domain, a language, a tenant) within which it is calibrated."""
    force: bool = False
    """Whether numbers that look like the grade are taken, too."""
    overwrite: bool = False
    seed: int = 0
    """Of the folds."""
    format: str | None = None
    """Which tool wrote the rows, of `files.foreign.FORMATS`; None: they are as ours."""
    question_field: str | None = None
    """Where the question, the answer and the grade stand, if not where the format says."""
    answer_field: str | None = None
    correct_field: str | None = None
    requests: str | Path | None = None
    """Of the format `openai-batch`: the requests that were sent."""

    def __post_init__(self) -> None:
        if not self.evidence:
            raise FieldError("`evidence` names nothing: agreement, stated, logprobs, model, …")


@dataclass(frozen=True)
class WeighResult:
    """An estimator that was made, and what each evidence adds."""

    folder: Path
    manifest: "Manifest"
    found: "Found"
    grouped: "Grouped | None"
    """What groups differ by; None where none were asked for."""
    labels: int
    questions: int
    remarks: tuple[str, ...]


def weigh(source: str | Path, output: str | Path, config: WeighConfig) -> WeighResult:
    """Fit a layer over evidence on the graded rows of `source`, and write it as the estimator
    directory `output`, which scores, certifies and evaluates like any other, without torch.

    Raises:
        FieldError, UsageError: no evidence, or one that does not exist.
        InputError: rows that cannot be read, or numbers that are constant or look like the grade.
        CalibrationError: rows that cannot be learnt from. OutputExistsError: `output` is there.
    """
    from ct_guard.datasets import read_graded
    from ct_guard.evaluation.evidence import save_evidence
    from ct_guard.evidence import kinds_named, wanted_columns

    names = tuple(config.evidence)
    kinds_named(names)
    columns = (*wanted_columns(names), *config.by)
    graded = read_graded(source, columns, shape_of(config))
    manifest, found, grouped = save_evidence(
        graded,
        names,
        Path(output),
        overwrite=config.overwrite,
        by=config.by,
        force=config.force,
        seed=config.seed,
    )
    return WeighResult(
        folder=Path(output),
        manifest=manifest,
        found=found,
        grouped=grouped,
        labels=len(graded.rows),
        questions=len({row.qa.question_key() for row in graded.rows}),
        remarks=(*graded.remarks(), *found.remarks),
    )
