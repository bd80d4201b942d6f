"""Moderation over HTTP (Q13): list, edit, approve, reject."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from aiohttp_apigami import docs, json_schema, querystring_schema

from vestnik.quiz.schemas import (
    BulkSchema,
    Change,
    ListQuery,
    QuestionSchema,
    QuestionsSchema,
    Selection,
    changes_of,
    filter_of,
    question_body,
)
from vestnik.quiz.service import Bulk, Moderation
from vestnik.web.auth import role_required
from vestnik.web.openapi import ROLE_ERRORS, ROLE_SECURITY, error

_ONE = "/questions/{id:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}}"
_ID: dict[str, Any] = {
    "in": "path",
    "name": "id",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
_QUESTION = {"schema": QuestionSchema, "description": "the question"}
_NOT_FOUND = error("no such question: it was sent or rejected, or never was")
_ON_ITS_WAY = error("it is in a batch that is on its way to the main server")
_BODY_ERRORS = {413: error("the body is larger than 256 KiB"), 422: error("invalid body")}
_BULK = {"schema": BulkSchema, "description": "how many were changed, and which were not"}
_BULK_DESCRIPTION = (
    "By ids, or all that a filter finds, oldest first, up to `limit`. Each is decided by itself: one that cannot be "
    "changed is skipped."
)


class QuestionsApi:
    def __init__(self, moderation: Moderation) -> None:
        self._moderation = moderation

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/questions", self.list_questions, allow_head=False),
            web.post("/questions/approve", self.approve_questions),
            web.post("/questions/reject", self.reject_questions),
            web.get(_ONE, self.show_question, allow_head=False),
            web.patch(_ONE, self.change_question),
            web.post(_ONE + "/approve", self.approve_question),
            web.post(_ONE + "/reject", self.reject_question),
        ]

    @docs(
        tags=["questions"],
        summary="Questions that are kept, oldest first",
        description="Only those that were not sent yet: after that nothing but a hash is left. A raw question says "
        "why in `reasons` and, in words, in `findings`. A page can be short, or empty, and still have a `next`: go on "
        "until that is null.",
        security=ROLE_SECURITY,
        responses={
            200: {"schema": QuestionsSchema, "description": "a page"},
            422: error("invalid query"),
            **ROLE_ERRORS,
        },
    )
    @querystring_schema(ListQuery)
    @role_required
    async def list_questions(self, request: web.Request) -> web.Response:
        query = request["querystring"]
        page = await self._moderation.page(filter_of(query), query.get("after"), query["limit"])
        return web.json_response({"questions": [question_body(q) for q in page.questions], "next": page.next})

    @docs(
        tags=["questions"],
        summary="A question",
        parameters=[_ID],
        security=ROLE_SECURITY,
        responses={200: _QUESTION, 404: _NOT_FOUND, **ROLE_ERRORS},
    )
    @role_required
    async def show_question(self, request: web.Request) -> web.Response:
        return web.json_response(question_body(await self._moderation.find(_question_id(request))))

    @docs(
        tags=["questions"],
        summary="Change a question",
        description="It is screened and hashed anew. A raw one stays raw until it is approved; a ready one becomes "
        "raw when screening finds something.",
        parameters=[_ID],
        security=ROLE_SECURITY,
        responses={
            200: _QUESTION,
            404: _NOT_FOUND,
            409: error("it is in a batch, or its new text is that of another question, kept or past"),
            **_BODY_ERRORS,
            **ROLE_ERRORS,
        },
    )
    @json_schema(Change, required=True)
    @role_required
    async def change_question(self, request: web.Request) -> web.Response:
        question = await self._moderation.edit(_question_id(request), changes_of(request["json"]))
        return web.json_response(question_body(question))

    @docs(
        tags=["questions"],
        summary="Approve a question",
        description="It becomes ready, whatever made it raw.",
        parameters=[_ID],
        security=ROLE_SECURITY,
        responses={200: _QUESTION, 404: _NOT_FOUND, **ROLE_ERRORS},
    )
    @role_required
    async def approve_question(self, request: web.Request) -> web.Response:
        return web.json_response(question_body(await self._moderation.approve(_question_id(request))))

    @docs(
        tags=["questions"],
        summary="Reject a question",
        description="It is deleted; its hash stays, so that it does not come again.",
        parameters=[_ID],
        security=ROLE_SECURITY,
        responses={204: {"description": "rejected"}, 404: _NOT_FOUND, 409: _ON_ITS_WAY, **ROLE_ERRORS},
    )
    @role_required
    async def reject_question(self, request: web.Request) -> web.Response:
        await self._moderation.reject(_question_id(request))
        return web.Response(status=204)

    @docs(
        tags=["questions"],
        summary="Approve many questions",
        description=_BULK_DESCRIPTION,
        security=ROLE_SECURITY,
        responses={200: _BULK, **_BODY_ERRORS, **ROLE_ERRORS},
    )
    @json_schema(Selection, required=True)
    @role_required
    async def approve_questions(self, request: web.Request) -> web.Response:
        body = request["json"]
        if "ids" in body:
            return _bulk(await self._moderation.approve_many(body["ids"]))
        return _bulk(await self._moderation.approve_matching(filter_of(body["filter"]), body["limit"]))

    @docs(
        tags=["questions"],
        summary="Reject many questions",
        description=_BULK_DESCRIPTION,
        security=ROLE_SECURITY,
        responses={200: _BULK, **_BODY_ERRORS, **ROLE_ERRORS},
    )
    @json_schema(Selection, required=True)
    @role_required
    async def reject_questions(self, request: web.Request) -> web.Response:
        body = request["json"]
        if "ids" in body:
            return _bulk(await self._moderation.reject_many(body["ids"]))
        return _bulk(await self._moderation.reject_matching(filter_of(body["filter"]), body["limit"]))


def _question_id(request: web.Request) -> str:
    return request.match_info["id"].lower()


def _bulk(bulk: Bulk) -> web.Response:
    return web.json_response({"changed": bulk.changed, "skipped": bulk.skipped, "more": bulk.more})
