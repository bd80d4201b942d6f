from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from vestnik.web.auth import (
    Attempts,
    JwtSettings,
    Tokens,
    access_of,
    is_loopback,
    loopback_only,
    public,
    public_key_problem,
    role_required,
    secret_problem,
)

SECRET = "q8Zt4Lw1Xv7Rb2Ny9Kc5Hd3Mf6Jp0Gs+uE"
LONG = SECRET + SECRET[::-1]


def tokens(**settings: Any) -> Tokens:
    return Tokens(JwtSettings.model_validate(settings), SECRET)


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """Good for a day: tests are collected minutes before the last of them runs."""
    given = {"role": "admin", "exp": int(time.time()) + 86_400, **claims}
    return jwt.encode({k: v for k, v in given.items() if v is not ...}, secret, algorithm)


def part(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def test_what_is_signed_here_is_good_here() -> None:
    settings = {"audience": "vestnik", "issuer": "main", "max_age": "1h", "role_claim": "rights"}
    token = tokens(**settings).sign(role="admin", subject="ann", lifetime=timedelta(minutes=1))
    caller = tokens(**settings).verify(token)
    assert (caller.role, caller.subject, caller.sender) == ("admin", "ann", None)


def test_a_foreign_role_is_known_but_decided_elsewhere() -> None:
    assert tokens().verify(signed(role="guest")).role == "guest"


@pytest.mark.parametrize(
    "token",
    [
        signed(exp=int(time.time()) - 1),
        signed(exp=...),
        signed(exp=None),
        signed(exp="soon"),
        signed(role=...),
        signed(role=None),
        signed(role=["admin"]),
        signed(role={"admin": True}),
        signed(nbf=int(time.time()) + 86_000),
        signed(iat=int(time.time()) + 86_000),
        signed(secret="another" * 6),
        signed(secret=SECRET * 2),
        signed(secret=LONG, algorithm="HS512"),
        signed()[:-2],
        signed() + "x",
        "",
        "a.b.c",
        "....",
        "\x00",
        "ключ",
        "\udcff.\udcff.\udcff",
    ],
)
def test_nothing_else_is_good(token: str) -> None:
    with pytest.raises(jwt.InvalidTokenError):
        tokens().verify(token)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", [b"", b"x"])
def test_an_unsigned_token_is_not_good(algorithm: str, signature: bytes) -> None:
    claims = {"role": "admin", "exp": int(time.time()) + 60}
    token = b".".join((part({"alg": algorithm, "typ": "JWT"}), part(claims), signature)).decode()
    with pytest.raises(jwt.InvalidTokenError):
        tokens().verify(token)


def test_a_public_key_cannot_sign() -> None:
    private = rsa.generate_private_key(65537, 2048)
    public_pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    settings = JwtSettings.model_validate({"algorithms": ["RS256"]})
    verifier = Tokens(settings, public_pem.decode())
    claims = {"role": "admin", "exp": int(time.time()) + 60}
    assert verifier.verify(jwt.encode(claims, private, "RS256")).role == "admin"
    # PyJWT would not sign with a PEM; an attacker does it by hand.
    head = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(claims)
    signature = base64.urlsafe_b64encode(hmac.digest(public_pem, head, hashlib.sha256)).rstrip(b"=")
    with pytest.raises(jwt.InvalidTokenError):
        verifier.verify((head + b"." + signature).decode())
    assert public_key_problem(public_pem.decode(), ["RS256"]) is None
    assert public_key_problem(public_pem.decode(), ["RS256", "ES256"]) == "is not a public key in PEM that fits ES256"


@pytest.mark.parametrize(
    ("settings", "claims", "good"),
    [
        ({"audience": "vestnik"}, {"aud": "vestnik"}, True),
        ({"audience": "vestnik"}, {"aud": ["x", "vestnik"]}, True),
        ({"audience": "vestnik"}, {"aud": "other"}, False),
        ({"audience": "vestnik"}, {}, False),
        ({}, {"aud": "anything"}, True),
        ({"issuer": "main"}, {"iss": "main"}, True),
        ({"issuer": "main"}, {"iss": "other"}, False),
        ({"issuer": "main"}, {}, False),
        ({"max_age": "1d"}, {"iat": int(time.time())}, True),
        ({"max_age": "1d"}, {"iat": int(time.time()) - 100_000}, False),
        ({"max_age": "1d"}, {"iat": str(int(time.time()) - 100_000)}, False),
        ({"max_age": "1m"}, {"iat": "soon"}, False),
        ({"max_age": "1m"}, {}, False),
        ({"role_claim": "rights"}, {"rights": "admin", "role": ...}, True),
        ({"role_claim": "rights"}, {}, False),
    ],
)
def test_what_is_configured_is_demanded(settings: dict[str, Any], claims: dict[str, Any], good: bool) -> None:
    if good:
        assert tokens(**settings).verify(signed(**claims)).role == "admin"
    else:
        with pytest.raises(jwt.InvalidTokenError):
            tokens(**settings).verify(signed(**claims))


@given(st.text())
def test_no_text_raises_anything_but_an_invalid_token(token: str) -> None:
    with pytest.raises(jwt.InvalidTokenError):
        tokens().verify(token)


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        (SECRET, None),
        ("é" * 8 + SECRET[:16], None),
        (SECRET[:31], "is shorter than 32 bytes"),
        ("", "is shorter than 32 bytes"),
        ("ab" * 20, "is a known sample or hardly random"),
        ("your-256-bit-secret-and-then-some-more", "is a known sample or hardly random"),
        ("ChangeMe" + SECRET, "is a known sample or hardly random"),
    ],
)
def test_a_shared_secret_is_long_and_random(secret: str, problem: str | None) -> None:
    assert secret_problem(secret) == problem


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_is_as_long_as_its_hash(algorithm: str, length: int) -> None:
    assert secret_problem(LONG[:length], [algorithm]) is None
    assert secret_problem(LONG[: length - 1], ["HS256", algorithm]) == f"is shorter than {length} bytes"


# Attempts


def test_ten_failures_in_a_minute_are_enough() -> None:
    attempts = Attempts()
    for second in range(10):
        assert attempts.wait("a", second) == 0
        attempts.failed("a", second)
    assert attempts.wait("a", 10) == 50
    assert attempts.wait("b", 10) == 0
    assert attempts.wait("a", 60) == 0
    attempts.failed("a", 60)
    assert attempts.wait("a", 60.5) == 0.5


def test_addresses_do_not_pile_up() -> None:
    attempts = Attempts()
    for number in range(3 * Attempts.ADDRESSES):
        attempts.failed(str(number), 0)
    assert len(attempts._failures) <= Attempts.ADDRESSES


# Access


def test_a_handler_that_says_nothing_is_closed() -> None:
    def handler() -> None: ...

    assert access_of(handler) is None
    assert [access_of(decorate(lambda: None)) for decorate in (public, loopback_only, role_required)] == [
        "public",
        "loopback",
        "role",
    ]


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), (None, True), ("", True)]
    + [(other, False) for other in ("192.168.0.1", "::", "localhost", "127.0.0.1.evil.test", "8.8.8.8")],
)
def test_loopback_is_an_address(address: str | None, local: bool) -> None:
    assert is_loopback(address) is local
