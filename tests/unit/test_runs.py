"""What is known of an agent's run, and P(it succeeds) as data."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ct_guard.runs import RUN_FEATURES, RunLayer, RunTurn, run_features
from ct_guard.store.layer import layer_logits
from tests.agent_runs import layer, run_layer

TURNS = (
    RunTurn(turn="tool_call", p=(0.9, 0.5), retries=2),
    RunTurn(turn="tool_call", p=(None,)),
    RunTurn(p=(0.8,)),
)


def test_the_features_are_of_all_confidences_that_were_measured() -> None:
    features = run_features(TURNS)
    assert features is not None
    found = dict(zip(RUN_FEATURES, features, strict=True))
    logits = [math.log(p / (1 - p)) for p in (0.9, 0.5, 0.8)]
    assert found["log_count"] == pytest.approx(math.log(3))
    assert found["least"] == pytest.approx(0.0)
    assert found["mean"] == pytest.approx(sum(logits) / 3)
    assert found["last"] == pytest.approx(logits[-1])
    assert found["retried"] == pytest.approx(1 / 3)
    assert found["answered"] == 1
    assert found["together"] == found["together_answered"] == pytest.approx(math.log(0.36 / 0.64))


def test_as_long_as_a_run_goes_on_its_confidences_together_count_apart() -> None:
    found = dict(zip(RUN_FEATURES, run_features(TURNS[:1]) or (), strict=True))
    assert found["together"] == pytest.approx(math.log(0.45 / 0.55))
    assert found["answered"] == found["together_answered"] == 0


@pytest.mark.parametrize("turns", [(), (RunTurn(p=(None,)), RunTurn(p=()))])
def test_a_run_without_a_score_has_none(turns: tuple[RunTurn, ...]) -> None:
    assert run_features(turns) is None
    assert run_layer(least=1.0).p(turns) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(-1e6, 1e6))
def test_p_is_a_probability_whatever_the_confidences(p: list[float], coef: float) -> None:
    found = run_layer(least=coef, mean=-coef).p([RunTurn(p=tuple(p))])
    assert found is not None
    assert 0 <= found <= 1


@given(st.lists(st.floats(-20, 20), min_size=len(RUN_FEATURES), max_size=len(RUN_FEATURES)))
def test_one_row_reads_as_many_do(values: list[float]) -> None:
    weights = dict(zip(RUN_FEATURES, (0.3, 1.0, -0.5, 0.25, -2.0, 1.0, 0.5, -0.1), strict=True))
    made = layer(**weights)
    assert made.logit(values) == pytest.approx(layer_logits(made, np.array([values]))[0])


def test_a_layer_over_other_numbers_is_refused() -> None:
    other = layer().model_copy(update={"features": tuple("abcdefgh")})
    with pytest.raises(ValidationError, match=", ".join(RUN_FEATURES)):
        RunLayer(layer=other.model_dump(), n=1, succeeded=1, log_loss=0, base_rate=0)
