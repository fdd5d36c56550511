"""What a run's confidences come to, as text."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ct_guard.errors import UsageError

from .listening import ModelCall
from .messages import text_of, turns_of
from .record import ConfidenceRecord

__all__ = ["Observation", "report"]

_WIDTH = 44


@dataclass(frozen=True)
class Observation:
    """One answer that was seen, and its confidence."""

    call: ModelCall
    record: ConfidenceRecord

    @property
    def p(self) -> float | None:
        return self.record["p"]

    @property
    def question(self) -> str:
        """What was asked, as the estimator reads it."""
        try:
            return turns_of(self.call.messages)[-1].content
        except UsageError:
            return "(not text)"

    @property
    def said(self) -> str:
        """The answer's text."""
        try:
            return text_of(self.call.answer)
        except UsageError:
            return "(not text)"


def report(observations: Sequence[Observation], *, lowest: int = 5) -> str:
    """Counts, mean p and actions, then the `lowest` rows, the least sure first; rows without a
    probability have none to be low, and are counted by their status."""
    if not observations:
        return "no answers were seen"
    measured = sorted(
        ((seen.p, seen) for seen in observations if seen.p is not None), key=lambda pair: pair[0]
    )
    turns = Counter(seen.record["turn"] for seen in observations)
    lines = [
        f"answers     {turns['answer']}, tool calls {turns['tool_call']}",
        f"mean p      {fmean(p for p, _ in measured):.3f}" if measured else "mean p      none",
        f"actions     {_counts(seen.record['action'] for seen in observations)}",
    ]
    if len(measured) < len(observations):
        blank = (seen.record["status"] for seen in observations if seen.p is None)
        lines.append(f"unmeasured  {_counts(blank)}")
    if rows := measured[:lowest]:
        lines += ["", f"{'p':>5}  {'action':9} {'question':{_WIDTH}} answer"]
        lines += [
            f"{p:5.3f}  {seen.record['action']:9} {_short(seen.question):{_WIDTH}}"
            f" {_short(seen.said)}"
            for p, seen in rows
        ]
    return "\n".join(lines)


def _counts(values: Iterable[str]) -> str:
    return ", ".join(f"{value} {count}" for value, count in Counter(values).most_common())


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDTH else f"{flat[: _WIDTH - 1]}…"
