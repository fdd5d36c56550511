"""The start-up check refuses engines with wrong arithmetic."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ct_guard.backends import Adapter, Item, ScoreBatch, Want, self_test
from ct_guard.backends.fake import FakeBackend
from ct_guard.errors import SelfTestError
from ct_guard.query import Query, build_query

ADAPTER = Adapter("tuned", Path("adapter"), "query")


class Spoilt(FakeBackend):
    """Changes the labels [B, 2] of every batch."""

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


class DropsCapitals(FakeBackend):
    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return super().encode(text.lower(), special=special)


def check(backend: FakeBackend, adapter: Adapter | None = None) -> None:
    self_test(backend, build_query("raw", backend), adapter)


def test_a_sound_engine_passes() -> None:
    check(FakeBackend())
    check(FakeBackend(), ADAPTER)


def test_an_ignored_adapter_is_found() -> None:
    with pytest.raises(SelfTestError, match="adapter 'tuned' changes nothing"):
        check(IgnoresAdapters(), ADAPTER)


def test_scores_that_depend_on_their_neighbours_are_found() -> None:
    def leak(labels: np.ndarray) -> np.ndarray:
        return np.add(labels, [0.0, 0.1 * (len(labels) - 1)])

    with pytest.raises(SelfTestError, match=r"batched and single scores differ by 0\.1 logits"):
        check(Spoilt(leak))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_found(value: float) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(SelfTestError, match="differ by nan"):
        check(Spoilt(lambda labels: np.add(labels, [0.0, value])))


def test_a_tokenizer_that_loses_text_is_found() -> None:
    with pytest.raises(SelfTestError, match="do not decode"):
        check(DropsCapitals())
