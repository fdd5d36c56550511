"""Divide a file into parts of different questions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ct_guard.datasets.split import part_suffix, split_file

from .settings import shape_of

__all__ = ["PARTS", "Part", "SplitConfig", "SplitResult", "split"]

PARTS: Mapping[str, float] = MappingProxyType(
    {"tuning": 50.0, "calibration": 15.0, "certification": 20.0, "test": 15.0}
)
"""Shares of the questions, in any unit."""


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which parts, and how lots are drawn."""

    parts: Mapping[str, float] = field(default_factory=lambda: PARTS)
    """Shares of the questions by the part's name, in any unit."""
    seed: int = 0
    overwrite: bool = False
    format: str | None = None
    """Which tool wrote the rows, of `files.foreign.FORMATS`; the parts have them as ours."""
    question_field: str | None = None
    """Where the question, the answer and the grade stand, if not where the format says."""
    answer_field: str | None = None
    correct_field: str | None = None
    requests: str | Path | None = None
    """Of the format `openai-batch`: the requests that were sent."""


@dataclass(frozen=True)
class Part:
    """A file that was written."""

    path: Path
    rows: int
    questions: int


@dataclass(frozen=True)
class SplitResult:
    """The files, by the part's name."""

    parts: dict[str, Part]


def split(source: str | Path, output: str | Path, config: SplitConfig | None = None) -> SplitResult:
    """Divide `source` into files of different questions: what an estimator is tuned on must not
    calibrate it, and neither may certify or test it. All rows of a question stay together, and
    which part it falls into depends on its text and the seed alone.

    Args:
        source: .jsonl, .csv or .parquet, with `question` (or `messages`).
        output: folder of the parts, which are named `PART.suffix`; `.jsonl` where the rows have
            another shape than ours.
        config: which parts.

    Raises:
        UsageError: shares that are no names and positive numbers.
        InputError: a row that cannot be read, or a part that is left empty. Nothing is written.
        OutputExistsError: a file is there already.
    """
    config, folder = config or SplitConfig(), Path(output)
    shape = shape_of(config)
    found = split_file(
        source, folder, config.parts, seed=config.seed, overwrite=config.overwrite, shape=shape
    )
    suffix = part_suffix(source, shape)
    return SplitResult(
        {
            name: Part(Path(f"{folder / name}{suffix}"), rows, questions)
            for name, (rows, questions) in found.items()
        }
    )
