"""Decisions by a real language model, with both backends."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool

pytest.importorskip("langchain_core.decisions", reason="needs langchain-core 1.8 or newer")

from langchain.agents.middleware import AutoModeMiddleware, ModelChoice, ModelRouterMiddleware
from langchain_core.decisions import Choice, Noul, Question

from ct_guard import Estimator
from ct_guard_langchain import CtGuardDecisionModel
from tests.integration.langchain.scripted import calling, model
from tests.present import present
from tests.score_calls import watched

STATE = (
    "Stripe fails whenever I connect my account. I have tried three browsers, cleared all cookies"
    " and waited a day, and each time the page says that the connection was refused. My invoices"
    " are due on Friday, and I cannot send a single one of them until this works again."
)
QUESTIONS: dict[str, Question] = {
    "team": Choice(
        instructions="Which team should handle this?",
        criteria=dict.fromkeys(("billing", "technical", "sales", "legal", "other")),
    ),
    "urgent": Noul(instructions="Is this urgent?"),
}


@pytest.fixture(scope="module", params=["llama_cpp", "transformers"])
def smol(request: pytest.FixtureRequest, smol_estimator: Callable[[str], Estimator]) -> Estimator:
    return smol_estimator(request.param)


def test_five_labels_and_a_second_question_take_one_prefill_of_the_state(
    smol: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = watched(monkeypatch, smol.engine)
    classifier = CtGuardDecisionModel(estimator=smol)
    made = classifier.invoke({"state": STATE, "questions": QUESTIONS})
    assert sum(made.choices["team"].probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert 0 < made.nouls["urgent"].noul < 1
    (batch,) = batches
    state = len(smol.engine.encoder.encode(STATE))
    first, *others = sorted(batch.cached_tokens.tolist())
    assert first == 0
    assert min(others) >= state - 1, "of the last word, a token may go with what follows"
    assert present(made.usage)["input_tokens"] == batch.prefilled_tokens.sum()


def test_a_question_is_answered_beside_others_as_alone(smol: Estimator) -> None:
    classifier = CtGuardDecisionModel(estimator=smol)
    together = classifier.invoke({"state": STATE, "questions": QUESTIONS})
    alone = classifier.invoke({"state": STATE, "questions": {"urgent": QUESTIONS["urgent"]}})
    # P moves by at most a quarter of what its logit does: each label's, by the format's noise
    most = 2 * 3 * present(smol.arithmetic.noise) / 4
    assert together.nouls["urgent"].noul == pytest.approx(alone.nouls["urgent"].noul, abs=most)


@tool
def delete_file(path: str) -> str:
    """Delete a file."""
    return f"deleted {path}"


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_langchains_middlewares_decide_by_it(smol: Estimator) -> None:
    classifier = CtGuardDecisionModel(estimator=smol)
    choices = {
        "small": ModelChoice(model=model("by small"), criteria="Simple tasks."),
        "large": ModelChoice(model=model("by large"), criteria="Everything else."),
    }
    router = ModelRouterMiddleware(
        choices=choices, instructions="Choose a model.", classifier=classifier
    )
    ask: Any = {"messages": [("user", "Tidy up.")]}
    state = create_agent(model("by nobody"), middleware=[router]).invoke(ask)
    route = state["model_route"]
    assert state["messages"][-1].text == f"by {route.choice}"
    assert route.probabilities[route.choice] == max(route.probabilities.values())

    auto_mode = AutoModeMiddleware(tools=["delete_file"], classifier=classifier)
    says = model(calling("delete_file", path="a.txt"), "Done.")
    state = create_agent(says, [delete_file], middleware=[auto_mode]).invoke(ask)
    ran, blocked = "deleted a.txt", "blocked"
    assert (ran in state["messages"][2].text) != (blocked in state["messages"][2].text)
