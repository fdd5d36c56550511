"""The simulation of promises: populations of known risk, and what is counted of draws."""

import numpy as np
import pytest

from benchmarks.decisions import ALPHA, POPULATIONS, Population, measure


def test_the_risk_of_a_cascade_is_that_of_its_population() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    population = Population(p, np.array([[1.0, 0.0], [0.0, 0.5], [0.0, 1.0]]))
    risk, coverage = population.risk([(0, 0.5), (1, 0.75)])
    assert (risk, coverage) == pytest.approx((0.25, 2 / 3))
    assert population.risk([]) == (0.0, 0.0)


@pytest.mark.parametrize("name", POPULATIONS)
def test_labels_are_as_likely_as_the_population_says(name: str) -> None:
    population = POPULATIONS[name]()
    _, correct = population.draw(40_000, np.random.default_rng(0))
    assert correct.mean(axis=0) == pytest.approx(population.right.mean(axis=0), abs=0.01)


@pytest.mark.parametrize("name", POPULATIONS)
def test_promises_are_broken_in_at_most_delta_of_draws(name: str) -> None:
    cell = measure(POPULATIONS[name](), n=300, draws=60, mapie_draws=2)
    assert cell.violations <= cell.most
    assert cell.cascade_violations <= cell.most
    assert 0 <= cell.cascade_coverage <= 1
    assert np.isfinite(cell.mapie_coverage)


def test_where_every_answer_breaks_the_promise_violations_are_seen() -> None:
    """So that the figure can show a broken promise at all."""
    population = POPULATIONS["flat risk, 1.02 alpha"]()
    risk, coverage = population.risk([(1, 0.0)])
    assert risk == pytest.approx(1.02 * ALPHA)
    assert coverage == 1.0
    cell = measure(population, n=300, draws=100, mapie_draws=0)
    assert cell.violations > 0
