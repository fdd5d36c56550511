"""Splits, losses, twins and the hybrid's layer."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from ct_guard.backends import ScoreBatch
from ct_guard.backends.transformers import TransformersBackend
from ct_guard.errors import TuningError
from ct_guard.estimators import FEATURES, PRIOR_FEATURES
from ct_guard.evidence.question_prior import fit_question_prior
from ct_guard.metrics import auroc
from ct_guard.query import ContextStyle, build_query, render
from ct_guard.records import GradedAnswer, QuestionAnswer
from ct_guard.store.layer import fit_logistic
from ct_guard.tuning import fit_hybrid, split_by_question
from ct_guard.tuning.augment import ENDINGS, with_attacks
from ct_guard.tuning.loss import divergence, label_loss, pair_loss
from ct_guard.tuning.parts import set_hashes


def rows(questions: int, answers: int = 3) -> list[GradedAnswer]:
    return [
        GradedAnswer(
            qa=QuestionAnswer(question=f"question {n}", answer=f"answer {k}"), correct=k == 0
        )
        for n in range(questions)
        for k in range(answers)
    ]


def test_all_answers_to_a_question_fall_into_one_split() -> None:
    splits = split_by_question(rows(200), {"tuning": 0.6, "calibration": 0.2, "test": 0.2})
    questions = [{row.qa.question for row in part} for part in splits.values()]
    assert sum(map(len, questions)) == 200
    assert not set.intersection(*questions)
    assert 90 < len(questions[0]) < 150


def test_a_question_keeps_its_split_when_other_rows_come_or_go() -> None:
    shares = {"a": 0.5, "b": 0.5}
    few, many = split_by_question(rows(20), shares), split_by_question(rows(60), shares)
    assert {r.qa.question for r in few["a"]} <= {r.qa.question for r in many["a"]}


def test_the_hash_of_a_part_depends_on_its_questions_alone() -> None:
    some = rows(10)
    parts = {"a": some, "b": list(reversed(some)), "c": rows(10, answers=1), "d": rows(11)}
    hashes = set_hashes(parts)
    assert hashes["a"] == hashes["b"] == hashes["c"] != hashes["d"]


def test_label_loss_is_the_cross_entropy_of_yes_and_no() -> None:
    logits = torch.tensor([[1.0, 3.0], [0.5, -1.0]])
    expected = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-1.5))) / 2
    assert label_loss(logits, torch.tensor([True, False])).item() == pytest.approx(expected)


def test_brier_is_the_squared_distance_of_p_from_the_label() -> None:
    logits = torch.tensor([[1.0, 3.0], [0.5, -1.0]])
    p = [1 / (1 + math.exp(-2.0)), 1 / (1 + math.exp(1.5))]
    expected = ((p[0] - 1) ** 2 + p[1] ** 2) / 2
    loss = label_loss(logits, torch.tensor([True, False]), "brier")
    assert loss.item() == pytest.approx(expected)


tokens = st.lists(st.lists(st.floats(-4, 4), min_size=3, max_size=3), min_size=1, max_size=4)


@given(tokens, st.integers(0, 1000))
def test_divergences_are_those_of_scipy(base: list[list[float]], seed: int) -> None:
    from scipy.special import softmax
    from scipy.stats import entropy

    p = torch.tensor(base)
    q = p + torch.randn(p.shape, generator=torch.Generator().manual_seed(seed))
    a, b = softmax(p.double().numpy(), axis=1), softmax(q.double().numpy(), axis=1)
    middle = (a + b) / 2
    expected = {
        "forward": entropy(a, b, axis=1).mean(),
        "reverse": entropy(b, a, axis=1).mean(),
        "jsd": (entropy(a, middle, axis=1) + entropy(b, middle, axis=1)).mean() / 2,
    }
    for kind, value in expected.items():
        assert divergence(kind, q, p).item() == pytest.approx(value, abs=1e-5)  # type: ignore[arg-type]
    assert divergence("jsd", p, p).item() == pytest.approx(0, abs=1e-6)
    assert divergence("jsd", q, p).item() <= math.log(2)


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.booleans(), st.integers(0, 2)), min_size=1, max_size=12)
)
def test_pair_loss_is_the_mean_over_pairs_within_questions(
    data: list[tuple[float, bool, int]],
) -> None:
    logits = torch.tensor([[0.0, z] for z, _, _ in data])
    correct = torch.tensor([c for _, c, _ in data])
    expected = [
        math.log1p(math.exp(wrong - right))
        for right, c, q in data
        if c
        for wrong, other, same in data
        if not other and same == q
    ]
    loss = pair_loss(logits, correct, [q for _, _, q in data]).item()
    assert loss == pytest.approx(sum(expected) / len(expected) if expected else 0.0, abs=1e-5)


def test_twins_carry_an_ending_and_keep_question_and_label() -> None:
    original = rows(50)
    augmented = with_attacks(original, share=0.5)
    assert augmented[: len(original)] == original
    twins = augmented[len(original) :]
    assert 40 < len(twins) < 110
    by_answer = {(row.qa.question, row.qa.answer): row.correct for row in original}
    for twin in twins:
        ending = max((e for e in ENDINGS if twin.qa.answer.endswith(e)), key=len)
        plain = twin.qa.answer.removesuffix(ending)
        assert by_answer[twin.qa.question, plain] == twin.correct


@pytest.mark.parametrize("seed", range(5))
def test_an_ending_of_twins_tells_nothing_of_the_label(seed: int) -> None:
    qa = QuestionAnswer(question="What is 7 plus 5?", answer="12")
    original = [GradedAnswer(qa=qa, correct=number % 5 < 2) for number in range(325)]
    dealt: dict[str, list[bool]] = {}
    for twin in with_attacks(original, share=0.2, seed=seed)[len(original) :]:
        dealt.setdefault(twin.qa.answer.removeprefix("12"), []).append(twin.correct)
    assert {ending: sorted(labels) for ending, labels in dealt.items()} == dict.fromkeys(
        ENDINGS, [False] * 3 + [True] * 2
    )


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("style", ["raw", "chat_user", "chat_turn"])
def test_every_ending_reaches_the_model_whole(
    ending: str, style: ContextStyle, backend: TransformersBackend
) -> None:
    query = build_query(style, backend.encoder)

    def answer(text: str) -> tuple[int, ...]:
        qa = QuestionAnswer(question="What is 7 plus 5?", answer=text)
        return render(qa, style=style, encoder=backend.encoder, query=query, budget=512).answer

    said = backend.encoder.decode(answer(f"12{ending}"))
    assert said.strip() == f"12{ending}"
    assert answer(f"12{ending}") != answer("12")


def test_the_layer_separates_what_its_features_separate_and_knows_their_range() -> None:
    rng = np.random.default_rng(0)
    names = tuple("abcdef")
    features = rng.normal(size=(400, len(names)))
    correct = features[:, 0] + 0.5 * rng.normal(size=400) > 0
    layer = fit_logistic(names, features, correct)
    assert layer.features == names
    assert layer.coef[0] > 5 * max(abs(c) for c in layer.coef[1:])
    inside = (features > layer.low) & (features < layer.high)
    assert inside.mean() == pytest.approx(0.98, abs=0.01)


def read(z: np.ndarray) -> ScoreBatch:
    """Answers that are all as likely, to which the query says z."""
    none = np.zeros(len(z), np.int32)
    labels = np.column_stack([np.zeros(len(z)), z]).astype(np.float32)
    return ScoreBatch(labels, [np.array([-0.5], np.float32)] * len(z), None, none, none)


def test_a_hybrid_weighs_the_query_and_the_prior_as_far_as_they_tell() -> None:
    rng = np.random.default_rng(0)
    easy = np.arange(400) % 2 == 0
    questions = [f"{'easy' if one else 'hard'} number {n}" for n, one in enumerate(easy)]
    z = rng.normal(size=400)
    correct = z + np.where(easy, 2.0, -2.0) + rng.normal(size=400) > 0
    prior = fit_question_prior(questions[:200], correct[:200])
    asked, rows, right = questions[200:], read(z[200:]), correct[200:]
    alone = fit_hybrid(rows, asked, right)
    both = fit_hybrid(rows, asked, right, prior)
    assert both.layer.features == FEATURES + PRIOR_FEATURES
    assert alone.layer.features == FEATURES
    with_it, without = (auroc(expit(one.logits(rows, asked)), right) for one in (both, alone))
    assert with_it is not None
    assert without is not None
    assert with_it > without + 0.1


def test_a_layer_needs_both_classes() -> None:
    with pytest.raises(TuningError, match="right and wrong"):
        fit_hybrid(read(np.zeros(5)), ["a"] * 5, np.ones(5, dtype=bool))
