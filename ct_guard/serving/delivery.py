"""How an answer reaches its client: with its confidence, or withheld."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from ct_guard.guard import Outcome
from ct_guard.records import Assessment

from .completions import Asked, Heard, Said, harmless, instead
from .events import DONE, Event, event_of
from .judging import headers_of, record_of
from .upstream import passed_on

__all__ = ["Reply", "Told", "confidences", "withheld_in"]

KEY = "ct_guard"
"""Of the record in a choice."""


@dataclass(frozen=True)
class Reply:
    """What the upstream answered: `fields` of a completion, or the `events` of one that was
    streamed, and what they say."""

    answers: list[Said]
    headers: Mapping[str, str]
    fields: dict[str, Any]
    events: Sequence[Event] = ()
    heard: Heard | None = None


@dataclass(frozen=True)
class Told:
    """What a client is told, given what stands in for an answer that is withheld."""

    asked: Asked
    abstain_message: str

    def response(self, outcome: Outcome[Reply]) -> Response:
        reply = outcome.result
        headers = {**passed_on(reply.headers), **headers_of(outcome.assessments)}
        if reply.heard is None:
            return JSONResponse(self._whole(outcome), headers=headers)
        stream = self._replayed(outcome, reply.heard)
        return StreamingResponse(stream, headers=headers, media_type="text/event-stream")

    def _whole(self, outcome: Outcome[Reply]) -> dict[str, Any]:
        fields, withheld = outcome.result.fields, withheld_in(outcome)
        choices = []
        for choice, assessment in zip(fields["choices"], outcome.assessments, strict=True):
            if assessment.action == "abstain":
                choice = {
                    "index": choice.get("index", 0),
                    "message": self._instead(),
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            choices.append({**choice, KEY: record_of(assessment, outcome)})
        about = harmless(fields) if withheld else fields
        return {**about, "choices": choices}

    async def _replayed(self, outcome: Outcome[Reply], heard: Heard) -> AsyncIterator[bytes]:
        """The stream that was held; of an answer that is withheld nothing but its end."""
        withheld = withheld_in(outcome)
        for event in outcome.result.events:
            if not withheld:
                yield event.raw
            elif event.chunk is not None and (left := _without(event.chunk, withheld)):
                yield event_of(left)
        for index in sorted(withheld):
            yield event_of(heard.chunk([{"index": index, "delta": self._instead(),
                                         "finish_reason": None}]))  # fmt: skip
            yield event_of(heard.chunk([{"index": index, "delta": {}, "finish_reason": "stop"}]))
        yield event_of(confidences(outcome, heard))
        yield DONE

    def _instead(self) -> dict[str, Any]:
        return instead(self.abstain_message, wants_object=self.asked.wants_object)


def confidences(outcome: Outcome[Reply], heard: Heard) -> dict[str, Any]:
    """The last chunk of a stream: it says nothing more, and how likely what was said is."""
    judged = zip(outcome.result.answers, outcome.assessments, strict=True)
    return heard.chunk(
        {
            "index": said.index,
            "delta": {},
            "finish_reason": None,
            KEY: record_of(assessment, outcome),
        }
        for said, assessment in judged
    )


def withheld_in(outcome: Outcome[Reply]) -> set[int]:
    """The choices that are withheld, by index."""
    judged: zip[tuple[Said, Assessment]] = zip(
        outcome.result.answers, outcome.assessments, strict=True
    )
    return {said.index for said, assessment in judged if assessment.action == "abstain"}


def _without(chunk: Mapping[str, Any], withheld: set[int]) -> dict[str, Any] | None:
    """A chunk without the choices that are withheld; None where that leaves nothing to say."""
    listed = chunk.get("choices")
    kept = [
        choice
        for choice in (listed if isinstance(listed, list) else ())
        if isinstance(choice, Mapping) and choice.get("index", 0) not in withheld
    ]
    if not kept and chunk.get("usage") is None:
        return None
    return {**harmless(chunk), "choices": kept}
