"""What each kind of evidence reads, and refuses."""

from time import process_time

import numpy as np
import pytest

from ct_guard.errors import InputError, UsageError
from ct_guard.evidence import Answers, answers_of, kinds_named, split_stated, wanted_columns
from ct_guard.evidence.kinds import state_of
from ct_guard.evidence.logprobs import LOGPROBS
from ct_guard.evidence.model import MODEL, accuracies, codes, log_odds
from ct_guard.evidence.question import QUESTION
from ct_guard.evidence.stated import STATED
from ct_guard.evidence.wording import WORDING


@pytest.mark.parametrize(
    ("text", "rest", "stated"),
    [
        ("Paris\nConfidence: 85%", "Paris", 0.85),
        ("Paris. I am 90% sure.", "Paris.", 0.9),
        ("Paris. I'm about 70 percent confident in this.", "Paris.", 0.7),
        ("Paris (confidence: 0.7)", "Paris", 0.7),
        ("**Confidence:** High\nParis", "Paris", 0.85),
        ("Paris. Probability: 8/10", "Paris.", 0.8),
        ("The confidence interval is wide.", "The confidence interval is wide.", None),
        ("It grew by 85%.", "It grew by 85%.", None),
        ("Confidence: 850", "Confidence: 850", None),
        ("I'm 90% sure it's Paris", "it's Paris", 0.9),
        ("Paris\nConfidence: 9 of 10", "Paris", 0.9),
        ("Paris\nConfidence: 50/50", "Paris", 0.5),
        ("Paris\nConfidence: 12.5", "Paris", 0.125),
        *(
            (text, text, None)
            for text in (
                "Paris\nConfidence: 8",
                "Paris\nConfidence: 1.5",
                "Paris\nConfidence: 1,000",
                "Paris\nConfidence: 1e-1",
                "The probability is 0.4.",
                "The confidence level is 95%.",
                "3 of 10 are red. The probability is 3/10.",
                "Probability: 3/10",
                "3 of 10 are red. Probability = 3/10",
            )
        ),
    ],
)
def test_what_an_answer_states_is_read_and_taken_out(
    text: str, rest: str, stated: float | None
) -> None:
    assert split_stated(text) == (rest, stated)


def test_marks_that_repeat_cost_no_more_than_long_texts() -> None:
    begun = process_time()
    assert split_stated("*" * 20_000)[1] is None
    assert process_time() - begun < 2


def test_a_column_of_stated_confidences_may_be_written_in_three_ways() -> None:
    values = [0.9, "85%", "high", 85, None, ""]
    answers = answers_of(["?"] * 6, ["x"] * 6, columns={"stated": values})
    read = STATED.look(answers)
    assert read[:4].tolist() == [0.9, 0.85, 0.85, 0.85]
    assert np.isnan(read[4:]).all()


def test_a_column_that_is_text_names_the_row() -> None:
    answers = answers_of(["?"] * 2, ["x"] * 2, columns={"score": [0.5, "good"]})
    with pytest.raises(InputError, match="row 2: field 'score' must be a number, found 'good'"):
        kinds_named(["column:score"])[0].look(answers)


def test_log_probabilities_are_numbers_or_the_objects_of_an_api() -> None:
    top = [{"logprob": -0.1}, {"logprob": -2.1}]
    values = [[-0.5, -1.5], [{"logprob": -0.1, "top_logprobs": top}], None, "[-1.0]"]
    answers = answers_of(["?"] * 4, ["x"] * 4, columns={"logprobs": values})
    read = LOGPROBS.look(answers)
    assert read[0, :3].tolist() == [-2.0, -1.0, -1.5]
    assert read[1, 3] == pytest.approx(2.0)
    assert np.isnan(read[2]).all()
    assert np.isnan(read[0, 3])
    assert read[3, 0] == -1.0


def test_the_objects_of_openai_stand_as_they_are_answered() -> None:
    tokens = [
        {"token": "a", "logprob": -0.5, "top_logprobs": [{"logprob": -0.5}, {"logprob": -1.5}]},
        {"token": "b", "logprob": -0.25, "top_logprobs": []},
    ]
    values = [{"content": tokens, "refusal": None}, {"content": None}, '{"content": []}']
    read = LOGPROBS.look(answers_of(["?"] * 3, ["x"] * 3, columns={"logprobs": values}))
    assert read[0].tolist() == [-0.75, -0.375, -0.5, 1.0]
    assert np.isnan(read[1:]).all()


def test_an_answer_by_nobody_named_has_no_evidence_of_its_model() -> None:
    answers = answers_of(["?"] * 3, ["x"] * 3, model=["a", None, "new"])
    state = accuracies(*codes(["a", "a", ""]), np.array([True, False, True]), np.ones(3, np.bool_))
    read = MODEL.read(MODEL.look(answers), state)[:, 0]
    assert np.isnan(read[1])
    assert read[2] == state.pool


@pytest.mark.parametrize("value", ["text", [0.5], [float("nan")], 3])
def test_log_probabilities_that_are_none_are_refused(value: object) -> None:
    answers = answers_of(["?"], ["x"], columns={"logprobs": [value]})
    with pytest.raises(InputError, match="row 1: field 'logprobs'"):
        LOGPROBS.look(answers)


def test_a_model_with_five_rows_is_shrunk_to_the_pool_and_an_unknown_one_is_the_pool() -> None:
    names = ["many"] * 200 + ["few"] * 5
    correct = np.array([True, False] * 100 + [True] * 5)
    known = accuracies(*codes(names), correct, np.ones(205, np.bool_))
    many, few, unknown = log_odds(known, ["many", "few", "new"])
    assert unknown == known.pool
    assert many == pytest.approx(0.0, abs=0.05)
    assert known.pool < few < 0.6


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["agreement", "agreement"], "named twice"),
        (["opinion"], "no evidence 'opinion'"),
        (["column:"], "no evidence 'column:'"),
        (["group:"], "no evidence 'group:'.*column:NAME or group:NAME"),
        ([], "no evidence is named"),
    ],
)
def test_names_that_are_no_evidence(names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kinds_named(names)


def test_the_columns_that_evidence_reads() -> None:
    names = ["agreement", "column:x", "model", "group:y", "wording"]
    assert wanted_columns(names) == ("samples", "x", "y")


@pytest.mark.parametrize("samples", [3, [{"text": "x"}], {"answer": "x"}])
def test_samples_that_are_none_name_the_row(samples: object) -> None:
    with pytest.raises(InputError, match="row 1: field 'samples'"):
        answers_of(["?"], ["x"], columns={"samples": [samples]})


def by_two_models(sure: int, modest: int) -> tuple[Answers, np.ndarray]:
    """One model states 0.90 to 0.99, the other 0.50 to 0.59."""
    stated = [0.9 + at % 10 / 100 for at in range(sure)]
    stated += [0.5 + at % 10 / 100 for at in range(modest)]
    names = ["sure"] * sure + ["modest"] * modest
    answers = answers_of(
        ["?"] * len(names), ["x"] * len(names), model=list(names), columns={"stated": stated}
    )
    return answers, np.ones(len(names), np.bool_)


def test_a_number_stands_where_it_does_among_those_of_its_model() -> None:
    [kind] = kinds_named(["stated"])
    answers, every = by_two_models(200, 200)
    state = kind.learn(kind.look(answers), every, every)
    new = answers_of(
        ["?"] * 5,
        ["x"] * 5,
        model=["sure", "modest", "sure", "new", "sure"],
        columns={"stated": [0.9, 0.59, 0.945, 0.7, None]},
    )
    read = kind.read(kind.look(new), state)
    assert read[:4, 0].tolist() == [0.9, 0.59, 0.945, 0.7]
    assert read[:4, 1] == pytest.approx([0.05, 0.95, 0.5, 0.5], abs=0.02)
    assert np.isnan(read[4]).all()


@pytest.mark.parametrize(
    ("column", "stated", "read"),
    [
        ([90, 85, 1, 0.5, 100], 1, 0.01),
        ([90, 85, 1, 0.5, 100], "0.5", 0.005),
        ([90, 85, 1, 0.5, 100], 40, 0.4),
        ([90, 85, 1, 0.5, 100], "1%", 0.01),
        ([90, 85, 1, 0.5, 100], "high", 0.85),
        ([0.9, 0.85, 1, 0.5], 1, 1.0),
        ([0.9, 0.85, 1, 0.5, 85], 1, 1.0),
        ([0, 1, 1, 0], 1, 1.0),
    ],
)
def test_the_scale_of_a_column_is_kept_for_a_row_alone(
    column: list[float], stated: object, read: float
) -> None:
    [kind] = kinds_named(["stated"])
    every = np.ones(len(column), np.bool_)
    fitted = answers_of(["?"] * len(column), ["x"] * len(column), columns={"stated": column})
    state = kind.learn(kind.look(fitted), every, every)
    kept = state_of("stated").model_validate(state.model_dump(mode="json"))
    alone = answers_of(["?"], ["x"], columns={"stated": [stated]})
    among = answers_of(["?"] * 2, ["x"] * 2, columns={"stated": [stated, 70]})
    assert kind.read(kind.look(alone), kept)[0, 0] == pytest.approx(read)
    assert kind.read(kind.look(among), kept)[0, 0] == pytest.approx(read)


def test_a_state_that_knows_no_scale_reads_shares() -> None:
    [kind] = kinds_named(["stated"])
    known = state_of("stated").model_validate({"models": {"": [[0.5, 0.9]]}})
    answers = answers_of(["?"] * 2, ["x"] * 2, columns={"stated": [1, 85]})
    assert kind.read(kind.look(answers), known)[:, 0].tolist() == [1.0, 0.85]


def test_a_model_with_few_numbers_is_compared_with_all() -> None:
    [kind] = kinds_named(["stated"])
    answers, every = by_two_models(200, 10)
    state = kind.learn(kind.look(answers), every, every)
    assert state.models.keys() == {"", "sure"}


def test_percentiles_say_nothing_of_rows_that_were_not_learnt_from() -> None:
    [kind] = kinds_named(["column:score"])
    values = [float(at) for at in range(100)]
    answers = answers_of(["?"] * 100, ["x"] * 100, columns={"score": values})
    rows = np.arange(100) < 50
    read = kind.read(kind.look(answers), kind.learn(kind.look(answers), rows, rows))
    assert read[50:, 1].tolist() == [1.0] * 50
    assert read[25, 1] == pytest.approx(0.5, abs=0.02)


def test_a_group_is_worth_its_share_of_right_answers_shrunk_to_the_whole() -> None:
    [kind] = kinds_named(["group:topic"])
    topics = ["law"] * 200 + ["art"] * 200 + ["new", None]
    answers = answers_of(["?"] * 402, ["x"] * 402, columns={"topic": topics})
    correct = np.array([True] * 150 + [False] * 50 + [True] * 50 + [False] * 152)
    rows = np.arange(402) < 400
    read = kind.read(kind.look(answers), kind.learn(kind.look(answers), correct, rows))[:, 0]
    assert read[0] == pytest.approx(np.log(3), abs=0.15)
    assert read[200] == pytest.approx(-np.log(3), abs=0.15)
    assert read[400] == pytest.approx(0.0, abs=0.02)
    assert np.isnan(read[401])


def wording(text: str, question: str = "Who played the mother?") -> dict[str, float]:
    read = WORDING.look(answers_of([question], [text]))[0].tolist()
    return dict(zip(WORDING.features, read, strict=True))


def test_hedges_and_refusals_are_counted() -> None:
    plain = wording("Teri Garr played the mother.")
    unsure = wording("I am not sure, but it may have been Teri Garr, or possibly another actress.")
    none = wording("I'm sorry, I could not find any information about that.")
    assert plain["wording_hedges"] == plain["wording_declines"] == 0.0
    assert unsure["wording_hedges"] == pytest.approx(np.log(5))
    assert none["wording_declines"] == pytest.approx(np.log(3))
    assert unsure["wording_words"] > plain["wording_words"]
    assert wording("the mother")["wording_added"] == 0.0


def test_of_choices_their_number_and_which_one_it_is() -> None:
    asked = "Which?\n(a): a cat\n(b): a dog\n(c): a cow"
    taken = wording("(c): a cow", asked)
    assert (taken["wording_choices"], taken["wording_choice"]) == (3.0, 2.0)
    assert np.isnan(wording("a cow")["wording_choices"])


def test_what_is_asked_says_which_kinds_of_question_are_answered_well() -> None:
    asked = [f"Who was {name}?" for name in range(60)] + [f"How far is {at}?" for at in range(60)]
    right = np.arange(120) < 60
    look = QUESTION.look(answers_of([*asked, "How far is it?", "Who?"], ["x"] * 122))
    labels = np.append(right, [True, False])
    state = QUESTION.learn(look, labels, np.arange(122) < 120)
    far, who = QUESTION.read(look, state)[120:, 0]
    assert who > 0.5 > -0.5 > far
