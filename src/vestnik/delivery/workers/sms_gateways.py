"""What each gateway is asked, and what its answers mean. Nothing here does I/O.

`judge` returns what the gateway called the message, or raises `Refused` or `Unavailable`. An answer of success that
cannot be made out counts as maybe sent; so does 504, where a proxy gave up on a request it had passed on.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from vestnik.delivery.model import Task
from vestnik.delivery.workers.http_exchange import Answer, Request
from vestnik.delivery.workers.sms_request import Accepted, RequestTemplate, filled, filled_json
from vestnik.delivery.workers.sms_segments import fits_gsm7
from vestnik.delivery.workers.worker import Refused, Unavailable

Quote = Callable[[str], str]  # makes an answer's text fit for a reason


class Gateway(ABC):
    """One kind of SMS service. `quoted` is how it cites answers."""

    def __init__(self, quoted: Quote) -> None:
        self._quoted = quoted

    @abstractmethod
    def request(self, task: Task) -> Request:
        """What to ask for this task; the same task gives the same reference each time."""

    @abstractmethod
    def judge(self, answer: Answer) -> str | None: ...

    def _judge_general(self, answer: Answer) -> None:
        """What a status means whatever gateway says it; returns where only the gateway's own rules can tell."""
        if answer.status in (429, 503):
            raise Unavailable(self._said(answer), retry_after=answer.retry_after)
        if 300 <= answer.status < 400:
            # Where to is not told: kannel's password stands in the query, and redirects like to repeat it.
            raise Unavailable(f"the gateway answers with a redirect ({answer.status}), which is not followed")
        if answer.status >= 500:
            raise Unavailable(self._said(answer), maybe_sent=answer.status == 504)

    def _said(self, answer: Answer) -> str:
        text = self._quoted(answer.text)
        return f"the gateway answers {answer.status}: {text}" if text else f"the gateway answers {answer.status}"


class Kannel(Gateway):
    """Kannel's smsbox (user guide, "Using the HTTP interface to send SMS messages", tables 7-16 and 7-17).

    Its `sendsms-user` needs `concatenation = true` and `max-messages`, or it cuts long texts after the first part.
    The task goes along as `account`, the field the guide gives for carrying a name through: it is logged as ACT.
    """

    def __init__(
        self, quoted: Quote, *, url: str, username: str, password: str, sender: str, extra: Mapping[str, str]
    ) -> None:
        super().__init__(quoted)
        fixed = {**extra, "username": username, "password": password, "from": sender, "charset": "UTF-8"}
        self._url = _with_query(url, fixed)  # up to what varies

    def request(self, task: Task) -> Request:
        coding = "0" if fits_gsm7(task.text) else "2"
        varying = f"to={_quoted(task.recipient)}&text={_quoted(task.text)}&coding={coding}&account=vestnik-{task.id}"
        return Request("GET", f"{self._url}&{varying}")

    def judge(self, answer: Answer) -> str | None:
        self._judge_general(answer)
        text = answer.text.strip()
        if answer.status == 403 and text.startswith("Not routable"):
            raise Refused(self._said(answer))
        if answer.status in (401, 403):
            raise Unavailable(self._said(answer), unauthorised=True)
        if answer.status == 404:  # "Unknown request.": smsbox has no such path, which is nothing against the message
            raise Unavailable(f"{self._said(answer)} (is `url` the one of sendsms?)")
        if answer.status in (408, 425):
            raise Unavailable(self._said(answer))
        if answer.status >= 400:
            raise Refused(self._said(answer))
        # "Sent." is what smsbox says with immediate-sendsms-reply.
        if re.match(r"0: |3: |Sent\.", text):
            return None
        raise Unavailable(f"not an answer of Kannel: {self._said(answer)}", maybe_sent=True)


class Probe(Gateway):
    """`POST /v1/send/{id}` with a bearer token; accepted is status 200 with code 0 and message OK."""

    def __init__(self, quoted: Quote, url: str, token: str) -> None:
        super().__init__(quoted)
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def request(self, task: Task) -> Request:
        body = {"id": task.id, "phone": int(task.recipient), "text": task.text}
        return Request("POST", f"{self._url}/v1/send/{task.id}", self._headers, _json(body))

    def judge(self, answer: Answer) -> str | None:
        self._judge_general(answer)
        match answer.status:
            case 200:
                return self._judge_body(answer)
            case 400:
                raise Refused(self._said(answer))
            case 401:
                raise Unavailable(self._said(answer), unauthorised=True)
            case _:
                raise Unavailable(self._said(answer), maybe_sent=answer.status < 400)

    def _judge_body(self, answer: Answer) -> str | None:
        match _parsed(answer):
            case {"code": bool()}:  # which is an int to Python
                pass
            case {"code": int(code), "message": "OK"} if code == 0:
                return None
            case {"code": int(code), "message": str()} if code != 0:
                raise Unavailable(self._said(answer))
        raise Unavailable(f"not an answer of this service: {self._said(answer)}", maybe_sent=True)


class HttpApi(Gateway):
    """Any API, described in the configuration."""

    def __init__(self, quoted: Quote, template: RequestTemplate, accepted: Accepted) -> None:
        super().__init__(quoted)
        self._template = template
        self._accepted = accepted

    def request(self, task: Task) -> Request:
        template = self._template
        values = {"phone": task.recipient, "text": task.text, "id": str(task.id)}
        url = filled(template.url, values, _quoted)
        query = {name: filled(value, values) for name, value in template.query.items()}
        headers = {name: filled(value.get_secret_value(), values) for name, value in template.headers.items()}
        kind, body = self._body(values)
        if kind and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = kind
        return Request(template.method, _with_query(url, query), headers, body)

    def _body(self, values: Mapping[str, str]) -> tuple[str | None, bytes | None]:
        if self._template.form is not None:
            form = {name: filled(value, values) for name, value in self._template.form.items()}
            return "application/x-www-form-urlencoded", urlencode(form).encode()
        if self._template.json_ is not None:
            return "application/json", _json(filled_json(self._template.json_, values))
        return None, None

    def judge(self, answer: Answer) -> str | None:
        if answer.status in self._accepted.status and self._body_accepted(answer):
            return None
        self._judge_general(answer)
        if answer.status in (401, 403):
            raise Unavailable(self._said(answer), unauthorised=True)
        if answer.status in (408, 425):
            raise Unavailable(self._said(answer))
        if answer.status >= 400:
            raise Refused(self._said(answer))
        # It said yes in some way, but not in the one described: the message may be on its way.
        raise Unavailable(f"not an answer described as accepted: {self._said(answer)}", maybe_sent=True)

    def _body_accepted(self, answer: Answer) -> bool:
        pattern = self._accepted.body
        return pattern is None or re.search(pattern, answer.text) is not None


def _with_query(url: str, query: Mapping[str, str]) -> str:
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote)}"


def _quoted(value: str) -> str:
    return quote(value, safe="")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _parsed(answer: Answer) -> Any:
    """The body as JSON; None where it is none."""
    if not answer.whole:
        return None
    try:
        return json.loads(answer.text)
    except (ValueError, RecursionError):
        return None
