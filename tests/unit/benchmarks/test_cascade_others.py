"""Whom the cheap stage of a cascade may ask, and what is paid for it."""

import numpy as np
import pytest

from benchmarks.real.cascade import Shared
from benchmarks.real.cascade_others import OTHERS, Stages, drawn, resplit
from benchmarks.real.data import Data
from ct_guard.evidence import answers_of

SKILL = {"dear": 0.8, "cheap": 0.5, "best": 0.95, **{f"poor {at}": 0.4 for at in range(7)}}


def answered(questions: int) -> Data:
    """All models answer each question, `cheap` only every other one."""
    random = np.random.default_rng(0)
    rows = [
        (f"{question}?", name, bool(random.random() < skill))
        for question in range(questions)
        for name, skill in SKILL.items()
        if name != "cheap" or question % 2 == 0
    ]
    asked, model, correct = zip(*rows, strict=True)
    answer = [f"{question} {right}" for question, _, right in rows]
    return Data(answers_of(asked, answer, model=model), np.array(correct))


def test_a_few_models_are_asked_that_are_less_often_right_than_the_dear_one() -> None:
    data = answered(200)
    inside = data.answers.question % 2 == 0
    rows = drawn(data, ("cheap", "dear"), inside)
    models, questions = data.models[rows], data.answers.question[rows]
    assert not {"dear", "best"} & set(models)
    others = np.bincount(questions[models != "cheap"], minlength=200)
    assert others.tolist() == [OTHERS] * 200
    assert sorted(questions[models == "cheap"]) == list(range(0, 200, 2))
    assert len(set(models)) == 8


def test_whom_is_asked_does_not_depend_on_grades_of_tested_questions() -> None:
    data = answered(200)
    inside = data.answers.question % 2 == 0
    turned = Data(data.answers, data.correct ^ inside)
    pair = ("cheap", "dear")
    assert drawn(data, pair, inside).tolist() == drawn(turned, pair, inside).tolist()


@pytest.mark.parametrize(("price", "expected"), [(0.0, 0.0), (0.1, 0.5)])
def test_every_cheap_model_is_paid_whether_or_not_it_decides(price: float, expected: float) -> None:
    """The cheap model is always right, so that the dear one is never asked."""
    correct = np.ones((300, 2), np.bool_)
    correct[:30, 1] = False
    p = np.column_stack([np.full(300, 0.99), np.full(300, 0.6)])
    stages = Stages(Shared(p, correct), np.full(300, 5.0))
    tried = resplit(stages, 0.1, price, 10.0, 3)
    assert tried.certified == tried.coverage == 1.0
    assert tried.errors == 0.0
    assert tried.cost == pytest.approx(expected)
