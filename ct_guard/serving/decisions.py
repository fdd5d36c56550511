"""`/v1/systemone` and `/v1/decisions`: typed questions about a state, in the two forms in which
clients ask them.

| | `/v1/systemone` | `/v1/decisions` |
|---|---|---|
| who asks so | decision models of langchain-core, LiteLLM, TypeSafe's SDK | OpenAI's API |
| what it is about | `state`: text or JSON | `input`: text, or user messages of text |
| questions, and answers | objects by id | lists, by `name` |
| types | `noul`, `choice`, `score` | `predicate`, `choice`, `score` |
"""

from collections.abc import Mapping
from typing import Any

from anyio import to_thread
from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse

from ct_guard.decisions import (
    Choice,
    Enquiry,
    Judgement,
    Noul,
    Score,
    as_answer,
    deciding,
    decisions_of,
    parse_questions,
)
from ct_guard.errors import UsageError
from ct_guard.guard import Guard
from ct_guard.records import Confidence

from .bodies import Refused, json_object, listed

__all__ = ["Decisions"]

AnyQuestion = Noul | Choice | Score
Values = Mapping[str, str | bool]
"""Of a choice in OpenAI's form: its values by their labels."""


class Decisions:
    """A decision model over the guard's estimator, with what its directory knows of decisions."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._calibration = decisions_of(guard.estimator)

    async def systemone(self, request: Request) -> JSONResponse:
        """The endpoint `/v1/systemone`."""
        _, fields = await json_object(request)
        if "state" not in fields:
            raise Refused(400, "field 'state' is missing", "missing_required_parameter", "state")
        questions = parse_questions(fields.get("questions"))
        judged, tokens = await self._judged(fields["state"], questions)
        answers = {name: as_answer(questions[name], one) for name, one in judged.items()}
        return JSONResponse({**self._about(tokens), "answers": answers})

    async def decisions(self, request: Request) -> JSONResponse:
        """The endpoint `/v1/decisions`."""
        _, fields = await json_object(request)
        rows = listed(fields, "questions")
        values = [_values(row) for row in rows]
        given = {str(at): _question(row, each) for at, (row, each) in _numbered(rows, values)}
        questions = parse_questions(given)
        judged, tokens = await self._judged(_state(fields.get("input")), questions)
        answers = [
            _answer(row, questions[str(at)], judged[str(at)], each)
            for at, (row, each) in _numbered(rows, values)
        ]
        return JSONResponse({**self._about(tokens), "object": "decision", "answers": answers})

    def _about(self, tokens: int | None) -> dict[str, JsonValue]:
        counts: dict[str, JsonValue] = {"output_tokens": 0}
        counts |= {"input_tokens": tokens, "total_tokens": tokens}
        return {
            "model": self._guard.estimator.name,
            "usage": None if tokens is None else counts,
        }

    async def _judged(
        self, state: JsonValue, questions: Mapping[str, AnyQuestion]
    ) -> tuple[dict[str, Judgement], int | None]:
        """The judgements, and the tokens that were read for them. Raises UsageError where a label
        cannot be scored."""
        enquiry = Enquiry.about(state, questions)
        estimator = deciding(self._guard.estimator)

        def read() -> tuple[list[Confidence], int | None]:
            return estimator.score(enquiry.items), enquiry.tokens(estimator)

        # on the guard's thread: it is the model's, whoever asks
        confidences, tokens = await to_thread.run_sync(self._guard.run, read)
        return enquiry.judged(confidences, self._calibration), tokens


def _numbered(rows: list[Any], values: list[Values]) -> list[tuple[int, tuple[Any, Values]]]:
    return list(enumerate(zip(rows, values, strict=True)))


def _state(given: Any) -> JsonValue:
    """The text of `input`. Raises Refused for images, which are not read."""
    if isinstance(given, str):
        return given
    texts = []
    for message in given if isinstance(given, list) else [None]:
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in [content] if isinstance(content, str) else _parts(content):
            texts.append(part if isinstance(part, str) else part.get("text"))
    if not texts or not all(isinstance(text, str) for text in texts):
        said = "field 'input' must be text, or user messages of text: nothing else is read"
        raise Refused(400, said, "invalid_value", "input")
    return "\n\n".join(texts)


def _parts(content: Any) -> list[Any]:
    known = isinstance(content, list) and all(isinstance(part, Mapping) for part in content)
    return content if known else [{}]


def _values(row: Any) -> Values:
    """Raises UsageError for a choice whose values are none."""
    if not isinstance(row, Mapping):
        raise UsageError("a question must be an object with a type and instructions")
    if row.get("type") != "choice":
        return {}
    given = row.get("choices")
    options = [each for each in (given if isinstance(given, list) else ()) if _is_option(each)]
    values = {_label(each["value"]): each["value"] for each in options}
    if not isinstance(given, list) or len(values) != len(given):
        raise UsageError("field 'choices' must be a list of objects, each with a value of its own")
    return values


def _is_option(given: Any) -> bool:
    return isinstance(given, Mapping) and isinstance(given.get("value"), str | bool)


def _label(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _question(row: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """A question of OpenAI's form in that of `/v1/systemone`; what is no question stays so."""
    made: dict[str, Any] = {"type": row.get("type"), "instructions": row.get("instructions")}
    if made["type"] == "predicate":
        return {**made, "type": "noul"}
    if made["type"] == "choice":
        said = [option.get("description") for option in row["choices"]]
        return {**made, "criteria": dict(zip(values, said, strict=True))}
    if made["type"] == "score":
        return {**made, "criteria": [_level(each) for each in listed(dict(row), "levels")]}
    return made


def _level(given: Any) -> str:
    level = given if isinstance(given, Mapping) else {"label": given}
    said = [level.get("label"), level.get("description")]
    return ": ".join(text for text in said if isinstance(text, str) and text)


def _answer(
    row: Mapping[str, Any], question: AnyQuestion, judged: Judgement, values: Values
) -> dict[str, JsonValue]:
    """In OpenAI's form, with `calibrated` and `truncated` beside what it knows."""
    told = as_answer(question, judged)
    known: dict[str, JsonValue] = {**told, "name": row.get("name"), "type": row["type"]}
    known.pop("legend", None)
    match question:
        case Noul():
            known["probability"] = known.pop("noul")
        case Choice():
            known["choice"] = values[judged.label]
            known["probabilities"] = [
                {"value": values[label], "probability": p}
                for label, p in judged.probabilities.items()
            ]
        case Score():
            known["probabilities"] = [
                {"value": level, "label": _label_of(given), "probability": p}
                for level, (given, p) in enumerate(
                    zip(row["levels"], judged.probabilities.values(), strict=True)
                )
            ]
    return known


def _label_of(given: Any) -> JsonValue:
    return given.get("label") if isinstance(given, Mapping) else given
