"""The sampler against the probabilities that it is given."""

import numpy as np
import pytest

from ct_guard.backends.sampling import Sampler, logprob_of
from ct_guard.errors import NonFiniteScoreError

LOGITS = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32)) + np.float32(7)


def shares(temperature: float, top_p: float = 1.0, draws: int = 4000) -> list[float]:
    sampler = Sampler(temperature, top_p, seed=0)
    counts = np.bincount([sampler.pick(LOGITS)[0] for _ in range(draws)], minlength=4)
    return [float(count) / draws for count in counts]


def test_temperature_zero_takes_the_likeliest_token() -> None:
    token, logprob = Sampler(0.0, 1.0, None).pick(LOGITS)
    assert token == 0
    assert logprob == pytest.approx(np.log(0.5), abs=1e-6)


def test_temperature_one_draws_by_the_probabilities() -> None:
    assert shares(1.0) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)


def test_temperature_flattens_and_sharpens() -> None:
    flat = np.array([0.5, 0.3, 0.15, 0.05]) ** 0.5
    assert shares(2.0) == pytest.approx((flat / flat.sum()).tolist(), abs=0.03)
    sharp = np.array([0.5, 0.3, 0.15, 0.05]) ** 2
    assert shares(0.5) == pytest.approx((sharp / sharp.sum()).tolist(), abs=0.03)


@pytest.mark.parametrize(
    ("top_p", "kept"), [(1e-6, 1), (0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (0.96, 4), (1.0, 4)]
)
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, kept: int) -> None:
    expected = np.array([0.5, 0.3, 0.15, 0.05])[:kept]
    expected = np.append(expected / expected.sum(), [0.0] * (4 - kept))
    found = shares(1.0, top_p)
    assert found == pytest.approx(expected.tolist(), abs=0.03)
    assert found[kept:] == [0.0] * (4 - kept)


def test_a_seed_decides() -> None:
    def drawn(seed: int | None) -> list[int]:
        sampler = Sampler(1.0, 1.0, seed)
        return [sampler.pick(LOGITS)[0] for _ in range(40)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(None) != drawn(None)


def test_logprobs_are_those_at_temperature_one() -> None:
    sampler = Sampler(5.0, 0.9, seed=1)
    for _ in range(20):
        token, logprob = sampler.pick(LOGITS)
        assert logprob == pytest.approx([np.log(p) for p in (0.5, 0.3, 0.15, 0.05)][token], 1e-4)
    assert logprob_of(3, LOGITS) == pytest.approx(np.log(0.05), 1e-4)


def test_a_token_that_is_ruled_out_is_never_drawn() -> None:
    logits = np.array([-np.inf, 0.0, 0.0], np.float32)
    sampler = Sampler(100.0, 1.0, seed=0)
    assert {sampler.pick(logits)[0] for _ in range(100)} == {1, 2}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_an_error(temperature: float, bad: float) -> None:
    with pytest.raises(NonFiniteScoreError, match="NaN"):
        Sampler(temperature, 1.0, 0).pick(np.array([0.0, bad, 1.0], np.float32))
