"""Score files of answers with an estimator: how likely is each to be correct, and what then?"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from ct_guard import __version__
from ct_guard.errors import FieldError, InputError, OutputExistsError
from ct_guard.files.paths import STDIO

from .reporting import SILENT, Reporter
from .score_settings import ScoreConfig
from .settings import bits_of, check_spreadsheet, refuse_idle, shape_of

if TYPE_CHECKING:
    from ct_guard.certificates import Arithmetic
    from ct_guard.estimators import Estimator
    from ct_guard.guard import Guard

    from .engines import Engine
    from .runs import Moved, Reading, Summary

__all__ = ["ScoreConfig", "ScoreResult", "estimator_of", "score"]

SUMMARY_SCHEMA = 1


@dataclass(frozen=True)
class ScoreResult:
    """What the run did, and what to know of its numbers."""

    summary: "Summary"
    """Of all files together."""
    policy: str
    """Its name."""
    arithmetic: "Arithmetic"
    """What the scores were computed in."""
    remarks: tuple[str, ...]
    moved: "Moved | None" = None
    """How far the scores are from those of `compare_with`."""
    files: tuple[str, ...] = ()
    """The outputs, in the order of their inputs; none for a pipe."""


def score(
    source: str | Path | Sequence[str | Path],
    output: str | Path,
    config: ScoreConfig | None = None,
    *,
    report: Reporter = SILENT,
) -> ScoreResult:
    """Write `source` to `output` with the columns of `RESULTS`: confidence, logit, action, status…

    Args:
        source: .jsonl, .csv or .parquet with `question` and `answer`, or of another shape that the
            configuration names; `-` is JSONL on standard input. Several of them, a folder of them,
            or a pattern as `runs/**/*.jsonl`. A bad row becomes a row with a status, and stops
            nothing.
        output: .jsonl, .csv or .parquet, which has the rows of all inputs one after the other; `-`
            is JSONL on standard output; or a folder (it is there, or its name ends in a slash), in
            which every input gets a file of its own name.
        config: the estimator, how it is run, and the policy.
        report: hears what to know before, and of the rows.

    Raises:
        FieldError: a field that does not fit the others; UsageError: a journal of another run.
        InputError: files that cannot be read or written; OutputExistsError: `output` is there.
        EstimatorError, BackendError, PolicyError: what loading an estimator and a policy raises.
        MissingExtraError: `engine` ray without Ray.
    """
    from ct_guard.files.inputs import inputs_of, is_folder, outputs_in

    from .runs import Reading, Summary, moved, score_file, score_folder, select

    config = config or ScoreConfig()
    refuse_idle(config)
    begun = monotonic()
    inputs = inputs_of(source, output=output)
    reading = Reading.of(*(one.path for one in inputs), shape=shape_of(config))
    targets = outputs_in(Path(output), inputs) if is_folder(output) else None
    _check(reading, output, targets, config)
    reading = select(reading, limit=config.limit, sample=config.sample, seed=config.seed)
    with _engine(config) as engine:
        _check_together(engine, config)
        for line in engine.about.remarks:
            report.note(line)
        with report.working("Scoring", reading.about()) as work:
            options: dict[str, Any] = {
                "overwrite": config.overwrite,
                "resume": config.resume,
                "spreadsheet": config.spreadsheet,
                "preview": config.preview,
                "only_failed": config.only_failed,
                "on_rows": work.advance,
                "on_resumed": work.skip,
            }
            if targets is None:
                summary = score_file(engine, reading, output, **options)
                made = {} if str(output) == STDIO else {str(output): summary}
            else:
                done = score_folder(engine, reading, targets, Path(output), **options)
                made = {str(targets[path]): each for path, each in done.items()}
                summary = Summary()
                for each in made.values():
                    summary.add(each, config.preview)
    before, about = config.compare_with, engine.about
    result = ScoreResult(
        summary=summary,
        policy=about.policy,
        arithmetic=about.arithmetic,
        remarks=about.remarks,
        moved=moved(str(output), before) if before is not None else None,
        files=tuple(made),
    )
    if config.summary is not None:
        _write_summary(config, reading, result, made, engine, monotonic() - begun)
    return result


def _check(
    reading: "Reading",
    output: str | Path,
    targets: dict[str, Path] | None,
    config: ScoreConfig,
) -> None:
    """What can be wrong before anything is loaded."""
    from ct_guard.files import open_rows

    from .runs.folder import check_folder
    from .runs.run import check_run

    for target in [output] if targets is None else targets.values():
        check_spreadsheet(config.spreadsheet, target)
    if config.compare_with is not None and (targets is not None or str(output) == STDIO):
        raise FieldError("`compare_with` reads the output again: give `output` a file")
    if config.engine == "ray" and STDIO in reading.sources:
        raise FieldError("`engine` ray reads its input in every worker: name a file, no pipe")
    if config.compare_with is not None:
        open_rows(config.compare_with)
    _check_summary(config)
    if targets is None:
        check_run(reading.sources, output, overwrite=config.overwrite, resume=config.resume)
    else:
        check_folder(targets, Path(output), overwrite=config.overwrite, resume=config.resume)
    reading.check()


def _check_summary(config: ScoreConfig) -> None:
    if config.summary is None:
        return
    place = Path(config.summary)
    if place.exists() and not config.overwrite:
        raise OutputExistsError(f"{place}: exists; name another `summary`, or use `overwrite`")
    if not place.resolve().parent.is_dir():
        raise InputError(f"{place}: its folder does not exist; create it first")


def _check_together(engine: "Engine", config: ScoreConfig) -> None:
    """An estimator that weighs the answers to a question together needs them together."""
    if not engine.about.reads_together:
        return
    name = engine.about.estimator
    if config.only_failed:
        raise FieldError(
            f"`only_failed` leaves out rows that {name} weighs the others by: score the whole file"
        )
    if config.engine == "ray":
        raise FieldError(
            f"`engine` ray scores parts of a file apart, and {name} weighs the answers to a"
            " question together: use `engine` local"
        )


@contextmanager
def _engine(config: ScoreConfig) -> "Iterator[Engine]":
    from .engines import Local
    from .runs.assessing import Terms

    terms = Terms(strict=config.strict, only_failed=config.only_failed)
    if config.engine == "local":
        guard, remarks = guard_of(config)
        yield Local(guard, terms, remarks)
        return
    from .engines.ray_pool import RayPool

    with RayPool(
        partial(guard_of, config),
        terms,
        workers=config.workers,
        gpus_per_worker=config.gpus_per_worker if config.device != "cpu" else 0.0,
    ) as pool:
        yield pool


def guard_of(config: ScoreConfig) -> "tuple[Guard, list[str]]":
    """The guard that a configuration asks for, and what to know of it."""
    from ct_guard.guard import Guard
    from ct_guard.policies import Annotate, Fields, load_policy, parts, refuse_draws

    loaded = estimator_of(config)
    if config.readings:
        loaded = replace(loaded, readings=True)
    if config.strict and not loaded.evidence:
        raise FieldError(f"`strict` is for evidence, which {loaded.name} does not weigh")
    guard = Guard(loaded, config.policy, on_error=config.on_error)
    if config.fields is not None:
        if loaded.reader is None:
            raise FieldError(f"`fields`: {loaded.name} reads no model that could be asked of them")
        decided = any(isinstance(part, Fields) for part in parts(guard.policy))
        if decided and config.fields:
            raise FieldError("`fields`: the policy names its own, as `paths`: leave one out")
        if not decided:
            inner = Annotate() if config.policy is None else guard.policy
            spec = {"kind": "fields", "paths": config.fields, "policy": inner}
            guard = guard.under(load_policy(spec, loaded.manifest.known))
    refuse_draws(guard.policy, "a file of answers")
    return guard, _remarks(guard, config)


def _write_summary(
    config: ScoreConfig,
    reading: "Reading",
    result: ScoreResult,
    made: "dict[str, Summary]",
    engine: "Engine",
    seconds: float,
) -> None:
    from ct_guard.files.replacing import replacing

    summary, about = result.summary, engine.about
    fresh = summary.rows - summary.replayed - summary.kept
    told = {
        "schema": SUMMARY_SCHEMA,
        "version": __version__,
        "estimator": about.estimator,
        "scorer": about.scorer,
        "policy": about.policy,
        "computed": about.arithmetic.model_dump(),
        "engine": config.engine,
        "seconds": round(seconds, 3),
        "rows_per_second": round(fresh / seconds, 3) if seconds > 0 else None,
        **summary.as_json(),
        "inputs": list(reading.sources),
        "outputs": {path: each.counters() for path, each in made.items()},
        "remarks": list(result.remarks),
    }
    with replacing(Path(str(config.summary))) as temporary:
        temporary.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", "utf-8")


def estimator_of(config: ScoreConfig) -> "Estimator":
    """The estimator that a configuration asks for, loaded as it says."""
    from ct_guard.estimators import load_estimator

    options: dict[str, Any] = {}
    if config.server is not None:
        options = {
            name: value
            for name, value in (
                ("model", config.server_model),
                ("adapter", config.server_adapter),
                ("key_env", config.key_env),
                ("key_file", config.key_file),
                ("timeout", config.timeout),
            )
            if value is not None
        }
    if config.quantization is not None:
        options["quantization"] = bits_of(config.quantization)
    if config.threads is not None and config.backend == "llama_cpp":
        options["threads"] = config.threads
    elif config.threads is not None:
        _limit_threads(config.threads)
    return load_estimator(
        config.estimator,
        backend=config.backend,
        server=config.server,
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
    from ct_guard.promises import AnsweredWrong, CascadeCertificate, voidable

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
        for known in voidable(loaded.manifest.known)
        if known.void is not None
    ]
    promised = [known.arithmetic for known in loaded.manifest.certificates if known.arithmetic]
    promised += [
        known.arithmetic
        for known in loaded.manifest.promises
        if isinstance(known, CascadeCertificate | AnsweredWrong) and known.arithmetic
    ]
    if promised and not promised[0].same_as(loaded.arithmetic):
        said.append(
            f"{loaded.name} was certified on scores by {promised[0]}; these are by"
            f" {loaded.arithmetic}. How far the same rows move, `compare_with` says."
        )
    return said
