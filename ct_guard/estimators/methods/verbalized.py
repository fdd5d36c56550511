"""`verbalized`: the base model is shown the answer and states a probability, which is kept to
[0.005, 0.995]; the score is its logit."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ct_guard.backends import Backend
from ct_guard.errors import BackendError, CtGuardError, ManifestError, UsageError
from ct_guard.query import ContextStyle, read_answer, without_thoughts
from ct_guard.records import Message, QuestionAnswer
from ct_guard.store import Asking, Manifest

from .base import Judged, logit
from .replies import replies

__all__ = ["ASKING", "VerbalizedMethod", "make", "stated_probability"]

TEXT = (
    "How likely is it that the proposed answer above is correct? Reply with one number from 0% to"
    " 100% and nothing else."
)
"""After the verbal elicitation of Tian et al. 2023 (arXiv 2305.14975), for an answer by anybody."""
ASKING = Asking(samples=1, max_tokens=16, text_hash=hashlib.sha256(TEXT.encode()).hexdigest())
"""How it is asked, as a manifest records it."""

_STATED = re.compile(
    r"(?:(?:probability|confidence|p\(correct\))\s*(?:[:=]|is)\s*)?"
    r"(?P<number>[0-9]{1,3}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*(?P<percent>%|percent)?\.?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class VerbalizedMethod:
    """Asks once for each answer, at temperature 0."""

    style: ContextStyle
    backend: Backend

    def judge(self, items: Sequence[QuestionAnswer]) -> list[Judged]:
        return [self._one(qa) for qa in items]

    def _one(self, qa: QuestionAnswer) -> Judged:
        answer = read_answer(qa.answer)[0]
        turns = (
            *qa.conversation(),
            Message(role="assistant", content=answer.strip()),
            Message(role="user", content=TEXT),
        )
        made = replies(self.backend, turns, self.style, ASKING, 0)
        if isinstance(made, CtGuardError):
            return made
        p = stated_probability(without_thoughts(made[0].text)[0])
        if p is None:
            said = made[0].text.strip()[:60]
            return BackendError(f"the model states no clear probability, it says {said!r}")
        return logit(min(max(p, 0.005), 0.995))


def make(manifest: Manifest, folder: Path | None, backend: Backend | None) -> VerbalizedMethod:
    if manifest.asking is None or manifest.asking.text_hash != ASKING.text_hash:
        raise ManifestError(
            "this verbalized estimator asks in other words than this version: make it again"
        )
    if backend is None:
        raise UsageError("a verbalized estimator asks a base model: give it one")
    return VerbalizedMethod(manifest.style, backend)


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
