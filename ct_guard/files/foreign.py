"""Rows as other tools write them, as rows of ours: one pure function for each tool.

A function takes the fields of a row and returns `question` (or `messages`), `answer` and, where the
tool says so, `id`, `correct`, `model`, `logprobs`, `samples`, and what else it knows as numbers. A
request that failed has the empty answer, and `error` says why. ForeignError is raised for a row
that is not of this shape.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .foreign_parts import (
    ForeignError,
    asked,
    filled,
    grade_of,
    listed,
    mapping,
    number,
    path_of,
    said,
)

__all__ = ["FORMATS", "ForeignError", "ForeignFormat", "format_like"]

Fields = Mapping[str, Any]
Made = dict[str, Any]


def lm_eval(row: Fields) -> Made:
    """A line of `samples_TASK_….jsonl`, which lm-evaluation-harness writes with `--log_samples`:
    `doc_id, doc, target, arguments, resps, filtered_resps, filter, metrics` and each metric.

    A generation is judged as its filter leaves it. Of multiple choice, the answer is the likeliest
    continuation, and `choice_probability` its share among them. Further generations of a request
    are `samples`.
    """
    requests = [list(one.values()) if isinstance(one, dict) else listed(one)
                for one in (row["arguments"].values() if isinstance(row["arguments"], dict)
                            else listed(row["arguments"]))]  # fmt: skip
    replies = listed(row.get("filtered_resps"))
    if not requests or not requests[0] or not replies:
        raise ForeignError("has no 'arguments' with 'filtered_resps'")
    names = [str(name) for name in listed(row.get("metrics"))]
    metrics = {name: row[name] for name in ("exact_match", "acc", *names) if name in row}
    graded = next((value for value in metrics.values() if value is not None), None)
    if len(requests[0]) > 2 and requests[0][2]:
        raise ForeignError("shows more than text (its third argument); only text is scored")
    if len(requests[0]) == 1:
        raise ForeignError("has no answer: the likelihood of a text was measured")
    question = asked(requests[0][0])
    made = {
        "id": row.get("doc_id"),
        "correct": grade_of(graded),
        "filter": row.get("filter"),
        **{name: number(value) for name, value in metrics.items()},
    }
    if len(requests[0]) > 1 and isinstance(requests[0][1], str):
        return filled({**question, **_likeliest(requests, replies), **made})
    raw = [said(one) for one in _several(listed(row.get("resps")))]
    kept = said(next(iter(_several(replies)), None))
    if kept == "[invalid]" and raw:  # what a filter writes that found nothing
        kept = raw[0]
    whole = raw[0] if raw and raw[0] != kept else None
    return filled({**question, "answer": kept, **made, "response": whole, "samples": raw[1:]})


def _several(replies: list[Any]) -> list[Any]:
    """The replies to the first request: one, or a list of them."""
    first = replies[0] if replies else []
    return first if isinstance(first, list) else [first]


def _likeliest(requests: list[list[Any]], replies: list[Any]) -> Made:
    """The answer among continuations of one context, by their log-likelihoods."""
    chosen = [
        (number(listed(reply)[0]), str(request[1]).strip())
        for request, reply in zip(requests, map(_flat, replies), strict=False)
        if request[0] == requests[0][0]
    ]
    known = [(value, text) for value, text in chosen if value is not None]
    if len(known) < 2 or len({text for _, text in known}) < 2:
        raise ForeignError("is no choice between answers: only one continuation was measured")
    best = max(value for value, _ in known)
    total = sum(math.exp(value - best) for value, _ in known)
    answer = next(text for value, text in known if value == best)
    return {"answer": answer, "choice_probability": round(1 / total, 6)}


def _flat(reply: Any) -> Any:
    """[log-likelihood, is greedy], of however many lists it stands in."""
    while isinstance(reply, list) and reply and isinstance(reply[0], list):
        reply = reply[0]
    return reply


def openai_batch(row: Fields) -> Made:
    """A line of a batch's output file: `custom_id, response.body, error`. The body is a chat
    completion, a completion, or a response of `/v1/responses`. What was asked is not in it: it is
    `request.body`, the line of the input file with the same `custom_id`.
    """
    body = mapping(path_of(row, "response.body"))
    request = mapping(path_of(row, "request.body"))
    sent = next(
        (request[name] for name in ("messages", "input", "prompt") if request.get(name)), None
    )
    question = asked(sent)
    instructions = request.get("instructions")
    if isinstance(instructions, str) and question:
        system = {"role": "system", "content": instructions}
        question = {"messages": [system, *_turns(question)]}
    made = {"id": row.get("custom_id"), "model": body.get("model")}
    failed = row.get("error") or body.get("error")
    if failed or not body:
        reason = mapping(failed).get("message") or failed or "no response"
        return _failed({**question, **made}, reason)
    if "output" in body:  # /v1/responses
        parts = [part for item in listed(body["output"])
                 if mapping(item).get("type") == "message"
                 for part in listed(mapping(item).get("content"))]  # fmt: skip
        tokens = [token for part in parts for token in listed(mapping(part).get("logprobs"))]
        end = path_of(body, "incomplete_details.reason")
        return filled({**question, "answer": said(parts), **made, "logprobs": tokens,
                       "finish_reason": end})  # fmt: skip
    choices = [mapping(one) for one in listed(body.get("choices"))]
    if not choices:
        raise ForeignError("has no 'choices' in its body")
    texts = [said(one.get("message") or one.get("text")) for one in choices]
    return filled(
        {**question, "answer": texts[0], **made,
         "logprobs": choices[0].get("logprobs"),
         "finish_reason": choices[0].get("finish_reason"), "samples": texts[1:]}
    )  # fmt: skip


def _failed(made: Made, reason: Any) -> Made:
    """A row whose request failed."""
    return filled({**made, "answer": "", "error": str(reason)[:200]})


def _turns(question: Made) -> list[Any]:
    messages: list[Any] = question.get("messages") or [
        {"role": "user", "content": question["question"]}
    ]
    return messages


def promptfoo(row: Fields) -> Made:
    """A result of `promptfoo eval -o results.json` (an item of `results.results`) or `-o
    results.jsonl`: `prompt.raw, vars, provider, response.output, success, score, namedScores`. It
    is correct where its assertions passed; without any, there is no grade.
    """
    if "prompt" not in row:
        raise ForeignError("has no 'prompt'")
    output = path_of(row, "response.output")
    question = asked(path_of(row, "prompt.raw"))
    number_of = row.get("id") or f"{row.get('testIdx')}-{row.get('promptIdx')}"
    if output is None:
        return _failed({**question, "id": number_of}, row.get("error") or "no response")
    reason = str(path_of(row, "gradingResult.reason") or "")
    provider = row.get("provider")
    named = mapping(row.get("namedScores"))
    return filled(
        {
            **question,
            "answer": said(output),
            "id": number_of,
            "correct": None if reason == "No assertions" else grade_of(row.get("success")),
            "model": path_of(provider, "label")
            or path_of(provider, "id")
            or (provider if isinstance(provider, str) else None),
            "logprobs": path_of(row, "response.logProbs"),
            "finish_reason": path_of(row, "response.finishReason"),
            "score": number(row.get("score")),
            **{f"score.{name}": number(value) for name, value in named.items()},
        }
    )


def inspect(row: Fields) -> Made:
    """A sample of a log of Inspect (inspect_ai) in its JSON form (an item of `samples`): `id,
    epoch, input, choices, output.choices[0].message, output.model, scores`. The first score grades
    it, where it is C or I, true or false, 1 or 0; its `answer` is judged where a scorer took one
    out.
    """
    choice = mapping((listed(path_of(row, "output.choices")) or [None])[0])
    if "input" not in row:
        raise ForeignError("has no 'input'")
    whole = said(choice.get("message") or path_of(row, "output.completion"))
    scores = {name: mapping(score) for name, score in mapping(row.get("scores")).items()}
    first = next(iter(scores.values()), {})
    taken = first.get("answer")
    answer = taken if isinstance(taken, str) and taken else whole
    question = asked(row.get("input"))
    choices = listed(row.get("choices"))
    if choices and "question" in question:
        lines = [f"({chr(ord('a') + at)}): {text}" for at, text in enumerate(choices)]
        question["question"] += "\n\nChoices:\n" + "\n".join(lines)
    if not choice and not whole:
        reason = path_of(row, "error.message") or "no output"
        return _failed({**question, "id": row.get("id")}, reason)
    return filled(
        {
            **question,
            "answer": answer,
            "id": row.get("id"),
            "correct": grade_of(first.get("value")),
            "model": path_of(row, "output.model"),
            "logprobs": choice.get("logprobs"),
            "finish_reason": choice.get("stop_reason"),
            "response": whole if whole != answer else None,
            "epoch": row.get("epoch"),
            **{f"score.{name}": number(one.get("value")) for name, one in scores.items()},
        }
    )


_INPUTS = ("question", "input", "query", "prompt", "text", "messages")
_OUTPUTS = ("answer", "output", "generations", "choices", "message", "messages", "content", "text",
            "result", "response")  # fmt: skip
_GRADES = ("correctness", "correct", "accuracy")


def langsmith(row: Fields) -> Made:
    """A run of LangSmith's run data format (`inputs, outputs, feedback_stats, error, extra`; of
    the SDK, the API or a bulk export), or a row of an experiment's table (`inputs.NAME,
    outputs.NAME, feedback.NAME`). Feedback named correctness (or correct, accuracy) grades it.
    """
    inputs, outputs = (_nested(row, name) for name in ("inputs", "outputs"))
    feedback = {
        name: mapping(value).get("avg") if isinstance(value, dict) else value
        for name, value in {**_nested(row, "feedback_stats"), **_nested(row, "feedback")}.items()
    }
    sent, made = _named(inputs, _INPUTS), _named(outputs, _OUTPUTS)
    if row.get("error"):
        return _failed({**asked(sent), "id": row.get("id")}, row["error"])
    if made is None:
        raise ForeignError("has no text in its 'outputs'")
    message = path_of(made, "0.0.message.kwargs") or path_of(made, "kwargs")
    return filled(
        {
            **asked(sent),
            "answer": said(made),
            "id": row.get("id"),
            "correct": next(
                (grade_of(feedback[name]) for name in _GRADES if name in feedback), None
            ),
            "model": path_of(row, "extra.metadata.ls_model_name"),
            "logprobs": path_of(message, "response_metadata.logprobs")
            or path_of(outputs, "choices.0.logprobs"),
            "finish_reason": path_of(message, "response_metadata.finish_reason")
            or path_of(outputs, "choices.0.finish_reason"),
            **{f"feedback.{name}": number(value) for name, value in feedback.items()},
        }
    )


def _nested(row: Fields, name: str) -> dict[str, Any]:
    """The object `name`, or the columns `name.KEY` that it was spread over."""
    spread = {key[len(name) + 1 :]: value for key, value in row.items()
              if key.startswith(f"{name}.")}  # fmt: skip
    return spread or mapping(row.get(name))


def _named(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value by the first of these names that there is, or the only one."""
    found = next((values[name] for name in names if values.get(name) not in (None, "")), None)
    return next(iter(values.values())) if found is None and len(values) == 1 else found


@dataclass(frozen=True)
class ForeignFormat:
    """What a tool's files look like."""

    made: Callable[[Fields], Made]
    marks: tuple[frozenset[str], ...]
    """Fields by which its rows, or its document, are known: each set alone suffices."""
    items: tuple[str, ...] = ()
    """Where the rows stand in its JSON document, the first place that there is."""
    view: str | None = None
    """A field in which the same answers come several times: its first value's rows count."""


FORMATS: dict[str, ForeignFormat] = {
    "lm-eval": ForeignFormat(lm_eval, (frozenset({"doc_id", "arguments"}),), view="filter"),
    "openai-batch": ForeignFormat(openai_batch, (frozenset({"custom_id", "response"}),)),
    "promptfoo": ForeignFormat(
        promptfoo,
        (frozenset({"prompt", "vars", "success"}), frozenset({"evalId", "results"})),
        ("results.results", "results"),
    ),
    "inspect": ForeignFormat(
        inspect, (frozenset({"eval", "samples"}), frozenset({"epoch", "target"})), ("samples",)
    ),
    "langsmith": ForeignFormat(
        langsmith, (frozenset({"inputs", "outputs"}), frozenset({"inputs", "run_type"}))
    ),
}
"""By the name that `--format` takes."""


def format_like(names: Iterable[str]) -> str | None:
    """The format that fields of these names are known by."""
    whole = set(names)
    found = whole | {name.partition(".")[0] for name in whole}
    return next(
        (name for name, one in FORMATS.items() if any(mark <= found for mark in one.marks)), None
    )
