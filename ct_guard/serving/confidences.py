"""`/v1/confidence`: how likely are these answers to be correct?"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ct_guard.guard import Guard
from ct_guard.records import Assessment, Confidence, QuestionAnswer

from .bodies import Refused, json_object, listed
from .judging import headers_of, item_of, record_of

__all__ = ["Confidences"]

MOST = 1000
"""Answers in one request."""


class Confidences:
    """One row, or several as `items`, in the columns that `ct-guard score` reads."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def answer(self, request: Request) -> JSONResponse:
        """The endpoint."""
        _, fields = await json_object(request)
        if "items" not in fields:
            (made,) = await self._assessed([fields])
            return JSONResponse(_told(fields, made), headers=headers_of([made]))
        rows = listed(fields, "items")
        if len(rows) > MOST:
            said = f"field 'items' has {len(rows):,} rows, and a request may have {MOST:,}"
            raise Refused(400, f"{said}: send several", "too_many_items", "items")
        found = await self._assessed(rows)
        data = [_told(row, made) for row, made in zip(rows, found, strict=True)]
        return JSONResponse({"object": "list", "data": data})

    async def _assessed(self, rows: list[Any]) -> list[Assessment]:
        """Raises Refused for a row that is none, by its place and field."""
        items: list[QuestionAnswer] = []
        known: dict[int, Confidence] = {}
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise Refused(400, f"items[{number}] must be an object", "invalid_value", "items")
            item = item_of(self._guard, row, f"items[{number}]")
            if isinstance(item, QuestionAnswer):
                items.append(item)
            elif item.status == "invalid":
                raise Refused(400, str(item.error), "invalid_value")
            else:
                known[number] = item
        rest = iter(await self._guard.ascore(items))
        scored = [known.get(number) or next(rest) for number in range(len(rows))]
        return [Assessment(confidence=one, decision=self._guard.decide(one)) for one in scored]


def _told(row: dict[str, Any], made: Assessment) -> dict[str, Any]:
    named = {"id": row["id"]} if isinstance(row.get("id"), str | int) else {}
    return {**named, **record_of(made)}
