"""Who may call what. Every route says its access; a route that says nothing is closed to everybody.

JWTs come from the user's main server: the algorithm list is fixed, `exp` and the role are demanded always, `aud`, `iss`
and a longest age where configured. PyJWT by itself would accept a token without `exp`.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, TypeVar

import jwt
from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION
from aiohttp.typedefs import Handler
from pydantic import Field, SecretStr

from vestnik.settings.values import Duration, OneOrMore, Section
from vestnik.web.api_keys import KeyRing
from vestnik.web.errors import error_response
from vestnik.web.foreign_pages import ForeignPages

log = logging.getLogger(__name__)

KNOWN_SAMPLES = ("secret", "changeme", "change-me", "example", "password", "0123456789", "your-256-bit-secret")

Algorithm = Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"]

Name = Annotated[str, Field(min_length=1)]


class JwtSettings(Section):
    secret: SecretStr | None = None  # shared secret, or the public key in PEM; None: made at the first start
    algorithms: OneOrMore[Algorithm] = ("HS256",)
    role_claim: Name = "role"
    roles: OneOrMore[Name] = ("admin",)
    audience: Name | None = None
    issuer: Name | None = None
    max_age: Annotated[Duration, Field(gt=timedelta(0))] | None = None  # of a token, by its `iat`


class AuthSettings(Section):
    jwt: JwtSettings = JwtSettings()
    send: Literal["open", "key"] | None = None  # None means open, and is refused beyond loopback


def secret_problem(secret: str, algorithms: Sequence[str] = ("HS256",)) -> str | None:
    """Why a shared secret is too weak for HS… algorithms, or None."""
    shortest = max(int(algorithm[2:]) // 8 for algorithm in algorithms)  # RFC 7518, 3.2
    if len(secret.encode()) < shortest:
        return f"is shorter than {shortest} bytes"
    if any(sample in secret.lower() for sample in KNOWN_SAMPLES) or len(set(secret)) < 8:
        return "is a known sample or hardly random"
    return None


def public_key_problem(key: str, algorithms: Sequence[str]) -> str | None:
    """Why tokens cannot be verified with a public key, or None."""
    if not key:
        return f"is missing: {', '.join(algorithms)} need the main server's public key, in PEM"
    for algorithm in algorithms:
        try:
            jwt.get_algorithm_by_name(algorithm).prepare_key(key)
        except NotImplementedError:
            return f"cannot be used: {algorithm} needs the package cryptography (pip install cryptography)"
        except (jwt.PyJWTError, ValueError, TypeError):
            return f"is not a public key in PEM that fits {algorithm}"
    return None


@dataclass(frozen=True, slots=True)
class Caller:
    """`sender` is the API key's id, or None; `role` is a JWT's, or None."""

    sender: str | None = None
    role: str | None = None
    subject: str | None = None


ANYBODY = Caller()

#: Where a request to a route for a role keeps who it is from.
CALLER = web.RequestKey("caller", Caller)


class Tokens:
    """Signs (for the command line) and verifies JWTs."""

    def __init__(self, settings: JwtSettings, secret: str) -> None:
        self._settings = settings
        self._secret = secret

    def sign(self, *, role: str, subject: str, lifetime: timedelta, now: float | None = None) -> str:
        issued = int(time.time() if now is None else now)
        claims = {
            self._settings.role_claim: role,
            "sub": subject,
            "iat": issued,
            "exp": issued + int(lifetime.total_seconds()),
        }
        optional = {"aud": self._settings.audience, "iss": self._settings.issuer}
        claims |= {claim: value for claim, value in optional.items() if value is not None}
        return jwt.encode(claims, self._secret, self._settings.algorithms[0])

    def verify(self, token: str) -> Caller:
        """Raises jwt.InvalidTokenError. A role that is not allowed is not its business."""
        if not token.isascii():  # bytes that are no UTF-8 come out of a header as what cannot be encoded again
            raise jwt.DecodeError("a token is ASCII text")
        settings = self._settings
        required = ["exp", settings.role_claim]
        required += [name for name, wanted in (("aud", settings.audience), ("iss", settings.issuer)) if wanted]
        required += ["iat"] if settings.max_age else []
        claims = jwt.decode(
            token,
            self._secret,
            algorithms=list(settings.algorithms),
            audience=settings.audience,
            issuer=settings.issuer,
            options={"require": required, "verify_aud": settings.audience is not None},
        )
        if settings.max_age and time.time() - int(claims["iat"]) > settings.max_age.total_seconds():
            raise jwt.ExpiredSignatureError("the token is too old")
        role = claims[settings.role_claim]
        if not isinstance(role, str):
            raise jwt.InvalidTokenError("the role is not a string")
        return Caller(role=role, subject=str(claims.get("sub", "")))


class Attempts:
    """Failed attempts for each address: ten in a minute, then the address has to wait."""

    LIMIT, WINDOW, ADDRESSES = 10, 60.0, 10_000

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}

    def wait(self, address: str, now: float) -> float:
        """Seconds until the address may try again."""
        failures = self._failures.get(address)
        if not failures or len(failures) < self.LIMIT:
            return 0.0
        return max(0.0, failures[0] + self.WINDOW - now)

    def failed(self, address: str, now: float) -> None:
        if len(self._failures) >= self.ADDRESSES:
            self._failures.clear()
        self._failures.setdefault(address, deque(maxlen=self.LIMIT)).append(now)


_ACCESS = "__access__"
F = TypeVar("F", bound=Callable[..., object])


def public(handler: F) -> F:
    """For everybody; the handler itself may ask `Auth.sender`."""
    setattr(handler, _ACCESS, "public")
    return handler


def loopback_only(handler: F) -> F:
    """For this machine, unless the configuration opens it."""
    setattr(handler, _ACCESS, "loopback")
    return handler


def role_required(handler: F) -> F:
    """For a JWT with one of the configured roles."""
    setattr(handler, _ACCESS, "role")
    return handler


def access_of(handler: object) -> str | None:
    """What a handler's decorator said; None is closed."""
    found: str | None = getattr(handler, _ACCESS, None)
    return found


class Auth:
    """Asks the request who it is from."""

    def __init__(
        self,
        settings: AuthSettings,
        tokens: Tokens,
        keys: KeyRing,
        *,
        metrics_open: bool = False,
        public_prefixes: tuple[str, ...] = (),
        foreign_pages: ForeignPages | None = None,
    ) -> None:
        self._settings = settings
        self._public_prefixes = public_prefixes
        self._tokens = tokens
        self._keys = keys
        self._metrics_open = metrics_open
        self._foreign_pages = foreign_pages or ForeignPages()
        self._attempts = Attempts()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Lets a request through to handlers that are open to it."""
        if request.match_info.http_exception is not None:  # no such route: 404 and 405 are for everybody
            return await handler(request)
        match access_of(request.match_info.handler) or self._access_by_path(request):
            case "public":
                return await handler(request)
            case "loopback" if self._metrics_open or is_loopback(request.remote):
                return await handler(request)
            case "role":
                caller = self._bearer(request)
                if isinstance(caller, web.Response):
                    return caller
                if caller is None:
                    return self._unauthorized(request, "a bearer token is required")
                if caller.role not in self._settings.jwt.roles:
                    return error_response(403, "forbidden", "the token's role is not allowed here")
                request[CALLER] = caller
                return await handler(request)
            case _:
                return error_response(403, "forbidden", "this address may not be called from there")

    def _access_by_path(self, request: web.Request) -> str | None:
        """For handlers that are not ours, and so bear no decorator: the documentation's."""
        resource = request.match_info.route.resource
        known = resource is not None and resource.canonical.startswith(self._public_prefixes)
        return "public" if known else None

    def at_once(self, headers: Mapping[str, str]) -> Caller | None:
        """Who sends, where that is known without asking the database; None: `sender` finds out, or refuses."""
        if AUTHORIZATION in headers:
            return None
        if (key := headers.get("X-API-Key")) is not None:
            key_id = self._keys.known(key, time.time())
            return Caller(sender=key_id) if key_id else None
        if self._settings.send == "key":
            return None
        pages = self._foreign_pages
        return ANYBODY if pages.plainly_none(headers) or pages.refusal(headers) is None else None

    async def holder(self, headers: Mapping[str, str]) -> Caller | None:
        """Who sends by an API key alone; None: `sender` says what is wrong."""
        if AUTHORIZATION in headers or (key := headers.get("X-API-Key")) is None:
            return None
        key_id = await self._keys.verify(key, time.time())
        return Caller(sender=key_id) if key_id else None

    async def sender(self, request: web.Request) -> Caller | web.Response:
        """Who sends: a JWT's role, an API key, or, where sending is open, anybody. A Response is the refusal."""
        caller = self._bearer(request)
        if caller is not None:
            if isinstance(caller, Caller) and caller.role not in self._settings.jwt.roles:
                return error_response(403, "forbidden", "the token's role is not allowed here")
            return caller
        key = request.headers.get("X-API-Key")
        if key is None:
            if self._settings.send != "key":
                return self._foreign_pages.refusal(request.headers) or ANYBODY
            return self._unauthorized(request, "an API key is required (X-API-Key)")
        key_id = await self._keys.verify(key, time.time())
        return Caller(sender=key_id) if key_id else self._unauthorized(request, "the API key is wrong or revoked")

    def may_see(self, caller: Caller, sender: str | None) -> bool:
        """Whose key registered a message, sees it; a role sees all; where sending is open, all see the keyless."""
        if caller.role is not None:
            return True
        return caller.sender == sender and (sender is not None or self._settings.send != "key")

    def _bearer(self, request: web.Request) -> Caller | web.Response | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return self._tokens.verify(token.strip())
        except jwt.PyJWTError as error:
            return self._unauthorized(request, f"the token is not valid: {error}")

    def _blocked(self, request: web.Request) -> web.Response | None:
        wait = self._attempts.wait(request.remote or "", time.monotonic())
        if not wait:
            return None
        headers = {"Retry-After": str(int(wait) + 1)}
        return error_response(429, "too_many_requests", "too many failed attempts from this address", headers=headers)

    def _unauthorized(self, request: web.Request, description: str) -> web.Response:
        """401; or 429 after too many. Right credentials pass even then: others may share a proxy's address."""
        if blocked := self._blocked(request):
            return blocked
        # A request without any credentials guesses nothing, so it does not count as an attempt.
        if "Authorization" in request.headers or "X-API-Key" in request.headers:
            self._attempts.failed(request.remote or "", time.monotonic())
        return error_response(401, "unauthorized", description, headers={"WWW-Authenticate": "Bearer"})


def is_loopback(address: str | None) -> bool:
    """Also for what is no address (a Unix socket's peer is local)."""
    if not address:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
