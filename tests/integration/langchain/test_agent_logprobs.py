"""In an agent, too, an answer's own log-probabilities count where the estimator has learnt them."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import LangSmithParams
from langchain_core.messages import AIMessage

from ct_guard.policies import Annotate
from ct_guard.store import LogisticLayer
from ct_guard.store.layer import PROVIDER_FEATURES
from ct_guard.testing import FakeBackend
from ct_guard_langchain import ConfidenceMiddleware, get_confidence
from tests.integration.langchain.scripted import Scripted
from tests.known_confidence import by_word, estimator_on

ASK: Any = {"messages": [("user", "Are you?")]}
LAYER = LogisticLayer(
    features=PROVIDER_FEATURES,
    low=(-50.0,) * 4,
    high=(50.0,) * 4,
    mean=(0.0,) * 4,
    scale=(1.0,) * 4,
    coef=(0.0, 1.0, 0.0, 0.0),
    intercept=0.0,
)


class Named(Scripted):
    """Has a name, as models of providers do."""

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return {**super()._get_ls_params(stop, **kwargs), "ls_model_name": "named"}


@pytest.mark.parametrize(("layers", "use"), [({"named": LAYER}, "used"), ({}, "unused")])
async def test_they_reach_the_state(layers: dict[str, Any], use: str) -> None:
    said = AIMessage(
        "sure", response_metadata={"logprobs": {"content": [{"token": "sure", "logprob": -2.0}]}}
    )
    estimator = estimator_on(FakeBackend(logit=by_word), provider=layers)
    agent = create_agent(
        Named(script=[said, said]), middleware=[ConfidenceMiddleware(estimator, Annotate())]
    )
    for state in (agent.invoke(ASK), await agent.ainvoke(ASK)):
        record = get_confidence(state)
        assert record is not None
        assert record["provider_logprobs"] == use
        expected = 0.119203 if use == "used" else 0.952574  # sigma(-2), sigma(3)
        assert record["p"] == pytest.approx(expected, abs=1e-5)
