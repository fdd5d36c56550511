"""Where the answers to grade come from: the rows themselves, or a model that is asked."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ct_guard.errors import InputError, UsageError
from ct_guard.files import Rejected, open_rows, question_answer
from ct_guard.records import Message

from .answerers import Answerer, Reply, Request, Sampling
from .questions import Question

__all__ = ["Answering", "AskedAnswers", "GivenAnswers", "Prompt", "read_prompt"]


class Answering(Protocol):
    """Gives each question its answers."""

    @property
    def model(self) -> str | None:
        """Who answers; None where the rows say so themselves, if anybody does."""
        ...

    @property
    def settings(self) -> Mapping[str, str | float | int | bool | None]:
        """Whatever changes the answers, for the manifest and the journal."""
        ...

    @property
    def per_question(self) -> int:
        """Answers that a question gets, about."""
        ...

    @property
    def least(self) -> int:
        """Questions that are answered at the same time: fewer in a call would waste time."""
        ...

    @property
    def most(self) -> int | None:
        """Questions of a call, where its answers follow from all of them; None: they do not."""
        ...

    def answers(self, questions: Sequence[Question]) -> list[list[Reply]]:
        """For each question its answers: the greedy one, then the sampled ones."""
        ...


class GivenAnswers:
    """The answers that stand in the rows."""

    model = None
    settings: Mapping[str, str | float | int | bool | None] = {"answers": "given"}
    per_question = 1
    least = 1
    most: int | None = None

    def answers(self, questions: Sequence[Question]) -> list[list[Reply]]:
        missing = [Reply(None, "the row has no answer: add a column 'answer', or name a `model`")]
        return [
            [Reply(text, cut_off=question.cut_off) for text in question.given] or missing
            for question in questions
        ]


@dataclass(frozen=True)
class Prompt:
    """Turns that stand before every question, and the hash of the file that they come from."""

    turns: tuple[Message, ...] = ()
    sha256: str | None = None


def read_prompt(path: str | Path) -> Prompt:
    """Examples from a `.jsonl`, `.csv` or `.parquet` file with `question` and `answer`, as earlier
    turns of the conversation; or the text of a `.txt` file, as a system turn.

    Raises InputError for a file that cannot be read, or an example that is none.
    """
    path = Path(path)
    turns: list[Message] = []
    if path.suffix.lower() == ".txt":
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as text: {error}") from None
        turns = [Message(role="system", content=text)] if text else []
    else:
        for row in open_rows(path):
            example = question_answer(row)
            if isinstance(example, Rejected):
                raise InputError(example.message)
            turns += [*example.conversation(), Message(role="assistant", content=example.answer)]
    if not turns:
        raise InputError(f"{path}: is empty: a prompt needs text, or examples")
    return Prompt(tuple(turns), hashlib.sha256(path.read_bytes()).hexdigest())


class AskedAnswers:
    """A model's own answers: one greedy, and `samples` sampled at `temperature`."""

    def __init__(
        self,
        answerer: Answerer,
        *,
        samples: int = 0,
        temperature: float = 1.0,
        max_tokens: int = 64,
        first_line: bool = False,
        prompt: Prompt = Prompt(),
        seed: int = 0,
    ) -> None:
        """Raises UsageError for settings that make no sense."""
        if samples < 0 or max_tokens < 1:
            raise UsageError("samples must be at least 0 and max_tokens at least 1")
        if not 0.0 < temperature <= 5.0:
            raise UsageError(
                f"the temperature of sampled answers must be in (0, 5], not {temperature}; the"
                " first answer is greedy in any case"
            )
        self._answerer = answerer
        self._prompt = prompt
        greedy = Sampling(max_tokens, 0.0, seed, first_line)
        drawn = [
            Sampling(max_tokens, temperature, seed + number, first_line)
            for number in range(1, samples + 1)
        ]
        self._samplings = [greedy, *drawn]
        self.settings: Mapping[str, str | float | int | bool | None] = {
            "answers": "asked",
            "model": answerer.name,
            **answerer.settings,
            "samples": samples,
            "temperature": temperature if samples else 0.0,
            "max_tokens": max_tokens,
            "first_line": first_line,
            "prompt_sha256": prompt.sha256,
            "seed": seed,
        }

    @property
    def model(self) -> str:
        return self._answerer.name

    @property
    def per_question(self) -> int:
        return len(self._samplings)

    @property
    def least(self) -> int:
        return self.most or -(-getattr(self._answerer, "concurrency", 1) // self.per_question)

    @property
    def most(self) -> int | None:
        # What a local model draws follows from its batch: calls are of one size, a batch's.
        batch = getattr(self._answerer, "batch_size", None)
        if batch is None or self.per_question == 1:
            return None
        return int(max(1, batch // self.per_question))

    def answers(self, questions: Sequence[Question]) -> list[list[Reply]]:
        requests = [
            Request((*self._prompt.turns, *question.turns), sampling)
            for question in questions
            for sampling in self._samplings
        ]
        replies = iter(self._answerer.answer(requests))
        return [[self._trimmed(next(replies)) for _ in self._samplings] for _ in questions]

    def _trimmed(self, reply: Reply) -> Reply:
        if reply.text is None:
            return reply
        text = reply.text.strip()
        if not self._samplings[0].first_line:
            return replace(reply, text=text)
        line, ended, _ = text.partition("\n")
        return replace(reply, text=line.rstrip(), cut_off=reply.cut_off and not ended)
