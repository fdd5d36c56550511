"""`/beta/litellm_basic_guardrail_api`: what a LiteLLM proxy asks of a guardrail of somebody else's.

A request is asked about before the model is (`pre_call`), its answer after (`post_call`), and the
second does not repeat the first: conversations are remembered by the call that LiteLLM names, until
their answers come. An answer is delivered as it is or not at all.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ct_guard.guard import Guard
from ct_guard.records import Assessment, Decision

from .bodies import Refused, json_object
from .completions import Said
from .judging import LAST, assess, record_of
from .settings import Settings

__all__ = ["Guardrail", "Remembered"]

_UNKNOWN = (
    "the question of this answer is not known: give the guardrail mode: [pre_call, post_call], and"
    " let both reach this server"
)
_NOBODY_LEFT = "nobody is left to carry this out here"


class Remembered:
    """The latest conversations, by the call that they belong to: at most `most`, and
    `characters` of them in all."""

    def __init__(self, most: int = 10_000, characters: int = 64 << 20) -> None:
        self._most, self._characters = most, characters
        self._size = 0
        self._found: OrderedDict[str, tuple[list[Any], int]] = OrderedDict()

    def keep(self, call: str, messages: list[Any], size: int) -> None:
        self._forget(call)
        self._found[call] = (messages, size)
        self._size += size
        while len(self._found) > self._most or self._size > self._characters:
            self._forget(next(iter(self._found)))

    def find(self, call: str) -> list[Any] | None:
        """None where it was never known, or is no longer."""
        found = self._found.get(call)
        return None if found is None else found[0]

    def _forget(self, call: str) -> None:
        _, size = self._found.pop(call, ([], 0))
        self._size -= size


class Guardrail:
    """A guardrail of a LiteLLM proxy's."""

    def __init__(self, guard: Guard, settings: Settings) -> None:
        self._guard, self._settings = guard, settings
        self._remembered = Remembered()

    async def answer(self, request: Request) -> JSONResponse:
        """The endpoint."""
        body, fields = await json_object(request)
        call = str(fields.get("litellm_call_id") or "")
        if fields.get("input_type") == "request":
            if call:
                self._remembered.keep(call, _asked(fields), len(body))
            return JSONResponse({"action": "NONE"})
        if fields.get("input_type") != "response":
            raise Refused(
                400, "field 'input_type' is 'request' or 'response'", "invalid_value", "input_type"
            )
        answers = _said(fields)
        if not answers:
            return JSONResponse({"action": "NONE"})
        made = await self._assessed(self._remembered.find(call), answers, fields)
        return JSONResponse(self._verdict(fields, answers, made))

    async def _assessed(
        self, messages: list[Any] | None, answers: list[Said], fields: dict[str, Any]
    ) -> list[Assessment]:
        if messages is None:
            unknown = self._guard.estimator.unscored("error", _UNKNOWN)
            decision = self._guard.decide(unknown, LAST)
            return [Assessment(confidence=unknown, decision=decision) for _ in answers]
        model = fields.get("model")
        named = model if isinstance(model, str) else None
        made = await assess(self._guard, messages, answers, model=named, situation=LAST)
        return list(map(_final, made))

    def _verdict(
        self, fields: dict[str, Any], answers: list[Said], made: list[Assessment]
    ) -> dict[str, Any]:
        records = {"ct_guard": [record_of(each) for each in made]}
        kept_back = [each for each in made if each.action != "pass"]
        if not kept_back:
            return {"action": "NONE", **records}
        params = fields.get("additional_provider_specific_params")
        replaces = isinstance(params, Mapping) and params.get("on_abstain") == "replace"
        if replaces and not any(said.calls for said in answers):
            # LiteLLM drops a replacement in a stream that it does not hold: not the default
            instead = self._settings.abstain_message
            texts = [
                said.text if each.action == "pass" else instead
                for said, each in zip(answers, made, strict=True)
            ]
            return {"action": "GUARDRAIL_INTERVENED", "texts": texts, **records}
        return {"action": "BLOCKED", "blocked_reason": _reason(kept_back[0]), **records}


def _final(made: Assessment) -> Assessment:
    """No answer leaves with an action that nobody is left to carry out."""
    if made.action not in ("retry", "escalate"):
        return made
    reason = "; ".join(filter(None, [made.decision.reason, _NOBODY_LEFT]))
    decision = made.decision.model_copy(update={"action": "abstain", "reason": reason})
    return made.model_copy(update={"decision": decision})


def _reason(made: Assessment) -> str:
    decision: Decision = made.decision
    why = decision.reason or f"status {made.confidence.status}"
    asks = " (a person is to decide)" if decision.action == "human" else ""
    return f"ct-guard: the answer is withheld by the policy {decision.policy!r}: {why}{asks}"


def _asked(fields: dict[str, Any]) -> list[Any]:
    """The conversation, as far as LiteLLM tells it."""
    messages = fields.get("structured_messages")
    if isinstance(messages, list) and messages:
        return messages
    return [{"role": "user", "content": "\n\n".join(_texts(fields))}]


def _said(fields: dict[str, Any]) -> list[Said]:
    """The answers: a text each, or one of calls of tools with whatever text stands beside them."""
    texts, calls = _texts(fields), fields.get("tool_calls")
    if isinstance(calls, list) and calls:
        message = {"content": "\n".join(texts), "tool_calls": calls}
        try:
            return [Said.of({"message": message})]
        except ValueError as error:
            raise Refused(
                400, f"field 'tool_calls' {error}", "invalid_value", "tool_calls"
            ) from None
    return [Said(index, text) for index, text in enumerate(texts)]


def _texts(fields: dict[str, Any]) -> list[str]:
    texts = fields.get("texts")
    return [text for text in (texts if isinstance(texts, list) else ()) if isinstance(text, str)]
