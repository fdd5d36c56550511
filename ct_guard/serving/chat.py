"""`/v1/chat/completions`: asked of the upstream, judged, and answered as the policy says."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import httpx
from anyio import CancelScope
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ct_guard.files.untrusted_json import JsonError, parse_json
from ct_guard.guard import Guard, Ladder, Outcome
from ct_guard.policies import may_withhold
from ct_guard.records import Assessment

from .bodies import Refused, as_error, json_object, listed, refused_for
from .completions import Asked, Heard, Said
from .delivery import Reply, Told, confidences
from .events import DONE, Event, event_of, events
from .judging import assess
from .settings import Settings, Upstream
from .upstream import Forwarder, UpstreamFailed, passed_on

__all__ = ["Chat"]

PATH = "/chat/completions"


@dataclass(frozen=True)
class _Closing:
    """A response, and what is closed after it, however it ends."""

    response: Response
    close: Callable[[], Awaitable[None]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.response(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await self.close()


class Chat:
    """Answers of the upstream's, with their confidences.

    Where the policy may withhold an answer, or ask again, a stream is held until that is decided;
    else its events go on as they come, and what is decided is told behind them.
    """

    def __init__(
        self, guard: Guard, settings: Settings, upstream: Upstream, forwarder: Forwarder
    ) -> None:
        self._guard, self._settings, self._forwarder = guard, settings, forwarder
        self._stronger = upstream.stronger
        self._held = may_withhold(guard.policy, guard.on_error)

    async def answer(self, request: Request) -> Response | _Closing:
        """The endpoint."""
        body, fields = await json_object(request)
        asked = Asked(body, fields)
        listed(fields, "messages")
        if not asked.model:
            raise Refused(400, "field 'model' is missing", "missing_required_parameter", "model")
        if asked.stream and not self._held:
            return await self._streamed(asked, request.headers)
        outcome = await self._climbed(asked, request.headers)
        return Told(asked, self._settings.abstain_message).response(outcome)

    async def models(self, request: Request) -> Response:
        """`/v1/models`, as the upstream has it."""
        response, body = await self._forwarder.whole("/models", request.headers, None)
        headers = passed_on(response.headers)
        return Response(body, response.status_code, headers, "application/json")

    async def _climbed(self, asked: Asked, headers: Headers) -> Outcome[Reply]:
        """Ask, score and decide until the policy is content. The first model's error is the
        client's; later ones are noted."""
        models = [asked.model, *self._stronger]
        ladder = Ladder[str, Reply](self._guard, models)
        for model in ladder:
            try:
                reply = await self._asked(asked, model, headers)
            except UpstreamFailed as error:
                if not ladder.failed(error):
                    raise
                continue
            made = await self._judged(asked, reply, ladder, model)
            turn = reply.answers[0].turn if reply.answers else "answer"
            ladder.answered(reply, made, turn=turn)
        return ladder.outcome()

    async def _judged(
        self, asked: Asked, reply: Reply, ladder: Ladder[str, Reply], model: str
    ) -> list[Assessment]:
        situation = ladder.situation
        return await assess(
            self._guard, asked.messages, reply.answers, model=model, situation=situation
        )

    async def _asked(self, asked: Asked, model: str, headers: Headers) -> Reply:
        body = asked.body_for(model)
        if not asked.stream:
            response, found = await self._forwarder.whole(PATH, headers, body)
            return _whole(response, found)
        response = await self._forwarder.opened(PATH, headers, body)
        parts = self._forwarder.parts(response)
        heard, kept = Heard(), list[Event]()
        try:
            async for event in events(parts):
                if not event.done:
                    kept.append(event)
                    _hear(heard, event)
        finally:
            await self._forwarder.left(response, parts)
        return Reply(_said(heard), response.headers, {}, kept, heard)

    async def _streamed(self, asked: Asked, headers: Headers) -> _Closing:
        """Events as they come, those of one piece together; then the confidences."""
        response = await self._forwarder.opened(PATH, headers, asked.body)
        parts = self._forwarder.parts(response)
        told = StreamingResponse(
            self._relayed(asked, response, parts),
            headers=passed_on(response.headers),
            media_type="text/event-stream",
        )
        return _Closing(told, partial(self._forwarder.left, response, parts))

    async def _relayed(
        self, asked: Asked, response: httpx.Response, parts: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        heard, told = Heard(), b""
        try:
            async for event in events(parts):
                if not event.done:
                    _hear(heard, event)
                    told += event.raw
                if told and (event.done or not event.more):
                    yield told
                    told = b""
            outcome = await self._delivered(asked, heard, response)
        except UpstreamFailed as failed:
            yield told + b"data: %s\n\n" % failed.body
            return
        except Exception as error:  # the client hears of it here or nowhere
            refused = refused_for(error)
            yield told + event_of(as_error(refused.status, refused.message, refused.code))
            return
        yield event_of(confidences(outcome, heard)) + DONE

    async def _delivered(
        self, asked: Asked, heard: Heard, response: httpx.Response
    ) -> Outcome[Reply]:
        """What becomes known of an answer that has reached its client already."""
        reply = Reply(_said(heard), response.headers, {})
        ladder = Ladder[str, Reply](self._guard, [asked.model], delivered=True)
        for model in ladder:
            ladder.answered(reply, await self._judged(asked, reply, ladder, model))
        return ladder.outcome()


def _whole(response: httpx.Response, body: bytes) -> Reply:
    """A completion. Raises UpstreamFailed for what is none."""
    try:
        fields = parse_json(body)
        answers = [Said.of(choice) for choice in fields["choices"]]
    except (JsonError, ValueError, TypeError, KeyError, AttributeError):
        raise _no_completion() from None
    return Reply(answers, response.headers, fields)


def _said(heard: Heard) -> list[Said]:
    return [Said.of(choice) for choice in heard.choices()]


def _hear(heard: Heard, event: Event) -> None:
    """Raises UpstreamFailed for an event that is an error, or no chunk of a completion."""
    if event.chunk is None:
        return
    if event.chunk.get("error"):
        raise UpstreamFailed(502, json.dumps(event.chunk).encode())
    try:
        heard.add(event.chunk)
    except ValueError:
        raise _no_completion() from None


def _no_completion() -> UpstreamFailed:
    said = "the upstream sent what is no chat completion: is its URL that of an OpenAI API?"
    refused = Refused(502, said, "upstream_failed")
    return UpstreamFailed(502, bytes(refused.response().body))
