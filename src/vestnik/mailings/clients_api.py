"""Clients over HTTP (M2, M4): create, show, list, change, delete; CSV in and out, streaming."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from aiohttp import web
from aiohttp_apigami import docs, json_schema, querystring_schema

from vestnik.errors import InvalidInput, StoreUnavailable, VestnikError
from vestnik.mailings.clients import Clients
from vestnik.mailings.csv import exporting
from vestnik.mailings.csv.importing import ClientImport
from vestnik.mailings.csv.rows import BadRow, NotClients
from vestnik.mailings.model import Client
from vestnik.mailings.schemas import (
    ClientBody,
    ClientChange,
    ClientFilter,
    ClientSchema,
    ClientsQuery,
    ClientsSchema,
    ImportQuery,
    ImportSchema,
    client_body,
    given_of,
    wanted_of,
)
from vestnik.runtime.log import get_logger
from vestnik.runtime.maintenance import MaintenanceFlag
from vestnik.web.auth import CALLER, role_required
from vestnik.web.body import LONGEST
from vestnik.web.errors import RETRY_AFTER, error_response
from vestnik.web.openapi import ROLE_ERRORS, ROLE_SECURITY, error
from vestnik.web.safe_headers import SAFE_HEADERS

log = get_logger(__name__)

CSV = "text/csv"

_ONE = "/clients/{id:[0-9]{1,16}}"
_ID: dict[str, Any] = {
    "in": "path",
    "name": "id",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": (1 << 53) - 1},
}
_CLIENT = {"schema": ClientSchema, "description": "the client"}
_CREATED = {**_CLIENT, "headers": {"Location": {"schema": {"type": "string"}, "description": "where it is"}}}
_NO_CLIENT = error("no such client, or it was deleted")
_TAKEN = error("another client has the phone")
_UNAVAILABLE = error("the store cannot take the change just now")
_BODY_ERRORS = {413: error("the body is larger than 256 KiB"), 422: error("invalid body, by field"), 503: _UNAVAILABLE}
_CSV_BODY: dict[str, Any] = {
    "required": True,
    "content": {CSV: {"schema": {"type": "string", "example": "phone,tag\r\n79991234567,vip\r\n"}}},
}
_CSV_ANSWER: dict[str, Any] = {
    "description": "a header and a row for each client",
    "content": {CSV: {"schema": {"type": "string"}}},
}


class ClientsApi:
    def __init__(self, clients: Clients, maintenance: MaintenanceFlag, *, import_limit: int) -> None:
        """`import_limit`: bytes of one CSV."""
        self._clients = clients
        self._maintenance = maintenance
        self._import_limit = import_limit

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/clients", self.list_clients, allow_head=False),
            web.post("/clients", self.create_client),
            web.post("/clients/import", self.import_clients),
            web.get("/clients/export", self.export_clients, allow_head=False),
            web.get(_ONE, self.show_client, allow_head=False),
            web.put(_ONE, self.replace_client),
            web.patch(_ONE, self.change_client),
            web.delete(_ONE, self.delete_client),
        ]

    @docs(
        tags=["clients"],
        summary="Clients, in the order they came",
        description="A page can be short, or empty, and still have a `next`: go on until that is null.",
        security=ROLE_SECURITY,
        responses={
            200: {"schema": ClientsSchema, "description": "a page"},
            422: error("invalid query"),
            **ROLE_ERRORS,
        },
    )
    @querystring_schema(ClientsQuery)
    @role_required
    async def list_clients(self, request: web.Request) -> web.Response:
        query = request["querystring"]
        page = await self._clients.page(wanted_of(query), int(query.get("after", 0)), query["limit"])
        found = [client_body(client) for client in page.clients]
        return web.json_response({"clients": found, "next": None if page.next is None else str(page.next)})

    @docs(
        tags=["clients"],
        summary="Create a client",
        security=ROLE_SECURITY,
        responses={201: _CREATED, 409: _TAKEN, **_BODY_ERRORS, **ROLE_ERRORS},
    )
    @json_schema(ClientBody, required=True)
    @role_required
    async def create_client(self, request: web.Request) -> web.Response:
        client = await self._clients.create(given_of(request["json"]))
        log.info("client created", client=client.id, by=request[CALLER].subject)
        return web.json_response(client_body(client), status=201, headers={"Location": f"/clients/{client.id}"})

    @docs(
        tags=["clients"],
        summary="A client",
        parameters=[_ID],
        security=ROLE_SECURITY,
        responses={200: _CLIENT, 404: _NO_CLIENT, **ROLE_ERRORS},
    )
    @role_required
    async def show_client(self, request: web.Request) -> web.Response:
        return web.json_response(client_body(await self._clients.find(_client_id(request))))

    @docs(
        tags=["clients"],
        summary="Change a client as a whole",
        description="What is not named becomes what a new client would have. What waits follows the change.",
        parameters=[_ID],
        security=ROLE_SECURITY,
        responses={200: _CLIENT, 404: _NO_CLIENT, 409: _TAKEN, **_BODY_ERRORS, **ROLE_ERRORS},
    )
    @json_schema(ClientBody, required=True)
    @role_required
    async def replace_client(self, request: web.Request) -> web.Response:
        return self._changed(request, await self._clients.replace(_client_id(request), given_of(request["json"])))

    @docs(
        tags=["clients"],
        summary="Change some of a client",
        description="What is not named stays. What waits follows the change.",
        parameters=[_ID],
        security=ROLE_SECURITY,
        responses={200: _CLIENT, 404: _NO_CLIENT, 409: _TAKEN, **_BODY_ERRORS, **ROLE_ERRORS},
    )
    @json_schema(ClientChange, required=True)
    @role_required
    async def change_client(self, request: web.Request) -> web.Response:
        return self._changed(request, await self._clients.change(_client_id(request), request["json"]))

    @docs(
        tags=["clients"],
        summary="Delete a client",
        description="What waits for the client is canceled.",
        parameters=[_ID],
        security=ROLE_SECURITY,
        responses={204: {"description": "deleted"}, 404: _NO_CLIENT, 503: _UNAVAILABLE, **ROLE_ERRORS},
    )
    @role_required
    async def delete_client(self, request: web.Request) -> web.Response:
        id_ = _client_id(request)
        canceled = await self._clients.delete(id_)
        log.info("client deleted", client=id_, canceled=canceled, by=request[CALLER].subject)
        return web.Response(status=204)

    @docs(
        tags=["clients"],
        summary="Take in a CSV of clients",
        description="A header names the columns: `phone`, and where wanted `operator_code`, `tag`, `timezone`. A known "
        "phone is changed, a new one added. Rows are stored by thousands as they come: what was read before an error "
        "or an interruption stays, and the same file can be sent again.",
        requestBody=_CSV_BODY,
        security=ROLE_SECURITY,
        responses={
            200: {"schema": ImportSchema, "description": "what became of the rows"},
            408: error("the body stopped coming; what was read before stays"),
            413: error("the body is larger than `mailings.import_limit`; what was read before stays"),
            415: error("the body is not text/csv"),
            422: error("invalid query, or a header that cannot be read"),
            503: {"description": "in maintenance (empty body), or the store cannot take more (an error)"},
            **ROLE_ERRORS,
        },
    )
    @querystring_schema(ImportQuery)
    @role_required
    async def import_clients(self, request: web.Request) -> web.Response:
        if self._maintenance.on:
            return web.Response(status=503)
        if request.content_type != CSV:
            return error_response(415, "unsupported_media_type", f"the body must be {CSV}")
        if (request.content_length or 0) > self._import_limit:
            return self._too_large("nothing of it was read")
        query = request["querystring"]
        listed: list[BadRow] = []

        def note(bad: BadRow) -> None:
            if len(listed) < query["errors"]:
                listed.append(bad)

        import_ = ClientImport(self._clients, on_bad=note, encoding=query["encoding"], dry_run=query["dry_run"])
        try:
            if refusal := await self._read(request, import_):
                return refusal
        finally:  # also when the client has left: then nobody else hears of it
            log.info("clients imported", **import_.report.counts(), dry_run=import_.dry_run, by=request[CALLER].subject)
        errors = [asdict(bad) for bad in listed]
        return web.json_response({**import_.report.counts(), "errors": errors, "dry_run": query["dry_run"]})

    @docs(
        tags=["clients"],
        summary="All clients as CSV",
        description="Streamed; as the import reads it. A tag that a spreadsheet would take for a formula has an "
        "apostrophe before it, which the import takes away.",
        security=ROLE_SECURITY,
        responses={200: _CSV_ANSWER, 422: error("invalid query"), **ROLE_ERRORS},
    )
    @querystring_schema(ClientFilter)
    @role_required
    async def export_clients(self, request: web.Request) -> web.StreamResponse:
        pages = self._clients.all_pages(wanted_of(request["querystring"]))
        first = exporting.lines(await anext(pages))  # an error by now has an answer of its own
        disposition = 'attachment; filename="clients.csv"'
        response = web.StreamResponse(headers={"Content-Disposition": disposition, **SAFE_HEADERS})
        response.content_type, response.charset = CSV, "utf-8"
        await response.prepare(request)
        await response.write(exporting.HEADER + first)
        try:
            async for clients in pages:
                await response.write(exporting.lines(clients))
        except VestnikError as error:
            log.warning("an export of clients broke off: %s", error)
            if request.transport is not None:
                request.transport.abort()  # so that nobody takes a part for all
        return response

    async def _read(self, request: web.Request, import_: ClientImport) -> web.Response | None:
        """Feed the body to an import; the refusal, when it did not come to its end."""
        read = 0
        try:
            while data := await self._piece(request):
                read += len(data)
                if read > self._import_limit:
                    return self._too_large(_kept(import_))
                if self._maintenance.on:
                    return _unavailable("in_maintenance", f"maintenance began; {_kept(import_)}")
                await import_.feed(data)
            await import_.end()
        except TimeoutError:
            return _too_slow(import_)
        except NotClients as error:
            raise InvalidInput({"body": f"is no CSV of clients: {error}"}) from None
        except StoreUnavailable as error:
            return _unavailable(error.code, f"the store cannot take more just now; {_kept(import_)}")
        return None

    @staticmethod
    async def _piece(request: web.Request) -> bytes:
        """What has come by now; empty at the end. Raises TimeoutError."""
        async with asyncio.timeout(LONGEST):
            return await request.content.readany()

    def _too_large(self, what: str) -> web.Response:
        return error_response(413, "too_large", f"the body is larger than {self._import_limit:,} bytes; {what}")

    @staticmethod
    def _changed(request: web.Request, client: Client) -> web.Response:
        log.info("client changed", client=client.id, by=request[CALLER].subject)
        return web.json_response(client_body(client))


def _client_id(request: web.Request) -> int:
    return int(request.match_info["id"])


def _too_slow(import_: ClientImport) -> web.Response:
    response = error_response(408, "request_timeout", f"nothing came for {LONGEST:g} s; {_kept(import_)}")
    response.force_close()
    return response


def _unavailable(code: str, description: str) -> web.Response:
    return error_response(503, code, description, headers={"Retry-After": RETRY_AFTER})


def _kept(import_: ClientImport) -> str:
    what = "nothing was to be stored" if import_.dry_run else "what was read before is kept"
    return f"{what} ({import_.report.sentence()})"
