"""An estimator without tuning, to compare with."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ct_guard.errors import FieldError
from ct_guard.methods import METHODS

from .settings import Bits, bits_of, refuse_idle

if TYPE_CHECKING:
    from ct_guard.store import Manifest

__all__ = ["BaselineConfig", "BaselineResult", "baseline"]

PRIOR = "question_prior"
OF_SAMPLING = ("samples", "temperature", "max_tokens", "grader", "seed")


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """Which baseline, over which base model."""

    method: Literal[
        "zero-shot", "likelihood", "perplexity", "verbalized", "sampling", "question_prior"
    ]
    base: str | None = None
    """The base model: a directory, a GGUF file, a hub id, `hub:owner/name/FILE.gguf`, or `mini`;
    None for `question_prior`."""
    graded: str | Path | None = None
    """For `question_prior`: graded rows."""
    samples: int = 10
    """For `sampling`, as all up to `seed`: answers drawn to each question."""
    temperature: float = 1.0
    max_tokens: int = 64
    grader: str = "substring"
    seed: int = 0
    label_orders: Literal["fixed", "both"] = "fixed"
    """For `zero-shot`: `both` also asks with the labels exchanged, and averages."""
    backend: str = "transformers"
    quantization: Bits | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        fitted = self.method == PRIOR
        if fitted != (self.graded is not None) or fitted != (self.base is None):
            raise FieldError(
                f"{PRIOR} is fitted on `graded` and has no `base`; every other baseline needs"
                " `base` and no `graded`"
            )

    def idle(self) -> dict[str, str]:
        """The fields that the method does not read, each with what it is for."""
        idle = (
            {} if self.method == "sampling" else dict.fromkeys(OF_SAMPLING, "the baseline sampling")
        )
        if not METHODS[self.method].both_orders:
            idle["label_orders"] = "the baseline zero-shot"
        if not METHODS[self.method].has_base:
            idle |= dict.fromkeys(("backend", "quantization"), "baselines over a `base`")
        elif self.backend != "transformers":
            idle["quantization"] = "`backend` transformers (a GGUF file has its own precision)"
        return idle


@dataclass(frozen=True)
class BaselineResult:
    """An estimator that was made."""

    folder: Path
    manifest: "Manifest"
    remarks: tuple[str, ...]
    """On rows that were left out."""
    cost: str | None = None
    """What an answer costs, with a method that has the model generate."""


def baseline(output: str | Path, config: BaselineConfig) -> BaselineResult:
    """Write a baseline as the estimator directory `output`, which is scored, calibrated, certified
    and evaluated like any other. Nothing is tuned.

    Raises:
        FieldError: a field that the method does not read.
        InputError: graded rows that cannot be read, or are all alike.
        OutputExistsError: `output` is there. EstimatorError, BackendError: as loading the base.
    """
    from ct_guard.estimators.baselines import cost_of
    from ct_guard.store import check_target

    refuse_idle(config)
    folder = Path(output)
    check_target(folder, overwrite=config.overwrite)
    if config.graded is not None:
        from ct_guard.datasets import read_graded

        from .prior import save_question_prior

        rows = read_graded(config.graded)
        manifest = save_question_prior(rows, folder, overwrite=config.overwrite)
        return BaselineResult(folder, manifest, tuple(rows.remarks()))
    manifest = _over_base(str(config.base), folder, config)
    return BaselineResult(folder, manifest, (), cost_of(manifest))


def _over_base(base: str, folder: Path, config: BaselineConfig) -> "Manifest":
    from ct_guard.estimators import load_estimator
    from ct_guard.estimators.baselines import baseline_manifest
    from ct_guard.store import Asking, save_estimator

    bits = bits_of(config.quantization)
    options: dict[str, Any] = {} if bits is None else {"quantization": bits}
    estimator = load_estimator(config.method, base=base, backend=config.backend, **options)
    made = baseline_manifest(
        config.method,
        base,
        estimator.engine,
        asking=Asking(
            samples=config.samples,
            temperature=config.temperature,
            seed=config.seed,
            max_tokens=config.max_tokens,
            grader=config.grader,
        ),
        label_orders=config.label_orders,
        quantization=bits,
    ).model_copy(update={"name": folder.resolve().name})
    return save_estimator(folder, made, overwrite=config.overwrite)
