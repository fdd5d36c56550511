"""The plain data that the whole package speaks: frozen, validated, JSON in and out."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

__all__ = [
    "Action",
    "Assessment",
    "CalibratorState",
    "Confidence",
    "Decision",
    "FieldAction",
    "FieldConfidence",
    "FieldKind",
    "GradedAnswer",
    "GroupCorrections",
    "LogisticLayer",
    "Message",
    "QuestionAnswer",
    "ReviewChoice",
    "Role",
    "Status",
    "alone_key",
    "unchecked",
]

Status = Literal["ok", "empty", "refusal", "forged", "unsupported", "invalid", "too_long", "error"]
"""Why there is, or is not, a probability. Only `ok` carries one. `forged`: a text of the row speaks
as the uncertainty query does, and would answer for the model."""

Action = Literal["pass", "retry", "escalate", "human", "abstain"]

FieldAction = Literal["pass", "review", "drop", "retry"]
"""What becomes of one field of an answer: it is filled in, shown to a person first, left out, or
the answer is asked for again on its account."""

FieldKind = Literal["text", "number", "truth", "empty", "missing"]
"""What stands in a field. `empty`: null, or a text, list or object with nothing in it; `missing`:
it was asked for and is not there."""

Role = Literal["system", "user", "assistant", "tool"]

ReviewChoice = Literal["approve", "edit", "respond", "reject"]
"""What a person may do about an answer, or a call of a tool, that waits for them."""


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are no probabilities: write a number from 0 to 1")
    return value


Probability = Annotated[float, BeforeValidator(_no_truth_value), Field(ge=0.0, le=1.0)]


class Record(BaseModel):
    """Frozen; unknown fields and non-finite numbers are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


R = TypeVar("R", bound=Record)


def unchecked(kind: type[R], values: dict[str, Any]) -> R:
    """The record of `values` that are valid already, one for each of its fields: where millions are
    made, checking takes most of the time. pydantic's own `model_construct` takes longer still."""
    made, put = kind.__new__(kind), object.__setattr__
    put(made, "__dict__", values)
    put(made, "__pydantic_fields_set__", _fields_of(kind))  # shared: nothing can change it
    put(made, "__pydantic_extra__", None)
    put(made, "__pydantic_private__", None)
    return made


@cache
def _fields_of(kind: type[Record]) -> set[str]:
    return set(kind.model_fields)


class Message(Record):
    """One turn of a conversation."""

    role: Role
    content: str


def alone_key(asked: str) -> str:
    """`QuestionAnswer.question_key()` of what was asked with nothing before it."""
    return f"user\x1f{asked}"


class QuestionAnswer(Record):
    """An answer and what it answers.

    How the parts combine, everywhere in ct-guard: the conversation is `messages`, then `question`
    as a user turn. Where `messages` already ends in a user turn, **that turn wins**: it is what was
    asked, and `question` (which may then be empty) is kept only to name the row. `context`, a
    passage, stands in front of what was asked, in the same turn, with a blank line between.
    """

    question: str
    answer: str
    context: str | None = None
    messages: tuple[Message, ...] = ()
    id: str | None = None
    model: str | None = None
    """Who answered. Ranking transfers across models, calibration does not: the calibrator of this
    model is used when the estimator has one."""
    group: str | None = None
    """What kind of answer this is, where it is of a kind of its own, as "tool_call": the group's
    calibrator, when the estimator has one, goes before the model's."""
    logprobs: tuple[float, ...] | None = None
    """Log-probability (in nats) of each token of the answer, as the answering model reports it; its
    tokens, not the estimator's. They count where the estimator has a layer for this model."""
    fields: tuple[str, ...] | None = None
    """Of an answer in JSON, the paths of the fields that are judged, too (`invoice.total`,
    `items[].price`); empty: every leaf; None: none."""
    cut_off: bool = False
    """The answering model was stopped before its answer ended (`conversation.is_cut_off`)."""
    columns: dict[str, JsonValue] = {}
    """What else is known of the answer, by name, for estimators that read such evidence: `samples`
    (further answers to the question), what its author stated, a trust score…"""

    def conversation(self) -> tuple[Message, ...]:
        """The turns before the answer; the last one is what was asked."""
        return (*self._earlier(), Message(role="user", content=self.asked()))

    def asked(self) -> str:
        """The text that was asked: the last turn of the conversation, a passage in front of it."""
        asked = self.messages[-1].content if self._ends_in_question() else self.question
        return f"{self.context}\n\n{asked}" if self.context else asked

    def question_key(self) -> str:
        """Rows with the same key are answers to one question: one cluster, one split."""
        turns = [f"{turn.role}\x1f{turn.content}" for turn in self._earlier()]
        return "\x1e".join([*turns, alone_key(self.asked())])

    def _ends_in_question(self) -> bool:
        return bool(self.messages) and self.messages[-1].role == "user"

    def _earlier(self) -> tuple[Message, ...]:
        return self.messages[:-1] if self._ends_in_question() else self.messages


class GradedAnswer(Record):
    """An answer of which it is known whether it is correct."""

    qa: QuestionAnswer
    correct: bool
    fields: Mapping[str, bool] | None = None
    """By path, whether each field of an answer in JSON is; None: not known, or not asked for."""

    @property
    def grades(self) -> tuple[bool, ...]:
        """Of the answer, then of its fields."""
        return (self.correct, *(self.fields or {}).values())


class FieldConfidence(Record):
    """What an estimator says of one field of an answer."""

    p: Probability | None
    """P(this field is right; of an empty one, that it is right to be empty); None: not measured."""
    logit: float | None = None
    """The raw score, before calibration."""
    kind: FieldKind
    status: Status = "ok"
    calibrated: bool = False
    """Whether P was fitted on graded fields of such estimates."""


class Confidence(Record):
    """What an estimator says of one answer."""

    p: Probability | None
    """P(correct); None when not measured, and `status` says why."""
    logit: float | None = None
    """The raw score on the logit scale, *before* calibration."""
    status: Status = "ok"
    calibrated: bool = False
    truncated: bool = False
    sanitized: bool = False
    """What was read is not, letter for letter, what stands in the row: invisible characters,
    thoughts or filler were left out. Also set where the status is `forged`."""
    cut_off: bool = False
    """What was read is the beginning of an answer: its author ran out of tokens."""
    ood: Probability | None = None
    """p-value of an answer like those that the estimator was calibrated on: small is unlike them;
    None: not measured."""
    read_apart: bool = False
    """The estimator reads text and query as one (boundary `joint`), and this tokenizer merges them
    here: they were read apart, which is not quite what it was tuned on."""
    estimator: str = ""
    backend: str = ""
    provider_logprobs: Literal["used", "unused"] | None = None
    """What became of the answering model's own log-probabilities; None: it gave none."""
    readings: dict[str, float] | None = None
    """What the base model reads of the answer, logits by the names of methods; None: not asked
    for."""
    evidence: dict[str, Literal["used", "missing"]] | None = None
    """By name, what of the evidence that the estimator weighs this answer had; None: the estimator
    weighs none."""
    fields: dict[str, FieldConfidence] | None = None
    """By path, of the fields of an answer in JSON; None: not asked for, or it has none that could
    be read, and `error` says why."""
    error: str | None = None


class Decision(Record):
    """What a policy makes of a confidence."""

    action: Action
    policy: str
    threshold: Probability | None = None
    reason: str = ""
    allowed: tuple[ReviewChoice, ...] = ()
    """Only with the action `human`: what the person may do; empty: everything."""
    samples: int = Field(default=0, ge=0)
    """Further answers to draw from the same model before the action counts: the policy decides once
    more with what they say. Only for whoever can draw some."""
    fields: dict[str, FieldAction] | None = None
    """Of an answer in JSON, what becomes of each of its fields, by path, where the answer itself
    passes; None: nothing was decided on them."""
    cost: float | None = Field(default=None, ge=0)
    """What it costs to carry this out, in the unit of the budget's prices; None: no budget counts
    it."""
    told: str = ""
    """Only with the action `retry`: what the model is told when it is asked again, by whoever can
    tell it something."""


class Assessment(Record):
    """A confidence and the decision taken on it."""

    confidence: Confidence
    decision: Decision
    calls: tuple[Confidence, ...] = ()
    """Of a turn that calls tools: the confidence of each call, in order."""

    @property
    def p(self) -> float | None:
        return self.confidence.p

    @property
    def action(self) -> Action:
        return self.decision.action


class CalibratorState(Record):
    """A fitted calibrator as data: `p = f(logit)`."""

    kind: str
    params: dict[str, float | list[float]]
    n: int = Field(ge=0)
    """Labels that it was fitted on."""


class GroupCorrections(Record):
    """What rows with a value in `column` differ by from all rows:
    logit(P) = exp(slope) * logit(p) + shift, where p is what the calibrator says."""

    column: str
    slopes: dict[str, Annotated[float, Field(ge=-10, le=10)]]
    """By value of the column, the logarithm of the slope, so that no correction turns a ranking
    around; 0 leaves it as it is."""
    shifts: dict[str, Annotated[float, Field(ge=-100, le=100)]]
    """By the same values."""
    penalty: float = Field(ge=0)
    """Of the squares of both, as it was chosen: what a group is shrunk towards the whole by."""

    @model_validator(mode="after")
    def _is_whole(self) -> "GroupCorrections":
        if self.slopes.keys() != self.shifts.keys():
            raise ValueError("a group needs a slope and a shift")
        return self


class LogisticLayer(Record):
    """sigma(intercept + sum_i coef_i (x_i - mean_i) / scale_i) over named features, each clipped to
    [low_i, high_i], about the range it was fitted on: no answer is judged by extrapolation."""

    features: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coef: tuple[float, ...]
    intercept: float

    @model_validator(mode="after")
    def _is_whole(self) -> "LogisticLayer":
        columns = (self.low, self.high, self.mean, self.scale, self.coef)
        if {len(column) for column in columns} != {len(self.features)}:
            raise ValueError("a layer needs one number of each kind for each feature")
        if not self.features or min(self.scale) <= 0:
            raise ValueError("a layer needs features, and scales above 0")
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("a layer's lows must not be above its highs")
        return self

    def logit(self, values: Sequence[float]) -> float:
        """Of one row; of many, `store.layer.layer_logits`."""
        columns = zip(values, self.low, self.high, self.mean, self.scale, strict=True)
        scaled = [
            (min(max(value, low), high) - mean) / scale for value, low, high, mean, scale in columns
        ]
        return self.intercept + sum(
            coef * value for coef, value in zip(self.coef, scaled, strict=True)
        )
