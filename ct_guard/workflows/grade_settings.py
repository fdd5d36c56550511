"""The settings of `grade`, and what they come to: a grader, and where the answers come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ct_guard.errors import FieldError

from .answerers import Engine, load_answerer
from .settings import Bits, bits_of

if TYPE_CHECKING:
    from ct_guard.datasets import Answering, Grader
    from ct_guard.datasets.answerers import Style

__all__ = ["GradeConfig", "answering_of", "grader_of"]

OF_ANSWERS = ("url", "key_env", "samples", "temperature", "max_tokens", "first_line", "prompt")
OF_LOCAL = ("style", "backend", "device", "dtype", "quantization", "batch_size")
OF_REMOTE = ("concurrency", "timeout", "retries")


@dataclass(frozen=True, kw_only=True)
class GradeConfig:
    """Whose answers are graded, to which questions, and how."""

    dataset: str | None = None
    """Instead of a file, a question set: `sciq:train`, `mixture:paper`, … Or with `question_field`
    any other one: `owner/name:split` of the hub, or a file."""
    limit: int | None = None
    """Most questions of the set."""
    rendering: Literal["open", "choice"] | None = None
    shots: int | None = None
    """Examples before each question; None: as in the paper."""
    dataset_seed: int = 137
    dataset_dir: Path | None = None
    question_field: str | None = None
    answer_field: str | None = None
    choices_field: str | None = None
    model: str | None = None
    """Who answers: `mini`, a model directory, a GGUF file, a hub id, a LangChain `provider:model`,
    or with `url` a model's name there. None: the answers in the file."""
    url: str | None = None
    key_env: str | None = None
    """Environment variable that holds the key for `url`."""
    grader: str | None = None
    """exact, normalised, substring, multiple_choice, numeric, fields or judge; None: what fits the
    set."""
    fields: tuple[str, ...] | None = None
    """Answers and gold are JSON, and graded field by field: these, by path; empty: every leaf. The
    same as `grader` fields."""
    gold: str = "gold"
    """Column of the gold answers."""
    tolerance: float = 0.0
    """For `numeric` and `fields`: how far off a number may be, as a share of the gold."""
    judge: str | None = None
    """For `judge`: which model judges; named as `model`."""
    judge_url: str | None = None
    judge_key_env: str | None = None
    samples: int = 0
    """Sampled answers to each question, beside the greedy one."""
    temperature: float = 1.0
    max_tokens: int = 64
    """Most new tokens of an answer."""
    first_line: bool | None = None
    """Whether an answer's first line only is kept; None: where the style is `raw`."""
    prompt: str | Path | None = None
    """A file that stands before every question: examples, or an instruction (.txt)."""
    style: "Style" = "auto"
    seed: int = 0
    """Of samples and the audit."""
    backend: str = "transformers"
    device: str = "auto"
    dtype: str = "auto"
    quantization: Bits | None = None
    batch_size: int = 16
    """Answers that a local model writes at once."""
    concurrency: int = 8
    """Requests to a remote model at once."""
    timeout: float = 60.0
    """Seconds that a remote model has for an answer."""
    retries: int = 4
    audit: int | None = None
    """Graded rows to draw for a person to check; None: none."""
    audit_out: str | Path | None = None
    """Where they are written; None: `OUTPUT.audit.csv`."""
    overwrite: bool = False
    resume: bool = False
    spreadsheet: bool = False

    @property
    def graded_by(self) -> str:
        """The grader as given, else the one that fits the set: the letter, the number, or the
        normalised text."""
        if self.grader is not None:
            return self.grader
        if self.fields is not None:
            return "fields"
        if self.dataset is not None and (self.rendering == "choice" or self.choices_field):
            return "multiple_choice"
        if self.dataset is not None and self.dataset.partition(":")[0] == "gsm8k":
            return "numeric"
        return "normalised"

    def idle(self) -> dict[str, str]:
        """The fields that nothing reads beside the others, each with what it is for."""
        idle: dict[str, str] = {}
        if self.dataset is None or self.question_field is not None:
            idle["dataset_seed"] = "the sets of `dataset` by name"
        if self.model is None:
            idle |= dict.fromkeys(OF_ANSWERS, "answers that a `model` makes")
        if not self.samples:
            idle.setdefault("temperature", "sampled answers (`samples`)")
        if self.audit is None and not self.samples:
            idle["seed"] = "sampled answers (`samples`) and for `audit`"
        elif self.audit is None and _kind(self.model, self.url) == "langchain":
            idle["seed"] = "models that take one, which LangChain's providers are not asked to"
        if self.graded_by not in ("numeric", "fields"):
            idle["tolerance"] = "`grader` numeric and fields"
        if self.graded_by != "fields":
            idle["fields"] = "`grader` fields"
        if self.judge is None:
            idle |= dict.fromkeys(("judge_url", "judge_key_env"), "the model that `judge` names")
        kinds = {_kind(self.model, self.url), _kind(self.judge, self.judge_url)}
        if "local" not in kinds:
            idle |= dict.fromkeys(OF_LOCAL, "a local `model` or `judge`")
        elif self.backend != "transformers":
            idle["quantization"] = "`backend` transformers (a GGUF file has its own precision)"
        if kinds.isdisjoint(("langchain", "served")):
            idle |= dict.fromkeys(OF_REMOTE, "a remote `model` or `judge`")
        return idle

    @property
    def engine(self) -> Engine:
        """How models are run."""
        return Engine(
            backend=self.backend,
            device=self.device,
            dtype=self.dtype,
            style=self.style,
            batch_size=self.batch_size,
            quantization=bits_of(self.quantization),
            timeout=self.timeout,
            retries=self.retries,
            concurrency=self.concurrency,
        )


def grader_of(config: GradeConfig) -> "Grader":
    """Raises FieldError for a judge without its grader or the other way round, and what loading
    the judge raises."""
    from ct_guard.datasets import GRADERS, Judge
    from ct_guard.datasets.graders import ByField, Numeric

    name, judge = config.graded_by, config.judge
    if (name == "judge") != (judge is not None):
        raise FieldError("`grader` judge and `judge` go together: one of them is missing")
    if judge is not None:
        return Judge(load_answerer(judge, config.judge_url, config.judge_key_env, config.engine))
    if name == "fields":
        return ByField(config.fields or (), config.tolerance)
    return Numeric(config.tolerance) if name == "numeric" else GRADERS[name]()


def answering_of(config: GradeConfig) -> "Answering":
    """Raises what reading the prompt and loading the model raise."""
    from ct_guard.datasets import AskedAnswers, GivenAnswers, Prompt, read_prompt
    from ct_guard.datasets.answerers import LocalAnswerer

    if config.model is None:
        return GivenAnswers()
    prompt = read_prompt(config.prompt) if config.prompt else Prompt()
    answerer = load_answerer(config.model, config.url, config.key_env, config.engine)
    first_line = config.first_line
    if first_line is None:
        first_line = isinstance(answerer, LocalAnswerer) and answerer.style == "raw"
    return AskedAnswers(
        answerer,
        samples=config.samples,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        first_line=first_line,
        prompt=prompt,
        seed=config.seed,
    )


def _kind(model: str | None, url: str | None) -> Literal["served", "langchain", "local"] | None:
    """What `load_answerer` makes of a name; None without one."""
    if model is None:
        return None
    if url is not None:
        return "served"
    return "langchain" if ":" in model and not Path(model).exists() else "local"
