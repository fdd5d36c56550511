"""Pre-training text: conversations in which the world's answers, checks and queries occur.

A conversation packs several independent exchanges. Three kinds:

* `answer`: question, answer;
* `check`: question, a right or wrong answer, "Is that right?", "Yes." or "No.";
* `query`: question, a right or wrong answer, the uncertainty query, a **random** label: the base
  learns the query's form and nothing about its truth.

Loss falls on everything but wrong answers and the query: these are shown, never taught.
"""

import random
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ct_guard.query.template import LABELS, QUERY_TEXT

from .world import LEVELS, SKILLS, Question, World, phrase, skill_question, wrong_answer

USER, ASSISTANT, END, BEGIN, PAD = "<|user|>", "<|assistant|>", "<|end|>", "<|begin|>", "<|pad|>"
SPECIALS = (PAD, BEGIN, END, USER, ASSISTANT, "<|system|>")

SHARE = {"answer": 84, "check": 12, "query": 4}
SHARE_OF_FACTS = 0.45
LEVEL_WEIGHTS = (10, 8, 4, 2, 1, 1)
"""Easy questions are commoner, as they are in the world."""

CHECKS = ("Is that right?", "Is that correct?", "Are you sure?")

Segment = tuple[str, bool]
"""A text and whether it is taught (loss on its tokens)."""


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


def exchange(rng: random.Random, question: Question) -> list[Segment]:
    style = rng.choices(list(SHARE), list(SHARE.values()))[0]
    right = style == "answer" or rng.random() < 0.5
    content = question.belief if right else wrong_answer(rng, question)
    head = [(USER + question.text + END + ASSISTANT, True)]
    answer = phrase(rng, content)
    if style == "answer":
        return [*head, (answer + END, True)]
    if style == "check":
        verdict = "Yes." if right else "No."
        ask = END + USER + rng.choice(CHECKS) + END + ASSISTANT
        return [*head, (answer, right), (ask, True), (verdict + END, True)]
    return [*head, (answer, right), (QUERY_TEXT, False), (rng.choice(LABELS) + END, True)]


def pack(
    world: World, tokenizer: Tokenizer, rows: int, length: int, seed: int
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Token ids and loss mask, both [rows, length]; every row starts with the begin token."""
    rng = random.Random(f"corpus-{seed}")
    stream = questions(world, rng)
    pad, begin = (int(tokenizer.token_to_id(name)) for name in (PAD, BEGIN))  # type: ignore[arg-type]
    ids = np.full((rows, length), pad, dtype=np.int16)
    taught = np.zeros((rows, length), dtype=np.bool_)
    ids[:, 0] = begin
    row, at = 0, 1
    while row < rows:
        chunk = [exchange(rng, next(stream)) for _ in range(2000)]
        texts = [text for segments in chunk for text, _ in segments]
        encoded = iter(tokenizer.encode_batch(texts, add_special_tokens=False))
        for segments in chunk:
            parts = [(next(encoded).ids, teach) for _, teach in segments]
            size = sum(len(part) for part, _ in parts)
            if at + size > length:
                row, at = row + 1, 1
                if row == rows:
                    break
            for part, teach in parts:
                ids[row, at : at + len(part)] = part
                taught[row, at : at + len(part)] = teach
                at += len(part)
    return ids, taught
