"""Score a file of answers with an estimator: how likely is each to be correct, and what then?"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ct_guard.errors import FieldError
from ct_guard.files.paths import STDIO

from .reporting import SILENT, Reporter
from .settings import Bits, bits_of, check_spreadsheet, shape_of

if TYPE_CHECKING:
    from ct_guard.estimators import Estimator
    from ct_guard.guard import Guard
    from ct_guard.records import Arithmetic

    from .runs import Moved, Summary

__all__ = ["ScoreConfig", "ScoreResult", "score"]


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """Which estimator scores, how it is run, and what is decided at its confidences."""

    estimator: "str | Path | Estimator" = "mini"
    """A directory, `mini`, an id of the hub's, with `base` a baseline (see `load_estimator`), or
    one that is loaded."""
    policy: str | float | None = None
    """A threshold, `certified`, `annotate`, or a JSON file; None: certified where the estimator has
    such a threshold, else annotate."""
    on_error: Literal["pass", "block"] = "block"
    """The action for rows that could not be scored: `block` abstains."""
    backend: str = "transformers"
    base: str | Path | None = None
    """Where the base model is, if not where it was."""
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    """Rows in a forward; None halves when memory runs out."""
    quantization: Bits | None = None
    """None: as the estimator was tuned."""
    threads: int | None = None
    """CPU threads."""
    readings: bool = False
    """Whether what the base model reads is written by name, too (`read_query`, `read_likelihood`…):
    evidence for `calibrate`."""
    refusals: bool = True
    """Whether answers that decline are recognised."""
    overwrite: bool = False
    resume: bool = False
    compare_with: str | Path | None = None
    """A scored file of the same rows, to say how far their scores moved."""
    spreadsheet: bool = False
    """As for `open_writer`: text that a spreadsheet would run as a formula gets an apostrophe."""
    strict: bool = False
    """Whether rows without evidence that the estimator was fitted on are refused; without it they
    are scored by what they have, and say so (`evidence_missing`)."""
    preview: int = 0
    """Rows to keep for a look at them."""
    format: str | None = None
    """Which tool wrote the rows, of `files.foreign.FORMATS`; the output has them as ours."""
    question_field: str | None = None
    """Where the question, the answer and the grade stand, if not where the format says."""
    answer_field: str | None = None
    correct_field: str | None = None
    requests: str | Path | None = None
    """Of the format `openai-batch`: the requests that were sent."""


@dataclass(frozen=True)
class ScoreResult:
    """What the run did, and what to know of its numbers."""

    summary: "Summary"
    policy: str
    """Its name."""
    arithmetic: "Arithmetic"
    """What the scores were computed in."""
    remarks: tuple[str, ...]
    moved: "Moved | None" = None
    """How far the scores are from those of `compare_with`."""


def score(
    source: str | Path,
    output: str | Path,
    config: ScoreConfig | None = None,
    *,
    report: Reporter = SILENT,
) -> ScoreResult:
    """Write `source` to `output` with the columns of `RESULTS`: confidence, logit, action, status…

    Args:
        source: .jsonl, .csv or .parquet with `question` and `answer`, or of another shape that the
            configuration names; `-` is JSONL on standard input. A bad row becomes a row with a
            status, and stops nothing.
        output: .jsonl, .csv or .parquet; `-` is JSONL on standard output.
        config: the estimator, how it is run, and the policy.
        report: hears what to know before, and of the rows.

    Raises:
        FieldError: a field that does not fit the others; UsageError: a journal of another run.
        InputError: files that cannot be read or written; OutputExistsError: `output` is there.
        EstimatorError, BackendError, PolicyError: what loading an estimator and a policy raises.
    """
    from ct_guard.files import count_rows
    from ct_guard.guard import Guard

    from .runs import moved, score_file

    config = config or ScoreConfig()
    _check(source, output, config)
    loaded = _loaded(config)
    if config.readings:
        loaded = replace(loaded, readings=True)
    if config.strict and not loaded.evidence:
        raise FieldError(f"`strict` is for evidence, which {loaded.name} does not weigh")
    guard = Guard(loaded, config.policy, on_error=config.on_error)
    remarks = _remarks(guard, config)
    for line in remarks:
        report.note(line)
    with report.working("Scoring", count_rows(source)) as work:
        summary = score_file(
            guard,
            source,
            output,
            overwrite=config.overwrite,
            resume=config.resume,
            spreadsheet=config.spreadsheet,
            preview=config.preview,
            shape=shape_of(config),
            strict=config.strict,
            on_rows=work.advance,
            on_resumed=work.skip,
        )
    before = config.compare_with
    return ScoreResult(
        summary=summary,
        policy=guard.policy.name,
        arithmetic=guard.estimator.arithmetic,
        remarks=tuple(remarks),
        moved=moved(output, before) if before is not None else None,
    )


def _check(source: str | Path, output: str | Path, config: ScoreConfig) -> None:
    """What can be wrong before anything is loaded."""
    from ct_guard.files import open_rows

    from .runs.run import check_run

    check_spreadsheet(config.spreadsheet, output)
    if config.compare_with is not None and str(output) == STDIO:
        raise FieldError("`compare_with` reads the output again: give `output` a file")
    if config.compare_with is not None:
        open_rows(config.compare_with)
    check_run(source, output, overwrite=config.overwrite, resume=config.resume)
    open_rows(source, shape=shape_of(config))


def _loaded(config: ScoreConfig) -> "Estimator":
    from ct_guard.estimators import load_estimator

    options: dict[str, Any] = {}
    if config.quantization is not None:
        options["quantization"] = bits_of(config.quantization)
    if config.threads is not None and config.backend == "llama_cpp":
        options["threads"] = config.threads
    elif config.threads is not None:
        _limit_threads(config.threads)
    return load_estimator(
        config.estimator,
        backend=config.backend,
        base=config.base,
        device=config.device,
        dtype=config.dtype,
        batch_size=config.batch_size,
        refusals=config.refusals,
        **options,
    )


def _limit_threads(threads: int) -> None:
    try:
        import torch
    except ModuleNotFoundError:
        return  # the estimator's loader says what to install
    torch.set_num_threads(threads)


def _remarks(guard: "Guard", config: ScoreConfig) -> list[str]:
    from ct_guard.estimators.baselines import cost_of

    loaded, said = guard.estimator, []
    if config.policy is None and guard.policy.name == "annotate":
        said.append(
            f"{loaded.name} has no certified threshold, so every answer passes; `policy` 0.7 sets"
            " one of your own."
        )
    if (cost := cost_of(loaded.manifest)) is not None:
        said.append(f"{loaded.name} costs {cost}.")
    said += [
        f"{known.void.reason}. Nothing passes by it."
        for known in loaded.manifest.certificates
        if known.void is not None
    ]
    promised = [known.arithmetic for known in loaded.manifest.certificates if known.arithmetic]
    if promised and not promised[0].same_as(loaded.arithmetic):
        said.append(
            f"{loaded.name} was certified on scores by {promised[0]}; these are by"
            f" {loaded.arithmetic}. How far the same rows move, `compare_with` says."
        )
    return said
