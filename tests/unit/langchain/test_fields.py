"""Fields of structured answers: their scores in the record, and what a policy does to each."""

import json
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from pydantic import BaseModel

from ct_guard import Estimator, load_estimator
from ct_guard.errors import UsageError
from ct_guard.policies import FieldRule, Fields
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceGuard, GuardedChatModel, get_confidence
from ct_guard_langchain.fields import object_without, without_fields
from ct_guard_langchain.record import confidence_in, record_in

POLICY = {"kind": "fields", "threshold": 0.5}


class Person(BaseModel):
    """Somebody."""

    town: str | None
    job: str | None = None
    food: str = "bread"


class Extractor(BaseChatModel):
    """Fills in the schema that is bound to it, by the call of a tool; its answers in turn."""

    answers: list[dict[str, Any]]
    asked: list[int] = []

    @property
    def _llm_type(self) -> str:
        return "extractor"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind()

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        args_ = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(1)
        call = {"name": "Person", "args": args_, "id": str(len(self.asked))}
        message = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    """Doubts every field with the value Selby."""
    backend = FakeBackend(logit=lambda text: -3.0 if "- " in text and "Selby" in text else 3.0)
    return load_estimator("zero-shot", base="any", backend=backend)


def extracted(
    estimator: Estimator, policy: dict[str, Any], *answers: dict[str, Any]
) -> tuple[dict[str, Any], Extractor]:
    inner = Extractor(answers=list(answers))
    model = GuardedChatModel(inner=inner, estimator=estimator, policy=policy)
    made = model.with_structured_output(Person, include_raw=True).invoke("Who is it?")
    return made, inner


def test_each_field_has_its_score_by_its_path(estimator: Estimator) -> None:
    made, _ = extracted(estimator, POLICY, {"town": "Kelso", "job": "Selby"})
    record = get_confidence(made["raw"])
    assert record is not None
    assert record.fields["town"]["p"] == pytest.approx(0.953, abs=1e-3)
    assert record.fields["town"]["action"] == "pass"
    assert record.fields["job"]["action"] == "review"
    assert made["parsed"] == Person(town="Kelso", job="Selby")
    kept = made["raw"].response_metadata["ct_guard"]
    assert json.loads(json.dumps(kept)) == kept == record


def test_an_answer_without_a_policy_of_fields_has_none(estimator: Estimator) -> None:
    made, _ = extracted(estimator, {"kind": "annotate"}, {"town": "Kelso"})
    record = get_confidence(made)
    assert record is not None
    assert record.fields == {}


def test_a_dropped_field_is_null_in_the_object_and_in_the_message(estimator: Estimator) -> None:
    policy = {**POLICY, "rules": {"town": {"below": "drop"}}}
    made, _ = extracted(estimator, policy, {"town": "Selby", "job": "baker"})
    assert made["parsed"] == Person(town=None, job="baker")
    assert made["raw"].tool_calls[0]["args"] == {"town": None, "job": "baker"}
    record = get_confidence(made)
    assert record is not None
    assert record.fields["town"]["action"] == "drop"


def test_a_doubtful_field_has_the_model_asked_once_more(estimator: Estimator) -> None:
    made, inner = extracted(
        estimator, {**POLICY, "below": "retry"}, {"town": "Selby"}, {"town": "Kelso"}
    )
    assert made["parsed"].town == "Kelso"
    record = get_confidence(made)
    assert record is not None
    assert (record["attempts"], len(inner.asked)) == (2, 2)
    assert record.fields["town"]["action"] == "pass"


def test_the_answer_with_more_fields_right_counts(estimator: Estimator) -> None:
    made, _ = extracted(
        estimator,
        {**POLICY, "below": "retry"},
        {"town": "Kelso", "job": "Selby"},
        {"town": "Selby", "job": "Selby"},
    )
    assert made["parsed"].town == "Kelso"
    record = get_confidence(made)
    assert record is not None
    assert {path: one["action"] for path, one in record.fields.items()} == {
        "town": "pass",
        "job": "review",
    }


def test_json_in_text_has_fields_as_well(estimator: Estimator) -> None:
    guard = ConfidenceGuard(estimator=estimator, policy={**POLICY, "below": "drop"})
    made = guard.invoke({"input": "Who?", "output": '{"town": "Selby", "job": "baker"}'})
    record = get_confidence(made)
    assert record is not None
    assert {path: one["action"] for path, one in record.fields.items()} == {
        "town": "drop",
        "job": "pass",
    }
    assert made["output"] == '{"town": null, "job": "baker"}'


SAID = '{"town": "Selby", "job": "baker"}'
ARGS = {"town": "Selby", "job": "baker"}
LOGPROBS = [{"token": SAID, "logprob": -0.1}]


@pytest.mark.parametrize(
    "said",
    [
        AIMessage(SAID, response_metadata={"logprobs": {"content": LOGPROBS}}),
        AIMessage(SAID, additional_kwargs={"parsed": ARGS, "reasoning_content": "Selby?"}),
        AIMessage([{"type": "text", "text": SAID, "logprobs": LOGPROBS, "annotations": [SAID]}]),
        AIMessage([{"type": "reasoning", "reasoning": "Selby?"}, {"type": "text", "text": SAID}]),
        AIMessage(
            [{"type": "tool_use", "id": "1", "name": "Person", "input": ARGS}],
            tool_calls=[{"name": "Person", "args": ARGS, "id": "1"}],
            additional_kwargs={"tool_calls": [{"function": {"arguments": SAID}}]},
        ),
    ],
    ids=["logprobs", "kwargs", "text block", "thoughts", "call"],
)
@pytest.mark.parametrize("way", ["model", "stream", "chain"])
def test_nothing_beside_an_answer_tells_what_was_dropped(
    estimator: Estimator, said: AIMessage, way: str
) -> None:
    class Says(Extractor):
        def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
            about = {"logprobs": said.response_metadata.get("logprobs")}
            generation = ChatGeneration(message=said, generation_info=about)
            return ChatResult(generations=[generation], llm_output=about)

    inner, policy = Says(answers=[]), {**POLICY, "rules": {"town": {"below": "drop"}}}
    traced = RunCollectorCallbackHandler()
    config: Any = {"callbacks": [traced]}
    if way == "chain":
        schema: Any = inner.with_structured_output(Person, include_raw=True)
        asked = ConfidenceGuard(estimator, policy).wrap(schema if said.tool_calls else inner)
        made: Any = asked.invoke("Who is it?", config)
    else:
        model: Any = GuardedChatModel(inner=inner, estimator=estimator, policy=policy)
        if said.tool_calls:
            model = model.with_structured_output(Person, include_raw=True)
        made = list(model.stream("?", config)) if way == "stream" else model.invoke("?", config)
    assert "baker" in repr(made)
    assert "Selby" not in repr(made)
    assert "Selby" not in repr([run.model_dump() for run in traced.traced_runs])


@pytest.mark.parametrize("before", [str, AIMessage], ids=["text", "message"])
def test_what_repeats_an_answer_in_a_dict_loses_the_same_fields(
    estimator: Estimator, before: Any
) -> None:
    output = {"question": "?", "answer": before(SAID), "drafts": {"last": [SAID]}}
    guard = ConfidenceGuard(estimator, {**POLICY, "below": "drop"})
    made = guard.invoke({"input": "Who?", "output": output})
    assert "baker" in repr(made["output"])
    assert "Selby" not in repr(made)


def test_a_withheld_answer_tells_nothing_of_its_fields(estimator: Estimator) -> None:
    policy = {**POLICY, "policy": 0.99}
    made, _ = extracted(estimator, policy, {"town": "Kelso"})
    record = get_confidence(made["raw"])
    assert record is not None
    assert record["action"] == "abstain"
    assert record.fields == {}


def test_a_record_is_read_back_with_its_fields(estimator: Estimator) -> None:
    made, _ = extracted(estimator, POLICY, {"town": "Kelso"})
    record = record_in(made)
    assert record is not None
    fields = confidence_in(record).fields
    assert fields is not None
    assert fields["town"].kind == "text"


def test_text_and_what_the_provider_read_of_it_lose_the_same_fields() -> None:
    message = AIMessage(
        '{"a": 1, "b": [{"c": 2}]}', additional_kwargs={"parsed": {"a": 1, "b": [{"c": 2}]}}
    )
    made = without_fields(message, ["b[0].c"])
    assert made.content == '{"a": 1, "b": [{"c": null}]}'
    assert made.additional_kwargs["parsed"] == {"a": 1, "b": [{"c": None}]}
    parts = AIMessage([{"type": "text", "text": '{"a": 1}'}])
    assert without_fields(parts, ["a"]).content == [{"type": "text", "text": '{"a": null}'}]


def test_a_schema_without_room_for_nothing_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="declare the field as optional"):
        object_without(Person(town="Kelso"), ["food"])
    assert object_without("text", ["food"]) == "text"


def test_paths_of_the_policy_are_what_is_judged(estimator: Estimator) -> None:
    policy = Fields(threshold=0.5, paths=("town", "pet"), rules={"pet": FieldRule(below="review")})
    guard = ConfidenceGuard(estimator=estimator, policy=policy)
    asked = [HumanMessage("Who?")]
    record = get_confidence(guard.invoke({"input": asked, "output": '{"town": "Kelso"}'}))
    assert record is not None
    assert {path: one["kind"] for path, one in record.fields.items()} == {
        "town": "text",
        "pet": "missing",
    }
