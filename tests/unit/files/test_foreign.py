"""Files of other tools, each in the shape that the tool documents, as rows of ours."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ct_guard.cli.options import FORMATS as OFFERED
from ct_guard.errors import FieldError, InputError
from ct_guard.files import Shape, check_beginning, correct_of, open_rows, question_answer
from ct_guard.files.foreign import FORMATS, ForeignError
from ct_guard.files.foreign_parts import said
from ct_guard.records import QuestionAnswer

Rows = list[dict[str, Any]]

TOKENS = [
    {"token": "Par", "bytes": [80], "logprob": -0.25,
     "top_logprobs": [{"token": "Par", "logprob": -0.25}, {"token": "Lo", "logprob": -2.25}]},
    {"token": "is", "bytes": [105], "logprob": -0.5, "top_logprobs": []},
]  # fmt: skip


def lines(folder: Path, rows: Rows, name: str = "theirs.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, **shape: Any) -> Rows:
    rows = list(open_rows(path, shape=Shape(**shape)))
    assert [row.error for row in rows] == [None] * len(rows)
    assert all(isinstance(question_answer(row), QuestionAnswer) for row in rows)
    return [row.fields for row in rows]


GSM8K = {
    "doc_id": 0,
    "doc": {"question": "Tom has 3 apples and buys 4. How many?", "answer": "3+4=7\n#### 7"},
    "target": "3+4=7\n#### 7",
    "arguments": {
        "gen_args_0": {
            "arg_0": "Question: Tom has 3 apples and buys 4. How many?\nAnswer:",
            "arg_1": {"until": ["Question:"], "do_sample": False},
        }
    },
    "resps": [["3 + 4 = 7. The answer is 7."]],
    "filtered_resps": ["7"],
    "filter": "flexible-extract",
    "metrics": ["exact_match"],
    "doc_hash": "a0",
    "prompt_hash": "b0",
    "target_hash": "c0",
    "exact_match": 1.0,
}


def test_lm_eval_generations_are_judged_as_their_filter_leaves_them(tmp_path: Path) -> None:
    strict = GSM8K | {"filter": "strict-match", "filtered_resps": ["[invalid]"], "exact_match": 0.0}
    [row] = read(lines(tmp_path, [GSM8K, strict]), format="lm-eval")
    assert row == {
        "question": "Question: Tom has 3 apples and buys 4. How many?\nAnswer:",
        "answer": "7",
        "id": 0,
        "correct": True,
        "filter": "flexible-extract",
        "exact_match": 1.0,
        "response": "3 + 4 = 7. The answer is 7.",
    }
    [other] = read(lines(tmp_path, [strict, GSM8K]), format="lm-eval")
    assert (other["answer"], other["correct"]) == ("3 + 4 = 7. The answer is 7.", False)


def test_lm_eval_repeats_are_samples_and_chats_are_conversations(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]
    sample = GSM8K | {
        "arguments": [[json.dumps(turns), {}]],
        "resps": [["4", "5", "4"]],
        "filtered_resps": ["4"],
    }
    [row] = read(lines(tmp_path, [sample]), format="lm-eval")
    assert (row["answer"], row["samples"], row["messages"]) == ("4", ["5", "4"], turns)


def test_lm_eval_multiple_choice_answers_with_the_likeliest_continuation(tmp_path: Path) -> None:
    context = "Question: Which is the capital of France?\nAnswer:"
    sample = {
        "doc_id": 7,
        "doc": {"question": "Which is the capital of France?"},
        "target": "1",
        "arguments": {
            f"gen_args_{at}": {"arg_0": context, "arg_1": f" {city}"}
            for at, city in enumerate(("Rome", "Paris", "Bonn"))
        },
        "resps": [[["-2.0", "False"]], [["-1.0", "True"]], [["-9.0", "False"]]],
        "filtered_resps": [["-2.0", "False"], ["-1.0", "True"], ["-9.0", "False"]],
        "acc": 1.0,
        "acc_norm": 0.0,
        "metrics": ["acc", "acc_norm"],
        "filter": "none",
    }
    [row] = read(lines(tmp_path, [sample]), format="lm-eval")
    assert (row["question"], row["answer"], row["correct"]) == (context, "Paris", True)
    assert row["choice_probability"] == pytest.approx(0.731, abs=0.001)
    assert row["acc_norm"] == 0.0


def completion(custom_id: str, content: str | None, **more: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "refusal": None},
        "logprobs": {"content": TOKENS, "refusal": None},
        "finish_reason": "stop",
    }
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1711475054,
        "model": "gpt-4o-mini",
        "choices": [choice],
        "usage": {"prompt_tokens": 8, "completion_tokens": 1, "total_tokens": 9},
        "system_fingerprint": None,
    }
    response = {"status_code": 200, "request_id": "req_1", "body": body}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None} | more


def test_openai_batch_answers_are_joined_with_their_requests(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Capital of France?"}]
    requests = lines(
        tmp_path,
        [
            {"custom_id": name, "method": "POST", "url": "/v1/chat/completions",
             "body": {"model": "gpt-4o-mini", "messages": turns}}
            for name in ("one", "two")
        ],
        "requests.jsonl",
    )  # fmt: skip
    failed = {"code": "batch_expired", "message": "This request expired."}
    results = [completion("two", None, response=None, error=failed), completion("one", "Paris")]
    path = lines(tmp_path, results)
    gone, row = read(path, format="openai-batch", requests=requests)
    assert gone == {
        "question": "Capital of France?", "id": "two", "answer": "",
        "error": "This request expired.",
    }  # fmt: skip
    assert (row["question"], row["answer"], row["id"]) == ("Capital of France?", "Paris", "one")
    assert (row["model"], row["finish_reason"]) == ("gpt-4o-mini", "stop")
    with pytest.raises(InputError, match=r"do not say what was asked: .* with `requests`"):
        open_rows(path, shape=Shape(format="openai-batch"))


def test_openai_batch_of_the_responses_api(tmp_path: Path) -> None:
    body = {
        "object": "response",
        "model": "gpt-5-mini",
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant",
             "content": [{"type": "output_text", "text": "Paris", "logprobs": TOKENS}]},
        ],
    }  # fmt: skip
    request = {"custom_id": "a", "url": "/v1/responses",
               "body": {"instructions": "Be brief.", "input": "Capital of France?"}}  # fmt: skip
    requests = lines(tmp_path, [request], "requests.jsonl")
    path = lines(tmp_path, [completion("a", None) | {"response": {"body": body}}])
    [row] = read(path, format="openai-batch", requests=requests)
    assert [turn["role"] for turn in row["messages"]] == ["system", "user"]
    assert (row["answer"], row["logprobs"]) == ("Paris", TOKENS)
    assert row["finish_reason"] == "max_output_tokens"


@pytest.mark.parametrize(
    "thought",
    [
        {"text": "Lyon?", "thought": True},
        {"type": "reasoning", "text": "Lyon?"},
        {"type": "thinking", "thinking": "Lyon?"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Lyon?"}]},
    ],
)
def test_thoughts_among_the_parts_of_a_reply_are_not_said(thought: dict[str, Any]) -> None:
    assert said([thought, {"type": "text", "text": "Paris"}]) == "Paris"
    assert said({"content": [thought, {"text": "Paris"}]}) == "Paris"


def test_an_empty_text_beside_a_message_is_not_what_was_said() -> None:
    message = {"content": [{"type": "thinking", "thinking": "Lyon?"}, {"text": "Paris"}]}
    assert said([[{"text": "", "message": {"kwargs": message}}]]) == "Paris"


def test_a_conversation_that_ends_in_a_tool_says_nothing() -> None:
    called = {"type": "ai", "content": "", "tool_calls": [{"name": "find"}]}
    assert said([called, {"type": "tool", "content": "9"}]) == ""
    assert said([called, {"type": "ai", "content": "Paris"}]) == "Paris"


def test_log_probabilities_of_an_api_are_read_as_numbers(tmp_path: Path) -> None:
    objects = {"content": TOKENS, "refusal": None}
    older = {"tokens": ["Par", "is"], "token_logprobs": [None, -0.5], "top_logprobs": None}
    rows = [
        {"question": "q", "answer": "Paris", "logprobs": value}
        for value in (objects, TOKENS, json.dumps(objects), older, {"content": None})
    ]
    found = [question_answer(row) for row in open_rows(lines(tmp_path, rows))]
    assert [isinstance(one, QuestionAnswer) and one.logprobs for one in found] == [
        (-0.25, -0.5), (-0.25, -0.5), (-0.25, -0.5), (-0.5,), None,
    ]  # fmt: skip


RESULT = {
    "promptIdx": 0,
    "testIdx": 3,
    "testCase": {"vars": {"city": "France"}, "assert": [{"type": "equals", "value": "Paris"}]},
    "provider": {"id": "openai:gpt-4o-mini", "label": ""},
    "prompt": {"raw": "Capital of France?", "label": "Capital of {{city}}?"},
    "vars": {"city": "France"},
    "response": {
        "output": "Paris",
        "tokenUsage": {"total": 9},
        "cached": False,
        "finishReason": "stop",
    },
    "success": True,
    "score": 1,
    "namedScores": {"brevity": 0.5},
    "gradingResult": {"pass": True, "score": 1, "reason": "All assertions passed"},
    "latencyMs": 12,
}


def test_promptfoo_results_in_one_document_or_a_line_each(tmp_path: Path) -> None:
    failed = RESULT | {"testIdx": 4, "response": None, "error": "429", "success": False}
    ungraded = RESULT | {"gradingResult": {"pass": True, "score": 1, "reason": "No assertions"}}
    results = [RESULT, failed, ungraded]
    document = tmp_path / "results.json"
    inner = {"version": 3, "timestamp": "2026-01-01", "prompts": [], "stats": {}}
    document.write_text(json.dumps({"evalId": "e", "results": inner | {"results": results}}))
    rows = read(document, format="promptfoo")
    assert rows == read(lines(tmp_path, results), format="promptfoo")
    assert rows[0] == {
        "question": "Capital of France?", "answer": "Paris", "id": "3-0", "correct": True,
        "model": "openai:gpt-4o-mini", "finish_reason": "stop", "score": 1.0, "score.brevity": 0.5,
    }  # fmt: skip
    assert (rows[1]["answer"], rows[1]["error"]) == ("", "429")
    assert "correct" not in rows[1]
    assert "correct" not in rows[2]


def sample(**more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Surely Paris.\n\nANSWER: B", "source": "generate"}
    return {
        "id": 1,
        "epoch": 1,
        "input": "Capital of France?",
        "choices": ["Rome", "Paris"],
        "target": "B",
        "messages": [{"role": "user", "content": "Capital of France?"}, message],
        "output": {
            "model": "openai/gpt-4o-mini",
            "choices": [
                {"message": message, "stop_reason": "stop", "logprobs": {"content": TOKENS}}
            ],
        },
        "scores": {"choice": {"value": "C", "answer": "B", "explanation": "…"}},
        "metadata": {},
    } | more


def test_inspect_logs_in_their_json_form(tmp_path: Path) -> None:
    wrong = sample(epoch=2, scores={"choice": {"value": "I", "answer": "A"}})
    open_ended = sample(
        id=2, choices=None, input=[{"role": "user", "content": "Say hello."}],
        scores={"judge": {"value": "P"}, "style": {"value": 0.5}},
    )  # fmt: skip
    failed = sample(id=3, output={"choices": []}, scores=None, error={"message": "time-out"})
    path = tmp_path / "log.json.gz"
    log = {"version": 2, "status": "success", "eval": {"task": "t", "model": "openai/gpt-4o-mini"},
           "samples": [sample(), wrong, open_ended, failed]}  # fmt: skip
    path.write_bytes(gzip.compress(json.dumps(log).encode()))
    first, second, third, fourth = read(path, format="inspect")
    assert first["question"] == "Capital of France?\n\nChoices:\n(a): Rome\n(b): Paris"
    assert (first["answer"], first["correct"], first["model"]) == ("B", True, "openai/gpt-4o-mini")
    assert first["response"].startswith("Surely Paris.")
    assert first["logprobs"] == {"content": TOKENS}
    assert (second["correct"], second["epoch"]) == (False, 2)
    assert (third["question"], third["score.style"]) == ("Say hello.", 0.5)
    assert "correct" not in third
    assert (fourth["answer"], fourth["error"]) == ("", "time-out")


def run(**more: Any) -> dict[str, Any]:
    return {
        "id": "5c2f",
        "name": "ask",
        "run_type": "chain",
        "start_time": "2026-01-01T00:00:00",
        "inputs": {"question": "Capital of France?"},
        "outputs": {"output": "Paris"},
        "error": None,
        "extra": {"metadata": {"ls_model_name": "gpt-4o-mini"}},
        "feedback_stats": {"correctness": {"n": 1, "avg": 1.0}, "tone": {"n": 1, "avg": 0.25}},
    } | more


def test_langsmith_runs(tmp_path: Path) -> None:
    message = {
        "lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"],
        "kwargs": {"content": "Paris", "type": "ai",
                   "response_metadata": {"logprobs": {"content": TOKENS}}},
    }  # fmt: skip
    human = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "HumanMessage"],
             "kwargs": {"content": "Capital of France?", "type": "human"}}  # fmt: skip
    chat = run(
        run_type="llm",
        inputs={"messages": [[human]]},
        outputs={"generations": [[{"text": "Paris", "message": message}]], "llm_output": {}},
        feedback_stats=None,
    )
    exported = run(inputs=json.dumps({"input": "Capital of France?"}))
    failed = run(outputs=None, error="TimeoutError()")
    one, two, three, four = read(
        lines(tmp_path, [run(), chat, exported, failed]), format="langsmith"
    )
    assert one == {
        "question": "Capital of France?", "answer": "Paris", "id": "5c2f", "correct": True,
        "model": "gpt-4o-mini", "feedback.correctness": 1.0, "feedback.tone": 0.25,
    }  # fmt: skip
    assert (two["question"], two["answer"]) == ("Capital of France?", "Paris")
    assert two["logprobs"] == {"content": TOKENS}
    assert three["question"] == "Capital of France?"
    assert (four["answer"], four["error"]) == ("", "TimeoutError()")


def test_langsmith_experiments_as_tables(tmp_path: Path) -> None:
    path = tmp_path / "experiment.csv"
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["inputs.question", "outputs.answer", "error", "reference.answer",
                        "feedback.correctness", "execution_time", "example_id", "id"])  # fmt: skip
        table.writerow(["Capital of France?", "Rome", "", "Paris", "0", "0.5", "e1", "r1"])
    [row] = read(path, format="langsmith")
    assert (row["question"], row["answer"], row["id"]) == ("Capital of France?", "Rome", "r1")
    assert row["correct"] is False


# --- fields by other names ----------------------------------------------------------------------


def test_fields_are_named_where_no_format_knows_them(tmp_path: Path) -> None:
    rows = [{"prompt": {"text": "q?"}, "reply": ["a", "b"], "verdict": "C", "question": "old"}]
    [row] = read(
        lines(tmp_path, rows),
        question_field="prompt.text", answer_field="reply.1", correct_field="verdict",
    )  # fmt: skip
    assert (row["question"], row["answer"], row["correct"]) == ("q?", "b", True)
    assert row["input_question"] == "old"
    assert row["verdict"] == "C"


def test_named_fields_win_over_the_format(tmp_path: Path) -> None:
    path = lines(tmp_path, [GSM8K])
    [row] = read(
        path, format="lm-eval", question_field="doc.question", answer_field="resps.0.0",
        correct_field="exact_match",
    )  # fmt: skip
    assert row["question"] == "Tom has 3 apples and buys 4. How many?"
    assert row["answer"] == "3 + 4 = 7. The answer is 7."
    assert row["correct"] is True


def test_a_document_that_is_a_list_of_rows_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"question": "q?", "answer": "a", "score": 1.5}]))
    assert read(path) == [{"question": "q?", "answer": "a", "score": 1.5}]


def test_a_named_grade_that_is_none_is_refused_by_its_row(tmp_path: Path) -> None:
    path = lines(tmp_path, [{"question": "q?", "answer": "a", "mark": 0.5}])
    [row] = open_rows(path, shape=Shape(correct_field="mark"))
    assert "field 'correct' must be true or false" in str(correct_of(row))


@pytest.mark.parametrize(
    ("row", "shape", "said"),
    [
        (
            {"prompt": "q", "reply": "a"},
            {},
            "needs the columns 'question' .*found 'prompt', 'reply'.* `question_field`,"
            " `answer_field` and `correct_field`",
        ),
        (GSM8K, {}, "or say which fields .*; it looks like `format` lm-eval"),
        (GSM8K, {"format": "inspect"}, "line 1: has no 'input': say which .*`format` lm-eval"),
        ({"a": 1}, {"format": "lm-eval"}, "no row of the format lm-eval .*: say which fields"),
        ({"prompt": "q"}, {"question_field": "promt"}, "line 1: has no field 'promt': say which"),
        ({"prompt": "q"}, {"question_field": "prompt"}, "no row has a 'answer' in this shape"),
    ],
)
def test_an_unknown_shape_is_refused_once_and_with_the_way_out(
    row: dict[str, Any], shape: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = lines(tmp_path, [row])
    look = open_rows if shape else check_beginning
    with pytest.raises(InputError, match=said) as caught:
        look(path, shape=Shape(**shape))
    assert "\n" not in str(caught.value)


def test_one_odd_row_among_many_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = lines(tmp_path, [GSM8K, {"doc_id": 1}, GSM8K])
    first, odd, last = open_rows(path, shape=Shape(format="lm-eval"))
    assert first.error is last.error is None
    assert odd.error is not None
    assert odd.error.startswith(f"{path}, line 2: is no row of the format lm-eval")


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is no JSON document"), ('{"version": 2}', "without a list of rows at samples")],
)
def test_documents_that_hold_no_rows(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        open_rows(path, shape=Shape(format="inspect"))


def test_an_item_that_is_no_object_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[1, {"question": "q", "answer": NaN}]')
    odd, good = open_rows(path, shape=Shape())
    assert odd.error == f"{path}, item 1: is not an object {{…}}"
    assert good.fields == {"question": "q", "answer": None}


@pytest.mark.parametrize(
    "shape", [{"format": "ours"}, {"requests": "r.jsonl"}, {"format": "inspect", "requests": "r"}]
)
def test_settings_that_do_not_fit(shape: dict[str, Any]) -> None:
    with pytest.raises(FieldError, match=r"`format`|`requests`"):
        Shape(**shape)


def test_the_command_line_offers_every_format() -> None:
    assert tuple(FORMATS) == OFFERED


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_rows(tmp_path / "none.jsonl", shape=Shape(format="lm-eval"))


BATCH = {
    "custom_id": "r1",
    "response": {"body": {"choices": [{"message": {"role": "assistant", "content": "7"}}]}},
}


def requested(folder: Path, *turns: dict[str, Any]) -> Any:
    request = {"custom_id": "r1", "body": {"messages": list(turns)}}
    requests = lines(folder, [request], "requests.jsonl")
    path = lines(folder, [BATCH])
    return question_answer(next(open_rows(path, shape=Shape("openai-batch", requests=requests))))


def test_calls_of_tools_in_a_request_are_read(tmp_path: Path) -> None:
    call = {"id": "c1", "function": {"name": "add", "arguments": '{"a": 3}'}}
    asked = requested(
        tmp_path,
        {"role": "user", "content": "3+4?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
    )
    assert asked.messages[-1].content == 'add({"a": 3}) -> 7\n\n3+4?'


def test_an_image_in_a_request_is_not_passed_over(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    asked = requested(
        tmp_path, {"role": "user", "content": [{"type": "text", "text": "What?"}, image]}
    )
    assert asked.status == "unsupported"
    assert "of type 'image_url'" in asked.message


def test_a_turn_that_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a turn that cannot be read: .'role': 'narrator'"):
        requested(
            tmp_path, {"role": "user", "content": "3+4?"}, {"role": "narrator", "content": "So."}
        )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arguments": [["A whole text"]], "filtered_resps": [-30.5]}, "likelihood of a text"),
        (
            {"arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {}, "arg_2": {"visual": ["i"]}}}},
            "only text is scored",
        ),
    ],
)
def test_lm_eval_rows_that_are_no_answer_in_text(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ForeignError, match=said):
        FORMATS["lm-eval"].made(GSM8K | changed)


def test_lm_eval_grades_by_the_first_metric_alone() -> None:
    row = {name: value for name, value in GSM8K.items() if name not in ("exact_match", "acc")}
    made = FORMATS["lm-eval"].made({**row, "metrics": ["f1", "bleu"], "f1": 0.5, "bleu": 0.0})
    assert "correct" not in made
