"""Pre-training text: conversations in which the world's answers, checks and queries occur.

A conversation packs several independent exchanges. Three kinds:

* `answer`: question, answer;
* `check`: question, one to three right or wrong answers, each with "Right?" and "Yes." or "No.";
* `query`: question, a right or wrong answer, the uncertainty query, a **random** label: the base
  learns the query's form and nothing about its truth.

Loss falls on questions, right answers and verdicts: wrong answers and the query are shown, never
taught.
"""

import random
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ct_guard.query.template import LABELS, QUERY_TEXT

from .skills import LEVELS, SKILLS
from .world import Question, World, phrase, skill_question, wrong_answer

USER, ASSISTANT, END, BEGIN, PAD = "<|user|>", "<|assistant|>", "<|end|>", "<|begin|>", "<|pad|>"
SPECIALS = (PAD, BEGIN, END, USER, ASSISTANT, "<|system|>")

QUERIES = 0.04
CHECKS_FIRST, CHECKS_LAST = 0.15, 0.60
"""Share of the exchanges that are checks: it grows, because who judges must know first."""

SHARE_OF_FACTS = 0.45
LEVEL_WEIGHTS = (6, 5, 4, 3, 2, 2)
"""Easy questions are commoner, as they are in the world."""

CHECKS = ("Right?", "Is that right?", "Sure?")
MOST_CHECKS = 3

Segment = tuple[str, bool]
"""A text and whether it is taught (loss on its tokens)."""

Encoded = list[tuple[list[int], bool]]

STAGES = 12
"""Stages of a round of training; over those of the first round the share of checks grows."""

WAITING = 16
"""Exchanges among which the first that still fits fills a row."""


def questions(world: World, rng: random.Random) -> Iterator[Question]:
    """An endless stream: facts by exposure, skills uniform over kind and level."""
    weights = [fact.exposure for fact in world.facts]
    kinds = list(SKILLS)
    while True:
        facts = iter(rng.choices(world.facts, weights, k=1000))
        for fact in facts:
            while rng.random() > SHARE_OF_FACTS:
                level = rng.choices(LEVELS, LEVEL_WEIGHTS)[0]
                yield skill_question(rng, rng.choice(kinds), level)
            yield fact.question(rng)


def exchange(rng: random.Random, question: Question, progress: float) -> list[Segment]:
    """One exchange at `progress` (0 to 1) through the first round."""
    checks = CHECKS_FIRST + progress * (CHECKS_LAST - CHECKS_FIRST)
    style = rng.choices(("answer", "check", "query"), (1 - checks - QUERIES, checks, QUERIES))[0]
    head = (USER + question.text + END + ASSISTANT, True)
    if style == "answer":
        return [head, (phrase(rng, question.belief) + END, True)]
    if style == "check":
        return [head, *_checks(rng, question)]
    right = rng.random() < 0.5
    answer = _attempt(rng, question, right)
    return [head, (answer, right), (QUERY_TEXT, False), (rng.choice(LABELS) + END, True)]


def _checks(rng: random.Random, question: Question) -> Iterator[Segment]:
    """Attempts, each judged. Later ones come after "Again." and may repeat earlier ones."""
    for number in range(rng.randint(1, MOST_CHECKS)):
        if number:
            yield USER + "Again." + END + ASSISTANT, False
        right = rng.random() < 0.5
        yield _attempt(rng, question, right), right
        yield END + USER + rng.choice(CHECKS) + END + ASSISTANT, False
        yield ("Yes." if right else "No.") + END, True


def _attempt(rng: random.Random, question: Question, right: bool) -> str:
    return phrase(rng, question.belief if right else wrong_answer(rng, question))


def pack(
    world: World, tokenizer: Tokenizer, rows: int, length: int, seed: int, round_: int = 0
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Token ids and loss mask of one round of training, both [rows, length]; every row starts with
    the begin token. Rows are in the order in which they are to be learnt, and built stage by
    stage."""
    pad, begin = (int(tokenizer.token_to_id(name)) for name in (PAD, BEGIN))  # type: ignore[arg-type]
    ids = np.full((rows, length), pad, dtype=np.int16)
    taught = np.zeros((rows, length), dtype=np.bool_)
    ids[:, 0] = begin
    for stage, numbers in enumerate(np.array_split(np.arange(rows), STAGES), round_ * STAGES):
        rng = random.Random(f"corpus-{seed}-{stage}")
        stream = _encoded(world, tokenizer, rng, progress=min(1.0, stage / (STAGES - 1)))
        waiting = [next(stream) for _ in range(WAITING)]
        for row in numbers:
            at = 1
            while (fitting := _first_fitting(waiting, length - at)) is not None:
                for part, teach in waiting[fitting]:
                    ids[row, at : at + len(part)] = part
                    taught[row, at : at + len(part)] = teach
                    at += len(part)
                waiting[fitting] = next(stream)
    return ids, taught


def _first_fitting(waiting: list[Encoded], room: int) -> int | None:
    sizes = (sum(len(part) for part, _ in segments) for segments in waiting)
    return next((at for at, size in enumerate(sizes) if size <= room), None)


def _encoded(
    world: World, tokenizer: Tokenizer, rng: random.Random, progress: float
) -> Iterator[Encoded]:
    stream = questions(world, rng)
    while True:
        chunk = [exchange(rng, next(stream), progress) for _ in range(1000)]
        texts = [text for segments in chunk for text, _ in segments]
        encoded = iter(tokenizer.encode_batch(texts, add_special_tokens=False))
        for segments in chunk:
            yield [(next(encoded).ids, teach) for _, teach in segments]
