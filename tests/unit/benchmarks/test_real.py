"""What the tables on real answers are made with."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.real.data import FOLDER, Data, folder_or_exit, splits
from benchmarks.real.figures import figures, floor_by_question
from benchmarks.real.others.__main__ import Scorer, alone, line, rows_of
from benchmarks.real.parts import chance_of
from ct_guard.evidence import answers_of
from ct_guard.metrics import ece_noise_floor


def answered(questions: int) -> Data:
    """Three models answer each question; those that are right say the same."""
    random = np.random.default_rng(0)
    asked, answer, model, correct = [], [], [], []
    for question in range(questions):
        for name in ("one", "two", "three"):
            right = bool(random.random() < 0.7)
            asked.append(f"{question}?")
            answer.append(f"word{question}" if right else f"other{random.integers(9)}")
            model.append(name)
            correct.append(right)
    return Data(answers_of(asked, answer, model=list(model)), np.array(correct))


@pytest.mark.parametrize(("named", "why"), [("", "names no folder"), ("absent", "is no folder")])
def test_without_data_a_benchmark_says_so_and_ends_well(
    named: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert folder_or_exit() == tmp_path
    monkeypatch.setenv(FOLDER, named and str(tmp_path / named))
    with pytest.raises(SystemExit) as ended:
        folder_or_exit()
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"skipped: {FOLDER}")
    assert why in out


def test_questions_that_are_right_or_wrong_as_a_whole_raise_the_floor() -> None:
    random = np.random.default_rng(0)
    p = np.repeat(random.random(300), 10)
    alone_ = random.random(3000) < p
    together = np.repeat(random.random(300) < p[::10], 10)
    question = np.repeat(np.arange(300), 10)
    plain = ece_noise_floor(p, draws=50)
    assert floor_by_question(p, alone_, question) == pytest.approx(plain, rel=0.3)
    assert floor_by_question(p, together, question) > 2 * plain


def test_a_calibrated_p_has_an_ece_on_small_parts_by_chance_more_where_questions_go_together() -> (
    None
):
    random = np.random.default_rng(0)
    p = np.repeat(random.random(500), 10)
    question = np.repeat(np.arange(500), 10)
    apart = chance_of(p, random.random(5000) < p, question)
    together = chance_of(p, np.repeat(random.random(500) < p[::10], 10), question)
    assert apart.calibrated == pytest.approx(ece_noise_floor(p[:1000], draws=50), rel=0.3)
    assert together.calibrated > 2 * apart.calibrated
    assert together.level < together.calibrated < together.learnt.mean()


def test_no_question_is_both_fitted_on_and_judged() -> None:
    data = answered(30)
    for train, test in splits(data):
        assert not set(train.answers.asked) & set(test.answers.asked)
        assert len(train.correct) + len(test.correct) == 90


def test_other_libraries_see_the_other_answers_to_a_question_and_not_the_answer() -> None:
    data = answered(5)
    rows = rows_of(data)
    for at, row in enumerate(rows):
        begin = at - at % 3
        rest = [data.answers.answer[other] for other in range(begin, begin + 3) if other != at]
        assert row["others"] == rest
        assert row["logprobs"] is None


def test_a_scorer_has_its_line_of_figures() -> None:
    data = answered(120)
    noise = np.random.default_rng(1).normal(0, 0.1, 360)
    scores = np.clip(np.where(data.correct, 0.6, 0.4) + noise, 0, 1)
    cells = [cell.strip() for cell in line("x", data, Scorer("x", scores, 3.6)).split("|")]
    assert cells[1:3] == ["x", "360"]
    assert 0.85 < float(cells[3]) < 1.0
    assert cells[-2] == "10.000"
    [agreement, headed] = alone(data)
    assert agreement.scores.shape == headed.scores.shape == (360,)
    ranked = figures(agreement.scores, data)
    assert ranked.auroc > 0.9
