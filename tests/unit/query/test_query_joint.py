"""Boundary `joint`: one text, one tokenisation, and the query's ids unchanged at its end."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ct_guard.backends.tokens import TokenizerEncoder
from ct_guard.errors import UsageError
from ct_guard.query import QUERY_TEXT, Rendered, build_query, render
from ct_guard.records import QuestionAnswer
from tests.lookalikes import make_tokenizer


@pytest.fixture(scope="module", params=["sentencepiece", "bytes", "merging"])
def encoder(request: pytest.FixtureRequest) -> TokenizerEncoder:
    return TokenizerEncoder(make_tokenizer(request.param))


def made(
    encoder: TokenizerEncoder, answer: str, *, question: str = "Who?", budget: int = 4096,
    asked: bool = True,
) -> Rendered:  # fmt: skip
    query = build_query("raw", encoder)
    qa = QuestionAnswer(question=question, answer=answer)
    return render(
        qa, style="raw", encoder=encoder, query=query, budget=budget, boundary="joint", asked=asked
    )


def whole(encoder: TokenizerEncoder, text: str) -> tuple[int, ...]:
    return tuple(encoder.tokenizer(text)["input_ids"])


@pytest.mark.parametrize("answer", ["Ada", "42!", "Ada\n", " Ada", "a\n\nb"])
def test_the_ids_are_those_of_the_tokenizer_for_the_whole_text(
    encoder: TokenizerEncoder, answer: str
) -> None:
    rendered = made(encoder, answer)
    query = build_query("raw", encoder).ids
    expected = whole(encoder, f"Question: Who?\nAnswer: {answer}{QUERY_TEXT}")
    assert rendered.boundary == "joint"
    assert (*rendered.context, *rendered.answer, *query) == expected


@pytest.mark.parametrize("answer", ["Ada", "Ada.", "Ada\n", " Ada"])
def test_a_probe_reads_the_text_without_the_query_stripped_at_both_ends(
    encoder: TokenizerEncoder, answer: str
) -> None:
    rendered = made(encoder, answer, asked=False)
    expected = whole(encoder, f"Question: Who?\nAnswer: {answer}".strip())
    assert (*rendered.context, *rendered.answer) == expected


def test_the_seam_is_where_the_context_ends(encoder: TokenizerEncoder) -> None:
    one, other = made(encoder, "Ada"), made(encoder, "Bob, I think")
    assert one.context == other.context == whole(encoder, "Question: Who?\nAnswer:")


def test_an_answer_that_merges_with_the_query_is_read_apart() -> None:
    encoder = TokenizerEncoder(make_tokenizer("merging"))
    rendered = made(encoder, "Ada.")
    assert rendered.boundary == "apart"
    assert rendered.context == whole(encoder, "Question: Who?\nAnswer:")
    assert list(rendered.answer) == encoder.encode(" Ada.")


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(answer=st.text(min_size=1).filter(str.strip) | st.sampled_from(["</s>", "x<s>", "[PAD]."]))
def test_no_text_becomes_special_or_changes_the_query(
    encoder: TokenizerEncoder, answer: str
) -> None:
    rendered = made(encoder, answer)
    ids = (*rendered.context, *rendered.answer)
    assert {1, 2}.isdisjoint(ids[1:])
    assert rendered.context
    assert rendered.answer


def test_a_budget_cuts_text_and_never_the_query(encoder: TokenizerEncoder) -> None:
    query = build_query("raw", encoder)
    rendered = made(encoder, "Ada", question="why " * 200, budget=len(query.ids) + 40)
    assert rendered.truncated
    assert len(rendered.context) + len(rendered.answer) == 40


def test_joint_goes_with_raw_styles_only(encoder: TokenizerEncoder) -> None:
    query = build_query("raw", encoder)
    qa = QuestionAnswer(question="Who?", answer="Ada")
    with pytest.raises(UsageError, match="chat_user"):
        render(qa, style="chat_user", encoder=encoder, query=query, budget=99, boundary="joint")


def test_multiple_choice_begins_on_a_line_of_its_own(encoder: TokenizerEncoder) -> None:
    query = build_query("raw_choice", encoder)
    qa = QuestionAnswer(question="Which?\n\nChoices:\n  (a): x\n  (b): y", answer="a")
    rendered = render(
        qa, style="raw_choice", encoder=encoder, query=query, budget=999, boundary="joint"
    )
    text = "Question:\nWhich?\n\nChoices:\n  (a): x\n  (b): y\nAnswer:"
    assert rendered.context == whole(encoder, text)
