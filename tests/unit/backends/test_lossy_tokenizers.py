"""Tokenizers that keep less than a text says: what they lose is never scored in silence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ct_guard import Estimator, QuestionAnswer, load_estimator
from ct_guard.errors import SelfTestError

Change = Callable[[dict[str, Any]], None]
Make = Callable[[Change], Estimator]

SIGNS = ["<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "\n"]


@pytest.fixture
def make(tiny_base: Path, tmp_path: Path) -> Make:
    """The query alone over the tiny base with a changed `tokenizer.json`."""

    def load(change: Change) -> Estimator:
        folder = tmp_path / "base"
        shutil.copytree(tiny_base, folder)
        path = folder / "tokenizer.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))
        return load_estimator("zero-shot", base=folder, device="cpu", dtype="float32")

    return load


def ascii_alone(data: dict[str, Any]) -> None:
    """Characters of ASCII, and one pair, are all that it knows."""
    texts = [*SIGNS, *map(chr, range(32, 127)), "ii"]
    vocabulary = {text: at for at, text in enumerate(texts)}
    data["model"] |= {"vocab": vocabulary, "merges": [["i", "i"]]}
    data["pre_tokenizer"], data["decoder"] = None, {"type": "Fuse"}


def scored(estimator: Estimator, *answers: str) -> list[tuple[str, float | None]]:
    found = estimator.score([QuestionAnswer(question="Name it.", answer=one) for one in answers])
    estimator.close()
    return [(one.status, one.logit) for one in found]


def test_an_answer_of_which_nothing_is_left_is_unsupported_and_costs_no_other(make: Make) -> None:
    left, known = scored(make(ascii_alone), "漢", "Paris")
    assert left == ("unsupported", None)
    assert known[0] == "ok"


def test_one_that_reads_a_digit_as_another_is_no_base(make: Make) -> None:
    def exchanging(data: dict[str, Any]) -> None:
        data["normalizer"] = {"type": "Replace", "pattern": {"String": "3"}, "content": "2"}

    with pytest.raises(SelfTestError, match=r"loses characters \(3\)"):
        make(exchanging)
