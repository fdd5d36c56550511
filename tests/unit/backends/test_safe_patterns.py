"""Regular expressions of strangers: what is in use passes, what can run away does not."""

import pytest

from ct_guard.backends.safe_patterns import check_pattern

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.mark.parametrize(
    "pattern",
    [
        LLAMA_3,
        O200K,
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r" ?[^(\s|[.,!?…。，、।۔،])]+",
        r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))",
        r" {2,}",
        r".*\.(q|v)_proj",
        r"(model\.layers\.\d+\.)?q_proj",
        r"[]+*(]+",
        r"\(+\)*",
        "",
    ],
)
def test_what_is_in_use_passes(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+",
        r"(?:a*)*b",
        r"((a+)b)*",
        r"(x+x+)+y",
        r"(a{1,200}){5,}",
        r"(a|b+)*?",
        r"([a]+|c){11}",
        r"(\(+)+",
        r"(a|a)+b",
        r"(a?){30}a{30}",
        r"(?<name>[^]]+)*",
    ],
)
def test_a_repeated_group_that_matches_in_several_ways_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="without end"):
        check_pattern(pattern)


def test_repetitions_may_be_counted() -> None:
    assert check_pattern(".*a.*", most_repetitions=2)
    with pytest.raises(ValueError, match="over 2 repetitions"):
        check_pattern(".*.*.*x", most_repetitions=2)
