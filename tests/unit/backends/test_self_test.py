"""The start-up check tells faults from noise, on an engine whose scores are exact."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ct_guard.backends import (
    Adapter,
    Item,
    MannerWarning,
    PlainRow,
    ScoreBatch,
    Want,
    self_test,
    selftest,
)
from ct_guard.errors import SelfTestError
from ct_guard.query import Query, build_query
from ct_guard.testing import FakeBackend, FakeEncoder

ADAPTER = Adapter("tuned", Path("adapter"), "query")


class Spoilt(FakeBackend):
    """Changes the labels [B, K] of every batch."""

    def __init__(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self._change = change

    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        batch = super().score(items, query, adapter, want)
        assert batch.label_logits is not None
        return dataclasses.replace(batch, label_logits=self._change(batch.label_logits))


class IgnoresAdapters(FakeBackend):
    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        return super().score(items, query, None, want)


class TakesTheOtherActivation(FakeBackend):
    def score(
        self,
        items: Sequence[Item],
        query: Query,
        adapter: Adapter | None,
        want: frozenset[Want],
    ) -> ScoreBatch:
        other = adapter and dataclasses.replace(
            adapter, activation="all" if adapter.activation == "query" else "query"
        )
        return super().score(items, query, other, want)


class DropsCapitals(FakeEncoder):
    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return super().encode(text.lower(), special=special)


class SwapsDigits(FakeEncoder):
    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return super().encode(text.replace("3", "8"), special=special)


class ReadsNothing(Spoilt):
    """As a model whose weights are all zero."""

    def __init__(self) -> None:
        super().__init__(np.zeros_like)

    def read_plainly(self, row: PlainRow, tokens: Sequence[int]) -> np.ndarray:
        return np.zeros_like(super().read_plainly(row, tokens))


class Fails(FakeBackend):
    """As an architecture's code does over a width that it does not expect."""

    def score(self, *args: object) -> ScoreBatch:
        raise AssertionError("N must be divisible by block_n")


class RightOneByOne(Spoilt):
    """Batches are off until rows are read alone."""

    manners = ("together", "alone")

    def __init__(self) -> None:
        super().__init__(
            lambda labels: labels if self.manner == "alone" else labels + noise(labels, 0.5)
        )


def noise(labels: np.ndarray, size: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, size, labels.shape)


def check(backend: FakeBackend, adapter: Adapter | None = None) -> float:
    return self_test(backend, build_query("raw", backend.encoder), adapter)


def test_a_sound_engine_passes_and_its_noise_is_kept() -> None:
    backend = FakeBackend()
    assert check(backend) == backend.noise == 0
    assert check(FakeBackend(), ADAPTER) == 0


def test_an_ignored_adapter_is_found() -> None:
    with pytest.raises(SelfTestError, match="adapter 'tuned' changes nothing"):
        check(IgnoresAdapters(), ADAPTER)


def test_an_adapter_that_acts_elsewhere_is_found() -> None:
    with pytest.raises(SelfTestError, match="'tuned' acts on all tokens, not on the query alone"):
        check(TakesTheOtherActivation(), ADAPTER)


def test_exchanged_labels_are_found() -> None:
    with pytest.raises(SelfTestError, match="labels are exchanged"):
        check(Spoilt(lambda labels: labels[:, ::-1]))


def test_another_rows_reading_is_found() -> None:
    with pytest.raises(SelfTestError, match="reads the cache of another row"):
        check(Spoilt(lambda labels: np.roll(labels, 1, axis=0)))


def test_what_is_off_for_no_known_reason_is_found() -> None:
    with pytest.raises(SelfTestError, match=r"differ from those of plain single rows by 0\.\d+"):
        check(Spoilt(lambda labels: labels + noise(labels, 0.1)))


def test_a_base_whose_batches_are_off_is_read_row_by_row_and_says_so() -> None:
    backend = RightOneByOne()
    with pytest.warns(MannerWarning, match="read row by row, which is right and slower"):
        check(backend)
    assert backend.manner == "alone"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_found(value: float) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(SelfTestError, match="no numbers"):
        check(Spoilt(lambda labels: labels + value))


def test_a_model_whose_code_fails_is_refused_with_what_it_says() -> None:
    with pytest.raises(SelfTestError, match=r"fails as it reads .N must be divisible by block_n"):
        check(Fails())


def test_a_model_that_reads_nothing_is_found() -> None:
    with pytest.raises(SelfTestError, match="the same whatever it reads"):
        check(ReadsNothing())


@pytest.mark.parametrize(
    ("encoder", "problem"),
    [(DropsCapitals(), "do not decode"), (SwapsDigits(), r"loses characters \(3\)")],
)
def test_a_tokenizer_that_loses_text_is_found(encoder: FakeEncoder, problem: str) -> None:
    with pytest.raises(SelfTestError, match=problem):
        check(FakeBackend(encoder=encoder))


@pytest.mark.parametrize(("size", "named"), [(0.08, False), (0.5, True)])
def test_an_effect_that_plain_readings_show_among_themselves_names_no_fault(
    size: float, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the fault does nothing, its effect is the difference of two plain readings; so is what
    is off, with one of the two in common."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(6, 33))
    effect = size * (shared + rng.normal(scale=0.3, size=shared.shape))
    readings = {1: 0.01, len(selftest.BESIDE): 0.1}
    monkeypatch.setattr(
        selftest._Rehearsal, "_rounding", lambda self, right, counts: readings[len(counts)]
    )
    rehearsal = object.__new__(selftest._Rehearsal)
    problem = rehearsal._judged(size * shared, [selftest._Fault("it leaks", effect)], shared)
    assert (problem is not None and problem.text == "it leaks") is named
