"""The JSON of requests."""

from typing import Any

from starlette.requests import Request

from ct_guard.files.untrusted_json import JsonError, parse_json

from .refusals import Refused

__all__ = ["json_object", "listed"]


async def json_object(request: Request) -> tuple[bytes, dict[str, Any]]:
    """The body of a request, and the object that it holds. Raises Refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # what a page in a browser may send to anybody unasked is of other types
        raise Refused(
            415, "the body is JSON: say 'Content-Type: application/json'", "unsupported_media_type"
        )
    body = await request.body()
    try:
        value = parse_json(body)
    except JsonError as error:
        raise Refused(400, f"the body is not valid JSON: {error}", "invalid_json") from None
    if not isinstance(value, dict):
        raise Refused(400, "the body must be one JSON object", "invalid_json")
    return body, value


def listed(fields: dict[str, Any], name: str) -> list[Any]:
    """A field that is a list, and not empty. Raises Refused."""
    value = fields.get(name)
    if not isinstance(value, list) or not value:
        raise Refused(400, f"field '{name}' must be a list of at least one", "invalid_value", name)
    return value
