"""What the bytes of a mail are, read back by parsers of others."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestnik.delivery.model import MessageId, Task, TaskId
from vestnik.delivery.workers.email_address import Mailbox, parse_address, parse_mailbox
from vestnik.delivery.workers.email_message import compose, message_id
from vestnik.sandbox.received_mail import read_mail

HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
]
WITHOUT_SUBJECT = [name for name in HEADERS if name != "Subject"]

#: Everything that ever ended a line, an encoded word or a quotation, and whatever else there is.
LINE_ENDS = ["\r", "\n", "\r\n", "\r\n ", "\n\t", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]
WORDS = ["=?UTF-8?Q?=0A?=", "=?UTF-8?Q?=0D=0A?=", "=?utf-8?b?DQo=?=", "=?", "?=", "\r\nBcc: x@example.test", "Bcc:"]
SIGNS = ['"', "\\", "<", ">", ",", ";", ":", "(", ")", "@", " ", "\ud83d", "\u202e", "я", "😀", "e\u0301"]
ATTACKS = st.sampled_from([*LINE_ENDS, *WORDS, *SIGNS])
HOSTILE = st.lists(st.one_of(ATTACKS, st.text(max_size=8)), max_size=40).map("".join)


def mail(**fields: Any) -> bytes:
    usual: dict[str, Any] = {
        "sender": Mailbox("Vestnik", "v@example.test"),
        "recipient": "a@example.test",
        "subject": "News",
        "text": "Nothing happened.",
        "message_id": "<1.0@example.test>",
        "date": datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
    }
    return compose(**usual | fields)


def names(content: bytes) -> list[str]:
    return list(message_from_bytes(content, policy=policy.compat32).keys())


def decoded(content: bytes, name: str) -> str:
    """By a reader that knows RFC 2047 and nothing else."""
    value = message_from_bytes(content, policy=policy.compat32)[name]
    parts = decode_header(re.sub(r"\r\n(?=[ \t])", "", str(value)))
    return "".join(part.decode(charset or "ascii") if isinstance(part, bytes) else part for part, charset in parts)


def test_a_plain_mail_is_readable_as_it_is() -> None:
    assert mail(text="Nothing\nhappened.").decode("ascii").split("\r\n") == [
        'From: "Vestnik" <v@example.test>',
        "To: <a@example.test>",
        "Subject: News",
        "Date: Tue, 03 Feb 2026 04:05:06 +0000",
        "Message-ID: <1.0@example.test>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "Nothing",
        "happened.",
        "",
    ]


@given(subject=HOSTILE, name=HOSTILE, text=HOSTILE)
def test_the_headers_are_exactly_the_expected_whatever_is_written(subject: str, name: str, text: str) -> None:
    content = mail(subject=subject, sender=Mailbox(name, "v@example.test"), text=text)
    expected = HEADERS if "\r\nSubject: " in content.decode("ascii") else WITHOUT_SUBJECT
    assert names(content) == expected
    parsed = message_from_bytes(content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    assert list(parsed.keys()) == expected
    assert [address.addr_spec for address in parsed["From"].addresses] == ["v@example.test"]
    assert [address.addr_spec for address in parsed["To"].addresses] == ["a@example.test"]
    # Written anew after being decoded, as relays and mail programs do: result 4 of the study came about this way.
    assert not [line for line in (parsed["Subject"] or "").splitlines()[1:] if line]


@given(subject=HOSTILE, name=HOSTILE, text=HOSTILE)
def test_every_line_is_seven_bits_ends_in_crlf_and_is_not_too_long(subject: str, name: str, text: str) -> None:
    content = mail(subject=subject, sender=Mailbox(name, "v@example.test"), text=text)
    head, _, _ = content.partition(b"\r\n\r\n")
    assert content.endswith(b"\r\n")
    for line in content.split(b"\r\n"):
        assert re.fullmatch(rb"[\t\x20-\x7e]{0,998}", line)
    assert max(map(len, head.split(b"\r\n"))) <= 78


@given(text=st.text())
def test_a_subject_says_what_was_written_on_one_line(text: str) -> None:
    written = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).strip()
    content = mail(subject=text)
    if written:
        assert decoded(content, "Subject") == written
    else:
        assert names(content) == WITHOUT_SUBJECT


@given(text=st.text())
def test_a_text_arrives_as_it_was_written(text: str) -> None:
    expected = re.sub(r"\r\n|\r", "\n", text)
    assert read_mail(mail(text=text)).text == expected


@given(text=st.text(st.characters(max_codepoint=126, min_codepoint=32) | st.just("\n"), max_size=2000))
def test_an_ascii_text_arrives_as_it_was_written(text: str) -> None:
    assert read_mail(mail(text=text)).text == text


@pytest.mark.parametrize("text", ["x" * 999, "From here", "a\nFrom here", "naïve", "bell\a", "a\x0bb", "a\x85b"])
def test_what_a_server_on_the_way_might_change_goes_in_base64(text: str) -> None:
    content = mail(text=text)
    assert b"Content-Transfer-Encoding: base64" in content
    assert read_mail(content).text == text


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("", "From: <v@example.test>"),
        ("A, B", 'From: "A, B" <v@example.test>'),
        ('The "V" \\ one', 'From: "The \\"V\\" \\\\ one" <v@example.test>'),
        ("n" * 70, f'From: "{"n" * 68}'),
    ],
)
def test_names_are_quoted(name: str, line: str) -> None:
    assert mail(sender=Mailbox(name, "v@example.test")).decode().startswith(line)


def test_a_long_or_foreign_name_says_what_was_written() -> None:
    for name in ("n" * 200, "и" * 200, "=?utf-8?q?x?="):
        sent = decoded(mail(sender=Mailbox(name, "v@example.test")), "From")
        assert sent.replace('"', "") in (f"{name} <v@example.test>", f"{name}<v@example.test>")


def a_task(**fields: Any) -> Task:
    usual: dict[str, Any] = {
        "id": TaskId(7),
        "message_id": MessageId(6),
        "channel": "mail",
        "recipient": "a@example.test",
        "text": "t",
        "created_at": 12.5,
    }
    return Task(**usual | fields)


def test_the_message_id_depends_on_what_stays_the_same_only() -> None:
    first = message_id(a_task(), "example.test")
    assert re.fullmatch(r"<7\.[0-9a-f]{16}@example\.test>", first)
    assert (
        message_id(a_task(attempts=3, epoch=9, ambiguous=1, crashes=1, cancel_requested=True), "example.test") == first
    )
    others = [a_task(id=TaskId(8)), a_task(created_at=12.6), a_task(channel="other"), a_task(text="\ud83d")]
    assert len({first, *(message_id(task, "example.test") for task in others)}) == 5


def test_addresses_get_ascii_domains() -> None:
    assert parse_address(" User.Name+tag@Пример.РФ ") == "User.Name+tag@xn--e1afmkfd.xn--p1ai"
    assert parse_address("root@localhost") == "root@localhost"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@b",
        "a@",
        "a@b@c",
        ".a@b",
        "a.@b",
        "a..b@c",
        "a b@c",
        "<a@b>",
        "a@b c",
        "a@-b",
        "a@b\n",
        "a\n@b",
        "a@b_c",
    ],
)
def test_what_is_no_address_is_told(text: str) -> None:
    if text == "a@b\n":  # spaces around are forgiven, as YAML blocks end in one
        assert parse_address(text) == "a@b"
        return
    with pytest.raises(ValueError, match="an address such as"):
        parse_address(text)


@given(text=HOSTILE)
def test_an_address_is_ascii_without_anything_that_ends_a_command(text: str) -> None:
    try:
        address = parse_address(f"{text}@example.test")
    except ValueError:
        return
    assert re.fullmatch(r"[^\s<>\",;:()\\]+@example\.test", address, re.ASCII)


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("v@example.test", Mailbox("", "v@example.test")),
        ("<v@example.test>", Mailbox("", "v@example.test")),
        ("Vestnik <v@example.test>", Mailbox("Vestnik", "v@example.test")),
        (' "V, \\"e\\"" <v@example.test> ', Mailbox('V, "e"', "v@example.test")),
        ("Вестник <v@пример.рф>", Mailbox("Вестник", "v@xn--e1afmkfd.xn--p1ai")),
    ],
)
def test_mailboxes_are_read_as_people_write_them(text: str, mailbox: Mailbox) -> None:
    assert parse_mailbox(text) == mailbox


def test_a_mail_that_is_none_is_read_all_the_same() -> None:
    for content in (
        b"",
        b"\xff",
        b"\r\n\r\n",
        b"Subject: =?x?q?y?=\r\n\r\n\xff",
        b"Content-Type: text/plain; charset=none\r\n\r\nx",
    ):
        read_mail(content)


@given(HOSTILE, HOSTILE)
def test_a_mail_in_text_and_html_has_both_and_nothing_else(text: str, html: str) -> None:
    content = mail(text=text, html=html)
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    content.decode("ascii")
    whole = message_from_bytes(content, policy=policy.compat32)
    assert whole.get_content_type() == "multipart/alternative"
    assert names(content) == [name for name in HEADERS if name not in ("Content-Type", "Content-Transfer-Encoding")] + [
        "Content-Type"
    ]
    parts = whole.get_payload()
    assert isinstance(parts, list)
    kinds = [part.get_content_type() for part in parts if not isinstance(part, str)]
    assert kinds == ["text/plain", "text/html"]
    said = [part.get_payload(decode=True) for part in parts if not isinstance(part, str)]
    found = [body.replace(b"\r\n", b"\n").rstrip(b"\n") for body in said if isinstance(body, bytes)]
    written = [re.sub(r"\r\n|\r", "\n", one).encode("utf-8", "replace").rstrip(b"\n") for one in (text, html)]
    assert found == written
