"""LangChain's states, questions and answers as ct-guard's, and back."""

import math
from collections.abc import Mapping, Sequence

from langchain_core.decisions import (
    BoxAnswer,
    ChoiceAnswer,
    ClassifierResponse,
    NoulAnswer,
    Question,
    ScoreAnswer,
    State,
)
from langchain_core.messages import BaseMessage
from pydantic import BaseModel, JsonValue

from ct_guard.decisions import NO, YES, Choice, Judgement, Noul, Score, as_answer, parse_questions
from ct_guard.errors import UsageError

from ..messages import text_of

__all__ = ["own_questions", "plain_state", "probabilities_in", "response_of"]

_MEDIA = frozenset({"image", "image_url", "audio", "video", "file"})
_MEDIA_IN = ("base64", "url", "image_url", "file_id")


def plain_state(state: State) -> JsonValue:
    """The state as a JSON value. A message alone is its text; within lists and objects it is an
    object of `role` and `content`.

    Raises UsageError for images, audio and files, and for values that JSON does not know.
    """
    return text_of(state) if isinstance(state, BaseMessage) else _plain(state)


def own_questions(
    questions: Mapping[str, Question | Mapping[str, object]],
) -> dict[str, Noul | Choice | Score]:
    """Raises UsageError for a box, which lies in an image, and for what is no question."""
    return parse_questions(
        {
            name: one.model_dump(mode="json") if isinstance(one, BaseModel) else one
            for name, one in questions.items()
        }
    )


def response_of(
    model: str,
    questions: Mapping[str, Noul | Choice | Score],
    judgements: Mapping[str, Judgement],
    tokens: int | None = None,
) -> ClassifierResponse:
    """The answers in LangChain's types; `tokens` that were read for them."""
    return ClassifierResponse.model_validate(
        {
            "model": model,
            "answers": {name: as_answer(questions[name], one) for name, one in judgements.items()},
            "usage": None if tokens is None else {"input_tokens": tokens, "output_tokens": 0},
        }
    )


def probabilities_in(
    answer: NoulAnswer | ChoiceAnswer | ScoreAnswer | BoxAnswer,
) -> dict[str, float] | None:
    """What another decision model says, by label; None of a box, which has no labels."""
    match answer:
        case NoulAnswer():
            return {YES: answer.noul, NO: 1.0 - answer.noul}
        case ChoiceAnswer():
            return dict(answer.probabilities)
        case ScoreAnswer():
            return {str(level): p for level, p in answer.probabilities.items()}
        case _:
            return None


def _plain(value: object) -> JsonValue:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise UsageError(f"the state holds {value}, which JSON does not know")
            return value
        case BaseMessage():
            return {"role": value.type, "content": text_of(value)}
        case BaseModel():
            return _plain(value.model_dump(mode="json"))
        case Mapping():
            if value.get("type") in _MEDIA and any(value.get(name) for name in _MEDIA_IN):
                raise UsageError(
                    f"{value['type']} content in the state is not text: estimators read text only"
                )
            return {str(name): _plain(one) for name, one in value.items()}
        case Sequence() if not isinstance(value, (bytes, bytearray)):
            return [_plain(one) for one in value]
    raise UsageError(f"a {type(value).__name__} in the state cannot be read: give text or JSON")
