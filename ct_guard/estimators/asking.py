"""Methods that ask the base model in text: what probability it states, and what it answers itself.

| method | score |
|---|---|
| `verbalized` | logit of the probability that the model states, kept to [0.005, 0.995] |
| `sampling` | logit of (a + 1/2) / (k + 1): a of k sampled answers agree with the answer |
| `question_prior` | what the question's text says, without any model |
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from ct_guard.adapters import Asking, Manifest
from ct_guard.backends import Backend, Generation, Want
from ct_guard.datasets import GRADERS, Grader, Question
from ct_guard.errors import BackendError, CtGuardError, ManifestError, MismatchError, UsageError
from ct_guard.query import ContextStyle, read_answer, render_prompt, without_thoughts
from ct_guard.records import Message, QuestionAnswer

from .methods import Maker
from .question_prior import QuestionPrior, load_question_prior

__all__ = [
    "TEXT_METHODS",
    "VERBALIZED_HASH",
    "VERBALIZED_TOKENS",
    "Judged",
    "SamplingMethod",
    "TextMethod",
    "VerbalizedMethod",
    "stated_probability",
]

VERBALIZED_TEXT = (
    "How likely is it that the proposed answer above is correct? Reply with one number from 0% to"
    " 100% and nothing else."
)
"""After the verbal elicitation of Tian et al. 2023 (arXiv 2305.14975), for an answer by anybody."""
VERBALIZED_HASH = hashlib.sha256(VERBALIZED_TEXT.encode()).hexdigest()
VERBALIZED_TOKENS = 16

_STATED = re.compile(
    r"(?:(?:probability|confidence|p\(correct\))\s*(?:[:=]|is)\s*)?"
    r"(?P<number>[0-9]{1,3}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*(?P<percent>%|percent)?\.?",
    re.IGNORECASE,
)
NOTHING: frozenset[Want] = frozenset()

Judged = float | CtGuardError
"""A raw logit, or why there is none."""


@runtime_checkable
class TextMethod(Protocol):
    """Judges questions and answers as text, and asks the backend on its own."""

    @property
    def wants(self) -> frozenset[Want]:
        """Nothing: no figures of the query."""
        ...

    def judge(self, items: Sequence[QuestionAnswer], backend: Backend) -> list[Judged]:
        """A raw logit for each item, or why there is none."""
        ...


@dataclass(frozen=True)
class VerbalizedMethod:
    """The base model is shown the answer, and states a probability."""

    style: ContextStyle
    wants: frozenset[Want] = NOTHING

    def judge(self, items: Sequence[QuestionAnswer], backend: Backend) -> list[Judged]:
        return [self._one(qa, backend) for qa in items]

    def _one(self, qa: QuestionAnswer, backend: Backend) -> Judged:
        answer = read_answer(qa.answer)[0]
        turns = (
            *qa.conversation(),
            Message(role="assistant", content=answer.strip()),
            Message(role="user", content=VERBALIZED_TEXT),
        )
        made = _generated(
            backend, turns, self.style, Asking(samples=1, max_tokens=VERBALIZED_TOKENS), 0
        )
        if isinstance(made, CtGuardError):
            return made
        p = stated_probability(without_thoughts(made[0].text)[0])
        if p is None:
            said = made[0].text.strip()[:60]
            return BackendError(f"the model states no clear probability, it says {said!r}")
        return _logit(min(max(p, 0.005), 0.995))


@dataclass(frozen=True)
class SamplingMethod:
    """The base model answers the question itself, `asking.samples` times; the samples of a question
    depend on it and the seed alone, and serve all its answers."""

    style: ContextStyle
    asking: Asking
    grader: Grader
    wants: frozenset[Want] = NOTHING

    def judge(self, items: Sequence[QuestionAnswer], backend: Backend) -> list[Judged]:
        drawn: dict[tuple[Message, ...], list[str] | CtGuardError] = {}
        found: list[Judged] = []
        for qa in items:
            turns = qa.conversation()
            if turns not in drawn:
                drawn[turns] = self._samples(turns, backend)
            samples = drawn[turns]
            found.append(
                samples if isinstance(samples, CtGuardError) else self._agreement(qa, samples)
            )
        return found

    def _samples(self, turns: tuple[Message, ...], backend: Backend) -> list[str] | CtGuardError:
        made = _generated(backend, turns, self.style, self.asking, self.asking.temperature)
        return (
            made
            if isinstance(made, CtGuardError)
            else [read_answer(one.text)[0].strip() for one in made]
        )

    def _agreement(self, qa: QuestionAnswer, samples: Sequence[str]) -> Judged:
        """Two answers agree where the grader passes one with the other as gold."""
        turns = qa.conversation()
        answer = read_answer(qa.answer)[0].strip()

        def asked(gold: str) -> Question:
            return Question(text=turns[-1].content, turns=turns, gold=(gold,))

        said = [text for text in samples if text]
        forward = self.grader.grade(said, [asked(answer)] * len(said))
        backward = self.grader.grade([answer] * len(said), [asked(text) for text in said])
        verdicts = [
            {one.correct, other.correct} for one, other in zip(forward, backward, strict=True)
        ]
        clear = [True in verdict for verdict in verdicts if verdict != {None}]
        count = len(clear) + len(samples) - len(said)  # an empty sample disagrees
        if not count:
            return BackendError(
                f"the grader {self.grader.name} is unclear about all {len(samples)} sampled"
                f" answers: {forward[0].reason}"
            )
        return _logit((sum(clear) + 0.5) / (count + 1))


@dataclass(frozen=True)
class QuestionPriorMethod:
    """What the question alone says."""

    prior: QuestionPrior
    wants: frozenset[Want] = NOTHING

    def judge(self, items: Sequence[QuestionAnswer], backend: Backend) -> list[Judged]:
        return [float(logit) for logit in self.prior.logits([qa.asked() for qa in items])]


def _verbalized(manifest: Manifest, folder: Path | None = None) -> VerbalizedMethod:
    if manifest.asking is None or manifest.asking.text_hash != VERBALIZED_HASH:
        raise ManifestError(
            "this verbalized estimator asks in other words than this version: make it again"
        )
    return VerbalizedMethod(manifest.style)


def _sampling(manifest: Manifest, folder: Path | None = None) -> SamplingMethod:
    if manifest.asking is None or manifest.asking.grader not in GRADERS:
        raise ManifestError(
            "this sampling estimator names no grader that this version has"
            f" ({', '.join(GRADERS)}): make it again"
        )
    return SamplingMethod(manifest.style, manifest.asking, GRADERS[manifest.asking.grader]())


def _question_prior(manifest: Manifest, folder: Path | None = None) -> QuestionPriorMethod:
    if manifest.prior is None or folder is None:
        raise ManifestError("this question_prior estimator names no file of its own: make it again")
    return QuestionPriorMethod(load_question_prior(folder / manifest.prior))


TEXT_METHODS: dict[str, Maker[TextMethod]] = {
    "verbalized": _verbalized,
    "sampling": _sampling,
    "question_prior": _question_prior,
}


def stated_probability(reply: str) -> float | None:
    """The probability, in [0, 1], that is all the reply says: 80%, 80, 0.8, "Probability: 80%."

    A number above 1 without a sign is a percentage, one with a point below 1 a share; 1 is both,
    and unclear. None for everything else: two numbers, words, out of range.
    """
    found = _STATED.fullmatch(reply.strip())
    if found is None:
        return None
    number = float(found["number"])
    if found["percent"]:
        p = number / 100
    elif number == 1:
        return None
    else:
        p = number if number < 1 else number / 100
    return p if p <= 1 else None


def _generated(
    backend: Backend,
    turns: tuple[Message, ...],
    style: ContextStyle,
    asking: Asking,
    temperature: float,
) -> list[Generation] | CtGuardError:
    """`asking.samples` answers to one conversation, or why there are none."""
    try:
        prompt = render_prompt(turns, style, backend)
        digest = hashlib.sha256(repr((asking.seed, prompt)).encode()).digest()
        made = backend.generate(
            [prompt] * asking.samples,
            max_tokens=asking.max_tokens,
            temperature=temperature,
            seed=int.from_bytes(digest[:4]),
            stop=("\n",) if style == "raw" else (),
        )
    except (BackendError, MismatchError, UsageError) as error:
        return error
    for one in made:
        if one.kv is not None:
            backend.release(one.kv)
    return made


def _logit(p: float) -> float:
    return float(np.log(p) - np.log1p(-p))
