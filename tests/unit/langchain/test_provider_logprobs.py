"""Log-probabilities that come with a message: which forms are read, and when they count."""

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatResult

from ct_guard.policies import Annotate
from ct_guard.store import LogisticLayer
from ct_guard.store.layer import PROVIDER_FEATURES
from ct_guard_langchain import ConfidenceGuard, GuardedChatModel, get_confidence
from ct_guard_langchain.logprobs import provider_logprobs
from ct_guard_langchain.messages import question_answer
from tests.unit.langchain.conftest import MakeEstimator

OPENAI = [
    {"token": "sur", "bytes": [115, 117, 114], "logprob": -0.5, "top_logprobs": []},
    {"token": "e", "bytes": None, "logprob": -9999.0, "top_logprobs": []},
]
PLAIN = [{"token": "sur", "logprob": -0.5}, {"token": "e", "logprob": -0.25}]
GOOGLE = [{"token": "sur", "log_probability": -0.5}, {"token": "e", "log_probability": -0.25}]


def message(**metadata: Any) -> AIMessage:
    return AIMessage("sure", response_metadata=metadata)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (message(logprobs={"content": OPENAI, "refusal": None}), (-0.5, -100.0)),
        (message(logprobs=PLAIN), (-0.5, -0.25)),
        (
            message(logprobs={"tokens": ["sur", "e"], "token_logprobs": [-0.5, -0.25]}),
            (-0.5, -0.25),
        ),
        (message(logprobs_result={"chosen_candidates": GOOGLE}), (-0.5, -0.25)),
        (AIMessage([{"type": "text", "text": "sure", "logprobs": PLAIN}]), (-0.5, -0.25)),
    ],
    ids=["openai", "ollama", "together", "google", "responses"],
)
def test_the_forms_that_are_read(said: AIMessage, expected: tuple[float, ...]) -> None:
    assert provider_logprobs(said, "sure") == expected


def test_the_parts_of_a_stream_add_up() -> None:
    chunks = [
        AIMessageChunk(content=entry["token"], response_metadata={"logprobs": {"content": [entry]}})
        for entry in PLAIN
    ]
    assert provider_logprobs(chunks[0] + chunks[1], "sure") == (-0.5, -0.25)


def test_characters_that_several_tokens_share_are_put_together() -> None:
    halves = [
        {"token": "\\xc3", "bytes": [0xC3], "logprob": -1.0},
        {"token": "\\xa4", "bytes": [0xA4], "logprob": -0.5},
    ]
    said = AIMessage("ä", response_metadata={"logprobs": {"content": halves}})
    assert provider_logprobs(said, "ä") == (-1.0, -0.5)


@pytest.mark.parametrize(
    "said",
    [
        AIMessage("sure"),
        message(logprobs=None),
        message(logprobs={"content": None}),
        message(logprobs={"content": []}),
        message(logprobs={"tokens": ["sure"], "token_logprobs": [-1.0, -2.0]}),
        message(logprobs=[{"token": "sure", "logprob": None}]),
        message(logprobs=[{"token": "sure", "logprob": float("nan")}]),
        message(logprobs=[{"token": 7, "logprob": -1.0}]),
        message(logprobs=["sure"]),
        message(logprobs="sure"),
        message(logprobs=[{"token": "certainly", "logprob": -1.0}]),
    ],
)
def test_what_is_not_of_this_text_or_not_understood_is_as_if_it_were_not_there(
    said: AIMessage,
) -> None:
    assert provider_logprobs(said, "sure") is None


def test_an_answer_takes_them_along_and_a_call_of_tools_does_not() -> None:
    said = message(logprobs=PLAIN)
    assert question_answer([], said).logprobs == (-0.5, -0.25)
    call = {"name": "f", "args": {}, "id": "1"}
    calling = AIMessage("sure", tool_calls=[call], response_metadata={"logprobs": PLAIN})
    assert question_answer([], calling).logprobs is None


# --- on a guarded model ---------------------------------------------------------------------------


class Reporting(BaseChatModel):
    """Says `sure` with log-probabilities; its name is `model_name`."""

    model_name: str = "reporting"
    logprobs: list[dict[str, Any]] | None = PLAIN

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        metadata = {} if self.logprobs is None else {"logprobs": {"content": self.logprobs}}
        said = AIMessage("sure", response_metadata=metadata)
        return ChatResult(generations=[ChatGeneration(message=said)])

    @property
    def _llm_type(self) -> str:
        return "reporting"

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {**super()._get_ls_params(stop, **kwargs), "ls_model_name": self.model_name}


def halving() -> LogisticLayer:
    """P = sigma(logit / 2 + the answer's log-probability)."""
    n = len(PROVIDER_FEATURES)
    return LogisticLayer(
        features=PROVIDER_FEATURES,
        low=(-50.0,) * n,
        high=(50.0,) * n,
        mean=(0.0,) * n,
        scale=(1.0,) * n,
        coef=(0.5, 1.0, 0.0, 0.0),
        intercept=0.0,
    )


async def test_a_layer_of_this_model_counts_and_the_record_says_so(
    make_estimator: MakeEstimator,
) -> None:
    estimator = make_estimator(provider={"reporting": halving()})
    model = GuardedChatModel(inner=Reporting(), estimator=estimator, policy=Annotate())
    for answer in (model.invoke("?"), await model.ainvoke("?"), *model.batch(["?"])):
        record = get_confidence(answer)
        assert record is not None
        assert record["logit"] == pytest.approx(3.0)
        assert record["p"] == pytest.approx(0.679179, abs=1e-5)  # sigma(3 / 2 - 0.75)
        assert record["calibrated"]
        assert record["provider_logprobs"] == "used"


@pytest.mark.parametrize("name", ["another", None])
def test_without_a_layer_of_this_model_they_are_recorded_as_unused(
    make_estimator: MakeEstimator, name: str | None
) -> None:
    estimator = make_estimator(provider={name: halving()} if name else {})
    record = get_confidence(
        GuardedChatModel(inner=Reporting(), estimator=estimator, policy=Annotate()).invoke("?")
    )
    assert record is not None
    assert record["p"] == pytest.approx(0.952574, abs=1e-5)  # sigma(3)
    assert not record["calibrated"]
    assert record["provider_logprobs"] == "unused"


def test_they_are_never_required(make_estimator: MakeEstimator) -> None:
    estimator = make_estimator(provider={"reporting": halving()})
    inner = Reporting(logprobs=None)
    record = get_confidence(
        GuardedChatModel(inner=inner, estimator=estimator, policy=Annotate()).invoke("?")
    )
    assert record is not None
    assert record["p"] == pytest.approx(0.952574, abs=1e-5)
    assert "provider_logprobs" not in record


def test_a_wrapped_chain_uses_them_too(make_estimator: MakeEstimator) -> None:
    estimator = make_estimator(provider={"reporting": halving()})
    guarded = ConfidenceGuard(estimator, policy=Annotate()).wrap(Reporting() | (lambda said: said))
    assert guarded.invoke("?")["confidence"]["provider_logprobs"] == "used"
