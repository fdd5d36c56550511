"""The settings of `score`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ct_guard.errors import FieldError

from .settings import Bits

if TYPE_CHECKING:
    from ct_guard.estimators import Estimator

__all__ = ["ScoreConfig"]

OF_SERVER = ("server_model", "server_adapter", "key_env", "key_file", "timeout")
OF_A_MODEL_HERE = ("quantization", "threads", "batch_size")


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """Which estimator scores, how it is run, and what is decided at its confidences."""

    estimator: "str | Path | Estimator" = "mini"
    """A directory, `mini`, an id of the hub's, with `base` a baseline (see `load_estimator`), or
    one that is loaded."""
    policy: str | float | None = None
    """A threshold, `certified`, `annotate`, or a JSON file; None: certified where the estimator has
    such a threshold, else annotate."""
    fields: tuple[str, ...] | None = None
    """Of answers in JSON, the fields that are judged, too, by path; empty: every leaf; None: those
    of the policy `fields`, if that is the policy."""
    on_error: Literal["pass", "block"] = "block"
    """The action for rows that could not be scored: `block` abstains."""
    backend: str = "transformers"
    server: str | None = None
    """URL of a vLLM, SGLang or llama-server that runs the base, in the backend's place."""
    server_model: str | None = None
    """The server's name for the base, where it has several."""
    server_adapter: str | None = None
    """The server's name for the estimator's adapter; None: as its directory."""
    key_env: str | None = None
    """Environment variable that holds the server's key; or `key_file`, a file that does."""
    key_file: str | Path | None = None
    timeout: float | None = None
    """Seconds for a request to the server, attempts and waits included; None: 60."""
    base: str | Path | None = None
    """Where the base model is, if not where it was; with `server`, its tokenizer."""
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    """Rows in a forward; None halves when memory runs out."""
    quantization: Bits | None = None
    """None: as the estimator was tuned."""
    threads: int | None = None
    """CPU threads."""
    engine: Literal["local", "ray"] = "local"
    """Where rows are scored: in this process, or by workers on a Ray cluster."""
    workers: int | None = None
    """Of Ray. None: one for each share of a GPU that `gpus_per_worker` says, else one a CPU."""
    gpus_per_worker: float | None = None
    """Of Ray: 0.5 lets two workers share a GPU. None: a whole one where the cluster has any."""
    readings: bool = False
    """Whether what the base model reads is written by name, too (`read_query`, `read_likelihood`…):
    evidence for `calibrate`."""
    refusals: bool = True
    """Whether answers that decline are recognised."""
    limit: int | None = None
    """Only so many rows, the first of all files."""
    sample: int | None = None
    """Only so many rows at random, of those within `limit`; they keep their order."""
    seed: int = 0
    """Of `sample`."""
    only_failed: bool = False
    """Whether the input is an earlier output, of which only rows without a confidence are scored;
    the others keep their score, and get the action of the policy."""
    overwrite: bool = False
    resume: bool = False
    summary: str | Path | None = None
    """A JSON file for what the run did."""
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

    def __post_init__(self) -> None:
        for name in ("limit", "sample", "workers"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise FieldError(f"`{name}` is a number of at least 1, not {number}")
        if self.gpus_per_worker is not None and self.gpus_per_worker < 0:
            raise FieldError(f"`gpus_per_worker` is 0 or more, not {self.gpus_per_worker}")
        if self.fields is not None and self.only_failed:
            raise FieldError("`only_failed` keeps earlier scores, which have no such `fields`")
        if self.engine not in ("local", "ray"):
            raise FieldError(f"`engine` is local or ray, not {self.engine!r}")
        if self.engine == "ray" and not isinstance(self.estimator, (str, Path)):
            raise FieldError("`engine` ray loads the estimator in every worker: give its name")

    def idle(self) -> Mapping[str, str]:
        """The fields that nothing reads beside the others, each with what it is for."""
        idle: dict[str, str] = {}
        if self.engine == "local":
            idle |= dict.fromkeys(("workers", "gpus_per_worker"), "`engine` ray")
        if self.sample is None:
            idle["seed"] = "`sample`"
        if self.server is None:
            idle |= dict.fromkeys(OF_SERVER, "a `server`")
        else:
            idle |= dict.fromkeys(OF_A_MODEL_HERE, "a model here, and there is a `server`")
        return idle
