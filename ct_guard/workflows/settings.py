"""Settings that do not apply, and where a changed estimator goes: the same for every workflow."""

from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from ct_guard.errors import FieldError
from ct_guard.files import Shape
from ct_guard.files.compression import unpacked_name

__all__ = [
    "Bits",
    "Config",
    "Shaped",
    "bits_of",
    "check_spreadsheet",
    "place_of",
    "refuse_idle",
    "shape_of",
]

Bits = Literal["none", "8bit", "4bit"]


class Config(Protocol):
    """The settings of a workflow: a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def idle(self) -> Mapping[str, str]:
        """The fields that nothing reads beside the others, each with what it is for."""


class Shaped(Protocol):
    """Settings that say what shape a file's rows have, as `files.Shape` does."""

    @property
    def format(self) -> str | None: ...
    @property
    def question_field(self) -> str | None: ...
    @property
    def answer_field(self) -> str | None: ...
    @property
    def correct_field(self) -> str | None: ...
    @property
    def requests(self) -> str | Path | None: ...


def shape_of(config: Shaped) -> Shape:
    """The shape. Raises FieldError for settings that do not fit each other."""
    return Shape(
        format=config.format,
        question_field=config.question_field,
        answer_field=config.answer_field,
        correct_field=config.correct_field,
        requests=config.requests,
    )


def refuse_idle(config: Config, given: Collection[str] | None = None) -> None:
    """Raise FieldError for the first field that was `given` and that nothing would read. Without
    `given`, the fields are taken for given that are not at their defaults."""
    idle = config.idle()
    for field in fields(config):
        if field.name not in idle:
            continue
        default = None if field.default is MISSING else field.default
        if getattr(config, field.name) != default if given is None else field.name in given:
            raise FieldError(f"`{field.name}` is for {idle[field.name]}: leave it out")


def bits_of(quantization: Bits | None) -> Literal["8bit", "4bit"] | None:
    """What a loader is asked for: None where nothing is quantized."""
    return None if quantization is None or quantization == "none" else quantization


def check_spreadsheet(spreadsheet: bool, output: str | Path) -> None:
    """Raises FieldError for the setting with an output that is no CSV."""
    if spreadsheet and unpacked_name(output).suffix.lower() != ".csv":
        raise FieldError("`spreadsheet` is for an `output` that ends in .csv: leave it out")


def place_of(folder: Path, output: str | Path | None) -> Path:
    """Where the changed estimator goes: `output`, or the estimator's own `folder`.

    Raises FieldError for embedded estimators and those in a cache, where a change would be lost.
    """
    from ct_guard.store import MINI, SMOL_ESTIMATOR, is_fetched

    if output is not None:
        return Path(output)
    if any(folder.resolve().is_relative_to(place.resolve()) for place in (MINI, SMOL_ESTIMATOR)):
        raise FieldError("an embedded estimator stays as it is: write a copy with `output`")
    if is_fetched(folder):
        raise FieldError(
            "an estimator from the hub stays in the cache as it was fetched: write a copy with"
            " `output`"
        )
    return folder
