"""Contexts by what they begin with alike."""

from hypothesis import given
from hypothesis import strategies as st

from ct_guard.backends.stems import LEAST, WORTH, Stem, stems

TEXT = tuple(range(WORTH))

CONTEXTS = st.sets(
    st.tuples(st.integers(0, 90), st.lists(st.integers(0, 2), min_size=1, max_size=12)).map(
        lambda made: (*range(made[0]), *made[1])
    ),
    max_size=12,
)


def test_questions_about_one_text_share_it() -> None:
    asked = [(*TEXT, 7, 8), (*TEXT, 9), (*TEXT, 7, 9, 9)]
    assert stems(asked) == [Stem((*TEXT,), tuple(sorted(asked)))]


def test_a_template_in_front_of_unlike_texts_is_no_stem() -> None:
    contexts = [(1, 2, *range(100)), (1, 2, *range(100, 200))]
    assert stems(contexts) == [Stem((), (one,)) for one in contexts]


def test_something_is_left_of_every_context_to_be_read_behind_its_stem() -> None:
    (found,) = stems([TEXT, (*TEXT, 7), (*TEXT, 8)])
    assert found.ids == TEXT[:-1]


def test_what_saves_less_than_it_costs_to_be_read_alone_is_no_stem() -> None:
    contexts = [(*TEXT[1:], 7), (*TEXT[1:], 8)]
    assert stems(contexts) == [Stem((), (one,)) for one in contexts]
    assert stems([*contexts, (*TEXT[1:], 9)])[0].ids == TEXT[1:]


def test_several_texts_have_a_stem_each() -> None:
    others = tuple(WORTH + one for one in TEXT)
    found = stems([(*others, 1), (*TEXT, 1), (*others, 2), (*TEXT, 2)])
    assert [stem.ids for stem in found] == [TEXT, others]


@given(CONTEXTS)
def test_each_context_stands_behind_one_stem_that_is_much_of_it(
    contexts: set[tuple[int, ...]],
) -> None:
    found = stems(contexts)
    assert sorted(one for stem in found for one in stem.contexts) == sorted(contexts)
    for stem in found:
        assert bool(stem.ids) == (len(stem.contexts) > 1)
        for context in stem.contexts:
            assert context[: len(stem.ids)] == stem.ids
            assert len(stem.ids) < len(context)
            assert not stem.ids or len(stem.ids) >= LEAST * len(context)
        assert not stem.ids or len(stem.ids) * (len(stem.contexts) - 1) >= WORTH
