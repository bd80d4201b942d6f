"""Errors as HTTP answers: a code for programs, a sentence for people, never a stack trace."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler
from marshmallow import Schema, fields

from vestnik.errors import Conflict, DatabaseDamaged, InvalidInput, NotFound, StoreUnavailable
from vestnik.storage.sqlite_errors import StorageFailed

log = logging.getLogger(__name__)

RETRY_AFTER = "5"  # seconds; what a client is told when the store cannot take more
LEFT = 499  # as nginx writes it into its log; no client ever sees it

_CODES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}
_KEPT = ("Accept-Encoding", "Allow", "Retry-After", "WWW-Authenticate")


class ErrorSchema(Schema):
    code = fields.String(required=True, metadata={"example": "invalid_input"})
    description = fields.String(required=True, metadata={"example": "delay must be a whole number"})
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={"description": "what is wrong, by field", "example": {"delay": "must be a whole number"}},
    )


def error_response(
    status: int,
    code: str,
    description: str,
    *,
    errors: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    body: dict[str, object] = {"code": code, "description": description}
    if errors:
        body["errors"] = dict(errors)
    return web.json_response(body, status=status, headers=headers)


@web.middleware
async def errors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what handlers raise into answers."""
    try:
        return await handler(request)
    except InvalidInput as error:
        return error_response(422, error.code, str(error), errors=error.fields)
    except NotFound as error:
        return error_response(404, error.code, str(error))
    except Conflict as error:
        return error_response(409, error.code, str(error))
    except StoreUnavailable as error:
        log.warning("cannot take more: %s", error)
        headers = {"Retry-After": RETRY_AFTER}
        return error_response(503, error.code, "the message store cannot take more just now", headers=headers)
    except (StorageFailed, DatabaseDamaged) as error:
        # The daemon ends. What was asked may be on disk or not: repeated with its idempotency key, it is there once.
        description = "the message store failed: it is not known whether this was kept"
        return error_response(503, error.code, description, headers={"Retry-After": RETRY_AFTER})
    except web.HTTPBadRequest:
        # aiohttp answers malformed HTTP long before this; here it is webargs' word for a body that is not JSON.
        return error_response(422, InvalidInput.code, "the body must be JSON", errors={"body": "must be JSON"})
    except web.HTTPRequestEntityTooLarge:
        return error_response(413, _CODES[413], f"the body is larger than {request.client_max_size >> 10} KiB")
    except web.HTTPException as error:
        return _http_exception(error)
    except RecursionError:  # the JSON parser's way to say so, and nothing of ours goes as deep
        log.warning("a body is nested too deep in %s %s", request.method, request.path)
        return error_response(400, "bad_request", "the body is nested too deep")
    except web.RequestPayloadError:
        return error_response(400, "bad_request", "the body is not what its head says")
    except Exception as error:
        if isinstance(error, ConnectionError) and request.transport is None:
            # In the middle of its body. Nobody reads this answer; the access log is to tell it from ours.
            return web.Response(status=LEFT, reason="the client left")
        log.exception("an error of ours in %s %s", request.method, request.path)
        return error_response(500, "internal_error", "something went wrong on our side; the log has the details")


def _http_exception(error: web.HTTPException) -> web.Response:
    if error.status < 400:
        raise error
    kept = {name: error.headers[name] for name in _KEPT if name in error.headers}
    code = _CODES.get(error.status, "error")
    response = error_response(error.status, code, error.reason.lower(), headers=kept)
    if error.keep_alive is False:
        response.force_close()
    return response
