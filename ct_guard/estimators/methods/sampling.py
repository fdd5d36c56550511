"""`sampling`: the base model answers the question itself; the score is the logit of
(a + 1/2) / (k + 1), where a of k sampled answers agree with the answer that is judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ct_guard.backends import Backend
from ct_guard.datasets import GRADERS, Grader, Question
from ct_guard.errors import BackendError, CtGuardError, ManifestError, UsageError
from ct_guard.query import ContextStyle, read_answer
from ct_guard.records import Message, QuestionAnswer
from ct_guard.store import Asking, Manifest

from .base import Judged, logit
from .replies import replies

__all__ = ["SamplingMethod", "make"]


@dataclass(frozen=True)
class SamplingMethod:
    """Draws `asking.samples` answers to each question: they depend on it and the seed alone, and
    serve all its answers."""

    style: ContextStyle
    asking: Asking
    grader: Grader
    backend: Backend

    def judge(self, items: Sequence[QuestionAnswer]) -> list[Judged]:
        drawn: dict[tuple[Message, ...], list[str] | CtGuardError] = {}
        found: list[Judged] = []
        for qa in items:
            turns = qa.conversation()
            if turns not in drawn:
                drawn[turns] = self.samples(turns)
            samples = drawn[turns]
            if isinstance(samples, CtGuardError):
                found.append(samples)
            else:
                found.append(self._agreement(qa, samples))
        return found

    def samples(self, turns: tuple[Message, ...]) -> list[str] | CtGuardError:
        """The base model's own answers to a conversation, or why there are none."""
        made = replies(self.backend, turns, self.style, self.asking, self.asking.temperature)
        if isinstance(made, CtGuardError):
            return made
        return [read_answer(one.text)[0].strip() for one in made]

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
        return logit((sum(clear) + 0.5) / (count + 1))


def make(manifest: Manifest, folder: Path | None, backend: Backend | None) -> SamplingMethod:
    if manifest.asking is None or manifest.asking.grader not in GRADERS:
        raise ManifestError(
            "this sampling estimator names no grader that this version has"
            f" ({', '.join(GRADERS)}): make it again"
        )
    if backend is None:
        raise UsageError("a sampling estimator asks a base model: give it one")
    grader = GRADERS[manifest.asking.grader]()
    return SamplingMethod(manifest.style, manifest.asking, grader, backend)
