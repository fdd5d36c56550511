"""The JSON of requests, and of what is said to a client whose request is not served: OpenAI's form
of an error, which clients of its API show as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ct_guard.errors import CtGuardError, DeadlineError, OverloadedError, UsageError
from ct_guard.files.untrusted_json import JsonError, parse_json
from ct_guard.remote import without_secrets

__all__ = [
    "Refused",
    "answer_error",
    "answer_refused",
    "as_error",
    "json_object",
    "listed",
    "refused_for",
]

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}


@dataclass
class Refused(Exception):
    """A request that is answered with an error; never leaves this room."""

    status: int
    message: str
    code: str
    """One word that programs can act on."""
    param: str | None = None
    """The field of the request that is meant."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        content = as_error(self.status, self.message, self.code, self.param)
        return JSONResponse(content, self.status, headers=dict(self.headers))


def as_error(status: int, message: str, code: str, param: str | None = None) -> dict[str, Any]:
    """The body of an error. No secret of the environment's is in it."""
    usual = "server_error" if status >= 500 else "invalid_request_error"
    kind = _KINDS.get(status, usual)
    said = without_secrets(message)
    return {"error": {"message": said, "type": kind, "param": param, "code": code}}


async def answer_refused(request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler of `Refused`."""
    assert isinstance(error, Refused)  # noqa: S101  # Starlette's handlers are typed for any error
    return error.response()


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler of errors of ours."""
    return refused_for(error).response()


def refused_for(error: Exception) -> Refused:
    """How an error of ours is told to a client."""
    if isinstance(error, OverloadedError):
        return Refused(429, str(error), "overloaded", headers={"Retry-After": "1"})
    if isinstance(error, DeadlineError):
        return Refused(504, str(error), "deadline")
    if isinstance(error, UsageError):
        return Refused(400, str(error), "invalid_request")
    said = str(error) if isinstance(error, CtGuardError) else "something went wrong in ct-guard"
    return Refused(500, said, "not_scored")


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
